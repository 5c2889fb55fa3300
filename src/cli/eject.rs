//! `eject`

use std::process::ExitCode;

use crate::deploy::{eject, eject_steps};
use crate::error::Result;

use super::args::EjectArgs;
use super::context::Context;

pub(super) async fn run(context: &Context, args: EjectArgs) -> ExitCode {
    let target = args.target.clone();
    match ejected(context, args).await {
        Ok(code) => code,
        Err(error) => context.refused(error, target.as_deref()),
    }
}

async fn ejected(context: &Context, args: EjectArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    if !args.yes {
        for step in eject_steps(&resolved) {
            context.reporter.note(step);
        }
        context.reporter.note("nothing was changed: --yes does it");
        return Ok(ExitCode::SUCCESS);
    }
    let who = context.who(&project).await;
    let ended = eject(&project, &resolved, &context.options(), &who, &context.reporter).await?;
    Ok(context.finish(ended))
}
