//! Which folders of the project outlive releases.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use crate::compose::{Mount, Service};
use crate::error::Result;
use crate::text::paths::is_within;

use super::super::checks::is_plain_folder;
use super::super::resolved::{Decided, Image, Origin, Setting};
use super::super::shape::ServiceKind;
use super::common::plain;
use super::world::World;

/// Names of folders that hold data.
const DATA: [&str; 17] = [
    "media",
    "mediafiles",
    "uploads",
    "upload",
    "staticfiles",
    "static_root",
    "logs",
    "log",
    "pgdata",
    "postgres-data",
    "db-data",
    "dbdata",
    "redis-data",
    "backups",
    "backup",
    "letsencrypt",
    "acme",
];
/// Ends of files that a repository keeps for their own sake.
const KEPT: [&str; 16] = [
    ".py", ".js", ".ts", ".jsx", ".tsx", ".rb", ".php", ".go", ".vue", ".sh", ".conf", ".yml", ".yaml", ".toml", ".json", ".csv",
];
/// Places in a container that hold data.
const PLACES: [&str; 16] = [
    "/var/lib/postgresql",
    "/var/lib/mysql",
    "/data",
    "/var/lib/redis",
    "/etc/letsencrypt",
    "/letsencrypt",
    "/acme",
    "/var/www/certbot",
    "/backups",
    "/backup",
    "/var/log",
    "/bitnami",
    "/var/lib/grafana",
    "/prometheus",
    "/var/lib/rabbitmq",
    "/usr/share/elasticsearch/data",
];

/// Who uses a folder.
struct Used {
    by_code: bool,
    read_by_others: bool,
}

/// Is what this mount writes data that outlives a release?
fn keeps_data(mount: &Mount, path: &str, full: &Utf8Path, used: Used) -> bool {
    let name = Utf8Path::new(path).file_name().unwrap_or_default().to_ascii_lowercase();
    let holds_data = DATA.contains(&name.as_str()) || PLACES.iter().any(|place| mount.target.starts_with(place));
    let is_database_file = [".sqlite3", ".sqlite", ".db"].iter().any(|end| name.ends_with(end));
    if full.is_file() || is_database_file {
        is_database_file && !mount.read_only
    } else if is_empty(full) {
        // A name with an end is a file's, which should be there.
        full.exists() || !name.contains('.')
    } else if keeps_files(full) {
        // What the repository has would be missing from a new folder.
        false
    } else if used.by_code {
        !mount.read_only && (used.read_by_others || holds_data)
    } else {
        holds_data && !mount.read_only
    }
}

/// A shared folder's name becomes a word of commands on the server.
fn check_name(world: &World<'_>, service: &Service<'_>, mount: &Mount, path: &str) -> Result<()> {
    if is_plain_folder(path) {
        return Ok(());
    }
    let message = format!("the folder `{path}` of service `{}` has a name that estiba does not take", service.name);
    let error = world.compose.error(service.name, mount.written_source(), &message);
    Err(error.hint("letters, digits and ._-/ only: give the folder another name"))
}

/// The folders of `[stack] shared`, or those that the mounts tell of.
pub(super) fn resolve(
    world: &World<'_>,
    kinds: &BTreeMap<String, Decided>,
    images: &[Image],
    notes: &mut Vec<String>,
) -> Result<Setting<Vec<String>>> {
    if let Some(shared) = &world.project.loaded.config.stack.shared {
        return Ok(Setting { value: shared.iter().map(|folder| plain(folder)).collect(), origin: Origin::File });
    }
    let mut found = BTreeSet::new();
    let path_of = |mount: &Mount| {
        mount.relative_source().or_else(|| world.compose.below_folder(mount.source.as_deref()?).filter(|_| mount.bind))
    };
    let runs_code = |service: &Service<'_>| {
        kinds
            .get(service.name)
            .is_some_and(|decided| matches!(decided.kind, ServiceKind::App | ServiceKind::Worker | ServiceKind::Job))
    };
    for service in world.compose.services() {
        for mount in service.mounts() {
            let Some(path) = path_of(&mount) else { continue };
            if path == "." || path.starts_with("..") || mount.target.ends_with(".sock") {
                continue;
            }
            let full = world.project.path(world.base.join(&path));
            let of_context = images.iter().any(|image| {
                image.services.iter().any(|known| known == service.name) && {
                    let context = world.base.join(&path);
                    context == image.context.value || image.context.value.starts_with(&context)
                }
            });
            if of_context {
                continue;
            }
            let read_by_others = world
                .compose
                .services()
                .filter(|other| other.name != service.name && !runs_code(other))
                .any(|other| other.mounts().iter().any(|known| path_of(known).as_deref() == Some(path.as_str())));
            let used = Used { by_code: runs_code(&service), read_by_others };
            if keeps_data(&mount, &path, &full, used) && !found.iter().any(|folder: &String| is_within(&path, folder)) {
                let written = world.compose.services().any(|other| {
                    other.mounts().iter().any(|known| !known.read_only && path_of(known).as_deref() == Some(path.as_str()))
                });
                if !full.exists() && !written {
                    notes.push(format!(
                        "`{}` mounts {}, which does not exist here: the server's folder shared/{path} is used",
                        service.name,
                        mount.written_source()
                    ));
                }
                check_name(world, &service, &mount, &path)?;
                found.insert(path);
            }
        }
    }
    let origin = Origin::Found("the folders that are mounted to be written to".into());
    Ok(Setting { value: found.into_iter().collect(), origin })
}

/// Does a file in it look like one that the repository keeps for its own sake?
fn keeps_files(folder: &Utf8Path) -> bool {
    let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    entries.take(500).any(|entry| KEPT.iter().any(|end| entry.file_name().ends_with(end)))
}

/// Is there nothing in it that a repository would keep for its own sake?
fn is_empty(folder: &Utf8Path) -> bool {
    let Ok(entries) = folder.read_dir_utf8() else { return !folder.exists() };
    entries.flatten().all(|entry| [".gitkeep", ".gitignore", ".keep"].contains(&entry.file_name()))
}
