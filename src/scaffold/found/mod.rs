//! What kind of project a folder holds.

mod django;
mod packages;

use camino::Utf8Path;

use crate::compose::{Variable, find_files, variables};
use crate::error::{Error, Result};
use crate::text::read_limited;

pub use django::Django;
pub(super) use django::part_of_database;
pub(super) use packages::Installer;
pub use packages::Packages;

/// Images that a laptop runs beside the site.
const TOOLS: [&str; 16] = [
    "postgres",
    "postgis",
    "mysql",
    "mariadb",
    "redis",
    "valkey",
    "memcached",
    "rabbitmq",
    "mongo",
    "mailhog",
    "mailpit",
    "maildev",
    "adminer",
    "pgadmin4",
    "minio",
    "elasticsearch",
];
/// Parts of names of Compose files that are not for a server.
const ELSEWHERE: [&str; 9] = ["local", "dev", "development", "test", "tests", "ci", "override", "debug", "docs"];
/// Parts of names of Compose files that are for one.
const PRODUCTION: [&str; 4] = ["production", "prod", "deploy", "live"];

/// What the first line of the Compose file that init writes ends with: it is told by that when init is run again.
const OWN_STACK: &str = "runs it on a laptop (cp .env.example .env), `estiba deploy` on a server.";

/// What the Dockerfile that init writes begins with.
const OWN_IMAGE: &str = "# The image of the site. Packages are installed in a stage of their own";

/// The Compose file of the monitoring that init adds: it is no stack by itself.
pub(super) const MONITORING_FILE: &str = "compose.monitoring.yml";

/// What was found in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The project's name, made of the folder's.
    pub name: String,
    /// The Django site; `None` where it is none.
    pub django: Option<Django>,
    /// The Python packages that it needs, where a file names them.
    pub packages: Option<Packages>,
    /// Its own Dockerfile, where it has one.
    pub dockerfile: Option<Dockerfile>,
    /// Folders at its top that are Python packages.
    pub python_folders: Vec<String>,
    /// Its Compose files, the first one first; none where it has none, or has the one that init wrote.
    pub compose: Vec<String>,
    /// Folders of data and uploads that the repository has files in.
    pub(super) tracked: Vec<String>,
    /// The template of its environment, where there is one already.
    pub env_file: Option<String>,
    /// The variables that deploying needs and the environment has to have, in the order of the env file that is there.
    pub secrets: Vec<String>,
    /// What is worth knowing of what was found.
    pub notes: Vec<String>,
}

/// What a project's own Dockerfile says of the container that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dockerfile {
    /// The port that it exposes, 8000 where it exposes none.
    pub port: u16,
    /// Does it name a user who is not root?
    pub has_user: bool,
}

/// Looks through the project's top folder. `name` goes before the folder's own; git is looked for in the folders of `path`.
///
/// A folder with no Compose file, Dockerfile or Django site is an input error: there is nothing to deploy.
pub fn look(folder: &Utf8Path, name: Option<&str>, path: Option<&str>) -> Result<Found> {
    let absolute = folder.canonicalize_utf8().map_err(|error| Error::input(format!("cannot look into {folder}: {error}")))?;
    let name = project_name(name.unwrap_or_else(|| absolute.file_name().unwrap_or("app")));
    let (mut compose, mut notes) = compose_files(folder);
    if let [one] = compose.as_slice()
        && read_limited(&folder.join(one)).is_ok_and(|text| text.lines().next().is_some_and(|line| line.ends_with(OWN_STACK)))
    {
        compose.clear();
    }
    if let [one] = compose.as_slice()
        && folder.join("manage.py").is_file()
        && let Some(services) = only_tools(folder, one)
    {
        return Err(Error::input(format!("{one} has no service that runs the site, only {services}; nothing was written"))
            .hint("it is for a laptop: call it docker-compose.dev.yml, and init writes a stack for a server"));
    }
    let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    let python_folders =
        entries.filter(|entry| entry.path().join("__init__.py").is_file()).map(|entry| entry.file_name().to_owned()).collect();
    let django = Django::look(folder)?;
    let dockerfile = folder.join("Dockerfile");
    let dockerfile = dockerfile.is_file().then(|| read_limited(&dockerfile)).transpose()?;
    // The one that init has written is not the project's own, and is made again.
    let dockerfile =
        dockerfile.filter(|text| django.is_none() || !text.starts_with(OWN_IMAGE)).map(|text| Dockerfile::read(&text));
    if compose.is_empty() && django.is_none() && dockerfile.is_none() {
        return Err(Error::input(format!(
            "{absolute} holds neither a Compose file nor a Dockerfile nor a Django site (manage.py); nothing was written"
        ))
        .hint("write a Dockerfile that runs the app, then run init again"));
    }
    let of_site = django.as_ref().map_or("", |django| django.folder.as_str());
    let packages = Packages::look(folder, &[of_site, ""])?;
    let tracked = tracked(folder, of_site, path);
    notes.extend(django.iter().flat_map(|django| django.notes.clone()));
    let env_file = [".env.production", ".env"].into_iter().find(|name| folder.join(name).is_file()).map(str::to_owned);
    let secrets = match &env_file {
        Some(file) => required(&read_limited(&folder.join(file))?),
        None => Vec::new(),
    };
    Ok(Found { name, django, packages, dockerfile, python_folders, compose, tracked, env_file, secrets, notes })
}

/// Which of the folders that would be the server's alone have files in the repository: a demonstration's pictures, say.
fn tracked(folder: &Utf8Path, of_site: &str, path: Option<&str>) -> Vec<String> {
    let within = |name: &str| if of_site.is_empty() { name.to_owned() } else { format!("{of_site}/{name}") };
    let mut paths = vec!["data".to_owned(), "media".to_owned(), within("media")];
    paths.dedup();
    let has_files = |of: &String| {
        let is_there = folder.join(of).read_dir_utf8().is_ok_and(|mut entries| entries.next().is_some());
        is_there
            && (!folder.join(".git").exists() || crate::process::git(folder, path, &["ls-files", "--error-unmatch", "--", of]))
    };
    paths.retain(has_files);
    paths
}

impl Found {
    /// Is one of these packages among those of the project?
    pub(super) fn needs(&self, packages: &[&str]) -> bool {
        self.packages.as_ref().is_some_and(|known| known.name_one(packages))
    }
}

impl Dockerfile {
    fn read(text: &str) -> Self {
        let lines: Vec<(String, &str)> = text
            .lines()
            .filter_map(|line| line.trim().split_once(char::is_whitespace))
            .map(|(word, rest)| (word.to_ascii_uppercase(), rest.trim()))
            .collect();
        let of = |word: &str| lines.iter().rev().find(|(known, _)| known == word).map(|(_, rest)| *rest);
        let port = of("EXPOSE").and_then(|rest| rest.split(['/', ' ']).next()?.parse().ok()).unwrap_or(8000);
        let has_user = of("USER").is_some_and(|user| !matches!(user.split(':').next(), Some("root" | "0")));
        Self { port, has_user }
    }
}

/// The variables of an env file's template that have no value of their own.
pub(super) fn required(text: &str) -> Vec<String> {
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
        .filter(|name| name != MONITORING_FILE)
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

/// The services of a file that has nothing but databases and tools for a laptop. `None` where any of them may be the site.
fn only_tools(folder: &Utf8Path, name: &str) -> Option<String> {
    let text = read_limited(&folder.join(name)).ok()?;
    let root = yaml_serde::from_str::<yaml_serde::Value>(&text).ok()?;
    let services = root.get("services")?.as_mapping()?;
    let is_tool = |service: &yaml_serde::Value| {
        let image = service.get("image").and_then(yaml_serde::Value::as_str).unwrap_or_default();
        let image = image.rsplit('/').next().unwrap_or_default().split([':', '@']).next().unwrap_or_default();
        service.get("build").is_none() && service.get("extends").is_none() && TOOLS.contains(&image)
    };
    let names: Vec<&str> = services.keys().filter_map(yaml_serde::Value::as_str).collect();
    (root.get("include").is_none() && !names.is_empty() && services.values().all(is_tool)).then(|| names.join(", "))
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
    fn a_compose_file_of_a_laptop_s_tools_is_no_stack() {
        let site = ("manage.py", "");
        let of = |text: &str| {
            let (_guard, folder) = crate::scaffold::folder_with(&[
                site,
                ("core/wsgi.py", ""),
                ("core/settings.py", ""),
                ("docker-compose.yml", text),
            ]);
            look(&folder, None, None).map(|found| found.compose).map_err(|error| error.to_string())
        };
        let error = of("services:\n  db:\n    image: postgres:16\n  mail:\n    image: axllent/mailpit\n").unwrap_err();
        assert!(error.contains("has no service that runs the site, only db, mail"), "{error}");
        assert_eq!(
            of("services:\n  db:\n    image: postgres\n  web:\n    image: ours/web\n"),
            Ok(vec!["docker-compose.yml".into()])
        );
    }

    #[test]
    fn folders_that_the_repository_has_files_in_are_seen() {
        let (_guard, folder) = crate::scaffold::folder_with(&[
            ("backend/manage.py", ""),
            ("backend/core/wsgi.py", ""),
            ("backend/core/settings.py", ""),
            ("backend/media/default.png", "x"),
        ]);
        assert_eq!(look(&folder, None, None).unwrap().tracked, ["backend/media"]);
        // What is only on this laptop is not the repository's.
        assert!(crate::process::git(&folder, Some("/usr/bin:/bin"), &["init", "-q"]));
        assert!(look(&folder, None, None).unwrap().tracked.is_empty());
    }

    #[test]
    fn a_folder_s_name_becomes_one_that_compose_takes() {
        assert_eq!(project_name("Mi Tienda.2"), "mi-tienda-2");
        assert_eq!(project_name("__"), "app");
    }
}
