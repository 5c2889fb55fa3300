//! What kind of project a folder holds.

use camino::Utf8Path;

use crate::compose::{Variable, variables};
use crate::config::read_limited;
use crate::error::{Error, Result};

/// The names of a Compose file, as Compose looks for them.
const COMPOSE: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// What was found in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The project's name, made of the folder's.
    pub name: String,
    /// The WSGI application of a Django site, as gunicorn names it (`site.wsgi`); `None` where it is no Django site.
    pub django: Option<String>,
    /// Its Compose file.
    pub compose: Option<String>,
    /// The template of its environment, where there is one already.
    pub env_file: Option<String>,
    /// The variables that deploying needs and the environment has to have, in the order of the env file.
    pub secrets: Vec<String>,
    /// What its image will miss.
    pub notes: Vec<String>,
}

/// Looks through the project's top folder. `name` goes before the folder's own.
///
/// A folder with neither a Compose file nor a Django site is an input error: there is nothing to deploy.
pub fn look(folder: &Utf8Path, name: Option<&str>) -> Result<Found> {
    let absolute = folder.canonicalize_utf8().map_err(|error| Error::input(format!("cannot look into {folder}: {error}")))?;
    let name = project_name(name.unwrap_or_else(|| absolute.file_name().unwrap_or("app")));
    let compose = COMPOSE.into_iter().find(|name| folder.join(name).is_file()).map(str::to_owned);
    let django = if folder.join("manage.py").is_file() { wsgi(folder)? } else { None };
    if compose.is_none() && django.is_none() {
        return Err(Error::input(format!(
            "{absolute} holds neither a Compose file nor a Django site (manage.py); nothing was written"
        ))
        .hint("write a compose.yml with the app's service and its `build`, then run init again"));
    }
    let env_file = [".env.production", ".env"].into_iter().find(|name| folder.join(name).is_file()).map(str::to_owned);
    let secrets = match &env_file {
        Some(file) => required(&read_limited(&folder.join(file))?),
        None if compose.is_some() => Vec::new(),
        None => required(super::templates::ENV_FILE),
    };
    let notes = if compose.is_none() { missing(folder)? } else { Vec::new() };
    Ok(Found { name, django, compose, env_file, secrets, notes })
}

fn required(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let text: String = text.lines().filter(|line| !line.trim_start().starts_with('#')).map(|line| format!("{line}\n")).collect();
    for variable in variables(&text).into_iter().filter(Variable::is_required) {
        if !names.contains(&variable.name) {
            names.push(variable.name);
        }
    }
    names
}

/// `package.wsgi` of the folder that holds a wsgi.py, as `startproject` lays it out.
fn wsgi(folder: &Utf8Path) -> Result<Option<String>> {
    let entries = folder.read_dir_utf8().map_err(|error| Error::input(format!("cannot look into {folder}: {error}")))?;
    let mut packages: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("wsgi.py").is_file())
        .map(|entry| format!("{}.wsgi", entry.file_name()))
        .collect();
    packages.sort();
    Ok(packages.into_iter().next())
}

/// What the Dockerfile that is written counts on.
fn missing(folder: &Utf8Path) -> Result<Vec<String>> {
    let path = folder.join("requirements.txt");
    if !path.is_file() {
        return Ok(vec!["the Dockerfile installs requirements.txt, which is not there yet".into()]);
    }
    let text = read_limited(&path)?.to_ascii_lowercase();
    let lacks = |names: &[&str]| !text.lines().any(|line| names.iter().any(|name| line.trim().starts_with(name)));
    let wanted = [(&["gunicorn"][..], "gunicorn"), (&["psycopg", "psycopg2"][..], "psycopg2-binary")];
    Ok(wanted
        .iter()
        .filter(|(names, _)| lacks(names))
        .map(|(_, name)| format!("requirements.txt does not name {name}"))
        .collect())
}

/// A name that Compose takes: lower case, digits, `-` and `_`, a letter or digit first.
fn project_name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(plain).collect();
    let name: String = name.trim_matches(['-', '_']).chars().take(40).collect();
    if name.is_empty() { "app".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_s_name_becomes_one_that_compose_takes() {
        assert_eq!(project_name("Mi Tienda.2"), "mi-tienda-2");
        assert_eq!(project_name("__"), "app");
    }
}
