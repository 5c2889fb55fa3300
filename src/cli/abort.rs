//! `abort`

use std::process::ExitCode;

use crate::deploy::{Session, all, each};
use crate::error::Result;
use crate::report::Event;

use super::args::TargetArgs;
use super::context::Context;

pub(super) async fn run(context: &Context, args: TargetArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let who = context.who(&project).await;
    // A host that cannot be reached holds up none of the others.
    let told = each(Session::open_each(&project, &resolved, &who).await, async |session| {
        let session = session?;
        let aborted = session.server().abort(None).await?;
        let reporter = session.reporter(&context.reporter);
        reporter.note(match &aborted {
            Some(run) => format!("{run} was told to stop; the server undoes it by itself"),
            None => String::from("no deploy is running"),
        });
        reporter.tell(Event::Document(serde_json::json!({"event": "abort", "run": aborted})));
        Ok(())
    })
    .await;
    all(&resolved.target.hosts, "could not be told", told).map(|_| ExitCode::SUCCESS)
}
