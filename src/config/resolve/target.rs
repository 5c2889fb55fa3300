//! The target: where to, and with what environment.

use camino::Utf8PathBuf;

use crate::error::{Error, Result};
use crate::text::nearest;

use super::super::Project;
use super::super::inventory::hosts;
use super::super::resolved::{KNOWN_HOSTS, Origin, Setting, Target};
use super::super::shape::TargetSection;

/// The target of that name, or the only one.
pub(super) fn choose<'a>(project: &'a Project, target: Option<&str>) -> Result<(String, &'a TargetSection)> {
    let targets = &project.loaded.config.target;
    let names = || targets.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match target {
        Some(name) => match targets.get_key_value(name) {
            Some((name, section)) => Ok((name.clone(), section)),
            None => {
                let error = Error::input(format!("{} has no target `{name}`", project.loaded.name));
                Err(match nearest(name, targets.keys().map(String::as_str)) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint(format!("its targets: {}", names())),
                })
            }
        },
        None if targets.len() == 1 => {
            let (name, section) = targets.iter().next().expect("one target");
            Ok((name.clone(), section))
        }
        None if targets.is_empty() => Err(Error::input(format!("{} has no target", project.loaded.name))
            .hint("[target.production]\n        hosts = [\"user@host\"]\n        host-keys = [\"SHA256:…\"]")),
        None => Err(Error::input("no target is named, and there are several").hint(format!("name one of {}", names()))),
    }
}

/// The target's section with its defaults.
pub(super) fn resolve(project: &Project, name: &str, section: &TargetSection) -> Result<Target> {
    let named = section.env_file.clone().map(|file| Some(Utf8PathBuf::from(file)));
    let own = section.inherits_env_file && project.path(own_env_file(name)).is_file();
    let env_file = Setting::or_found(named.filter(|_| !own), || find_env_file(project, name))?;
    if let Some(path) = env_file.value.as_deref().filter(|path| !project.path(path).is_file()) {
        return Err(project
            .loaded
            .source()
            .error_near(path.as_str(), format!("the env file {path} does not exist"))
            .hint("it is a template of KEY=value lines, kept in the repository; secrets stand in it as ${NAME}"));
    }
    if let Some(path) = env_file.value.as_deref().filter(|path| !project.holds(path)) {
        let error = project.leads_out(format_args!("the env file {path}"));
        return Err(project
            .loaded
            .source()
            .place(error, path.as_str())
            .hint("keep the template in the repository; its secrets come from the environment, as ${NAME}"));
    }
    let given = project.environment.get("ESTIBA_HOST_KEYS").map(String::as_str).unwrap_or_default();
    let given_keys: Vec<String> = given.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    Ok(Target {
        name: name.to_owned(),
        hosts: hosts(project, name, section)?,
        host_keys: match section.host_keys.as_slice() {
            _ if !given_keys.is_empty() => Setting { value: given_keys, origin: Origin::Found("ESTIBA_HOST_KEYS".into()) },
            [] => Setting { value: vec![KNOWN_HOSTS.into()], origin: Origin::Default },
            keys => Setting { value: keys.to_vec(), origin: Origin::File },
        },
        identity: section.identity.clone(),
        jump: section.jump.clone(),
        ssh_config: Setting::or_found(section.ssh_config, || {
            let in_ci = project.environment.get("CI").is_some_and(|value| !matches!(value.as_str(), "" | "false" | "0"));
            Ok((!in_ci, if in_ci { "CI is set".into() } else { "CI is not set".into() }))
        })?,
        becomes: section.becomes,
        root: Setting::or_found(section.root.clone(), || {
            Ok((format!("/srv/{}", project.loaded.config.project.name), "/srv/ and the project's name".into()))
        })?,
        url: section.url.clone(),
        url_contains: section.url_contains.clone(),
        env_file,
        require: super::proof::require(project, name, section)?,
        fleet: super::fleet::resolve(project, section)?,
    })
}

/// The env file that a target's name stands for.
fn own_env_file(target: &str) -> String {
    format!(".env.{target}")
}

fn find_env_file(project: &Project, target: &str) -> Result<(Option<Utf8PathBuf>, String)> {
    let own = own_env_file(target);
    if project.path(&own).is_file() {
        return Ok((Some(own.into()), "the target's name".into()));
    }
    if project.path(".env").is_file() && project.is_tracked(".env") {
        return Ok((Some(".env".into()), "Compose's own env file".into()));
    }
    let mut candidates: Vec<String> = project
        .folder
        .read_dir_utf8()
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_owned())
        .filter(|name| name.starts_with(".env."))
        .filter(|name| ![".example", ".sample", ".template", ".dist", ".test"].iter().any(|end| name.ends_with(end)))
        .collect();
    candidates.sort();
    match candidates.as_slice() {
        [] => Ok((None, "there is no env file that is kept in the repository".into())),
        [one] => Ok((Some(one.into()), "the only env file".into())),
        several => Err(Error::input(format!("which env file does target `{target}` use? {}", several.join(", ")))
            .hint(format!("[target.{target}] env-file = \"{}\"", several[0]))),
    }
}

/// What lies beside the Compose file and is not taken, where Compose on a laptop would take it.
pub(super) fn notes(project: &Project, target: &Target, files: &[Utf8PathBuf]) -> Vec<String> {
    let mut notes = Vec::new();
    let proxy = &project.loaded.config.proxy;
    if proxy.service.is_some() || proxy.config.is_some() {
        notes.push("[proxy] service and config are not needed any more: the edge stands under the app's name, and the proxy's files stay as they are".to_owned());
    }
    if target.env_file.value.is_none() && project.path(".env").is_file() {
        notes.push(
            "the .env here is not used: git does not track it, so it is this machine's own. [target.NAME] env-file names the one of a target".to_owned(),
        );
    }
    let bare = target.host_keys.value.iter().find(|key| key.trim().starts_with("SHA256:"));
    if let Some(bare) = bare.filter(|_| target.hosts.len() > 1) {
        notes.push(format!(
            "each of the {} hosts may show the key {bare}: [target.{}] host-keys = [\"HOST SHA256:…\"] binds a fingerprint to its host",
            target.hosts.len(),
            target.name
        ));
    }
    let folder = files[0].parent().map(Utf8PathBuf::from).unwrap_or_default();
    for name in ["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"] {
        let path = folder.join(name);
        if project.path(&path).is_file() && !files.contains(&path) {
            notes.push(format!(
                "{path} is not used: an override file is for development by convention. [stack] compose = [\"{}\", \"{path}\"] takes it",
                files[0]
            ));
        }
    }
    notes
}
