//! The folders and volumes of static files, of which each release has its own.

use camino::Utf8Path;

use crate::compose::Mount;
use crate::error::Result;
use crate::text::paths::is_within;

use super::super::Project;
use super::super::resolved::{Origin, Resolved, Setting, StaticFiles, StaticPlace};
use super::super::shape::ServiceKind;
use super::common::plain;

/// Those of `[app] static`, or what apps and workers write to that is called so.
pub(super) fn resolve(project: &Project, resolved: &mut Resolved) -> Result<()> {
    let config = &project.loaded.config;
    let told = config.app.r#static.as_ref().or_else(|| config.apps.values().find_map(|app| app.r#static.as_ref()));
    let told: Option<Vec<String>> = told.map(|names| names.iter().map(|name| plain(name)).collect());
    let compressed = writes_while_it_serves(project, resolved);
    let mut found: Vec<StaticFiles> = Vec::new();
    for kind in [ServiceKind::App, ServiceKind::Job, ServiceKind::Worker] {
        let of_kind = |name: &str| resolved.kind(name) == kind && resolved.in_slot(name);
        for service in resolved.compose.services().filter(|service| of_kind(service.name)) {
            for mount in service.mounts().iter().filter(|mount| !mount.read_only) {
                let Some(place) = place(resolved, mount) else { continue };
                let wanted = match &told {
                    Some(names) => names.contains(&place.name().to_owned()),
                    None => compressed.is_none() && (is_static(&mount.target) || is_static(place.name())),
                };
                if wanted && !found.iter().any(|known| known.place == place) {
                    found.push(StaticFiles { place, service: service.name.to_owned(), target: mount.target.clone() });
                }
            }
        }
    }
    if let Some(names) = &told
        && let Some(name) = names.iter().find(|name| !found.iter().any(|known| known.place.name() == name.as_str()))
    {
        let error = project.loaded.source().error_near(name, format!("no app or worker writes to `{name}`"));
        return Err(error.hint("[app] static names folders and volumes as the Compose file's `volumes` do"));
    }
    if let Some(package) = compressed.filter(|_| told.is_none()) {
        resolved.notes.push(format!(
            "{package} writes static files while the app serves, so that all releases share one folder of them; [app] static gives each release its own"
        ));
    }
    if found.is_empty() && told.is_none() && compressed.is_none() && !resolved.app.collect_static.value.is_empty() {
        resolved.notes.push(
            "collect-static is set, but no app writes to a folder or volume called static: its files are lost with its container unless it stores them elsewhere".into(),
        );
    }
    let origin = if told.is_some() { Origin::File } else { Origin::Found("what the apps write to that is called static".into()) };
    resolved.static_files = Setting { value: found, origin };
    Ok(())
}

fn is_static(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.to_ascii_lowercase().contains("static"))
}

/// A mount of a shared folder or of a volume.
fn place(resolved: &Resolved, mount: &Mount) -> Option<StaticPlace> {
    let source = mount.source.as_deref().filter(|source| !source.is_empty())?;
    if !mount.bind {
        let volume = mount.written.get("type").and_then(yaml_serde::Value::as_str) != Some("tmpfs");
        let whole = mount.written.get("volume").is_none_or(|volume| volume.get("subpath").is_none());
        return (volume && whole).then(|| StaticPlace::Volume(source.to_owned()));
    }
    let path = mount.relative_source().or_else(|| resolved.compose.below_folder(source))?;
    resolved.shared.value.iter().any(|folder| is_within(&path, folder)).then_some(StaticPlace::Folder(path))
}

/// A package that makes static files when a page asks for them.
fn writes_while_it_serves(project: &Project, resolved: &Resolved) -> Option<&'static str> {
    let context = &resolved.image().context.value;
    let names = ["requirements.txt", "requirements/base.txt", "requirements/production.txt", "pyproject.toml", "Pipfile"];
    let paths = names.iter().map(|name| context.join(Utf8Path::new(name))).filter(|path| project.holds(path));
    let all = paths
        .map(|path| std::fs::read_to_string(project.path(path)).unwrap_or_default())
        .collect::<String>()
        .to_ascii_lowercase()
        .replace('_', "-");
    ["django-compressor", "django-sass-processor"].into_iter().find(|package| all.contains(package))
}
