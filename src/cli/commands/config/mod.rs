//! `config check`, `config show`, `config schema`

mod show;

use std::process::ExitCode;

use crate::config::{resolve, schema};
use crate::deploy::{Prepared, check_host_keys, deploy_steps, open_with_stand_ins};
use crate::error::Result;
use crate::report::Event;
use crate::scaffold::unprotected_jobs;

use show::{Line, Shown};

use super::super::args::{ConfigCommand, TargetArgs};
use super::super::context::Context;

pub(in crate::cli) fn run(context: &Context, command: ConfigCommand) -> Result<ExitCode> {
    match command {
        ConfigCommand::Check(args) => check(context, &args)?,
        ConfigCommand::Show(args) => show(context, &args)?,
        ConfigCommand::Schema => {
            let schema = schema();
            context.reporter.tell(if context.global.json { Event::Document(schema) } else { Event::Text(format!("{schema:#}")) });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Checks every target, or the named one.
fn check(context: &Context, args: &TargetArgs) -> Result<()> {
    let project = context.project()?;
    let names: Vec<Option<&str>> = match &args.target {
        Some(name) => vec![Some(name)],
        None if project.loaded.config.target.is_empty() => vec![None],
        None => project.loaded.config.target.keys().map(|name| Some(name.as_str())).collect(),
    };
    for name in names {
        let resolved = resolve(&project, name)?;
        let prepared = Prepared::render(&project, &resolved, &context.reporter)?;
        deploy_steps(&project, &resolved)?;
        check_host_keys(&project, &resolved)?;
        for note in &prepared.rendered.notes {
            context.reporter.note(note);
        }
        let files = prepared.rendered.release.len();
        context.reporter.note(format!("target {}: good, {files} files rendered", resolved.target.name));
    }
    for job in unprotected_jobs(&project) {
        context.reporter.tell(Event::Warning(format!(
            "{job} has the key that deploys, and no `environment`: whoever may push a branch can have the key. Put it into the \
             environment `production`, with reviewers, and name that in the job"
        )));
    }
    Ok(())
}

fn show(context: &Context, args: &TargetArgs) -> Result<()> {
    let project = open_with_stand_ins(&context.global.config, &context.environment)?;
    context.reporter.hide(&project.secrets());
    let resolved = resolve(&project, args.target.as_deref())?;
    let shown = Shown::of(&resolved);
    if context.global.json {
        let entries = shown.lines.iter().filter_map(|line| {
            let Line::Key { section, key, value, origin } = line else { return None };
            Some(serde_json::json!({"section": section, "key": key, "value": value, "origin": origin}))
        });
        context.reporter.tell(Event::Document(entries.collect()));
    } else {
        context.reporter.tell(Event::Text(shown.text()));
    }
    Ok(())
}
