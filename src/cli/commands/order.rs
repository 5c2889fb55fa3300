//! `restart`, `scale`, `maintenance`, `down`: what an operator orders of the release that serves.

use std::process::ExitCode;

use crate::deploy::{Order, order};
use crate::error::{Error, Result};
use crate::report::agreed;

use super::super::args::{DownArgs, MaintenanceArgs, RestartArgs, ScaleArgs, Switch};
use super::super::context::Context;

pub(in crate::cli) async fn restart(context: &Context, args: RestartArgs) -> ExitCode {
    let project = context.project_to_look();
    // The first word may be a target's name.
    let (target, services) = match (&project, args.services.split_first()) {
        (Ok(project), Some((first, rest))) if project.loaded.config.target.contains_key(first) => {
            (Some(first.clone()), rest.to_vec())
        }
        _ => (None, args.services),
    };
    carry_out(context, target, Order::Restart(services)).await
}

pub(in crate::cli) async fn scale(context: &Context, args: ScaleArgs) -> ExitCode {
    let (target, wanted) = match args.second {
        Some(wanted) => (Some(args.first), wanted),
        None => (None, args.first),
    };
    let parsed = wanted.split_once('=').and_then(|(service, count)| Some((service.to_owned(), count.parse::<u32>().ok()?)));
    match parsed.filter(|(_, count)| (1..=16).contains(count)) {
        Some((service, count)) => carry_out(context, target, Order::Scale { service, count }).await,
        None => {
            let error =
                Error::input(format!("`{wanted}` does not say how many containers of which service")).hint("web=3; 1 to 16");
            context.refused(error, target.as_deref())
        }
    }
}

pub(in crate::cli) async fn maintenance(context: &Context, args: MaintenanceArgs) -> ExitCode {
    carry_out(context, args.target, Order::Maintenance(args.switch == Switch::On)).await
}

pub(in crate::cli) async fn down(context: &Context, args: DownArgs) -> ExitCode {
    let question = "The site stops: all containers of the stack go. Volumes, folders, releases and backups stay. Do it? [y/N] ";
    if !context.global.yes && !agreed(question) {
        let error = Error::input("nothing was changed: `down` stops the site, and nobody has agreed to that")
            .hint("--yes does it unasked");
        return context.refused(error, args.target.as_deref());
    }
    carry_out(context, args.target, Order::Down).await
}

/// Has each of the target's hosts do it, one after another.
async fn carry_out(context: &Context, target: Option<String>, wanted: Order) -> ExitCode {
    match each_host(context, target.as_deref(), &wanted).await {
        Ok(code) => code,
        Err(error) => context.refused(error, target.as_deref()),
    }
}

async fn each_host(context: &Context, target: Option<&str>, wanted: &Order) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, target)?;
    let mut code = ExitCode::SUCCESS;
    for host in &resolved.target.hosts {
        let mut one = resolved.clone();
        one.target.hosts = vec![host.clone()];
        let operation = context.operation(&project, &one, context.options()).await;
        let ending = order(&operation, wanted.clone()).await?;
        let failed = ending.1.is_some();
        let own = context.finish(ending);
        if failed {
            code = own;
        }
    }
    Ok(code)
}
