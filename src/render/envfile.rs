//! The env file: a template in, `KEY=value` lines out that Compose reads back exactly.

use minijinja::Value;

use crate::config::{Environment, Source, fill};
use crate::error::Result;

use super::template;

/// A rendered env file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvFile {
    /// Its name beside the Compose file.
    pub name: String,
    /// The variables in their order, with their values.
    pub values: Vec<(String, String)>,
    /// Values that came from the environment of whoever deploys.
    pub secrets: Vec<String>,
}

impl EnvFile {
    /// Renders the template: minijinja first, then `${NAME}` line by line, so that no value is ever
    /// taken for template text.
    pub fn render(source: Source<'_>, name: &str, values: &Value, environment: &Environment) -> Result<Self> {
        Self::rendered(source, name, values, environment)
            .map_err(|error| error.or_hint("a line is KEY=value; ${NAME} and ${NAME:-default} come from the environment"))
    }

    fn rendered(source: Source<'_>, name: &str, values: &Value, environment: &Environment) -> Result<Self> {
        let text = template::render(source, values)?;
        let rendered = Source { name: source.name, text: &text };
        let mut file = Self { name: name.to_owned(), ..Self::default() };
        let mut used = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let assignment = trimmed.strip_prefix("export ").unwrap_or(trimmed);
            let wrong = |message: &str| rendered.error_at(index + 1, 1, line.chars().count(), message);
            let Some((key, raw)) = assignment.split_once('=') else {
                return Err(wrong("this line of the env file is not KEY=value"));
            };
            let key = key.trim();
            if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.' || b == b'-') || key.is_empty() {
                return Err(wrong("this line of the env file begins with no variable name"));
            }
            let raw = unquote(raw.trim()).ok_or_else(|| wrong("the quotes on this line of the env file do not match"))?;
            let value = fill(rendered, &raw, environment, &mut used)?;
            file.values.retain(|(known, _)| known != key);
            file.values.push((key.to_owned(), value));
        }
        file.secrets = used
            .iter()
            .filter(|name| may_be_secret(name))
            .filter_map(|name| environment.get(name))
            .filter(|value| value.len() >= 4)
            .cloned()
            .collect();
        file.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        file.secrets.dedup();
        Ok(file)
    }

    /// The variables as a map.
    pub fn environment(&self) -> Environment {
        self.values.iter().cloned().collect()
    }

    /// The text that Compose reads.
    pub fn to_text(&self) -> String {
        let line = |(key, value): &(String, String)| format!("{key}={}\n", quote(value));
        self.values.iter().map(line).collect()
    }
}

/// Ports, hosts and the like are never secret, and hiding them would hide the cause of many a failure.
fn may_be_secret(name: &str) -> bool {
    !["PORT", "HOST", "HOSTS", "DOMAIN", "REGION", "DEBUG", "LEVEL"]
        .iter()
        .any(|end| name == *end || name.ends_with(&format!("_{end}")))
}

/// A value without its quotes, and without a comment behind it.
fn unquote(raw: &str) -> Option<String> {
    match raw.chars().next() {
        Some(quote @ ('\'' | '"')) => {
            let end = raw[1..].find(quote)? + 1;
            let behind = raw[end + 1..].trim();
            (behind.is_empty() || behind.starts_with('#')).then(|| raw[1..end].to_owned())
        }
        _ => Some(raw.split(" #").next().unwrap_or(raw).trim_end().to_owned()),
    }
}

/// A value so that Compose's reader gives it back: bare, in single quotes, or in double quotes with escapes.
fn quote(value: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if value.chars().all(bare) {
        value.to_owned()
    } else if !value.contains(['\'', '\n', '\r', '\\']) {
        format!("'{value}'")
    } else {
        let mut quoted = String::from("\"");
        for c in value.chars() {
            match c {
                '\\' | '"' | '$' => quoted.extend(['\\', c]),
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                c => quoted.push(c),
            }
        }
        quoted + "\""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> Result<EnvFile> {
        let environment = Environment::from([("PASSWORD".into(), "pa$$ 'w{{ord}}".into()), ("PLAIN".into(), "a-1".into())]);
        EnvFile::render(Source { name: ".env", text }, ".env", &minijinja::context!(target => "production"), &environment)
    }

    #[test]
    fn a_secret_is_never_taken_for_template_text() {
        let file = render("# note\nA=${PASSWORD}\nexport B = ${PLAIN} # why\nC='x # y'\nT={{ target }}\n").unwrap();
        let value = |key: &str| file.environment()[key].clone();
        assert_eq!(value("A"), "pa$$ 'w{{ord}}");
        assert_eq!((value("B"), value("C"), value("T")), ("a-1".into(), "x # y".into(), "production".into()));
        assert_eq!(file.secrets, ["pa$$ 'w{{ord}}"]);
        assert_eq!(file.to_text(), "A=\"pa\\$\\$ 'w{{ord}}\"\nB=a-1\nC='x # y'\nT=production\n");
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        for (text, place) in
            [("A=1\nnonsense\n", ".env:2:1"), ("A=${NOPE}\n", ".env:1:3"), ("A='x\n", ".env:1:1"), ("A={{ nope }}", ".env:1")]
        {
            let error = render(text).unwrap_err();
            assert!(error.message.contains(place), "{text}: {error}");
        }
    }
}
