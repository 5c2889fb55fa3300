//! Reading a Compose file.

use camino::{Utf8Path, Utf8PathBuf};
use yaml_serde::{Mapping, Value};

use crate::config::{Source, nearest, read_limited};
use crate::error::{Error, Result};

use super::{Service, extends};

/// A Compose file with anchors, merge keys and `extends` resolved; `${…}` stays as it is written.
#[derive(Debug, Clone)]
pub struct ComposeFile {
    /// Its path as the user knows it.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Its top level.
    pub root: Mapping,
}

impl ComposeFile {
    /// Reads the file at this path; relative paths in it start at its folder.
    ///
    /// Anything that is not a Compose file with services is an input error with its place.
    pub fn open(path: &Utf8Path) -> Result<Self> {
        let text = read_limited(path)?;
        let folder = path.parent().unwrap_or(Utf8Path::new("")).to_owned();
        Self::parse(path.as_str(), text, &|relative| read_limited(&folder.join(relative)))
    }

    /// The same for a text; `read` brings the files that `extends` names.
    pub fn parse(name: &str, text: String, read: &dyn Fn(&Utf8Path) -> Result<String>) -> Result<Self> {
        Self::parsed(name, text, read).map_err(|error| error.or_hint("`docker compose config` shows how Compose reads the file"))
    }

    fn parsed(name: &str, text: String, read: &dyn Fn(&Utf8Path) -> Result<String>) -> Result<Self> {
        let mut file = Self { name: name.to_owned(), root: parse_yaml(name, &text)?, text };
        if file.root.contains_key("include") {
            return Err(file
                .source()
                .error_near("include", "`include` at the top of the Compose file is not supported")
                .hint("put the services into one file, or use `extends` with a file"));
        }
        if let Some(version) = file.root.get("version").and_then(Value::as_str).filter(|v| v.starts_with('1')) {
            return Err(file.source().error_near("version", format!("a Compose file of version {version} has no services")));
        }
        let Some(services) = file.root.get("services") else {
            let message = format!("{name} has no `services`, so there is nothing to deploy");
            let near = nearest("services", file.root.keys().filter_map(Value::as_str)).map(str::to_owned);
            let error = file.source().error_at(1, 1, 1, message);
            return Err(match near {
                Some(near) => error.hint(format!("`{near}` stands there; was `services` meant?")),
                None => error,
            });
        };
        let Some(services) = services.as_mapping() else {
            return Err(file.source().error_near("services", "`services` is a mapping from names to services"));
        };
        if services.is_empty() {
            return Err(file.source().error_near("services", "`services` is empty: there is nothing to deploy"));
        }
        let resolved = extends::resolve(&file, services, read)?;
        for (name, service) in &resolved {
            Service::check(&file, name, service)?;
        }
        file.root.insert("services".into(), resolved.into());
        Ok(file)
    }

    /// The text with its name.
    pub fn source(&self) -> Source<'_> {
        Source { name: &self.name, text: &self.text }
    }

    /// The services, in the order of the file.
    pub fn services(&self) -> impl Iterator<Item = Service<'_>> {
        let services = self.root.get("services").and_then(Value::as_mapping);
        services
            .into_iter()
            .flatten()
            .filter_map(|(name, service)| Some(Service { name: name.as_str()?, map: service.as_mapping()? }))
    }

    /// The service of that name.
    pub fn service(&self, name: &str) -> Option<Service<'_>> {
        self.services().find(|service| service.name == name)
    }

    /// The Compose file of a folder, by Compose's own order of names.
    pub fn find(folder: &Utf8Path) -> Option<Utf8PathBuf> {
        const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
        NAMES.iter().map(Utf8PathBuf::from).find(|name| folder.join(name).is_file())
    }
}

/// A YAML text whose top is a mapping, merge keys applied.
pub(super) fn parse_yaml(name: &str, text: &str) -> Result<Mapping> {
    let source = Source { name, text };
    let place = |error: &yaml_serde::Error| -> Error {
        let said = error.to_string();
        // The place is shown by the snippet; the library repeats it at the end of its words.
        let message = said.split(" at line ").next().unwrap_or(&said).to_owned();
        match error.location() {
            Some(at) => source.error_at(at.line(), at.column(), 1, format!("not valid YAML: {message}")),
            None => Error::input(format!("{name}: not valid YAML: {said}")),
        }
    };
    let mut value: Value = yaml_serde::from_str(text).map_err(|error| {
        let shown = place(&error);
        if text.lines().any(|line| line.trim_start_matches(' ').starts_with('\t')) {
            shown.hint("YAML is indented by spaces; this file has a tab at the beginning of a line")
        } else {
            shown
        }
    })?;
    value.apply_merge().map_err(|error| place(&error))?;
    match value {
        Value::Mapping(mapping) => Ok(mapping),
        Value::Null => Err(source.error_at(1, 1, 1, format!("{name} is empty"))),
        _ => Err(source.error_at(1, 1, 1, format!("{name} is not a mapping, so not a Compose file"))),
    }
}
