//! `init`

use std::process::ExitCode;

use camino::Utf8Path;

use crate::error::{Error, Result};
use crate::report::Event;
use crate::scaffold::{files, look, write};

use super::args::InitArgs;
use super::context::Context;

pub(super) fn run(context: &Context, args: InitArgs) -> Result<ExitCode> {
    let folder = context.global.config.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let found = look(folder, args.name.as_deref())?;
    let done = write(folder, &files(&found))?;
    if context.global.json {
        context.reporter.tell(Event::Document(serde_json::to_value(&done).map_err(|error| Error::failed(error.to_string()))?));
    }
    for path in &done.written {
        context.reporter.note(format!("+ {path}"));
    }
    for path in &done.kept {
        context.reporter.note(format!("= {path} was there, and stays as it is"));
    }
    for note in &found.notes {
        context.reporter.tell(Event::Warning(note.clone()));
    }
    context.reporter.note("next: put your servers into deploy.toml, then `estiba config check` and `estiba plan TARGET`");
    let secrets = [&["SSH_KEY".to_owned()], found.secrets.as_slice()].concat().join(", ");
    context.reporter.note(format!("in the repository's settings: the secrets {secrets}, and the variable ESTIBA_DEPLOY = on"));
    Ok(ExitCode::SUCCESS)
}
