//! `${NAME}` in Compose files: which variables a value asks for, and what it comes to.

use crate::text::{Environment, is_name};

/// One reference to a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What stands after the name: the operator and its word, `:-default` say; empty for none.
    pub rest: String,
}

impl Variable {
    /// Does Compose need a value for it? Not where a default or an alternative is given.
    pub fn is_required(&self) -> bool {
        !self.rest.trim_start_matches(':').starts_with(['-', '+'])
    }
}

/// The variables that a text asks for, by Compose's rules: `$NAME`, `${NAME}`, `${NAME:-x}` and the like;
/// `$$` is a literal dollar.
pub fn variables(text: &str) -> Vec<Variable> {
    let mut found = Vec::new();
    named(text, DEEPEST, &mut found);
    found
}

/// Defaults that stand in each other deeper than this are not looked into: Compose fills them, or refuses them.
const DEEPEST: usize = 50;

fn named(text: &str, depth: usize, found: &mut Vec<Variable>) {
    walk(text, &mut |piece| {
        if let Piece::Variable(variable) = piece {
            // A default may hold variables of its own.
            let rest = variable.rest.clone();
            found.push(variable);
            if depth > 0 {
                named(&rest, depth - 1, found);
            }
        }
    });
}

/// The text with its variables filled in from this environment, defaults honoured, unset ones empty.
pub fn expand(text: &str, environment: &Environment) -> String {
    expand_within(text, environment, DEEPEST)
}

fn expand_within(text: &str, environment: &Environment, depth: usize) -> String {
    let mut filled = String::new();
    walk(text, &mut |piece| match piece {
        Piece::Text(text) => filled.push_str(text),
        Piece::Variable(Variable { name, rest }) => {
            let value = environment.get(&name).map(String::as_str);
            let (operator, word) =
                rest.split_at(rest.find(|c| c != ':' && c != '-' && c != '+' && c != '?').unwrap_or(rest.len()));
            let full = value.filter(|value| !(operator.starts_with(':') && value.is_empty()));
            let mut default = || {
                let filled_in = if depth > 0 { expand_within(word, environment, depth - 1) } else { word.to_owned() };
                filled.push_str(&filled_in);
            };
            match (operator.trim_start_matches(':'), full) {
                ("-", None) | ("+", Some(_)) => default(),
                ("+", None) => {}
                (_, full) => filled.push_str(full.unwrap_or("")),
            }
        }
    });
    filled
}

enum Piece<'a> {
    Text(&'a str),
    Variable(Variable),
}

fn walk(text: &str, see: &mut dyn FnMut(Piece<'_>)) {
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        see(Piece::Text(&rest[..at]));
        let after = &rest[at + 1..];
        if let Some(escaped) = after.strip_prefix('$') {
            see(Piece::Text("$"));
            rest = escaped;
        } else if let Some(body) = after.strip_prefix('{') {
            let Some(end) = closing(body) else { break };
            let inner = &body[..end];
            let split = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
            // What names none is a text to us, and wrong to Compose, which says so.
            match is_name(&inner[..split]) {
                true => see(Piece::Variable(Variable { name: inner[..split].to_owned(), rest: inner[split..].to_owned() })),
                false => see(Piece::Text(&rest[at..at + 2 + end + 1])),
            }
            rest = &body[end + 1..];
        } else {
            let split = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            if split == 0 || after.starts_with(|c: char| c.is_ascii_digit()) {
                see(Piece::Text("$"));
                rest = after;
            } else {
                see(Piece::Variable(Variable { name: after[..split].to_owned(), rest: String::new() }));
                rest = &after[split..];
            }
        }
    }
    see(Piece::Text(rest));
}

/// Where the `}` is that ends a `${` whose body this is.
fn closing(body: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_variables_and_leaves_dollars() {
        let names = |text: &str| variables(text).into_iter().map(|v| (v.name.clone(), v.is_required())).collect::<Vec<_>>();
        assert_eq!(
            names("$A ${B} ${C:-d} ${D:?no} $$E ${F-${G}}"),
            [
                ("A".into(), true),
                ("B".into(), true),
                ("C".into(), false),
                ("D".into(), true),
                ("F".into(), false),
                ("G".into(), true),
            ]
        );
        assert_eq!(names("100$ $1 $ ${} ${|} ${1}"), []);
    }

    #[test]
    fn defaults_in_defaults_have_a_bound() {
        let deep = format!("{}x{}", "${A:-".repeat(100_000), "}".repeat(100_000));
        assert!(variables(&deep).len() <= DEEPEST + 1);
        assert!(expand(&deep, &Environment::new()).len() < deep.len());
    }

    #[test]
    fn expands_as_compose_does() {
        let environment = Environment::from([("A".into(), "1".into()), ("E".into(), String::new())]);
        assert_eq!(expand("$A ${A} ${E:-x} ${E-x} ${N:-${A}} ${A:+y}${N:+y} $$A", &environment), "1 1 x  1 y $A");
    }

    #[test]
    fn any_text_is_expanded() {
        let good = [b"$A ${B} ${C:-d} ${D:?no} $$E ${F-${G}} ${H:+i}".to_vec()];
        let environment = Environment::from([("A".into(), "$B${B}".into()), ("B".into(), "b".into())]);
        crate::fuzz::read("interpolation", &good, |text| {
            let text = String::from_utf8_lossy(text);
            let named = variables(&text);
            assert!(named.iter().all(|variable| !variable.name.is_empty()));
            let _ = expand(&text, &environment);
        });
    }
}
