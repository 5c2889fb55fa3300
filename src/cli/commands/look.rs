//! `ps`, `open`, `env list`, `env diff`: short looks at a target.

use std::process::ExitCode;

use serde_json::json;

use crate::deploy::{Session, all, each, plan};
use crate::error::{Error, Result};
use crate::plan::Change;
use crate::process;
use crate::report::Event;

use super::super::args::{EnvCommand, TargetArgs};
use super::super::context::Context;
use super::table::table;

/// The containers of the stack, a line each.
pub(in crate::cli) async fn ps(context: &Context, args: TargetArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let looked = each(Session::open_each(&project, &resolved).await, async |session| {
        let session = session?;
        session.facts.check()?;
        Ok(session)
    })
    .await;
    let sessions = all(&resolved.target.hosts, "could not be looked at", looked)?;
    for session in &sessions {
        let mut rows = vec![["SERVICE", "STATE", "HEALTH", "RELEASE", "CONTAINER"].map(str::to_owned)];
        let mut containers: Vec<_> = session.facts.containers.iter().collect();
        containers.sort_by(|a, b| a.service.cmp(&b.service));
        for one in containers {
            let service = if one.is_edge { format!("{} (edge)", one.service) } else { one.service.clone() };
            let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
            rows.push([service, one.state.clone(), or_dash(one.health.unwrap_or("")), or_dash(&one.release), one.id.clone()]);
            context.reporter.tell(Event::Document(json!({
                "event": "container", "host": session.host(), "service": one.service, "edge": one.is_edge, "state": one.state,
                "health": one.health, "release": (!one.release.is_empty()).then_some(&one.release), "container": one.id,
            })));
        }
        if sessions.len() > 1 {
            context.reporter.tell(Event::Text(session.host()));
        }
        context.reporter.tell(Event::Text(table(&rows)));
    }
    Ok(ExitCode::SUCCESS)
}

/// The target's url, told, and opened where there is a desktop to do it.
pub(in crate::cli) async fn open(context: &Context, args: TargetArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let Some(url) = &resolved.target.url else {
        return Err(Error::input(format!("target `{}` has no url", resolved.target.name)).hint("url = \"https://site.example\""));
    };
    context.reporter.tell(Event::Document(json!({"event": "url", "url": url})));
    context.reporter.tell(Event::Text(url.clone()));
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| context.environment.contains_key(*name));
    let path = context.environment.get("PATH").map_or("", String::as_str);
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if (desktop || cfg!(target_os = "macos")) && process::find(opener, path).is_some() {
        let opened = process::run(opener, &[url], None).await?;
        if !opened.success {
            context.reporter.note(format!("{opener} could not open it: {}", opened.stderr.trim()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(in crate::cli) async fn env(context: &Context, command: EnvCommand) -> Result<ExitCode> {
    match command {
        EnvCommand::List(args) => list(context, args).await,
        EnvCommand::Diff(args) => diff(context, args).await,
    }
}

/// The keys of the environment that serves; never their values.
async fn list(context: &Context, args: TargetArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    for session in Session::open_all(&project, &resolved).await? {
        session.facts.check()?;
        let keys: Vec<&str> = session.facts.environment.keys().map(String::as_str).collect();
        context.reporter.tell(Event::Document(json!({"event": "environment", "host": session.host(), "keys": keys})));
        context.reporter.tell(Event::Text(if keys.is_empty() { "no variables".into() } else { keys.join("\n") }));
    }
    Ok(ExitCode::SUCCESS)
}

/// The keys whose values a deploy would change; the values stay where they are, and are compared by salted digests.
async fn diff(context: &Context, args: TargetArgs) -> Result<ExitCode> {
    let project = context.project()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let operation = context.operation(&project, &resolved, context.options()).await;
    let plan = plan(&operation, false).await?;
    let lines = plan.environment.iter().map(|(key, change)| match change {
        Change::Added => format!("+ {key}"),
        Change::Changed => format!("~ {key}"),
        Change::Removed => format!("- {key}"),
    });
    let lines: Vec<String> = lines.collect();
    context.reporter.tell(Event::Document(json!({"event": "environment-diff", "changes": plan.environment})));
    context.reporter.tell(Event::Text(if lines.is_empty() { "the environment is the same".into() } else { lines.join("\n") }));
    Ok(ExitCode::SUCCESS)
}
