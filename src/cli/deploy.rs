//! `deploy`

use std::process::ExitCode;

use crate::config::resolve;
use crate::deploy::{Options, deploy};
use crate::error::Result;

use super::args::DeployArgs;
use super::context::Context;

pub(super) async fn run(context: &Context, args: DeployArgs) -> ExitCode {
    let target = args.target.clone();
    match deployed(context, args).await {
        Ok(code) => code,
        Err(error) => context.refused(error, target.as_deref()),
    }
}

async fn deployed(context: &Context, args: DeployArgs) -> Result<ExitCode> {
    let project = context.project()?;
    let resolved = resolve(&project, args.target.as_deref())?;
    let who = context.who(&project).await;
    let options = Options {
        allow_replace: args.allow_replace,
        wait_lock: args.wait_lock.map(|wait| wait.0),
        force: args.force,
        ..context.options()
    };
    let ended = deploy(&project, &resolved, &options, &who, &context.reporter).await?;
    Ok(context.finish(ended))
}
