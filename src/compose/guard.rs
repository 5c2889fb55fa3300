//! What Compose files may name: nothing outside of the project, nothing far away, no program.
//!
//! Compose opens the files of `include`, `extends`, `env_file` and `label_file`, dials where one of them is an address, and
//! runs what `provider` names. The files are looked at before Compose sees them.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use serde::de::{DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer};
use yaml_serde::{Mapping, Value};

use crate::error::{Error, Result};
use crate::text::{Environment, Source, nearest, read_limited};

use super::interpolate::expand;

/// A file that was looked at: its name, as the user knows it, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) text: String,
}

/// More files than any project has.
const MOST: usize = 200;

/// Looks at these files and at all that they name; returns them all, the given ones first.
pub(super) struct Guard<'a> {
    /// Nothing outside of this folder is read.
    pub(super) boundary: &'a Utf8Path,
    pub(super) values: &'a Environment,
    pub(super) seen: Vec<Seen>,
    pub(super) known: BTreeSet<Utf8PathBuf>,
    /// The env files that `include` names.
    pub(super) env_files: Vec<Utf8PathBuf>,
}

impl Guard<'_> {
    /// `top` for the files that make the model; those must have services.
    pub(super) fn look(&mut self, path: &Utf8Path, folder: &Utf8Path, top: bool) -> Result<()> {
        let real = path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned());
        if !self.known.insert(real) {
            return Ok(());
        }
        let text = read_limited(path)?;
        let seen = Seen { name: path.as_str().to_owned(), text };
        self.seen.push(seen.clone());
        let source = Source { name: &seen.name, text: &seen.text };
        if self.seen.len() > MOST {
            return Err(Error::input(format!("{path}: more than {MOST} files belong to this Compose file")));
        }
        for document in documents(source)? {
            self.document(&document, source, path, folder, top)?;
        }
        Ok(())
    }

    fn document(&mut self, root: &Mapping, source: Source<'_>, path: &Utf8Path, folder: &Utf8Path, top: bool) -> Result<()> {
        let own = path.parent().unwrap_or(Utf8Path::new(""));
        for entry in listed(root.get("include")) {
            let (paths, base) = match entry {
                Value::Mapping(map) => {
                    let base = map.get("project_directory").and_then(Value::as_str);
                    for file in listed(map.get("env_file")).into_iter().filter_map(Value::as_str) {
                        let file = self.inside(source, "include", file, folder)?;
                        self.env_files.push(file);
                    }
                    (listed(map.get("path")).into_iter().filter_map(Value::as_str).map(str::to_owned).collect(), base)
                }
                Value::String(path) => (vec![path.clone()], None),
                _ => (Vec::new(), None),
            };
            for (index, included) in paths.iter().enumerate() {
                let file = self.inside(source, "include", included, folder)?;
                if !file.is_file() {
                    return Err(source
                        .error_near(included, format!("the included file `{included}` does not exist"))
                        .hint(format!("`include` looks for it from the folder {}", shown(folder))));
                }
                let base = match base {
                    Some(base) => self.inside(source, "project_directory", base, folder)?,
                    None if index == 0 => file.parent().unwrap_or(Utf8Path::new("")).to_owned(),
                    None => folder.to_owned(),
                };
                self.look(&file, &base, false)?;
            }
        }
        if !top && root.get("services").is_none() {
            return Ok(());
        }
        let Some(services) = root.get("services").and_then(untagged).and_then(Value::as_mapping) else {
            return if root.contains_key("include") && !root.contains_key("services") {
                Ok(())
            } else {
                self.no_services(root, source)
            };
        };
        for (name, service) in services {
            let (Some(name), Some(service)) = (name.as_str(), untagged(service).and_then(Value::as_mapping)) else { continue };
            self.service(name, service, source, own, folder)?;
        }
        Ok(())
    }

    /// A second file may hold networks alone; where none of them has services, Compose says so.
    fn no_services(&self, root: &Mapping, source: Source<'_>) -> Result<()> {
        if self.seen.len() > 1 && !root.contains_key("services") {
            return Ok(());
        }
        if root.contains_key("services") {
            return Err(source
                .error_near(
                    "services",
                    "`services` is empty, or not a mapping from names to services: there is nothing to deploy",
                )
                .hint("`docker compose config` shows how Compose reads the file"));
        }
        let message = format!("{} has no `services`, so there is nothing to deploy", source.name);
        let near = nearest("services", root.keys().filter_map(Value::as_str)).map(str::to_owned);
        let error = source.error_at(1, 1, 1, message);
        Err(match near {
            Some(near) => error.hint(format!("`{near}` stands there; was `services` meant?")),
            None => error.hint("[stack] compose in deploy.toml names another file"),
        })
    }

    fn service(&mut self, name: &str, map: &Mapping, source: Source<'_>, own: &Utf8Path, folder: &Utf8Path) -> Result<()> {
        for (key, why) in [
            ("provider", "it runs a program of this machine, not a container"),
            ("use_api_socket", "it hands the Docker Engine, and with it the whole server, to the container"),
        ] {
            if map.get(key).is_some_and(|value| value.as_bool() != Some(false)) {
                return Err(source
                    .error_near(&format!("{key}:"), format!("service `{name}`: `{key}` is refused: {why}"))
                    .hint("take it out of the Compose file that is deployed"));
            }
        }
        if let Some(Value::Mapping(extends)) = map.get("extends").and_then(untagged)
            && let Some(file) = extends.get("file").and_then(Value::as_str)
        {
            let path = self.inside(source, "extends", file, own)?;
            if !path.is_file() {
                return Err(source
                    .error_near(file, format!("service `{name}` extends one of `{file}`, which does not exist"))
                    .hint("the path starts at the folder of the file that says so"));
            }
            self.look(&path, path.parent().unwrap_or(Utf8Path::new("")), false)?;
        }
        for key in ["env_file", "label_file"] {
            for entry in listed(map.get(key)) {
                let path = entry.as_str().or_else(|| entry.as_mapping()?.get("path")?.as_str());
                if let Some(path) = path {
                    self.inside(source, key, path, folder)?;
                }
            }
        }
        Ok(())
    }

    /// The path as a file of the project; an address, or a way out of the project, is refused.
    fn inside(&self, source: Source<'_>, key: &str, written: &str, folder: &Utf8Path) -> Result<Utf8PathBuf> {
        let path = expand(written, self.values);
        let far = path.contains("://") || path.starts_with("git@") || path.starts_with("github.com/") || path.contains(".git#");
        if far {
            return Err(source
                .error_near(written, format!("`{key}: {written}` is a URL, and estiba downloads nothing"))
                .hint("keep a copy of that file in the repository"));
        }
        let full = folder.join(&path);
        if escapes(&full, self.boundary) {
            return Err(source
                .error_near(written, format!("`{key}: {written}` is outside the project ({})", self.boundary))
                .hint("move it into the repository"));
        }
        Ok(full)
    }
}

/// Does the path, with its symbolic links followed, lie outside of the folder?
pub(super) fn escapes(path: &Utf8Path, boundary: &Utf8Path) -> bool {
    let Ok(boundary) = boundary.canonicalize_utf8() else { return true };
    let mut near = path.to_owned();
    // What does not exist is where its nearest folder that does says.
    loop {
        if let Ok(real) = near.canonicalize_utf8() {
            let rest = path.strip_prefix(&near).unwrap_or(Utf8Path::new(""));
            let mut full = real;
            for part in rest.components() {
                match part.as_str() {
                    ".." => drop(full.pop()),
                    part => full.push(part),
                }
            }
            return !full.starts_with(&boundary);
        }
        if !near.pop() {
            return true;
        }
        if near.as_str().is_empty() {
            near.push(".");
        }
    }
}

fn shown(folder: &Utf8Path) -> &str {
    if folder.as_str().is_empty() || folder == "." { "of deploy.toml" } else { folder.as_str() }
}

/// One entry, or the entries of a list.
fn listed(value: Option<&Value>) -> Vec<&Value> {
    match value.and_then(untagged) {
        Some(Value::Sequence(list)) => list.iter().collect(),
        Some(Value::Null) | None => Vec::new(),
        Some(one) => vec![one],
    }
}

/// A value without its `!override` or `!reset`.
fn untagged(value: &Value) -> Option<&Value> {
    match value {
        Value::Tagged(tagged) => untagged(&tagged.value),
        other => Some(other),
    }
}

/// The documents of a YAML file, each a mapping, merge keys applied.
fn documents(source: Source<'_>) -> Result<Vec<Mapping>> {
    let name = source.name;
    let place = |error: &yaml_serde::Error| -> Error {
        let said = error.to_string();
        // The place is shown by the snippet; the library repeats it at the end of its words.
        let message = said.split(" at line ").next().unwrap_or(&said).to_owned();
        let error = match error.location() {
            Some(at) => source.error_at(at.line(), at.column(), 1, format!("not valid YAML: {message}")),
            None => Error::input(format!("{name}: not valid YAML: {said}")),
        };
        if source.text.lines().any(|line| line.trim_start_matches(' ').starts_with('\t')) {
            error.hint("YAML is indented by spaces; this file has a tab at the beginning of a line")
        } else {
            error.hint("`docker compose config` shows how Compose reads the file")
        }
    };
    if let Some(at) = too_deep(source.text) {
        return Err(source
            .error(at..at + 1, format!("{name} has more than {DEEPEST} brackets open at once"))
            .hint("close the bracket, or put the text that holds it in quotes"));
    }
    // First counted, which keeps nothing: aliases of aliases come to more than any memory holds.
    for document in yaml_serde::Deserializer::from_str(source.text) {
        let mut left = MOST_VALUES;
        match Counting(&mut left).deserialize(document) {
            Ok(()) => {}
            Err(_) if left == 0 => {
                return Err(source
                    .error_near("*", format!("{name} has more than {MOST_VALUES} values once its aliases are expanded"))
                    .hint("use fewer aliases, or shorter lists behind them"));
            }
            Err(error) => return Err(place(&error)),
        }
    }
    let mut found = Vec::new();
    for document in yaml_serde::Deserializer::from_str(source.text) {
        let mut value = Value::deserialize(document).map_err(|error| place(&error))?;
        // What Compose makes of a merge key that is no mapping, it says itself.
        let _ = value.apply_merge();
        match value {
            Value::Mapping(mapping) => found.push(mapping),
            Value::Null => {}
            _ => {
                return Err(source
                    .error_at(1, 1, 1, format!("{name} is not a mapping, so not a Compose file"))
                    .hint("[stack] compose in deploy.toml names another file"));
            }
        }
    }
    if found.is_empty() {
        return Err(source
            .error_at(1, 1, 1, format!("{name} is empty"))
            .hint("[stack] compose in deploy.toml names another file"));
    }
    Ok(found)
}

/// Deeper than any Compose file. The time that the parser takes grows with the square of it.
const DEEPEST: usize = 1_000;

/// Where more brackets are open than that. Brackets in texts and comments are counted as well: none has as many.
fn too_deep(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    text.bytes().position(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > DEEPEST
    })
}

/// Once written out, no file has as many values, keys counted in.
const MOST_VALUES: usize = 1_000_000;

/// Goes through a document and keeps nothing of it, down to the number of values that are still allowed.
struct Counting<'a>(&'a mut usize);

impl Counting<'_> {
    fn one<E: serde::de::Error>(&mut self) -> std::result::Result<(), E> {
        *self.0 = self.0.saturating_sub(1);
        if *self.0 == 0 { Err(E::custom("too many values")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Counting<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counting<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_bool<E: serde::de::Error>(mut self, _: bool) -> std::result::Result<(), E> {
        self.one()
    }

    fn visit_i64<E: serde::de::Error>(mut self, _: i64) -> std::result::Result<(), E> {
        self.one()
    }

    fn visit_i128<E: serde::de::Error>(mut self, _: i128) -> std::result::Result<(), E> {
        self.one()
    }

    fn visit_u64<E: serde::de::Error>(mut self, _: u64) -> std::result::Result<(), E> {
        self.one()
    }

    fn visit_u128<E: serde::de::Error>(mut self, _: u128) -> std::result::Result<(), E> {
        self.one()
    }

    fn visit_f64<E: serde::de::Error>(mut self, _: f64) -> std::result::Result<(), E> {
        self.one()
    }

    fn visit_str<E: serde::de::Error>(mut self, _: &str) -> std::result::Result<(), E> {
        self.one()
    }

    fn visit_unit<E: serde::de::Error>(mut self) -> std::result::Result<(), E> {
        self.one()
    }

    fn visit_none<E: serde::de::Error>(mut self) -> std::result::Result<(), E> {
        self.one()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> std::result::Result<(), A::Error> {
        self.one()?;
        while seq.next_element_seed(Counting(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> std::result::Result<(), A::Error> {
        self.one()?;
        while map.next_key_seed(Counting(self.0))?.is_some() {
            map.next_value_seed(Counting(self.0))?;
        }
        Ok(())
    }

    // A value with a tag, `!reset` say.
    fn visit_enum<A: EnumAccess<'de>>(mut self, data: A) -> std::result::Result<(), A::Error> {
        self.one()?;
        let (_, value) = data.variant::<serde::de::IgnoredAny>()?;
        value.newtype_variant_seed(Counting(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Mapping>> {
        documents(Source { name: "compose.yml", text })
    }

    #[test]
    fn aliases_that_come_to_too_much_are_refused_before_they_are_written_out() {
        // Wide: 3,000 values, 6,000 times. Deep: ten times ten times ten …
        let wide = format!("a: &a [{}]\nb: [{}]\n", "x, ".repeat(3000), "*a, ".repeat(6000));
        let deep: String =
            (1..12).map(|level| format!("l{level}: &l{level} [{}]\n", format!("*l{}, ", level - 1).repeat(10))).collect();
        let deep = format!("l0: &l0 [{}]\n{deep}", "x, ".repeat(1000));
        for bomb in [wide, deep] {
            let said = read(&bomb).unwrap_err().to_string();
            assert!(said.contains("compose.yml:") && (said.contains("values") || said.contains("repetition")), "{said}");
        }
    }

    #[test]
    fn anchors_tags_and_merge_keys_of_a_real_file_are_read() {
        let text = "x-app: &app {image: a, environment: {A: 1, B: null, C: 1.5, D: true}}\nservices:\n  web: {<<: *app, ports: !reset []}\n  worker: *app\n";
        let files = read(text).unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0]["services"]["web"]["image"], Value::from("a"));
        assert!(read("services: [\n").unwrap_err().to_string().contains("compose.yml:"));
    }

    #[test]
    fn any_text_is_a_compose_file_or_an_error() {
        let (_folder, folder) = crate::private::folder().unwrap();
        let values = Environment::from([("A".into(), "b".into())]);
        crate::fuzz::read("compose.yml", &crate::fuzz::cases("compose.yml"), |text| {
            let Ok(text) = std::str::from_utf8(text) else { return };
            let source = Source { name: "compose.yml", text };
            let mut guard =
                Guard { boundary: &folder, values: &values, seen: Vec::new(), known: BTreeSet::new(), env_files: Vec::new() };
            let looked = documents(source).and_then(|documents| {
                documents
                    .iter()
                    .try_for_each(|document| guard.document(document, source, &folder.join("compose.yml"), &folder, true))
            });
            assert!(guard.env_files.iter().all(|file| !escapes(file, &folder)), "{:?}", guard.env_files);
            if let Err(error) = looked {
                assert!(error.kind == crate::error::Kind::Input && !error.message.is_empty(), "{error}");
            }
        });
    }
}
