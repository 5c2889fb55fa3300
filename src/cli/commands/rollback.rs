//! `rollback`

use std::process::ExitCode;

use crate::deploy::{Options, rollback};
use crate::error::Result;

use super::super::args::RollbackArgs;
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, args: RollbackArgs) -> ExitCode {
    let target = args.target.clone();
    match rolled_back(context, args).await {
        Ok(code) => code,
        Err(error) => context.refused(error, target.as_deref()),
    }
}

async fn rolled_back(context: &Context, args: RollbackArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let (target, release) = target_and_release(&project, args.target, args.release);
    let resolved = context.resolve(&project, target.as_deref())?;
    let options = Options { wait_lock: args.wait_lock.map(|wait| wait.0), ..context.options() };
    let operation = context.operation(&project, &resolved, options).await;
    let ending = context.told("rollback", &operation, rollback(&operation, release.as_deref()).await).await?;
    Ok(context.finish_with_timings(ending, args.timings))
}

/// `rollback RELEASE` works where there is one target: its name may be left out, as everywhere.
fn target_and_release(
    project: &crate::config::Project,
    first: Option<String>,
    second: Option<String>,
) -> (Option<String>, Option<String>) {
    let targets = &project.loaded.config.target;
    match (first, second) {
        (Some(release), None) if targets.len() == 1 && !targets.contains_key(&release) && looks_like_release(&release) => {
            (None, Some(release))
        }
        other => other,
    }
}

/// Release ids begin with their UTC time, 20261124T034500Z.
fn looks_like_release(text: &str) -> bool {
    text.len() > 9 && text.as_bytes()[8] == b'T' && text.bytes().take(8).all(|byte| byte.is_ascii_digit())
}
