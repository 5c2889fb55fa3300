//! `init`

use std::process::ExitCode;

use camino::Utf8Path;

use crate::config::{ServiceKind, resolve};
use crate::deploy::Prepared;
use crate::error::{Error, Result};
use crate::report::Event;
use crate::scaffold::{ACTION, files, look, write};

use super::super::args::InitArgs;
use super::super::context::Context;

pub(in crate::cli) fn run(context: &Context, args: InitArgs) -> Result<ExitCode> {
    let folder = context.global.config.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let found = look(folder, args.name.as_deref())?;
    let action = args.action.as_deref().or(ACTION);
    let done = write(folder, &files(&found, action))?;
    if context.global.json {
        context.reporter.tell(Event::Document(serde_json::to_value(&done).map_err(|error| Error::failed(error.to_string()))?));
    }
    for path in &done.written {
        context.reporter.note(format!("+ {path}"));
    }
    for path in &done.kept {
        context.reporter.note(format!("= {path} exists and was not changed"));
    }
    for note in &found.notes {
        context.reporter.tell(Event::Warning(note.clone()));
    }
    if action.is_none() && done.written.iter().any(|path| path.starts_with(".github/")) {
        context.reporter.tell(Event::Warning(
            "the workflows say `uses: OWNER/estiba@…`: this binary belongs to no release, and does not know where its action is. Put its repository and commit there, or run init with --action".into(),
        ));
    }
    first_words(context);
    context.reporter.note("next: put your servers into deploy.toml, then `estiba config check` and `estiba plan TARGET`");
    let secrets = [&["SSH_KEY".to_owned()], found.secrets.as_slice()].concat().join(", ");
    context.reporter.note(format!("in the repository's settings: the secrets {secrets}, and the variable ESTIBA_DEPLOY = on"));
    Ok(ExitCode::SUCCESS)
}

/// What `config check` would say of what was found and written: what each service is, or what stands in the way.
fn first_words(context: &Context) {
    let looked = || -> Result<Vec<String>> {
        let project = context.project()?;
        let target = project.loaded.config.target.keys().next_back().cloned();
        let resolved = resolve(&project, target.as_deref())?;
        let prepared = Prepared::render(&project, &resolved, &context.reporter)?;
        let mut words = Vec::new();
        for (kind, what) in [
            (ServiceKind::App, "apps"),
            (ServiceKind::Worker, "workers"),
            (ServiceKind::Job, "jobs"),
            (ServiceKind::Stack, "stack"),
        ] {
            let names: Vec<&str> =
                resolved.kinds.iter().filter(|(_, decided)| decided.kind == kind).map(|(name, _)| name.as_str()).collect();
            if !names.is_empty() {
                words.push(format!("{what}: {}", names.join(", ")));
            }
        }
        words.extend(prepared.rendered.notes);
        Ok(words)
    };
    match looked() {
        Ok(words) => words.iter().for_each(|line| context.reporter.note(line)),
        Err(error) => context.reporter.tell(Event::Warning(format!("a deploy would fail: {error}"))),
    }
}
