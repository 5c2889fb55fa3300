//! `abort`

use std::process::ExitCode;

use crate::config::resolve;
use crate::deploy::Session;
use crate::error::Result;
use crate::report::Event;

use super::args::TargetArgs;
use super::context::Context;

pub(super) async fn run(context: &Context, args: TargetArgs) -> Result<ExitCode> {
    let project = context.project()?;
    let resolved = resolve(&project, args.target.as_deref())?;
    let who = context.who(&project).await;
    let session = Session::open(&project, &resolved, &who).await?;
    let aborted = session.server().abort(None).await?;
    context.reporter.note(match &aborted {
        Some(run) => format!("{run} was told to stop; the server undoes it by itself"),
        None => String::from("no deploy is running"),
    });
    context.reporter.tell(Event::Document(serde_json::json!({"event": "abort", "run": aborted})));
    Ok(ExitCode::SUCCESS)
}
