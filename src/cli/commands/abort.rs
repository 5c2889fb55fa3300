//! `abort`

use std::process::ExitCode;

use crate::deploy::{Session, all, each};
use crate::error::Result;
use crate::report::Event;

use super::super::args::TargetArgs;
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, args: TargetArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    // A host that cannot be reached holds up none of the others.
    let told = each(Session::open_each(&project, &resolved).await, async |session| {
        let session = session?;
        session.bring_scripts().await?;
        let aborted = session.server().abort(None).await?;
        let reporter = session.reporter(&context.reporter);
        reporter.note(match &aborted {
            Some(run) => format!("the run {run} is being stopped; the server undoes it by itself"),
            None => String::from("no run is in progress"),
        });
        reporter.tell(Event::Document(serde_json::json!({"event": "abort", "run": aborted})));
        Ok(())
    })
    .await;
    all(&resolved.target.hosts, "could not be told to stop", told).map(|_| ExitCode::SUCCESS)
}
