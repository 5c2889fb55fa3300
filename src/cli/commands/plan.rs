//! `plan`

use std::process::ExitCode;

use serde_json::Value;

use crate::config::resolve;
use crate::deploy::{plan, plan_against, plan_offline};
use crate::error::{Error, Result};
use crate::notify::comment;
use crate::plan::Plan;
use crate::report::Event;

use super::super::args::{Format, PlanArgs};
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, args: PlanArgs) -> Result<ExitCode> {
    if let (Some(other), false) = (&args.against, args.offline) {
        return against(context, &args, other).await;
    }
    let (target, plan) = if args.offline { offline(context, &args).await? } else { online(context, &args).await? };
    show(context, &args, &plan)?;
    if args.comment {
        let made = comment(&context.environment, &format!("plan {target}"), &context.reporter.shown(&plan.to_markdown())).await?;
        context.reporter.note(if made {
            "the plan was added to the pull request"
        } else {
            "the plan's comment on the pull request was updated"
        });
    }
    Ok(if args.detailed_exitcode && plan.changes { ExitCode::from(10) } else { ExitCode::SUCCESS })
}

/// What differs between two servers.
async fn against(context: &Context, args: &PlanArgs, other: &str) -> Result<ExitCode> {
    // Only servers are looked at.
    let project = context.project_to_look()?;
    let here = context.resolve(&project, args.target.as_deref())?;
    if here.target.name == other {
        return Err(Error::input(format!("{other} does not differ from itself")).hint("--against names another target"));
    }
    let there = resolve(&project, Some(other))?;
    let found = plan_against(&project, &here, &there).await?;
    let document = serde_json::to_value(&found).map_err(|error| Error::failed(error.to_string()))?;
    write(context, args, document, found.to_text(), found.to_markdown())?;
    Ok(if args.detailed_exitcode && !found.same { ExitCode::from(10) } else { ExitCode::SUCCESS })
}

async fn online(context: &Context, args: &PlanArgs) -> Result<(String, Plan)> {
    let project = context.project()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let operation = context.operation(&project, &resolved, context.options()).await;
    let plan = plan(&operation, args.build).await?;
    Ok((resolved.target.name.clone(), plan))
}

async fn offline(context: &Context, args: &PlanArgs) -> Result<(String, Plan)> {
    let base = context.environment.get("GITHUB_BASE_REF").filter(|base| !base.is_empty()).map(|base| format!("origin/{base}"));
    let reference = args.against.clone().or(base).unwrap_or_else(|| "HEAD".into());
    let plan =
        plan_offline(&context.global.config, &context.environment, args.target.as_deref(), &reference, &context.reporter).await?;
    Ok((plan.target.clone(), plan))
}

fn show(context: &Context, args: &PlanArgs, plan: &Plan) -> Result<()> {
    let document = serde_json::to_value(plan).map_err(|error| Error::failed(error.to_string()))?;
    context.reporter.tell(Event::Plan { document: document.clone(), markdown: plan.to_markdown() });
    write(context, args, document, plan.to_text(), plan.to_markdown())
}

/// Shows it as it is asked for, and writes it to the file that `--out` names.
fn write(context: &Context, args: &PlanArgs, document: Value, text: String, markdown: String) -> Result<()> {
    let text = match args.format {
        Format::Text => text,
        Format::Markdown => markdown,
        Format::Json => format!("{document:#}\n"),
    };
    if let Some(path) = &args.out {
        // What `deploy --plan` reads is JSON, whatever is shown.
        let json = path.extension() == Some("json");
        let document = context.reporter.shown_document(document.clone());
        let text = if json { format!("{document:#}\n") } else { context.reporter.shown(&text) };
        // A link that the repository holds is not written through; a device is.
        if path.is_symlink() && !path.starts_with("/dev") && !path.starts_with("/proc") {
            std::fs::remove_file(path).map_err(|error| Error::input(format!("cannot replace {path}: {error}")))?;
        }
        std::fs::write(path, &text).map_err(|error| Error::input(format!("cannot write {path}: {error}")))?;
    }
    if context.global.json {
        context.reporter.tell(Event::Document(document));
    } else {
        context.reporter.tell(Event::Text(text));
    }
    Ok(())
}
