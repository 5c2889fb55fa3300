//! The model of the team's Compose files.

use camino::{Utf8Path, Utf8PathBuf};
use yaml_serde::{Mapping, Value};

use crate::error::{Error, Result};
use crate::private;
use crate::text::{Environment, Source};

use super::guard::{Guard, Seen};
use super::interpolate::Variable;
use super::{Compose, Service, normal, parse_env_file, variables};

/// The names that Compose looks for in a folder, in its order, and those that projects use for what they deploy.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// The Compose file of a folder, by Compose's own order of names.
pub fn find_files(folder: &Utf8Path) -> Option<Utf8PathBuf> {
    NAMES.iter().map(Utf8PathBuf::from).find(|name| folder.join(name).is_file())
}

/// Which files to read, and how.
#[derive(Debug, Clone)]
pub struct Reading<'a> {
    /// The program that reads them.
    pub compose: &'a Compose,
    /// The files, the first one first.
    pub files: Vec<Utf8PathBuf>,
    /// Nothing outside of this folder is read.
    pub boundary: Utf8PathBuf,
    /// The Compose project's name.
    pub project: String,
    /// The profiles that are asked for.
    pub profiles: Vec<String>,
    /// May variables be without a value? Then a number stands in for each.
    pub to_look: bool,
}

/// The team's Compose files as one model: every reference to a variable is still there, and beside it what it comes to.
#[derive(Debug, Clone)]
pub struct Model {
    /// The main file's path as the user knows it.
    pub name: String,
    /// Its top level as written, in long form, without what no profile asks for.
    pub root: Mapping,
    /// The same with variables filled in. It may hold secrets: it is never rendered.
    filled: Mapping,
    /// The folder that relative paths start at, in full.
    pub folder: Utf8PathBuf,
    /// Values that the env files of `include` give, where the target's own env file does not.
    pub included_values: Environment,
    seen: Vec<Seen>,
}

/// What the env files of included Compose files give, beside what the target's own says.
fn included(reading: &Reading<'_>, env_files: &[Utf8PathBuf], values: &Environment) -> Result<Environment> {
    let mut included = Environment::new();
    for path in env_files {
        let text = crate::text::read_limited(path)?;
        let read = parse_env_file(reading.compose, &text, values)?.map_err(|why| Error::input(format!("{path}: {why}")))?;
        for (name, value) in read.into_iter().filter(|(name, _)| !values.contains_key(name)) {
            included.entry(name).or_insert(value);
        }
    }
    Ok(included)
}

impl Model {
    /// Reads the files. `values` is what the target's env file says.
    ///
    /// Errors are input errors with their place: a file that is missing or leads out of the project, YAML that is wrong, what
    /// Compose does not take, a variable without a value. All missing variables are told at once.
    pub fn read(reading: &Reading<'_>, values: &Environment, env_file: Option<&str>) -> Result<Self> {
        let Some(first) = reading.files.first() else { return Err(Error::input("there is no Compose file")) };
        let folder = first.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        let mut guard =
            Guard { boundary: &reading.boundary, values, seen: Vec::new(), known: Default::default(), env_files: Vec::new() };
        for file in &reading.files {
            guard.look(file, folder, true)?;
        }
        let Guard { seen, env_files, .. } = guard;
        let included_values = included(reading, &env_files, values)?;
        let mut all = included_values.clone();
        all.extend(values.clone());
        let folder_path =
            folder.canonicalize_utf8().map_err(|error| Error::input(format!("cannot look into {folder}: {error}")))?;
        all.insert("PWD".into(), folder_path.clone().into_string());
        let mut model = Self {
            name: first.as_str().to_owned(),
            root: Mapping::new(),
            filled: Mapping::new(),
            folder: folder_path.clone(),
            included_values,
            seen,
        };
        if reading.to_look {
            let texts: Vec<String> = model.seen.iter().map(|seen| seen.text.clone()).collect();
            for variable in texts.iter().flat_map(|text| variables(text)).filter(Variable::is_required) {
                all.entry(variable.name).or_insert_with(|| "1".to_owned());
            }
        }
        let (_private, own) = private::folder()?;
        let env_path = own.join("env");
        let text: String =
            all.iter().map(|(name, value)| format!("{name}={}\n", crate::compose::quote_env_value(value))).collect();
        std::fs::write(&env_path, text).map_err(|error| Error::failed(format!("writing {env_path}: {error}")))?;
        let Reading { compose, files, project, profiles, .. } = reading;
        let raw = compose.config(folder, files, project, profiles, None)?;
        let unfilled = own.join("compose.json");
        if let Ok(raw) = &raw {
            std::fs::write(&unfilled, to_be_filled(raw).to_string())
                .map_err(|error| Error::failed(format!("writing {unfilled}: {error}")))?;
        }
        model.root = model.mapping(raw)?;
        normal::normalise(&mut model.root);
        model.check_names()?;
        let filled = compose.config(folder, &[unfilled], project, profiles, Some(&env_path))?;
        model.keep_active_of(filled.as_ref().ok());
        if !reading.to_look {
            model.check_variables(&all, env_file)?;
        }
        model.filled = model.mapping(filled)?;
        if model.services().next().is_none() {
            let source = model.source();
            return Err(source
                .error_near("services", "no service is left: all belong to profiles that are not enabled")
                .hint("[stack] profiles = [\"…\"] enables one"));
        }
        model.check_services()?;
        Ok(model)
    }

    /// Of what Compose printed, the top level.
    fn mapping(&self, read: std::result::Result<serde_json::Value, String>) -> Result<Mapping> {
        let json = read.map_err(|said| self.complaint(&said))?;
        match yaml_serde::to_value(json) {
            Ok(Value::Mapping(mapping)) => Ok(mapping),
            _ => Err(Error::failed("Docker Compose printed no output")),
        }
    }

    /// What Compose complains of, with the place that it means.
    fn complaint(&self, said: &str) -> Error {
        let lines: Vec<&str> = said.lines().filter(|line| !line.contains("level=warning")).collect();
        let mut words = lines.join("\n").trim().to_owned();
        for seen in &self.seen {
            let full = Utf8Path::new(&seen.name).canonicalize_utf8().unwrap_or_default();
            words = words.replace(full.as_str(), &seen.name);
        }
        let words = words.strip_prefix("validating ").unwrap_or(&words).to_owned();
        let message = format!("Docker Compose rejects {}: {words}", self.name);
        // `services.web.volumes must be a list`
        let path = words.split_whitespace().find_map(|word| word.trim_matches([':', '\'', '"', ',']).strip_prefix("services."));
        let error = match path.map(|path| path.split('.').collect::<Vec<_>>()) {
            Some(parts) => self.error(parts[0], parts.get(1).copied().unwrap_or(parts[0]), &message),
            None => {
                let quoted = words.split(['"', '\'', '`']).nth(1).unwrap_or("services");
                self.seen_with(quoted).error_near(quoted, &message)
            }
        };
        error.hint("`docker compose config` shows how Compose reads the file")
    }

    /// Names that are none, before they are used in any command.
    fn check_names(&self) -> Result<()> {
        for name in self.root.get("services").and_then(Value::as_mapping).into_iter().flatten().map(|(name, _)| name) {
            let name = name.as_str().unwrap_or_default();
            let good = !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
                && !name.starts_with('-');
            if !good {
                return Err(self
                    .seen_with(name)
                    .error_near(name, format!("`{name}` is not a name that Compose takes for a service"))
                    .hint("letters, digits, `.`, `_` and `-`"));
            }
        }
        Ok(())
    }

    /// With variables unfilled, Compose leaves in what no profile asks for.
    fn keep_active_of(&mut self, filled: Option<&serde_json::Value>) {
        let Some(active) = filled.and_then(|filled| filled["services"].as_object()) else { return };
        let mut gone = Vec::new();
        if let Some(Value::Mapping(services)) = self.root.get_mut("services") {
            services.retain(|name, _| {
                let stays = name.as_str().is_some_and(|name| active.contains_key(name));
                if !stays {
                    gone.extend(name.as_str().map(str::to_owned));
                }
                stays
            });
            for (_, service) in services.iter_mut() {
                if let Some(Value::Mapping(depends)) = service.get_mut("depends_on") {
                    depends.retain(|name, _| !name.as_str().is_some_and(|name| gone.iter().any(|gone| gone == name)));
                }
            }
        }
    }

    /// Refuses a model that needs a variable which has no value: Compose would take it for empty.
    fn check_variables(&self, known: &Environment, env_file: Option<&str>) -> Result<()> {
        let mut errors: Vec<Error> = Vec::new();
        let mut told: Vec<String> = Vec::new();
        for key in ["services", "volumes", "networks", "secrets", "configs"] {
            let Some(Value::Mapping(section)) = self.root.get(key) else { continue };
            for (name, value) in section {
                let name = name.as_str().unwrap_or_default();
                let mut see = |variable: Variable, text: &str| {
                    if variable.is_required()
                        && !known.contains_key(&variable.name)
                        && !OWN.contains(&variable.name.as_str())
                        && !told.contains(&variable.name)
                    {
                        errors.push(self.missing(name, &variable, text, known, env_file));
                        told.push(variable.name);
                    }
                };
                strings(value, &mut |text| variables(text).into_iter().for_each(|variable| see(variable, text)));
                let variable = value.get("environment").filter(|_| key == "secrets" || key == "configs").and_then(Value::as_str);
                if let Some(variable) = variable.filter(|variable| !known.contains_key(*variable)) {
                    let message = format!("`{variable}`, which `{name}` in {key} needs, is not in the env file");
                    errors.push(
                        self.seen_with(variable).error_near(variable, message).hint(format!("add {variable}=… to the env file")),
                    );
                }
            }
        }
        Error::all(errors)
    }

    fn missing(&self, service: &str, variable: &Variable, text: &str, known: &Environment, env_file: Option<&str>) -> Error {
        let name = &variable.name;
        let message = match env_file {
            Some(file) => format!("`{name}` is not set: {file} does not define it"),
            None => format!("`{name}` is not set: the target has no env file"),
        };
        let needles = [format!("${{{name}"), format!("${name}"), text.to_owned()];
        let needle = needles.iter().find(|needle| self.seen.iter().any(|seen| seen.text.contains(needle.as_str())));
        let error = self.error(service, needle.map_or(service, String::as_str), &message);
        let error = match crate::text::nearest(name, known.keys().map(String::as_str)).map(str::to_owned) {
            Some(near) => error.hint(format!("`{near}` is defined; was that meant?")),
            None => error,
        };
        error.hint(format!("add {name}=… to the env file, or give a default: ${{{name}:-value}}"))
    }

    fn check_services(&self) -> Result<()> {
        let errors = self
            .services()
            .filter(|service| service.image().is_none() && service.build().is_none())
            .map(|service| {
                self.error(service.name, service.name, &format!("service `{}`: it has neither `image` nor `build`", service.name))
                    .hint("name the image that it runs, or what it is built from")
            })
            .collect();
        Error::all(errors)
    }

    /// The variables of a service's environment that have no value, neither there nor in the env file: its containers do not get
    /// them.
    pub fn without_value(&self, known: &Environment) -> Vec<(String, Vec<String>)> {
        let missing = |service: Service<'_>| {
            let environment = service.map.get("environment").and_then(Value::as_mapping);
            let names =
                environment.into_iter().flatten().filter(|(_, value)| value.is_null()).filter_map(|(name, _)| name.as_str());
            let names: Vec<String> = names.filter(|name| !known.contains_key(*name)).map(str::to_owned).collect();
            (!names.is_empty()).then(|| (service.name.to_owned(), names))
        };
        self.services().filter_map(missing).collect()
    }

    /// An error about this service, at the first place within it where `needle` stands.
    pub fn error(&self, service: &str, needle: &str, message: &str) -> Error {
        for seen in &self.seen {
            let source = Source { name: &seen.name, text: &seen.text };
            if let Some(block) = block(&seen.text, service)
                && let Some(found) = seen.text[block.clone()].find(needle)
            {
                let start = block.start + found;
                return source.error(start..start + needle.len(), message);
            }
        }
        self.seen_with(needle).error_near(needle, message)
    }

    /// An error about a file or folder that the Compose files name, at the place where they do.
    pub fn about_path(&self, path: &str, error: Error) -> Error {
        let written = format!("./{path}");
        let needle = if self.seen.iter().any(|seen| seen.text.contains(&written)) { written.as_str() } else { path };
        self.seen_with(needle).place(error, needle)
    }

    fn seen_with(&self, needle: &str) -> Source<'_> {
        let seen = self.seen.iter().find(|seen| seen.text.contains(needle)).or(self.seen.first());
        seen.map_or(Source { name: &self.name, text: "" }, |seen| Source { name: &seen.name, text: &seen.text })
    }

    /// The main file's text with its name.
    pub fn source(&self) -> Source<'_> {
        self.seen_with("services")
    }

    /// The services, by their names.
    pub fn services(&self) -> impl Iterator<Item = Service<'_>> {
        let filled = self.filled.get("services").and_then(Value::as_mapping);
        let services = self.root.get("services").and_then(Value::as_mapping);
        services.into_iter().flatten().filter_map(move |(name, service)| {
            let map = service.as_mapping()?;
            let filled = filled.and_then(|filled| filled.get(name)?.as_mapping()).unwrap_or(map);
            Some(Service { name: name.as_str()?, map, filled })
        })
    }

    /// The service of that name.
    pub fn service(&self, name: &str) -> Option<Service<'_>> {
        self.services().find(|service| service.name == name)
    }

    /// A part of the model beside its services, filled: `volumes`, say.
    pub fn filled_section(&self, key: &str) -> Option<&Mapping> {
        self.filled.get(key).and_then(Value::as_mapping)
    }

    /// A path that Compose filled in, as one that starts at the Compose file's folder, where it lies below it.
    pub fn below_folder(&self, path: &str) -> Option<String> {
        let below = Utf8Path::new(path).strip_prefix(&self.folder).ok()?;
        Some(if below.as_str().is_empty() { ".".to_owned() } else { below.as_str().to_owned() })
    }
}

/// What Compose read, as it can be read once more to be filled: without the files that it would open, and with mounts whose
/// source begins with a variable in the form that lets Compose see whether it is a path or a volume's name.
fn to_be_filled(raw: &serde_json::Value) -> serde_json::Value {
    let mut model = raw.clone();
    for service in model["services"].as_object_mut().into_iter().flat_map(|services| services.values_mut()) {
        let Some(service) = service.as_object_mut() else { continue };
        for key in ["env_file", "label_file", "extends"] {
            service.remove(key);
        }
        let volumes = service.get_mut("volumes").and_then(serde_json::Value::as_array_mut);
        for mount in volumes.into_iter().flatten() {
            let text = |key: &str| mount[key].as_str().unwrap_or_default().to_owned();
            if text("type") == "volume" && text("source").starts_with('$') {
                let mode = if mount["read_only"].as_bool() == Some(true) { ":ro" } else { "" };
                *mount = format!("{}:{}{mode}", text("source"), text("target")).into();
            }
        }
    }
    model
}

/// Set by estiba itself on the server, or by Compose: PWD is the Compose file's folder.
const OWN: [&str; 4] = ["ESTIBA_RELEASE", "ESTIBA_IMAGE", "ESTIBA_SLOT", "PWD"];

/// The lines of a service in a Compose file: from its name to the next line that is indented no deeper.
fn block(text: &str, service: &str) -> Option<std::ops::Range<usize>> {
    let mut start = None;
    let mut depth = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        let code = trimmed.trim_end();
        match start {
            None if indent > 0 => {
                let name = code.trim_start_matches(['"', '\'']);
                let rest = name.strip_prefix(service).map(|rest| rest.trim_start_matches(['"', '\'']));
                if rest.is_some_and(|rest| rest.starts_with(':')) {
                    start = Some(at);
                    depth = indent;
                }
            }
            Some(start) if !code.is_empty() && !code.starts_with('#') && indent <= depth => return Some(start..at),
            _ => {}
        }
        at += line.len();
    }
    start.map(|start| start..text.len())
}

fn strings(value: &Value, see: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => see(text),
        Value::Sequence(list) => list.iter().for_each(|item| strings(item, see)),
        Value::Mapping(map) => map.iter().for_each(|(_, item)| strings(item, see)),
        Value::Tagged(tagged) => strings(&tagged.value, see),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_service_is_its_own_block() {
        let text = "services:\n  web:\n    image: a\n\n  db:\n    image: b\nvolumes: {}\n";
        assert_eq!(&text[block(text, "web").unwrap()], "  web:\n    image: a\n\n");
        assert_eq!(&text[block(text, "db").unwrap()], "  db:\n    image: b\n");
        assert_eq!(block(text, "services"), None);
    }

    /// What Compose prints, or a program in its place: its services are looked at in every way that there is.
    #[test]
    fn any_model_is_looked_at_without_a_panic() {
        let json = |yaml: Vec<u8>| {
            let value: Value = yaml_serde::from_slice(&yaml).ok()?;
            serde_json::to_vec(&value).ok()
        };
        let good: Vec<Vec<u8>> = crate::fuzz::cases("compose.yml").into_iter().filter_map(json).collect();
        crate::fuzz::read("model", &good, |text| {
            let Ok(Value::Mapping(mut root)) = serde_json::from_slice::<Value>(text) else { return };
            let filled = root.clone();
            normal::normalise(&mut root);
            let model = Model {
                name: "compose.yml".into(),
                root,
                filled,
                folder: "/project".into(),
                included_values: Environment::new(),
                seen: vec![Seen { name: "compose.yml".into(), text: String::from_utf8_lossy(text).into_owned() }],
            };
            let _ = (model.check_names(), model.check_services(), model.check_variables(&Environment::new(), None));
            let _ = model.without_value(&Environment::new());
            for service in model.services() {
                let _ = (service.image_name(), service.environment(), service.labels(), service.depends_on(), service.needs());
                let _ = (service.health_url(), service.command_line(), service.published(), service.ports(), service.replicas());
                let _ = (service.build(), service.env_files());
                for mount in service.mounts() {
                    let _ = (mount.relative_source(), mount.written_source().len(), mount.with_source("x"));
                }
                assert!(!model.error(service.name, "image", "wrong").message.is_empty());
            }
        });
    }
}
