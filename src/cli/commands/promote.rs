//! `promote`

use std::process::ExitCode;

use crate::config::resolve;
use crate::deploy::{Options, promote};
use crate::error::{Error, Result};

use super::super::args::PromoteArgs;
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, args: PromoteArgs) -> ExitCode {
    let target = args.to.clone();
    match promoted(context, args).await {
        Ok(code) => code,
        Err(error) => context.refused(error, Some(&target)),
    }
}

async fn promoted(context: &Context, args: PromoteArgs) -> Result<ExitCode> {
    if args.from == args.to {
        return Err(Error::input(format!("{} is not promoted to itself", args.to)));
    }
    let project = context.project()?;
    // Of where it comes from only the server is looked at.
    let looked = context.project_to_look()?;
    let from = resolve(&looked, Some(&args.from))?;
    let to = context.resolve(&project, Some(&args.to))?;
    let options = Options {
        allow_replace: args.allow_replace,
        wait_lock: args.wait_lock.map(|wait| wait.0),
        override_reason: args.override_reason,
        promoted_from: Some(args.from),
        ..context.options()
    };
    let operation = context.operation(&project, &to, options).await;
    let ending = context.told("promote", &operation, promote(&operation, &looked, &from).await).await?;
    Ok(context.finish_with_timings(ending, args.timings))
}
