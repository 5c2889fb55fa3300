//! `plan`

use std::process::ExitCode;

use crate::deploy::{plan, plan_offline};
use crate::error::{Error, Result};
use crate::notify::comment;
use crate::plan::Plan;
use crate::report::Event;

use super::super::args::{Format, PlanArgs};
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, args: PlanArgs) -> Result<ExitCode> {
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
    let text = match args.format {
        Format::Text => plan.to_text(),
        Format::Markdown => plan.to_markdown(),
        Format::Json => format!("{document:#}\n"),
    };
    context.reporter.tell(Event::Plan { document: document.clone(), markdown: plan.to_markdown() });
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
