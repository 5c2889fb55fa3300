//! `deploy`

use std::process::ExitCode;

use camino::Utf8Path;

use crate::config::read_limited;
use crate::deploy::{Options, deploy};
use crate::error::{Error, Result};
use crate::plan::Plan;

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
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let who = context.who(&project).await;
    let options = Options {
        allow_replace: args.allow_replace,
        wait_lock: args.wait_lock.map(|wait| wait.0),
        force: args.force,
        plan: args.plan.as_deref().map(read).transpose()?,
        ..context.options()
    };
    let ended = deploy(&project, &resolved, &options, &who, &context.reporter).await?;
    Ok(context.finish(ended))
}

/// Reads a plan that `plan --out` wrote.
fn read(path: &Utf8Path) -> Result<Plan> {
    let text = read_limited(path)?;
    serde_json::from_str(&text).map_err(|error| {
        Error::input(format!("{path}:{}:{}: this is no plan: {error}", error.line(), error.column()))
            .hint("`estiba plan --out plan.json` writes one")
    })
}
