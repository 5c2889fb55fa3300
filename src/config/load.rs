//! Reads deploy.toml: `${NAME}` filled in, keys checked against the schema, values against their types.

use std::ops::Range;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Result};
use crate::text::{Environment, Offered, Source, fill, nearest, without_secrets};

use super::envfile::may_be_secret;
use super::{Config, checks, extends, shape};

/// A deploy.toml that was read, with its own text for later errors.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// Its path as the user knows it.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl Loaded {
    /// The text with its name, to point at places in it.
    pub fn source(&self) -> Source<'_> {
        Source { name: &self.name, text: &self.text }
    }
}

/// Reads the text of deploy.toml.
///
/// Every failure is an input error (exit 2) with file, line, column and the offending line.
pub fn load(name: &str, text: &str, environment: &Environment) -> Result<Loaded> {
    let config = parse(Source { name, text }, environment)?;
    Ok(Loaded { config, name: name.to_owned(), text: text.to_owned() })
}

/// The same, for the configuration alone.
pub fn parse(source: Source<'_>, environment: &Environment) -> Result<Config> {
    let document = DeTable::parse(source.text).map_err(|error| toml_error(source, &error))?;
    let schema = shape::schema();
    check_keys(source, document.get_ref(), &schema, &schema, "")?;
    let mut config: Config = toml::from_str(source.text).map_err(|error| toml_error(source, &error))?;
    extends::extend(source, &mut config.target)?;
    fill_values(source, &mut config, environment)?;
    checks::check(source, &config).map_err(|error| {
        let error = error.or_hint("`estiba config schema` has every key and its values");
        error.with_texts(&|text| without_secrets(&text, &config.secrets).into_owned())
    })?;
    Ok(config)
}

fn toml_error(source: Source<'_>, error: &toml::de::Error) -> Error {
    let span: Range<usize> = error.span().unwrap_or(0..0);
    let found = source.error(span.clone(), error.message());
    match error.message() {
        message if message.contains("missing field `project`") || message.contains("missing field `name`") => {
            found.hint("a deploy.toml begins with [project] and name = \"…\"")
        }
        message if message.contains("missing field `hosts`") => found.hint("a target needs hosts = [\"user@host\"]"),
        _ => match documentation_at(source, &span) {
            Some(documentation) => found.hint(documentation),
            None => found.hint(
                "deploy.toml is TOML: [section], then key = \"text\", key = 3, key = true or key = [\"a\", \"b\"] below it",
            ),
        },
    }
}

/// What the key is, whose value stands at this place.
fn documentation_at(source: Source<'_>, span: &Range<usize>) -> Option<String> {
    fn find(table: &DeTable<'_>, span: &Range<usize>, at: &str) -> Option<String> {
        table.iter().find_map(|(key, value)| {
            let name: &str = key.get_ref();
            let path = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
            match value.get_ref() {
                DeValue::Table(inner) => find(inner, span, &path),
                _ => (value.span().start <= span.start && span.end <= value.span().end && !span.is_empty()).then_some(path),
            }
        })
    }
    let document = DeTable::parse(source.text).ok()?;
    let path = find(document.get_ref(), span, "")?;
    Some(format!("{path}: {}", documentation(&path)?))
}

/// The documentation of a key, by its path; the name of a target is passed over.
fn documentation(path: &str) -> Option<String> {
    let root = shape::schema();
    let mut schema = &root;
    let mut text = None;
    for name in path.split('.') {
        let section = follow(schema, &root);
        schema = section.get("properties").and_then(|known| known.get(name)).or_else(|| section.get("additionalProperties"))?;
        text = schema.get("description").and_then(Json::as_str);
    }
    Some(text?.replace('\n', " "))
}

/// Walks document and schema side by side; the first unknown key is the error.
fn check_keys(source: Source<'_>, table: &DeTable<'_>, schema: &Json, root: &Json, at: &str) -> Result<()> {
    let schema = follow(schema, root);
    let known = schema.get("properties").and_then(Json::as_object);
    let any = schema.get("additionalProperties").filter(|value| value.is_object());
    for (key, value) in table {
        let name: &str = key.get_ref();
        let next = known.and_then(|known| known.get(name)).or(any);
        let Some(next) = next else {
            let place = if at.is_empty() { String::from("at the top") } else { format!("in [{at}]") };
            let mut error = source.error(key.span(), format!("unknown key `{name}` {place}"));
            let names: Vec<&str> = known.map(|known| known.keys().map(String::as_str).collect()).unwrap_or_default();
            if let Some(near) = nearest(name, names.iter().copied()) {
                error = error.hint(format!("did you mean `{near}`?"));
            } else if let Some(home) = home_of(name, root) {
                error = error.hint(format!("`{name}` belongs in [{home}]"));
            } else {
                error = error.hint(format!("known keys {place}: {}", names.join(", ")));
            }
            return Err(error);
        };
        let path = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        check_value(source, value, next, root, &path)?;
    }
    Ok(())
}

fn check_value(source: Source<'_>, value: &Spanned<DeValue<'_>>, schema: &Json, root: &Json, at: &str) -> Result<()> {
    let schema = follow(schema, root);
    match value.get_ref() {
        DeValue::Table(table) if schema.get("properties").is_some() || schema.get("additionalProperties").is_some() => {
            check_keys(source, table, schema, root, at)
        }
        DeValue::Array(items) if schema.get("items").is_some() => {
            items.iter().try_for_each(|item| check_value(source, item, &schema["items"], root, at))
        }
        other if schema.get("properties").is_some() && !matches!(other, DeValue::Table(_)) => Err(source
            .error(value.span(), format!("`{at}` is a section: write [{at}] and its keys below it"))
            .hint(documentation(at).unwrap_or_else(|| String::from("a section is a table")))),
        _ => Ok(()),
    }
}

/// The schema behind `$ref` and behind the `null` of an optional one.
fn follow<'a>(schema: &'a Json, root: &'a Json) -> &'a Json {
    let mut schema = schema;
    for _ in 0..8 {
        if let Some(path) = schema.get("$ref").and_then(Json::as_str) {
            schema = root.pointer(path.trim_start_matches('#')).unwrap_or(&Json::Null);
        } else if let Some(choice) = schema.get("anyOf").and_then(Json::as_array) {
            let some = choice.iter().find(|one| one.get("type").and_then(Json::as_str) != Some("null"));
            schema = some.unwrap_or(&Json::Null);
        } else {
            break;
        }
    }
    schema
}

/// The section that knows this key, for a key that stands in the wrong one.
fn home_of(name: &str, root: &Json) -> Option<String> {
    let sections = root.get("properties")?.as_object()?;
    for (section, schema) in sections {
        let known = follow(schema, root).get("properties").and_then(Json::as_object);
        if known.is_some_and(|known| known.contains_key(name)) {
            return Some(section.clone());
        }
    }
    None
}

/// Fills `${NAME}` in every value that may hold one.
fn fill_values(source: Source<'_>, config: &mut Config, environment: &Environment) -> Result<()> {
    let mut used = Vec::new();
    let named = config.project.variables.clone();
    let offered = Offered { environment, named: named.as_deref() };
    let mut one = |value: &mut String| -> Result<()> {
        *value = fill(source, value, offered, &mut used)?;
        Ok(())
    };
    for target in config.target.values_mut() {
        target.hosts.iter_mut().try_for_each(&mut one)?;
        target.host_keys.iter_mut().try_for_each(&mut one)?;
        target.jump.iter_mut().try_for_each(&mut one)?;
        let places = [&mut target.identity, &mut target.root, &mut target.url, &mut target.env_file];
        places.into_iter().flatten().try_for_each(&mut one)?;
    }
    let image = &mut config.image;
    [&mut image.reference, &mut image.username, &mut image.password, &mut image.archive]
        .into_iter()
        .flatten()
        .try_for_each(&mut one)?;
    if let Some(offsite) = &mut config.backup.offsite {
        let written = offsite.clone();
        one(offsite)?;
        config.backup.offsite_is_secret = written != *offsite;
    }
    for smoke in &mut config.smoke {
        smoke.headers.values_mut().try_for_each(&mut one)?;
        smoke.body.iter_mut().try_for_each(&mut one)?;
    }
    config.backup.offsite_environment.values_mut().try_for_each(&mut one)?;
    used.retain(|name| may_be_secret(name));
    config.secrets = used.iter().filter_map(|name| environment.get(name)).filter(|value| value.len() >= 4).cloned().collect();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        load("deploy.toml", text, &Environment::new()).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_has_its_place_and_the_nearest_known_one() {
        let text = "[project]\nname = \"x\"\n[rollout]\nstrategi = \"recreate\"\n";
        insta::assert_snapshot!(error(text), @r#"
        unknown key `strategi` in [rollout]
         --> deploy.toml:4:1
          |
        4 | strategi = "recreate"
          | ^^^^^^^^
          hint: did you mean `strategy`?
        "#);
    }

    #[test]
    fn a_key_in_the_wrong_section_is_told_its_home() {
        assert!(error("[project]\nname = \"x\"\nkeep-releases = 3\n").contains("belongs in [rollout]"));
    }

    #[test]
    fn a_wrong_type_has_its_place() {
        let said = error("[project]\nname = \"x\"\n[app]\nport = \"eight\"\n");
        assert!(said.contains("deploy.toml:4:8"), "{said}");
    }

    #[test]
    fn values_are_checked() {
        assert!(error("[project]\nname = \"Big Name\"\n").contains("deploy.toml:2:8"));
        assert!(error("[project]\nname = \"x\"\n[target.a]\nhosts = [\"h\"]\nroot = \"/etc\"\n").contains("root"));
        assert!(error("[project]\nname = \"x\"\n[target.a]\nhosts = [\"h\"]\nroot = \"/etc/x\"\n").contains("root"));
        assert!(error("[project]\nname = \"x\"\n[target.a]\nhosts = [\"u@${NOPE}\"]\n").contains("`NOPE` is not set"));
        assert!(error("project = 3\n").contains("is a section"));
        assert!(error("").contains("missing field `project`"));
    }

    #[test]
    fn any_text_is_a_deploy_toml_or_an_error_with_its_place() {
        let mut good = crate::fuzz::cases("deploy.toml");
        good.extend(crate::fuzz::files("deploy.toml"));
        let environment = Environment::from([("A".into(), "a value".into())]);
        crate::fuzz::read("deploy.toml", &good, |text| {
            let Ok(text) = std::str::from_utf8(text) else { return };
            if let Err(error) = load("deploy.toml", text, &environment) {
                assert!(error.kind == crate::error::Kind::Input && !error.message.is_empty(), "{error}");
                let snippet = error.to_string();
                assert!(snippet.len() < 16 * 1024, "{} bytes of error", snippet.len());
            }
        });
    }
}
