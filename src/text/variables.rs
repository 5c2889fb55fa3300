//! `${NAME}` and the environment it is filled from.

use std::collections::BTreeMap;

use crate::error::Result;

use super::{Source, nearest};

/// The environment of whoever deploys, as values: the library never reads the process's own.
pub type Environment = BTreeMap<String, String>;

/// Fills `${NAME}` and `${NAME:-default}`; `$${` stands for a literal `${`. Names of the variables that
/// were filled in are added to `used`.
///
/// An undefined name without a default is an error with its place.
pub fn fill(source: Source<'_>, text: &str, offered: Offered<'_>, used: &mut Vec<String>) -> Result<String> {
    let environment = offered.environment;
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            filled.push_str(&rest[..at - 1]);
            filled.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        filled.push_str(&rest[..at]);
        let body = &rest[at + 2..];
        let Some(end) = body.find('}') else {
            return Err(source.error_near(&rest[at..], "`${` without its `}`"));
        };
        let inner = &body[..end];
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let whole = &rest[at..at + 2 + end + 1];
        if !is_name(name) {
            return Err(source
                .error_near(whole, format!("`{whole}` names no variable"))
                .hint("write ${NAME} or ${NAME:-default}; $${ stands for a literal ${"));
        }
        if let Some((why, hint)) = offered.refuses(name) {
            return Err(source.error_near(whole, why).hint(hint));
        }
        match (environment.get(name), default) {
            (Some(value), _) if !value.is_empty() => {
                used.push(name.to_owned());
                filled.push_str(value);
            }
            (_, Some(default)) => filled.push_str(default),
            (_, None) => {
                let is = if environment.contains_key(name) { "is empty" } else { "is not set" };
                let mut error = source.error_near(whole, format!("`{name}` {is} in the environment"));
                if let Some(near) = nearest(name, environment.keys().map(String::as_str).filter(|known| *known != name)) {
                    error = error.hint(format!("`{near}` is set; was that meant?"));
                }
                return Err(error.hint(format!(
                    "set it where estiba runs, or give a default: ${{{name}:-value}}; ${{{name}:-}} may be empty"
                )));
            }
        }
        rest = &body[end + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// What the files of a project may be filled from.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'a> {
    /// The environment of whoever deploys.
    pub environment: &'a Environment,
    /// `[project] variables`: no others fill anything.
    pub named: Option<&'a [String]>,
}

impl Offered<'_> {
    /// Why this variable fills nothing, and what to do, if that is so.
    pub fn refuses(&self, name: &str) -> Option<(String, String)> {
        if is_reserved(name) {
            let why = format!("`{name}` is reserved for estiba or the CI job, and cannot be used here");
            return Some((why, "give the value another name where estiba runs".into()));
        }
        let is_named = self.named.is_none_or(|named| named.iter().any(|known| known == name));
        (!is_named).then(|| {
            let why = format!("`{name}` is not listed in [project] variables, so it is not used");
            (why, format!("to use it: [project] variables = [\"{name}\", …] in deploy.toml"))
        })
    }
}

/// Variables by which estiba, or the job that it runs in, is trusted or steered: nothing of a project is filled with them, or
/// whoever may write to the repository could have them sent somewhere.
pub fn is_reserved(name: &str) -> bool {
    ["ESTIBA_", "ACTIONS_", "GITHUB_", "RUNNER_"].iter().any(|beginning| name.starts_with(beginning))
        || ["GH_TOKEN", "SSH_AUTH_SOCK"].contains(&name)
}

/// Is this a name that a shell would take for a variable?
pub fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String> {
        let environment = Environment::from([("NAME".into(), "v$a}l".into()), ("EMPTY".into(), String::new())]);
        let offered = Offered { environment: &environment, named: None };
        fill(Source { name: "f", text }, text, offered, &mut Vec::new())
    }

    #[test]
    fn only_named_variables_fill_and_reserved_ones_never_do() {
        let names = ["A", "B", "GITHUB_SHA", "RUNNER_TEMP", "ACTIONS_X", "ESTIBA_TOKEN", "SSH_AUTH_SOCK"];
        let environment: Environment = names.map(|name| (name.to_owned(), "value".to_owned())).into();
        let named = ["A".to_owned(), "GITHUB_SHA".to_owned()];
        let fill = |named, text: &str| {
            fill(Source { name: "f", text }, text, Offered { environment: &environment, named }, &mut Vec::new())
        };
        assert_eq!(fill(None, "${A}${B}").unwrap(), "valuevalue");
        assert_eq!(fill(Some(&named[..]), "${A}").unwrap(), "value");
        let error = fill(Some(&named[..]), "${B}").unwrap_err();
        assert!(error.to_string().contains("`B` is not listed in [project] variables"), "{error}");
        for name in &names[2..] {
            for named in [None, Some(&named[..])] {
                let error = fill(named, &format!("${{{name}:-x}}")).unwrap_err();
                assert!(error.to_string().contains("is reserved for estiba or the CI job"), "{error}");
            }
        }
    }

    #[test]
    fn fills_values_defaults_and_escapes() {
        assert_eq!(filled("a ${NAME} b").unwrap(), "a v$a}l b");
        assert_eq!(filled("${OTHER:-x}${EMPTY:-y}[${EMPTY:-}]").unwrap(), "xy[]");
        assert_eq!(filled("$${NAME} $NAME $").unwrap(), "${NAME} $NAME $");
    }

    #[test]
    fn an_undefined_name_is_an_error_with_its_place_and_the_nearest_name() {
        let error = filled("x\n  ${NAMES}").unwrap_err();
        assert!(error.to_string().contains("f:2:3"), "{error}");
        assert!(error.hints[0].contains("`NAME` is set"), "{error}");
        // A secret that a workflow does not have is the empty text.
        assert!(filled("${EMPTY}").unwrap_err().message.contains("is empty"));
        assert!(filled("${NAME").is_err());
        assert!(filled("${}").is_err());
        assert!(filled("${a b}").is_err());
        for name in ["ESTIBA_SSH_KEY", "ESTIBA_TOKEN", "GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN"] {
            assert!(filled(&format!("x@${{{name}:-}}.example")).unwrap_err().message.contains("is reserved for estiba"));
        }
    }
}
