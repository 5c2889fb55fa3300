//! `recover`

use std::process::ExitCode;

use crate::deploy::{Session, all, each};
use crate::error::{Error, Kind, Result};
use crate::report::{Event, Reporter};

use super::super::args::TargetArgs;
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, args: TargetArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    // A host that cannot be reached holds up none of the others.
    let recovered = each(Session::open_each(&project, &resolved).await, async |session| {
        let session = session?;
        let reporter = session.reporter(&context.reporter);
        recover(session, &reporter).await
    })
    .await;
    all(&resolved.target.hosts, "could not be recovered", recovered).map(|_| ExitCode::SUCCESS)
}

async fn recover(mut session: Session<'_>, reporter: &Reporter) -> Result<()> {
    let target = &session.resolved.target;
    if let Some(holder) = session.facts.lock() {
        return Err(session.locked(holder));
    }
    let open = session.facts.open_runs.clone();
    if open.is_empty() {
        reporter.note("no run was interrupted: there is nothing to recover");
    } else {
        session.bring_scripts().await?;
        session.server().recover().await?;
        session.refresh().await?;
        if let Some(left) = session.facts.open_runs.first() {
            return Err(Error::new(Kind::NeedsPerson, format!("the run {left} could not be ended"))
                .hint(format!("its journal on the server: {}/runs/{left}/journal", target.root.value)));
        }
    }
    let serving = session.facts.current().map(str::to_owned);
    reporter.note(format!("{} serves {}", target.name, serving.as_deref().unwrap_or("nothing")));
    reporter.tell(Event::Document(serde_json::json!({"event": "recover", "runs": open, "release": serving})));
    Ok(())
}
