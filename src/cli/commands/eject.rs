//! `eject`

use std::process::ExitCode;

use crate::deploy::{eject, eject_steps};
use crate::error::Result;

use super::super::args::TargetArgs;
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, args: TargetArgs) -> ExitCode {
    let target = args.target.clone();
    match ejected(context, args).await {
        Ok(code) => code,
        Err(error) => context.refused(error, target.as_deref()),
    }
}

async fn ejected(context: &Context, args: TargetArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    if !context.global.yes {
        for step in eject_steps(&resolved) {
            context.reporter.note(step);
        }
        context.reporter.note("nothing was changed; add --yes to do it");
        return Ok(ExitCode::SUCCESS);
    }
    let operation = context.operation(&project, &resolved, context.options()).await;
    Ok(context.finish(eject(&operation).await?))
}
