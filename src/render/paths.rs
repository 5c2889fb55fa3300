//! Where the relative paths of the Compose file lie on the server.
//!
//! - a shared folder is `<root>/shared/…` and outlives releases;
//! - what apps, workers and their jobs mount belongs to its release;
//! - what a service of the stack mounts lies below `<root>/stack/`, at the same path in every release: changed files are put
//!   in place there, and the service reads them again or is replaced;
//! - the code of the image, mounted over it for a laptop's sake, is taken off.

use std::cell::RefCell;
use std::collections::BTreeSet;

use yaml_serde::{Mapping, Value};

use crate::compose::{Model, Mount, Service};
use crate::config::Resolved;
use crate::error::{Error, Result};
use crate::text::paths::{is_within, tidy};

use super::Files;

/// The paths that rendering has to read, from the Compose file's folder.
pub(super) fn wanted(resolved: &Resolved) -> Vec<String> {
    let mut wanted = Vec::new();
    for service in resolved.compose.services() {
        let in_slot = resolved.in_slot(service.name);
        let mounted = service.mounts();
        let mounted = mounted.iter().filter_map(|mount| path_of(&resolved.compose, mount));
        wanted.extend(mounted.filter(|path| !in_slot || !is_context(resolved, service.name, path)));
        wanted.extend(service.env_files().into_iter().map(|(path, _)| path).filter(|path| !is_env_file(resolved, path)));
        wanted.extend(label_files(service));
    }
    for key in ["secrets", "configs"] {
        wanted.extend(section_files(&resolved.compose, key).into_iter().map(|(_, path)| path));
    }
    wanted.extend(resolved.edge.maintenance.value.clone());
    wanted.retain(|path| {
        !path.is_empty()
            && !is_above(path)
            && !path.starts_with('/')
            && !resolved.shared.value.iter().any(|folder| is_within(path, folder))
    });
    wanted
}

/// The path of a mount from the Compose file's folder, where it is one of the project's own.
fn path_of(compose: &Model, mount: &Mount) -> Option<String> {
    mount.relative_source().or_else(|| mount.bind.then(|| compose.below_folder(mount.source.as_deref()?))?)
}

/// The files of a section, `secrets` or `configs`, by the names of their entries.
pub(super) fn section_files(compose: &Model, key: &str) -> Vec<(String, String)> {
    let section = compose.root.get(key).and_then(Value::as_mapping);
    let filled = compose.filled_section(key);
    let file = |(name, entry): (&Value, &Value)| {
        let name = name.as_str()?;
        // What no service uses, Compose leaves out of what it fills in.
        let entry = filled.and_then(|filled| filled.get(name)).unwrap_or(entry);
        let file = entry.get("file")?.as_str()?;
        let below =
            if file.starts_with('/') { compose.below_folder(file).unwrap_or_else(|| file.to_owned()) } else { tidy(file) };
        Some((name.to_owned(), below))
    };
    section.into_iter().flatten().filter_map(file).collect()
}

fn label_files(service: Service<'_>) -> Vec<String> {
    let list = service.map.get("label_file").and_then(Value::as_sequence);
    list.into_iter().flatten().filter_map(Value::as_str).map(tidy).collect()
}

/// Is this the folder that the service's image is built from, or one around it?
fn is_context(resolved: &Resolved, service: &str, path: &str) -> bool {
    let base = resolved.compose_paths.value[0].parent().unwrap_or(camino::Utf8Path::new(""));
    let full = tidy(base.join(path).as_str());
    resolved.image_of(service).filter(|image| image.build_is_here()).is_some_and(|image| {
        let context = tidy(image.context.value.as_str());
        context == full || full.is_empty() || is_within(&context, &full)
    })
}

/// Is this the Compose file's folder, or one around it?
fn is_above(path: &str) -> bool {
    path == "." || path.split('/').all(|part| part == "..")
}

/// A path of the project as one below a folder of the server's: what lies beside or above the Compose file's folder has a place
/// of its own there.
pub(super) fn placed(path: &str) -> String {
    path.replace("../", "_up/")
}

/// Does this `env_file` entry mean the target's env file? Compose's own `.env` does, and so does the
/// target's, under its own name.
pub(super) fn is_env_file(resolved: &Resolved, path: &str) -> bool {
    let own = resolved.target.env_file.value.as_ref().and_then(|path| path.file_name());
    path == ".env" || own == Some(path) || resolved.target.env_file.value.as_ref().is_some_and(|own| tidy(own.as_str()) == path)
}

/// Does a Dockerfile copy this only to install packages?
fn is_list_of_packages(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("requirements")
        || name.starts_with("package")
        || [
            "pyproject.toml",
            "poetry.lock",
            "uv.lock",
            "Pipfile",
            "Pipfile.lock",
            "Gemfile",
            "Gemfile.lock",
            "yarn.lock",
            "pnpm-lock.yaml",
            "go.mod",
            "go.sum",
        ]
        .contains(&name)
}

/// Decides where each path lies, and remembers what has to be uploaded for it.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    resolved: &'a Resolved,
    files: &'a Files,
    release: RefCell<BTreeSet<String>>,
    stack: RefCell<BTreeSet<(String, String)>>,
    writable: RefCell<BTreeSet<String>>,
    shared: RefCell<BTreeSet<String>>,
    errors: RefCell<Vec<Error>>,
    notes: RefCell<Vec<String>>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(resolved: &'a Resolved, files: &'a Files) -> Self {
        let shared = RefCell::new(resolved.shared.value.iter().cloned().collect());
        Self {
            resolved,
            files,
            shared,
            release: RefCell::default(),
            stack: RefCell::default(),
            writable: RefCell::default(),
            errors: RefCell::default(),
            notes: RefCell::default(),
        }
    }

    /// The paths that go into the release's own folder.
    pub(super) fn release_files(&self) -> BTreeSet<String> {
        self.release.borrow().clone()
    }

    /// Is this one of the services' own env files? Their values are never shown.
    pub(super) fn is_env_file(&self, path: &str) -> bool {
        self.resolved.compose.services().any(|service| service.env_files().iter().any(|(file, _)| file == path))
    }

    /// Is this the file of one of Compose's `secrets`? It is never shown, whatever its mode: a container may have to read it.
    pub(super) fn is_secret(&self, path: &str) -> bool {
        section_files(&self.resolved.compose, "secrets").iter().any(|(_, file)| file == path)
    }

    /// The paths below `<root>/stack/` that a service may write to, a line each.
    pub(super) fn stack_writable(&self) -> String {
        self.writable.borrow().iter().map(|path| placed(path) + "\n").collect()
    }

    /// The services of the stack and the paths below `<root>/stack/` that they mount.
    pub(super) fn stack_files(&self) -> BTreeSet<(String, String)> {
        self.stack.borrow().clone()
    }

    /// The folders and files that outlive releases.
    pub(super) fn shared(&self) -> Vec<String> {
        self.shared.borrow().iter().cloned().collect()
    }

    /// What was noticed.
    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.borrow().clone()
    }

    /// Everything that was wrong, at once.
    pub(super) fn finish(&self) -> Result<()> {
        Error::all(self.errors.take())
    }

    fn wrong(&self, service: &str, needle: &str, message: &str, hint: &str) {
        let error = self.resolved.compose.error(service, needle, message).hint(hint);
        let mut errors = self.errors.borrow_mut();
        if !errors.contains(&error) {
            errors.push(error);
        }
    }

    /// The service's `volumes` with every path of the project where it lies on the server.
    pub(super) fn volumes(&self, service: Service<'_>, in_slot: bool) -> Option<Value> {
        service.map.get("volumes")?;
        let placed: Vec<Value> = service.mounts().iter().filter_map(|mount| self.mount(service, mount, in_slot)).collect();
        (!placed.is_empty()).then(|| placed.into())
    }

    /// One mount where it lies on the server; none for one that is taken off.
    fn mount(&self, service: Service<'_>, mount: &Mount, in_slot: bool) -> Option<Value> {
        let root = &self.resolved.target.root.value;
        let written = mount.written_source();
        let name = service.name;
        let kept = || Some(if mount.bind { mount.with_source(written) } else { mount.written.clone().into() });
        if !mount.bind {
            return kept();
        }
        let Some(path) = path_of(&self.resolved.compose, mount) else { return kept() };
        if let Some(shared) = self.is_shared(&path) {
            return Some(mount.with_source(&format!("{root}/shared/{shared}")));
        }
        if in_slot && self.is_code(service, mount, &path) {
            self.notes.borrow_mut().push(format!(
                "`{name}` mounts {written} over its image at {}: that is taken off, because the image has the code",
                mount.target
            ));
            return None;
        }
        if is_above(&path) {
            self.wrong(
                name,
                written,
                &format!("service `{name}` mounts `{written}`, a folder at or above the Compose file's"),
                "for code, move this mount to compose.override.yml: the image holds the code. For data, mount a folder of its own below the Compose file's",
            );
            return None;
        }
        let is_file = self.files.get(&path).is_some();
        if !is_file && self.files.below(&path).next().is_none() {
            self.wrong(
                name,
                written,
                &format!("service `{name}` mounts `{written}`, which does not exist here"),
                &format!("if it holds data that outlives releases: [stack] shared = [\"{path}\"]; if git ignores it, put it where the deploy runs"),
            );
            return None;
        }
        if !in_slot {
            self.stack.borrow_mut().insert((name.to_owned(), path.clone()));
            if !mount.read_only {
                self.writable.borrow_mut().insert(path.clone());
            }
            return Some(mount.with_source(&format!("{root}/stack/{}", placed(&path))));
        }
        if !is_file && !mount.read_only && !mount.target.starts_with("/etc/") {
            self.wrong(
                name,
                written,
                &format!("service `{name}` can write to `{written}`, which each new release replaces"),
                &format!(
                    "if it holds data: [stack] shared = [\"{path}\"]; if not, mount it read-only: {written}:{}:ro",
                    mount.target
                ),
            );
            return None;
        }
        self.release.borrow_mut().insert(path.clone());
        Some(mount.with_source(&format!("./{}", placed(&path))))
    }

    fn is_shared<'p>(&self, path: &'p str) -> Option<&'p str> {
        self.resolved.shared.value.iter().any(|folder| is_within(path, folder)).then_some(path)
    }

    /// Is what is mounted there the code that the service's image is built from?
    fn is_code(&self, service: Service<'_>, mount: &Mount, path: &str) -> bool {
        let Some(image) = self.resolved.image_of(service.name).filter(|image| image.build_is_here()) else { return false };
        let base = self.resolved.compose_paths.value[0].parent().unwrap_or(camino::Utf8Path::new(""));
        let (full, context) = (tidy(base.join(path).as_str()), tidy(image.context.value.as_str()));
        if ["/etc/", "/usr/local/etc/", "/config"].iter().any(|place| mount.target.starts_with(place)) {
            return false;
        }
        if is_context(self.resolved, service.name, path) {
            // An image that copies nothing has the code from nowhere else.
            return image.inline.is_some()
                || !self.files_of_context(image)
                || image.copied.iter().any(|copied| !is_list_of_packages(copied));
        }
        let below = full.strip_prefix(&context).unwrap_or(&full).trim_start_matches('/');
        if !image.copied.iter().any(|copied| copied.is_empty() || copied == "." || is_within(below, copied)) {
            return false;
        }
        let inside = context.is_empty() || is_within(&full, &context);
        let code = [".py", ".js", ".ts", ".jsx", ".tsx", ".rb", ".php", ".go", ".vue", ".html", ".java", ".ex", ".rs"];
        inside
            && self.files.get(path).is_none()
            && self.files.below(path).any(|(file, _)| code.iter().any(|end| file.ends_with(end)))
    }

    /// Is there code beside the Dockerfile at all?
    fn files_of_context(&self, image: &crate::config::Image) -> bool {
        !image.copied.is_empty() || image.context.value.as_str() == "."
    }

    /// A file of a section that a service uses: of the release in a slot, of the stack else.
    pub(super) fn section_file(&self, service: &str, path: &str, in_slot: bool) -> String {
        if path.starts_with('/') {
            return path.to_owned();
        }
        if self.files.get(path).is_none() {
            let file = path.rsplit('/').next().unwrap_or(path);
            self.wrong(
                service,
                file,
                &format!("the file `{path}` does not exist here"),
                "secrets and configs are files from the Compose file's folder",
            );
            return path.to_owned();
        }
        if in_slot {
            self.release.borrow_mut().insert(path.to_owned());
            return format!("./{}", placed(path));
        }
        self.stack.borrow_mut().insert((service.to_owned(), path.to_owned()));
        format!("{}/stack/{}", self.resolved.target.root.value, placed(path))
    }

    /// The device of a volume that is a folder of the project.
    pub(super) fn device(&self, path: &str) -> Option<String> {
        let below = if path.starts_with('/') { self.resolved.compose.below_folder(path)? } else { tidy(path) };
        if below.is_empty() || below == "." || below.starts_with("..") || path.starts_with(':') || path.contains("://") {
            return None;
        }
        if !self.resolved.shared.value.iter().any(|folder| is_within(&below, folder)) {
            self.shared.borrow_mut().insert(below.clone());
        }
        Some(format!("{}/shared/{below}", self.resolved.target.root.value))
    }

    /// The service's `env_file` as it stands in the release.
    pub(super) fn env_file(&self, service: Service<'_>) -> Option<Value> {
        let list = service.map.get("env_file").and_then(Value::as_sequence)?;
        let own = self.resolved.env.name.as_str();
        let mut entries: Vec<Value> = Vec::new();
        for (entry, (path, required)) in list.iter().zip(service.env_files()) {
            let place = if is_env_file(self.resolved, &path) {
                own.to_owned()
            } else if path.starts_with('/') || self.files.get(&path).is_none() {
                if required && !path.starts_with('/') {
                    self.wrong(
                        service.name,
                        path.rsplit('/').next().unwrap_or(&path),
                        &format!("service `{}`: its env_file `{path}` does not exist here", service.name),
                        &format!("`.env` stands for the target's env file ({own}); others are read where the deploy runs"),
                    );
                }
                path.clone()
            } else {
                self.release.borrow_mut().insert(path.clone());
                format!("./{}", placed(&path))
            };
            let format = entry.get("format").cloned();
            entries.push(match (required, format) {
                (true, None) => place.into(),
                (_, format) => {
                    let mut long: Mapping =
                        [(Value::from("path"), Value::from(place)), ("required".into(), required.into())].into_iter().collect();
                    long.extend(format.map(|format| (Value::from("format"), format)));
                    long.into()
                }
            });
        }
        (!entries.is_empty()).then(|| entries.into())
    }

    /// The service's `label_file` as it stands in the release.
    pub(super) fn label_file(&self, service: Service<'_>) -> Option<Value> {
        let files = label_files(service);
        for path in files.iter().filter(|path| self.files.get(path).is_some()) {
            self.release.borrow_mut().insert(path.clone());
        }
        (!files.is_empty())
            .then(|| files.into_iter().map(|path| Value::from(format!("./{}", placed(&path)))).collect::<Vec<_>>().into())
    }
}
