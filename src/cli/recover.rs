//! `recover`

use std::process::ExitCode;

use crate::config::resolve;
use crate::deploy::Session;
use crate::error::{Error, Kind, Result};
use crate::report::Event;

use super::args::TargetArgs;
use super::context::Context;

pub(super) async fn run(context: &Context, args: TargetArgs) -> Result<ExitCode> {
    let project = context.project()?;
    let resolved = resolve(&project, args.target.as_deref())?;
    let who = context.who(&project).await;
    let mut session = Session::open(&project, &resolved, &who).await?;
    if let Some(holder) = session.facts.lock() {
        return Err(session.locked(holder));
    }
    let open = session.facts.open_runs.clone();
    if open.is_empty() {
        context.reporter.note("no run was interrupted: there is nothing to recover");
    } else {
        session.server().recover().await?;
        session.refresh().await?;
        if let Some(left) = session.facts.open_runs.first() {
            return Err(Error::new(Kind::NeedsPerson, format!("the run {left} could not be ended"))
                .hint(format!("its journal on the server: {}/runs/{left}/journal", resolved.target.root.value)));
        }
    }
    let serving = session.facts.current().map(str::to_owned);
    context.reporter.note(format!("{} serves {}", resolved.target.name, serving.as_deref().unwrap_or("nothing")));
    context.reporter.tell(Event::Document(serde_json::json!({"event": "recover", "runs": open, "release": serving})));
    Ok(ExitCode::SUCCESS)
}
