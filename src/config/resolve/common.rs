//! What every part of resolving needs: services by name, commands and paths of deploy.toml.

use crate::compose::{Model, Service};
use crate::error::{Error, Result};
use crate::text::{command_words, nearest};

use super::super::Project;
use super::super::resolved::{Origin, Setting};

/// A path of deploy.toml without its `./` and the slash at its end.
pub(super) fn plain(path: &str) -> String {
    path.trim_start_matches("./").trim_end_matches('/').to_owned()
}

/// The service of that name, which `key` of deploy.toml gives.
pub(super) fn named<'a>(project: &Project, compose: &'a Model, name: &str, key: &str) -> Result<Service<'a>> {
    compose.service(name).ok_or_else(|| {
        let message = format!("{key}: {} has no service `{name}`", compose.name);
        let source = project.loaded.source();
        let quoted = format!("\"{name}\"");
        let error = source.error_near(if source.text.contains(&quoted) { &quoted } else { name }, message);
        match nearest(name, compose.services().map(|service| service.name)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => {
                let names: Vec<&str> = compose.services().map(|service| service.name).collect();
                error.hint(format!("its services: {}", names.join(", ")))
            }
        }
    })
}

/// The only candidate, or an error that names them.
pub(super) fn only<'a>(what: &str, key: &str, compose: &Model, candidates: &[Service<'a>], none: &str) -> Result<Service<'a>> {
    match candidates {
        [one] => Ok(*one),
        [] => Err(Error::input(format!("{}: {none}", compose.name)).hint(format!("name it: {key} = \"…\""))),
        several => {
            let names: Vec<&str> = several.iter().map(|service| service.name).collect();
            let error = compose.error(names[0], names[0], &format!("which service is {what}? {}", names.join(", ")));
            Err(error.hint(format!("name it: {key} = \"{}\"", names[0])))
        }
    }
}

/// A command of the team's is one that a shell would take apart.
pub(super) fn check_words(project: &Project, key: &str, command: &str) -> Result<()> {
    if command_words(command).is_some() {
        return Ok(());
    }
    Err(project
        .loaded
        .source()
        .error_near(command, format!("the quotes of {key} do not match"))
        .hint("write the command as in a shell; put pipes, && and variables into `sh -c '…'`"))
}

/// The same for a command that is kept as a field of a line.
pub(super) fn check_line(project: &Project, key: &str, command: &str) -> Result<()> {
    if command.contains(|c: char| c.is_control()) {
        return Err(project
            .loaded
            .source()
            .error_near(
                key.split(' ').next().unwrap_or(key),
                format!("{key} holds a tab, a line end or another control character"),
            )
            .hint("write the command on one line, with spaces between its words"));
    }
    check_words(project, key, command)
}

/// A value that deploy.toml says, with its origin.
pub(super) fn said<T>(value: T) -> Setting<T> {
    Setting { value, origin: Origin::File }
}
