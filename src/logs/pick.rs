//! Which lines somebody wants.

use std::collections::BTreeMap;

use regex::Regex;

use super::Line;

/// How grave a line says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever looks for a fault.
    Debug,
    /// What happens.
    Info,
    /// Not as it should be.
    Warning,
    /// Something failed.
    Error,
}

impl Level {
    /// The level of that word, in any case; `None` for another word.
    pub fn named(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "trace" | "debug" => Self::Debug,
            "info" | "notice" | "log" | "statement" => Self::Info,
            "warn" | "warning" => Self::Warning,
            "err" | "error" | "crit" | "critical" | "fatal" | "panic" | "alert" | "emerg" | "emergency" => Self::Error,
            _ => return None,
        })
    }

    /// The level that a line tells: a member of a JSON object, `level=` of logfmt, or the first such word in capitals or brackets.
    fn of(text: &str) -> Option<Self> {
        if text.starts_with('{') {
            let object: serde_json::Value = serde_json::from_str(text).ok()?;
            return ["level", "levelname", "severity", "lvl"].iter().find_map(|key| Self::named(object[key].as_str()?));
        }
        let quoted = |word: &str| word.trim_matches(['"', '\'', ',', ';']).to_owned();
        let logfmt = text.split(' ').find_map(|word| word.strip_prefix("level=").or_else(|| word.strip_prefix("lvl=")));
        if let Some(level) = logfmt.and_then(|word| Self::named(&quoted(word))) {
            return Some(level);
        }
        let beginning: String = text.chars().take(120).collect();
        beginning.split([' ', '\t', '[', ']', ':', '|', '(', ')']).filter(|word| !word.is_empty()).find_map(|word| {
            let in_brackets = text.contains(&format!("[{word}]"));
            let is_told = in_brackets || word.bytes().all(|byte| byte.is_ascii_uppercase());
            is_told.then(|| Self::named(word)).flatten()
        })
    }
}

/// What is wanted of a stream of lines.
#[derive(Debug, Default)]
pub struct Pick {
    /// Of these services, or of all where none is named.
    pub services: Vec<String>,
    /// Lines that match.
    pub pattern: Option<Regex>,
    /// Lines at least that grave; a line that does not tell goes with the one before it, as those of a traceback do.
    pub level: Option<Level>,
    before: BTreeMap<String, bool>,
}

impl Pick {
    /// Picks these.
    pub fn new(services: Vec<String>, pattern: Option<Regex>, level: Option<Level>) -> Self {
        Self { services, pattern, level, before: BTreeMap::new() }
    }

    /// Is this line one of them?
    pub fn wants(&mut self, line: &Line) -> bool {
        let named = |service: &String| service == line.service() || *service == line.container;
        if !self.services.is_empty() && !self.services.iter().any(named) {
            return false;
        }
        if let Some(least) = self.level {
            let grave = match Level::of(&line.text) {
                Some(level) => level >= least,
                None => self.before.get(&line.container).copied().unwrap_or(false),
            };
            self.before.insert(line.container.clone(), grave);
            if !grave {
                return false;
            }
        }
        self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(&line.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_in_the_usual_formats() {
        for (text, level) in [
            ("{\"level\": \"warning\", \"message\": \"x\"}", Some(Level::Warning)),
            ("{\"severity\":\"ERROR\"}", Some(Level::Error)),
            ("time=2026 level=info msg=\"error\"", Some(Level::Info)),
            ("[2026-11-27 07:57:08 +0000] [7] [INFO] Booting worker", Some(Level::Info)),
            ("2026-11-27 07:57:08.123 UTC [1] FATAL:  password", Some(Level::Error)),
            ("2026/11/27 07:57:08 [error] 29#29: *1 connect() failed", Some(Level::Error)),
            ("ERROR django.request Internal Server Error: /", Some(Level::Error)),
            ("Traceback (most recent call last):", None),
            ("an error in a sentence", None),
        ] {
            assert_eq!(Level::of(text), level, "{text}");
        }
    }

    #[test]
    fn what_follows_a_grave_line_goes_with_it() {
        let line = |container: &str, text: &str| Line { container: container.into(), time: String::new(), text: text.into() };
        let mut pick = Pick::new(vec!["web".into()], None, Some(Level::Warning));
        let shown: Vec<bool> = [
            line("web-blue-1", "INFO fine"),
            line("web-blue-1", "  more of it"),
            line("web-blue-1", "ERROR not fine"),
            line("web-green-1", "Traceback"),
            line("web-blue-1", "Traceback"),
            line("db-1", "ERROR of another"),
        ]
        .iter()
        .map(|line| pick.wants(line))
        .collect();
        assert_eq!(shown, [false, false, true, false, true, false]);
        let mut pick = Pick::new(Vec::new(), Some(Regex::new("a+b").unwrap()), None);
        assert!(pick.wants(&line("db-1", "xaab")) && !pick.wants(&line("db-1", "b")));
    }
}
