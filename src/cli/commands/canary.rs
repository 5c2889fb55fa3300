//! `pause`, `resume`, `promote-step`: a canary that runs is ordered from anywhere.

use std::process::ExitCode;

use crate::deploy::{Session, all, each};
use crate::error::{Error, Result};
use crate::report::Event;

use super::super::args::TargetArgs;
use super::super::context::Context;

/// What a canary can be told.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) enum Order {
    Pause,
    Resume,
    Next,
}

impl Order {
    /// The word that the server knows it by, and what was done, for people.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Pause => ("pause", "is paused"),
            Self::Resume => ("resume", "goes on"),
            Self::Next => ("next", "goes on to its next step"),
        }
    }
}

pub(in crate::cli) async fn run(context: &Context, args: TargetArgs, order: Order) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let (word, done) = order.words();
    let told = each(Session::open_each(&project, &resolved).await, async |session| {
        let session = session?;
        session.bring_scripts().await?;
        let Some((run, share)) = session.server().order_canary(word).await? else {
            return Err(Error::failed(format!("no canary runs on {}", session.host())));
        };
        let reporter = session.reporter(&context.reporter);
        reporter.note(format!("the canary of the run {run}, at {share} %, {done}"));
        reporter.tell(Event::Document(serde_json::json!({"event": "canary", "order": word, "run": run, "share": share})));
        Ok(())
    })
    .await;
    all(&resolved.target.hosts, "could not be told", told).map(|_| ExitCode::SUCCESS)
}
