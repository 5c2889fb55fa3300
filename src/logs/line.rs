//! A line of a container's log.

/// A line that a container printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The container, without the project's name: `web-blue-1`.
    pub container: String,
    /// When, as the Engine has it: UTC, with nanoseconds; lines of the same container are in its order.
    pub time: String,
    /// What it printed.
    pub text: String,
}

impl Line {
    /// Reads a line of `docker compose logs --timestamps --no-color`; `None` for what is none.
    pub fn parse(line: &str) -> Option<Self> {
        let (container, rest) = line.split_once('|')?;
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let (time, text) = rest.split_once(' ').unwrap_or((rest, ""));
        let is_time = time.len() >= 20 && time.ends_with('Z') && time.as_bytes()[4] == b'-' && time.as_bytes()[10] == b'T';
        let container = container.trim();
        (is_time && !container.is_empty()).then(|| Self {
            container: container.to_owned(),
            time: time.to_owned(),
            text: text.to_owned(),
        })
    }

    /// The service as the team's Compose file calls it: without the container's number and its slot.
    pub fn service(&self) -> &str {
        let name = match self.container.rsplit_once('-') {
            Some((name, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => &self.container,
        };
        name.strip_suffix("-blue").or_else(|| name.strip_suffix("-green")).unwrap_or(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composes_lines_are_read_whatever_they_hold() {
        let line = Line::parse("web-blue-1        | 2026-11-27T07:57:08.123456789Z  a | b").unwrap();
        assert_eq!((line.container.as_str(), line.service(), line.text.as_str()), ("web-blue-1", "web", " a | b"));
        let line = Line::parse("my-app  | 2026-11-27T07:57:08.123456789Z").unwrap();
        assert_eq!((line.service(), line.text.as_str()), ("my-app", ""));
        assert_eq!(Line::parse("web-2024-1 | 2026-11-27T07:57:08.123456789Z x").unwrap().service(), "web-2024");
        for other in ["", "no bar", "db-1 | no time", "| 2026-11-27T07:57:08.123456789Z x", "db-1 exited with code 0"] {
            assert_eq!(Line::parse(other), None, "{other}");
        }
    }
}
