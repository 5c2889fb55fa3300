//! What a deploy.toml comes to once conventions have filled in what it leaves out. Beside each value
//! stands where it came from; what is ambiguous is an error that names the candidates.

mod alerts;
mod apps;
mod common;
mod data;
mod dockerfile;
mod fleet;
mod folders;
mod images;
mod kinds;
mod proof;
mod proxies;
mod proxy_files;
mod statics;
mod target;
mod world;

use camino::Utf8PathBuf;

use crate::compose::{Compose, Model, Reading, find_files};
use crate::error::{Error, Result};
use crate::text::{Source, read_limited};

use common::plain;
use data::{resolve_backup, resolve_cache, resolve_database};

use super::resolved::{App, Database, Proof, Resolved, Rollout, Setting};
use super::{EnvFile, Project, Seconds};

/// Resolves deploy.toml for the target of that name, or for the only one.
///
/// Errors are input errors: an unknown target, a missing Compose file, an ambiguous service.
pub fn resolve(project: &Project, target: Option<&str>) -> Result<Resolved> {
    let config = &project.loaded.config;
    let (target_name, section) = target::choose(project, target)?;
    let compose_paths = resolve_compose(project)?;
    let target = target::resolve(project, &target_name, section)?;
    let compose_project =
        Setting::or_found(section.compose_project.clone().or_else(|| config.project.compose_project.clone()), || {
            Ok((config.project.name.clone(), "the project's name".into()))
        })?;
    let program = Compose::find(&project.environment)?;
    let (env, compose) = read(project, &program, &compose_paths.value, &target, &compose_project.value)?;
    let mut notes = target::notes(project, &target, &compose_paths.value);
    if !project.to_look {
        all_have_values(&compose, &env)?;
    }
    let base = compose_paths.value[0].parent().map(Utf8PathBuf::from).unwrap_or_default();
    let world = world::World::look(project, &compose, &base)?;
    let kinds = kinds::decide(&world)?;
    let mut apps = apps::resolve(&world, &kinds, &target, &mut notes)?;
    let images = images::resolve(&world, section, &kinds, &apps)?;
    let shared = folders::resolve(&world, &kinds, &images, &mut notes)?;
    apps::choose_strategies(&world, &mut apps, &shared.value, &mut notes);
    let jobs = kinds::jobs(&world, &kinds, &images);
    let app = apps::commands(&world, &kinds, &apps, &images[0], &jobs, &shared.value)?;
    let jobs = apps::without_migration(jobs, &app);
    let database = resolve_database(&world)?;
    notes.extend(lacks_backups(database.as_ref(), &app));
    let (alerts, watch) = (alerts::resolve(project)?, alerts::watch(project)?);
    let mut resolved = Resolved {
        alerts,
        watch,
        static_files: Setting::or_default(None, Vec::new()),
        project: config.project.name.clone(),
        backup: resolve_backup(project, &compose, database.is_some(), &shared.value)?,
        cache: resolve_cache(project, &compose)?,
        reloads: proxies::reloads(&world, &kinds)?,
        edge: proxies::edge(&world)?,
        proxies: world.proxies(),
        by_hand: compose.services().filter(|service| world.is_by_hand(service)).map(|service| service.name.to_owned()).collect(),
        templates: config.stack.templates.clone().unwrap_or_default().iter().map(|path| plain(path)).collect(),
        profiles: config.stack.profiles.clone().unwrap_or_default(),
        rollout: resolve_rollout(project),
        proof: Proof::default(),
        compose_project,
        target,
        kinds,
        jobs,
        shared,
        database,
        apps,
        app,
        images,
        env,
        compose_paths,
        notes,
        compose,
    };
    statics::resolve(project, &mut resolved)?;
    resolved.proof = proof::resolve(project, &resolved)?;
    Ok(resolved)
}

/// A word on migrations that no backup comes before.
fn lacks_backups(database: Option<&Database>, app: &App) -> Option<String> {
    (database.is_none() && !app.migrate.value.is_empty()).then(|| {
        "the app migrates a database, but none is known, so a deploy makes no backup of it. Set [database] service to the service that holds it".into()
    })
}

/// A variable that a service only names must have its value somewhere: the environment of whoever deploys is not handed on.
fn all_have_values(compose: &Model, env: &EnvFile) -> Result<()> {
    let missing = compose.without_value(&env.environment());
    let error = |service: &str, name: &str| {
        let message = format!("`{service}` needs the variable `{name}`, but neither the Compose file nor {} sets it", env.name);
        compose.error(service, name, &message).hint(format!("a line `{name}=…` in {}; `{name}=` where it may be empty", env.name))
    };
    let errors = missing.iter().flat_map(|(service, names)| names.iter().map(move |name| error(service, name)));
    Error::all(errors.collect())
}

/// The Compose files of the project.
fn resolve_compose(project: &Project) -> Result<Setting<Vec<Utf8PathBuf>>> {
    let config = &project.loaded.config;
    let named = config.stack.compose.as_ref().map(|files| files.0.iter().map(Utf8PathBuf::from).collect::<Vec<_>>());
    if let Some(files) = &named {
        if files.is_empty() {
            return Err(project
                .loaded
                .source()
                .error_near("compose", "[stack] compose names no file")
                .hint("compose = \"compose.yml\""));
        }
        if let Some(file) = files.iter().find(|file| !project.path(file).is_file()) {
            return Err(project
                .loaded
                .source()
                .error_near(file.as_str(), format!("the Compose file {file} does not exist"))
                .hint("[stack] compose names it from deploy.toml's folder"));
        }
        if let Some(file) = files.iter().find(|file| !project.holds(file)) {
            let error = project.leads_out(format_args!("the Compose file {file}"));
            return Err(project.loaded.source().place(error, file.as_str()));
        }
    }
    Setting::or_found(named, || {
        let found = find_files(&project.folder).ok_or_else(|| {
            let here = if project.folder == "." { "this folder" } else { project.folder.as_str() };
            let others = other_compose_files(project);
            let error = Error::input(format!("there is no Compose file in {here} under the names that Compose looks for"));
            match others.as_slice() {
                [] => error.hint("name it: [stack] compose = \"…\""),
                some => error.hint(format!("{} could be it: [stack] compose = \"{}\"", some.join(", "), some[0])),
            }
        })?;
        if !project.contains(&project.path(&found)) {
            return Err(project.leads_out(format_args!("the Compose file {found}")));
        }
        Ok((vec![found], "the Compose file beside deploy.toml".into()))
    })
}

/// Files that have the look of a Compose file, under names of their own.
fn other_compose_files(project: &Project) -> Vec<String> {
    let entries = project.folder.read_dir_utf8().into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_owned())
        .filter(|name| !name.starts_with('.') && (name.ends_with(".yml") || name.ends_with(".yaml")))
        .filter(|name| read_limited(&project.path(name)).is_ok_and(|text| text.lines().any(|line| line.starts_with("services:"))))
        .collect();
    // What is meant for a server first.
    names.sort_by_key(|name| (!name.contains("prod"), name.clone()));
    names
}

/// The target's environment, and the Compose files read with it.
fn read(
    project: &Project,
    program: &Compose,
    files: &[Utf8PathBuf],
    target: &super::Target,
    compose_project: &str,
) -> Result<(EnvFile, Model)> {
    let config = &project.loaded.config;
    let mut env = match &target.env_file.value {
        None => EnvFile { name: ".env".into(), ..EnvFile::default() },
        Some(path) => {
            let full = project.path(path);
            let text = if project.to_look { String::new() } else { read_limited(&full)? };
            let name = path.file_name().unwrap_or(".env");
            let source = Source { name: full.as_str(), text: &text };
            let values = template_values(project, &target.name);
            if project.to_look {
                EnvFile { name: name.to_owned(), ..EnvFile::default() }
            } else {
                EnvFile::render(program, source, name, &values, project.offered())?
            }
        }
    };
    let reading = Reading {
        compose: program,
        files: files.iter().map(|file| project.path(file)).collect(),
        boundary: project.boundary(),
        project: compose_project.to_owned(),
        profiles: config.stack.profiles.clone().unwrap_or_default(),
        to_look: project.to_look,
    };
    let name = target.env_file.value.as_ref().map(|path| path.as_str());
    let values = env.environment();
    let read = Model::read(&reading, &values, name);
    let model = match read {
        // A stand-in for a secret may stand where only a number can: a port, say.
        Err(_) if !project.stand_ins.is_empty() => {
            let number = |(name, value): (&String, &String)| {
                let stands_in = project.stand_ins.iter().any(|stand_in| value.contains(stand_in.as_str()));
                (name.clone(), if stands_in { "1".to_owned() } else { value.clone() })
            };
            Model::read(&reading, &values.iter().map(number).collect(), name)?
        }
        read => read?,
    };
    env.values.extend(model.included_values.clone());
    Ok((env, model))
}

/// What templates may use.
pub(super) fn template_values(project: &Project, target: &str) -> Vec<(&'static str, String)> {
    let config = &project.loaded.config;
    let mut values = vec![("project", config.project.name.clone()), ("target", target.to_owned())];
    values.extend(config.app.service.clone().map(|service| ("app", service)));
    values.extend(config.app.port.map(|port| ("port", port.to_string())));
    values
}

fn resolve_rollout(project: &Project) -> Rollout {
    let section = &project.loaded.config.rollout;
    Rollout {
        observe: Setting::or_default(section.observe, Seconds(30)),
        min_requests: Setting::or_default(section.min_requests, 50),
        max_error_rate: Setting::or_default(section.max_error_rate, 0.01),
        confirm_timeout: Setting::or_default(section.confirm_timeout, Seconds(60)),
        keep_releases: Setting::or_default(section.keep_releases, 5),
        keep_warm: Setting::or_default(section.keep_warm, Seconds(0)),
        canary: proof::canary(project),
    }
}
