//! Where the relative paths of the Compose file lie on the server.
//!
//! - the proxy's configuration folder is `<root>/edge`;
//! - a shared folder is `<root>/shared/…` and outlives releases;
//! - what the app mounts belongs to its release;
//! - what a service of the stack mounts lies below `<root>/stack/<digest>/`: the same content has the same
//!   path in every release, so its container is replaced when the content changed, and only then.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use yaml_serde::Value;

use crate::compose::{Mount, Service};
use crate::config::Resolved;
use crate::error::Result;

use super::artefact::digest;
use super::{Artefact, Files};

/// The paths that rendering has to read.
pub(super) fn wanted(resolved: &Resolved) -> Vec<String> {
    let mut wanted = Vec::new();
    for service in resolved.compose.services() {
        wanted.extend(service.mounts().filter_map(|mount| mount.relative_source().map(str::to_owned)));
        wanted.extend(env_files(service).filter(|file| !is_env_file(resolved, file)));
    }
    for key in ["secrets", "configs"] {
        let section = resolved.compose.root.get(key).and_then(Value::as_mapping);
        let files = section.into_iter().flatten().filter_map(|(_, entry)| entry.as_mapping()?.get("file")?.as_str());
        wanted.extend(files.filter(|file| !file.starts_with('/')).map(|file| file.trim_start_matches("./").to_owned()));
    }
    wanted.retain(|path| !path.is_empty() && path != "." && !path.starts_with("..") && !resolved.shared.value.contains(path));
    wanted
}

fn env_files(service: Service<'_>) -> impl Iterator<Item = String> + '_ {
    let listed = match service.map.get("env_file") {
        Some(Value::Sequence(list)) => list.as_slice(),
        Some(one @ Value::String(_)) => std::slice::from_ref(one),
        _ => &[],
    };
    listed.iter().filter_map(|entry| env_file_path(entry).map(|path| path.trim_start_matches("./").to_owned()))
}

fn env_file_path(entry: &Value) -> Option<&str> {
    entry.as_str().or_else(|| entry.as_mapping()?.get("path")?.as_str())
}

/// Does this `env_file` entry mean the target's env file? Compose's own `.env` does, and so does the
/// target's, under its own name.
fn is_env_file(resolved: &Resolved, path: &str) -> bool {
    let own = resolved.target.env_file.value.as_ref().and_then(|path| path.file_name());
    path == ".env" || own == Some(path)
}

/// Decides where each path lies, and remembers what has to be uploaded for it.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    resolved: &'a Resolved,
    files: &'a Files,
    release: RefCell<BTreeSet<String>>,
    stack: RefCell<BTreeMap<String, Artefact>>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(resolved: &'a Resolved, files: &'a Files) -> Self {
        Self { resolved, files, release: RefCell::default(), stack: RefCell::default() }
    }

    /// The paths that go into the release's own folder.
    pub(super) fn release_files(&self) -> BTreeSet<String> {
        self.release.borrow().clone()
    }

    /// Is this one of the services' own env files? Their values are never shown.
    pub(super) fn is_env_file(&self, path: &str) -> bool {
        self.resolved.compose.services().any(|service| env_files(service).any(|file| file == path))
    }

    /// The files below `<root>/stack/`.
    pub(super) fn stack_files(&self) -> BTreeMap<String, Artefact> {
        self.stack.borrow().clone()
    }

    /// The service's `volumes` with every relative path where it lies on the server.
    pub(super) fn volumes(&self, service: Service<'_>, in_slot: bool) -> Result<Option<Value>> {
        let Some(list) = service.map.get("volumes").and_then(Value::as_sequence) else { return Ok(None) };
        let placed: Result<Vec<Value>> = list
            .iter()
            .map(|entry| {
                let Some(mount) = Mount::read(entry) else { return Ok(entry.clone()) };
                let Some(path) = mount.relative_source() else { return Ok(entry.clone()) };
                let read_only = match entry {
                    Value::Mapping(long) => long.get("read_only").and_then(Value::as_bool) == Some(true),
                    short => short.as_str().is_some_and(|short| short.ends_with(":ro") || short.contains(":ro,")),
                };
                let place = self.mount(service, &mount, path, read_only, in_slot)?;
                Ok(Mount::with_source(entry, &place))
            })
            .collect();
        Ok(Some(placed?.into()))
    }

    fn mount(&self, service: Service<'_>, mount: &Mount, path: &str, read_only: bool, in_slot: bool) -> Result<String> {
        let root = &self.resolved.target.root.value;
        let source = self.resolved.compose.source();
        let written = mount.source.as_deref().unwrap_or(path);
        let name = service.name;
        if name == self.resolved.proxy.service.value && path == self.resolved.proxy.config.value {
            return Ok(format!("{root}/edge"));
        }
        if let Some(shared) = self.shared(path) {
            return Ok(format!("{root}/shared/{shared}"));
        }
        if path == "." || path.is_empty() || path.starts_with("..") {
            return Err(source
                .error_near(written, format!("service `{name}` mounts `{written}`, which holds more than a release does"))
                .hint("a mount of the project's own code is for a laptop: the image has it. Keep it in compose.override.yml"));
        }
        if self.files.below(path).next().is_none() {
            return Err(source
                .error_near(written, format!("service `{name}` mounts `{written}`, which does not exist here"))
                .hint(format!("if it holds data that outlives releases: [stack] shared = [\"{path}\"]")));
        }
        let is_file = self.files.get(path).is_some();
        let configures = ["/docker-entrypoint-initdb.d", "/etc/"].iter().any(|place| mount.target.starts_with(place));
        if !is_file && !read_only && !configures {
            return Err(source
                .error_near(written, format!("service `{name}` can write to `{written}`, which a new release would take from it"))
                .hint(format!(
                    "if it holds data: [stack] shared = [\"{path}\"]; if not, mount it read-only: {written}:{}:ro",
                    mount.target
                )));
        }
        if in_slot {
            self.release.borrow_mut().insert(path.to_owned());
            return Ok(format!("./{path}"));
        }
        Ok(self.content(path))
    }

    fn shared<'p>(&self, path: &'p str) -> Option<&'p str> {
        let shared = self.resolved.shared.value.iter();
        shared.into_iter().any(|folder| path == folder || path.starts_with(&format!("{folder}/"))).then_some(path)
    }

    /// The place below `<root>/stack/` of a file or folder, by what it holds.
    fn content(&self, path: &str) -> String {
        let mut all = Vec::new();
        for (below, input) in self.files.below(path) {
            all.extend(format!("{below}\0{:o}\0{}\n", input.mode, digest(&input.bytes)).into_bytes());
        }
        let digest = &digest(&all)[..16];
        let name = path.rsplit('/').next().unwrap_or(path);
        for (below, input) in self.files.below(path) {
            let place = if below.is_empty() { format!("{digest}/{name}") } else { format!("{digest}/{name}/{below}") };
            self.stack
                .borrow_mut()
                .insert(place, Artefact { mode: input.mode, bytes: input.bytes.clone(), secret: input.is_secret() });
        }
        format!("{}/stack/{digest}/{name}", self.resolved.target.root.value)
    }

    /// A secret's or config's file.
    pub(super) fn secret_file(&self, path: &str) -> Result<String> {
        if path.starts_with('/') {
            return Ok(path.to_owned());
        }
        let relative = path.trim_start_matches("./");
        if self.files.get(relative).is_none() {
            return Err(self.resolved.compose.source().error_near(path, format!("the file `{path}` does not exist here")));
        }
        Ok(self.content(relative))
    }

    /// The service's `env_file` as it stands in the release.
    pub(super) fn env_file(&self, service: Service<'_>) -> Result<Option<Value>> {
        let name = self.resolved.target.env_file.value.as_ref().and_then(|path| path.file_name()).unwrap_or(".env");
        let place = |entry: &Value| -> Result<Value> {
            let Some(path) = env_file_path(entry) else { return Ok(entry.clone()) };
            let relative = path.trim_start_matches("./");
            let placed = if is_env_file(self.resolved, relative) {
                name.to_owned()
            } else {
                let optional = entry.as_mapping().and_then(|map| map.get("required")).and_then(Value::as_bool) == Some(false);
                if self.files.get(relative).is_none() && !optional {
                    return Err(self
                        .resolved
                        .compose
                        .source()
                        .error_near(path, format!("service `{}`: its env_file `{path}` does not exist here", service.name))
                        .hint(format!("`.env` stands for the target's env file ({name})")));
                }
                self.release.borrow_mut().insert(relative.to_owned());
                format!("./{relative}")
            };
            Ok(match entry {
                Value::Mapping(long) => {
                    let mut long = long.clone();
                    long.insert("path".into(), placed.into());
                    long.into()
                }
                _ => placed.into(),
            })
        };
        Ok(match service.map.get("env_file") {
            Some(Value::Sequence(list)) => Some(list.iter().map(place).collect::<Result<Vec<_>>>()?.into()),
            Some(one) => Some(place(one)?),
            None => None,
        })
    }
}
