//! `plan`

use std::process::ExitCode;

use crate::config::resolve;
use crate::deploy::{Prepared, Session, prepare};
use crate::error::{Error, Result};
use crate::plan::{DEPLOY, Plan, Planned, changed_paths, compare};
use crate::report::Event;

use super::args::{Format, PlanArgs};
use super::context::Context;

pub(super) async fn run(context: &Context, args: PlanArgs) -> Result<ExitCode> {
    let project = context.project()?;
    let resolved = resolve(&project, args.target.as_deref())?;
    let prepared = prepare(&project, &resolved, &context.reporter)?;
    let who = context.who(&project).await;
    let session = Session::open(&project, &resolved, &who).await?;
    session.facts.check()?;
    let pending = pending(&prepared, &session).await?;
    let planned = Planned {
        target: &resolved.target.name,
        rendered: &prepared.rendered,
        env: &prepared.renderer.env,
        context: &prepared.context_digest,
        steps: &DEPLOY,
        pending: &pending,
    };
    let changed = changed_paths(&prepared.rendered, &session.facts);
    let secret = |path: &str| path == "secrets" || prepared.rendered.release.get(path).is_none_or(|file| file.secret);
    let read: Vec<&str> = changed.keys().map(String::as_str).filter(|path| !secret(path)).collect();
    let contents = match session.facts.current() {
        Some(current) => session.server().read(&format!("releases/{current}"), &read).await?,
        None => Default::default(),
    };
    let plan = compare(planned, &session.facts, &contents, &session.salt);
    show(context, &args, &plan)?;
    Ok(if args.detailed_exitcode && plan.changes { ExitCode::from(10) } else { ExitCode::SUCCESS })
}

/// Migrations of the project's files that the database does not have. The server is asked only where there may be some.
async fn pending(prepared: &Prepared<'_>, session: &Session<'_>) -> Result<std::result::Result<Vec<String>, String>> {
    let there = prepared.context.migrations();
    let same = session.facts.current_setting("CONTEXT_DIGEST").as_deref() == Some(prepared.context_digest.as_str());
    if same || there.is_empty() || session.resolved.app.migrate.value.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    if session.facts.current().is_none() {
        return Ok(Ok(there));
    }
    let applied = session.server().applied_migrations().await?;
    Ok(applied.map(|applied| there.into_iter().filter(|migration| !applied.contains(migration)).collect()))
}

fn show(context: &Context, args: &PlanArgs, plan: &Plan) -> Result<()> {
    let json = serde_json::to_value(plan).map_err(|error| Error::failed(error.to_string()))?;
    let text = match args.format {
        Format::Text => plan.to_text(),
        Format::Markdown => plan.to_markdown(),
        Format::Json => format!("{json:#}\n"),
    };
    context.reporter.tell(Event::Plan { document: json.clone(), markdown: plan.to_markdown() });
    if let Some(path) = &args.out {
        std::fs::write(path, &text).map_err(|error| Error::input(format!("cannot write {path}: {error}")))?;
    }
    if context.global.json {
        context.reporter.tell(Event::Document(json));
    } else {
        context.reporter.tell(Event::Text(text));
    }
    Ok(())
}
