//! The env file: a template in, `KEY=value` lines out that Compose reads back exactly. What is between, the quotes, escapes
//! and references to earlier lines, means what Docker Compose means by it: Compose reads it.

use crate::compose::{Compose, parse_env_file, quote_env_value, variables};
use crate::error::{Error, Result};
use crate::text::{Environment, Offered, Source, is_reserved, nearest, render_template};

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
    /// Renders the template with minijinja, then has Compose read it, with those variables that it names of the ones that are offered.
    pub fn render(
        compose: &Compose,
        source: Source<'_>,
        name: &str,
        values: &[(&str, String)],
        offered: Offered<'_>,
    ) -> Result<Self> {
        let text = render_template(source, values)?;
        let rendered = Source { name: source.name, text: &text };
        let used = asked_for(rendered, offered)?;
        let values = parse_env_file(compose, &text, &used)?.map_err(|why| wrong(rendered, &why))?;
        let mut secrets: Vec<String> =
            used.iter().filter(|(name, value)| may_be_secret(name) && value.len() >= 4).map(|(_, value)| value.clone()).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Ok(Self { name: name.to_owned(), values, secrets })
    }

    /// The variables as a map.
    pub fn environment(&self) -> Environment {
        self.values.iter().cloned().collect()
    }

    /// The text that Compose reads.
    pub fn to_text(&self) -> String {
        let line = |(key, value): &(String, String)| format!("{key}={}\n", quote_env_value(value));
        self.values.iter().map(line).collect()
    }
}

/// The variables of the environment that the file is made of. All that are missing are told at once.
fn asked_for(source: Source<'_>, offered: Offered<'_>) -> Result<Environment> {
    let environment = offered.environment;
    let mut used = Environment::new();
    let mut defined: Vec<String> = Vec::new();
    let mut errors: Vec<Error> = Vec::new();
    let mut literal = false;
    for (index, line) in source.text.lines().enumerate() {
        let trimmed = line.trim();
        // A value in single quotes is literal, over several lines too.
        if literal {
            literal = !trimmed.contains('\'');
            continue;
        }
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let assignment = trimmed.strip_prefix("export ").unwrap_or(trimmed);
        let (key, raw) = assignment.split_once(['=', ':']).unwrap_or((assignment, ""));
        let (key, raw) = (key.trim(), raw.trim());
        if let Some(rest) = raw.strip_prefix('\'') {
            literal = !rest.contains('\'');
            defined.push(key.to_owned());
            continue;
        }
        let alone = !assignment.contains(['=', ':']) && crate::text::is_name(key);
        let value = if raw.starts_with('"') { raw } else { raw.split(" #").next().unwrap_or(raw) };
        // A dollar behind a backslash is one.
        let value = &value.replace("\\\\", "").replace("\\$", "");
        let mut names: Vec<(String, bool)> =
            variables(value).into_iter().map(|variable| (variable.name.clone(), variable.is_required())).collect();
        if alone {
            names.push((key.to_owned(), true));
        }
        for (name, required) in names {
            if let Some((why, hint)) = offered.refuses(&name) {
                errors.push(source.error_at(index + 1, column(line, &name), name.len(), why).hint(hint));
                continue;
            }
            match environment.get(&name) {
                Some(value) if !value.is_empty() => drop(used.insert(name, value.clone())),
                _ if defined.contains(&name) || !required => {}
                known => {
                    let is = if known.is_some() { "is empty" } else { "is not set" };
                    let mut error =
                        source.error_at(index + 1, column(line, &name), name.len(), format!("`{name}` {is} in the environment"));
                    let others = environment.keys().map(String::as_str).filter(|other| *other != name && !is_reserved(other));
                    if let Some(near) = nearest(&name, others) {
                        error = error.hint(format!("`{near}` is set; was that meant?"));
                    }
                    errors.push(error.hint(format!(
                        "set it where estiba runs, or give a default: ${{{name}:-value}}; ${{{name}:-}} may be empty; a value in '…' is not filled in"
                    )));
                }
            }
        }
        defined.push(key.to_owned());
    }
    Error::all(errors)?;
    Ok(used)
}

fn column(line: &str, name: &str) -> usize {
    let at = line.find(&format!("${{{name}")).or_else(|| line.find(&format!("${name}"))).or_else(|| line.find(name));
    line[..at.unwrap_or(0)].chars().count() + 1
}

/// What Compose says of an env file, at the line that it means.
fn wrong(source: Source<'_>, why: &str) -> Error {
    let line = why.split("line ").nth(1).and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    let quoted = why.split('"').nth(1).filter(|word| !word.is_empty() && source.text.contains(*word));
    let why = why.lines().last().unwrap_or(why).trim_start_matches("failed to read ").replace("the env file: ", "");
    let message = format!("Docker Compose rejects this env file: {why}");
    let error = match (line, quoted) {
        (Some(line), _) => source.error_at(line, 1, usize::MAX, message),
        (None, Some(word)) => source.error_near(word, message),
        (None, None) => source.error_at(1, 1, 1, message),
    };
    error.hint("a line is KEY=value; values with spaces or signs stand in quotes; ${NAME} and ${NAME:-default} come from the environment")
}

/// Ports, hosts and the like are never secret, and hiding them would hide the cause of many a failure.
pub(super) fn may_be_secret(name: &str) -> bool {
    !["PORT", "HOST", "HOSTS", "DOMAIN", "REGION", "DEBUG", "LEVEL"]
        .iter()
        .any(|end| name == *end || name.ends_with(&format!("_{end}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the test finds Compose as the command does")]
    fn render(text: &str) -> Result<EnvFile> {
        let path = |name: &str| (name.to_owned(), std::env::var(name).unwrap_or_default());
        let compose = Compose::find(&Environment::from([path("PATH"), path("HOME")])).unwrap();
        let environment = Environment::from([("PASSWORD".into(), "pa$$ 'w{{ord}}".into()), ("PLAIN".into(), "a-1".into())]);
        let offered = Offered { environment: &environment, named: None };
        EnvFile::render(&compose, Source { name: ".env", text }, ".env", &[("target", "production".into())], offered)
    }

    #[test]
    fn a_secret_is_never_taken_for_template_text() {
        let file = render("# note\nA=${PASSWORD}\nexport B=${PLAIN} # why\nC='x # $y'\nT={{ target }}\nD=${B}-$T\n").unwrap();
        let value = |key: &str| file.environment()[key].clone();
        assert_eq!(value("A"), "pa$$ 'w{{ord}}");
        assert_eq!((value("B"), value("C"), value("T")), ("a-1".into(), "x # $y".into(), "production".into()));
        assert_eq!(value("D"), "a-1-production");
        assert_eq!(file.secrets, ["pa$$ 'w{{ord}}"]);
        assert_eq!(file.to_text(), "A=\"pa\\$\\$ 'w{{ord}}\"\nB=a-1\nC='x # $y'\nD=a-1-production\nT=production\n");
    }

    #[test]
    fn what_is_wrong_has_its_place_and_all_of_it_is_told() {
        for (text, place) in
            [("A=${NOPE}\n", ".env:1:3"), ("A='x\n", ".env:2:1"), ("A={{ nope }}", ".env:1"), ("A=1\nB=$PLAN", ".env:2:3")]
        {
            let error = render(text).unwrap_err();
            assert!(error.to_string().contains(place), "{text}: {error}");
        }
        let both = render("A=${NOPE}\nB=${NEITHER}\n").unwrap_err().to_string();
        assert!(both.contains("`NOPE` is not set") && both.contains("`NEITHER` is not set"), "{both}");
        assert!(render("A=${ESTIBA_SSH_KEY:-x}").unwrap_err().message.contains("is reserved for estiba"));
    }

    #[test]
    fn what_is_written_back_is_what_was_read() {
        let values = ["plain", "two words", "it's", "a\nb\r\n", "\\ \" $x $$ `y` #z", "ñ → 日本", ""];
        let text: String = values.iter().enumerate().map(|(at, value)| format!("V{at}={}\n", quote_env_value(value))).collect();
        let read = render(&text).unwrap();
        assert_eq!(read.values.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), values);
    }

    #[test]
    fn any_text_names_variables_or_is_refused_at_its_line() {
        let good = [
            "A=1\nexport B=\"x ${PASSWORD} y\" # z\nC='literal $x\nmore'\nD=${PLAIN:-a}${X:?no}\nPLAIN\nE: f\n",
            include_str!("../../examples/django/.env.production"),
        ];
        let good: Vec<Vec<u8>> = good.iter().map(|text| text.as_bytes().to_vec()).collect();
        let environment = Environment::from([
            ("PASSWORD".into(), "pa$$ 'w{{ord}}".into()),
            ("PLAIN".into(), "a-1".into()),
            ("ESTIBA_TOKEN".into(), "token".into()),
        ]);
        crate::fuzz::read("env", &good, |text| {
            let Ok(text) = std::str::from_utf8(text) else { return };
            let source = Source { name: ".env", text };
            let Ok(text) = render_template(source, &[("target", "production".into())]) else { return };
            let offered = Offered { environment: &environment, named: None };
            match asked_for(Source { name: ".env", text: &text }, offered) {
                Ok(used) => assert!(used.iter().all(|(name, value)| !is_reserved(name) && environment[name] == *value)),
                Err(error) => assert!(error.to_string().contains(".env:"), "{error}"),
            }
        });
    }
}
