//! What kind of project a folder holds.

use camino::Utf8Path;

use crate::compose::{Variable, find_files, variables};
use crate::error::{Error, Result};
use crate::text::read_limited;

/// The env file's template of the stack for a site that has none.
pub(super) const ENV_FILE: &str = include_str!("../../examples/django/.env.production");

/// Parts of names of Compose files that are not for a server.
const ELSEWHERE: [&str; 9] = ["local", "dev", "development", "test", "tests", "ci", "override", "debug", "docs"];
/// Parts of names of Compose files that are for one.
const PRODUCTION: [&str; 4] = ["production", "prod", "deploy", "live"];

/// What was found in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The project's name, made of the folder's.
    pub name: String,
    /// The WSGI application of a Django site, as gunicorn names it (`site.wsgi`); `None` where it is no Django site.
    pub django: Option<String>,
    /// Its Compose files, the first one first; none where it has none.
    pub compose: Vec<String>,
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
    let (compose, mut notes) = compose_files(folder);
    let django = django(folder)?;
    if compose.is_empty() && django.is_none() {
        return Err(Error::input(format!(
            "{absolute} holds neither a Compose file nor a Django site (manage.py); nothing was written"
        ))
        .hint("write a compose.yml with the app's service and its `build`, then run init again"));
    }
    let env_file = [".env.production", ".env"].into_iter().find(|name| folder.join(name).is_file()).map(str::to_owned);
    let secrets = match &env_file {
        Some(file) => required(&read_limited(&folder.join(file))?),
        None if !compose.is_empty() => Vec::new(),
        None => required(ENV_FILE),
    };
    if compose.is_empty() {
        notes.extend(missing(folder)?);
    }
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

/// The Compose files that a server would run, and what is worth knowing of the choice.
fn compose_files(folder: &Utf8Path) -> (Vec<String>, Vec<String>) {
    let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_owned())
        .filter(|name| name.ends_with(".yml") || name.ends_with(".yaml"))
        .filter(|name| read_limited(&folder.join(name)).is_ok_and(|text| text.lines().any(|line| line.starts_with("services:"))))
        .collect();
    names.sort();
    let has = |name: &str, words: &[&str]| name.split(['.', '-', '_']).any(|part| words.contains(&part));
    let production: Vec<String> = names.iter().filter(|name| has(name, &PRODUCTION) && !has(name, &ELSEWHERE)).cloned().collect();
    let usual = find_files(folder).map(|path| path.into_string());
    let mut notes = Vec::new();
    let chosen = match (production.as_slice(), usual) {
        ([one], Some(usual)) if !stands_alone(folder, one) => {
            notes.push(format!(
                "{usual} and {one} are deployed together, as `docker compose -f {usual} -f {one}` would read them"
            ));
            vec![usual, one.clone()]
        }
        ([one, ..], usual) => {
            let others: Vec<&str> = usual.iter().map(String::as_str).filter(|name| name != one).collect();
            if !others.is_empty() {
                notes.push(format!("{one} is deployed, as its name says it is for a server; {} is not", others.join(", ")));
            }
            vec![one.clone()]
        }
        ([], Some(usual)) => vec![usual],
        ([], None) => names.iter().find(|name| !has(name, &ELSEWHERE)).cloned().into_iter().collect(),
    };
    (chosen, notes)
}

/// Does each service of the file say what it runs, so that the file needs no other one?
fn stands_alone(folder: &Utf8Path, name: &str) -> bool {
    let Ok(text) = read_limited(&folder.join(name)) else { return false };
    let services = yaml_serde::from_str::<yaml_serde::Value>(&text).ok().and_then(|mut root| {
        let _ = root.apply_merge();
        root.get("services").cloned()
    });
    let services = services.as_ref().and_then(yaml_serde::Value::as_mapping);
    services.is_some_and(|services| {
        services.values().all(|service| ["image", "build", "extends"].iter().any(|key| service.get(key).is_some()))
    })
}

/// The WSGI application of the Django site: manage.py lies here or one folder deeper.
fn django(folder: &Utf8Path) -> Result<Option<String>> {
    if folder.join("manage.py").is_file() {
        return wsgi(folder);
    }
    let entries = folder.read_dir_utf8().map_err(|error| Error::input(format!("cannot look into {folder}: {error}")))?;
    let mut deeper: Vec<_> =
        entries.flatten().map(|entry| entry.path().to_owned()).filter(|path| path.join("manage.py").is_file()).collect();
    deeper.sort();
    match deeper.first() {
        Some(folder) => wsgi(folder),
        None => Ok(None),
    }
}

/// `package.wsgi` of the folder that holds a wsgi.py, as `startproject` lays it out, or one of its folders.
fn wsgi(folder: &Utf8Path) -> Result<Option<String>> {
    let entries = folder.read_dir_utf8().map_err(|error| Error::input(format!("cannot look into {folder}: {error}")))?;
    let mut packages: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("wsgi.py").is_file())
        .map(|entry| format!("{}.wsgi", entry.file_name()))
        .collect();
    packages.sort();
    if let Some(package) = packages.into_iter().next() {
        return Ok(Some(package));
    }
    let entries = folder.read_dir_utf8().map_err(|error| Error::input(format!("cannot look into {folder}: {error}")))?;
    let mut deeper: Vec<String> = entries
        .flatten()
        .flat_map(|outer| {
            let name = outer.file_name().to_owned();
            let inner = outer.path().read_dir_utf8().into_iter().flatten().flatten();
            inner
                .filter(|inner| inner.path().join("wsgi.py").is_file())
                .map(|inner| format!("{name}.{}.wsgi", inner.file_name()))
                .collect::<Vec<_>>()
        })
        .collect();
    deeper.sort();
    Ok(deeper.into_iter().next())
}

/// What the Dockerfile that is written counts on.
fn missing(folder: &Utf8Path) -> Result<Vec<String>> {
    let requirements = requirements(folder)?;
    if requirements.is_empty() {
        return Ok(vec!["the Dockerfile installs requirements.txt, which is not there yet".into()]);
    }
    let mut notes = Vec::new();
    let names: Vec<&str> = requirements.iter().map(|(name, _)| name.as_str()).collect();
    if !names.contains(&"requirements.txt") {
        notes.push(format!(
            "the Dockerfile installs requirements.txt; this project names its packages in {}: change the Dockerfile's two lines",
            names.join(", ")
        ));
    }
    let named = |wanted: &str| {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        requirements.iter().any(|(_, text)| text.split(|c| !name(c)).any(|word| word == wanted))
    };
    for (wanted, name) in
        [(&["gunicorn"][..], "gunicorn"), (&["psycopg", "psycopg2", "psycopg2-binary", "psycopg-binary"][..], "psycopg2-binary")]
    {
        if !wanted.iter().any(|wanted| named(wanted)) {
            notes.push(format!("{} does not name {name}", names.join(", ")));
        }
    }
    Ok(notes)
}

/// The files that name the project's packages, and what they say in lower case.
fn requirements(folder: &Utf8Path) -> Result<Vec<(String, String)>> {
    let mut paths: Vec<String> =
        ["requirements.txt", "pyproject.toml", "uv.lock", "poetry.lock", "Pipfile", "setup.cfg"].map(str::to_owned).into();
    let entries = folder.join("requirements").read_dir_utf8().into_iter().flatten().flatten();
    paths.extend(entries.map(|entry| format!("requirements/{}", entry.file_name())).filter(|path| path.ends_with(".txt")));
    paths.sort();
    let mut found = Vec::new();
    for path in paths.into_iter().filter(|path| folder.join(path).is_file()) {
        found.push((path.clone(), text_of(&folder.join(&path))?.to_ascii_lowercase()));
    }
    Ok(found)
}

/// A text file, in UTF-8 or, as some editors write it, in UTF-16.
fn text_of(path: &Utf8Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|error| Error::input(format!("cannot read {path}: {error}")))?;
    let wide = |of: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| of([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    Ok(match bytes.get(..2) {
        Some([0xff, 0xfe]) => wide(u16::from_le_bytes),
        Some([0xfe, 0xff]) => wide(u16::from_be_bytes),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    })
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
