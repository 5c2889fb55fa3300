//! `deploy`

use std::process::ExitCode;

use camino::Utf8Path;

use crate::deploy::{Options, deploy, learn};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::text::read_limited;

use super::super::args::DeployArgs;
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, args: DeployArgs) -> ExitCode {
    let target = args.target.clone();
    match deployed(context, args).await {
        Ok(code) => code,
        Err(error) => context.refused(error, target.as_deref()),
    }
}

async fn deployed(context: &Context, args: DeployArgs) -> Result<ExitCode> {
    let project = context.project()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let options = Options {
        allow_replace: args.allow_replace,
        wait_lock: args.wait_lock.map(|wait| wait.0),
        force: args.force,
        leave_at_commit: args.no_wait_drain,
        override_reason: args.override_reason,
        plan: args.plan.as_deref().map(read).transpose()?,
        ..context.options()
    };
    let operation = context.operation(&project, &resolved, options).await;
    let ending = context.told("deploy", &operation, deploy(&operation).await).await?;
    let code = context.finish_with_timings(ending, args.timings);
    learn(&operation).await?;
    Ok(code)
}

/// Reads a plan that `plan --out` wrote.
fn read(path: &Utf8Path) -> Result<Plan> {
    let text = read_limited(path)?;
    serde_json::from_str(&text).map_err(|error| {
        Error::input(format!("{path}:{}:{}: this is no plan: {error}", error.line(), error.column()))
            .hint("`estiba plan --out plan.json` writes one")
    })
}
