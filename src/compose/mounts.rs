//! Mounts of a service, in short and long syntax.

use yaml_serde::Value;

/// What one entry of a service's `volumes` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it comes from: a path for a bind mount, a volume's name; none for an anonymous volume.
    pub source: Option<String>,
    /// Where it is mounted.
    pub target: String,
    /// Is the source a path on the host?
    pub bind: bool,
}

impl Mount {
    /// Reads one entry; `None` for what is neither syntax.
    pub fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(short) => {
                let parts = split_short(short);
                let (source, target) = match parts.as_slice() {
                    [target] => (None, *target),
                    [source, target, ..] => (Some((*source).to_owned()), *target),
                    [] => return None,
                };
                let bind = source.as_deref().is_some_and(is_path);
                Some(Self { source, target: target.to_owned(), bind })
            }
            Value::Mapping(long) => {
                let text = |key: &str| long.get(key).and_then(Value::as_str).map(str::to_owned);
                Some(Self { source: text("source"), target: text("target")?, bind: text("type").as_deref() == Some("bind") })
            }
            _ => None,
        }
    }

    /// The source, where it is a path relative to the Compose file, without its leading `./`.
    pub fn relative_source(&self) -> Option<&str> {
        let source = self.source.as_deref().filter(|_| self.bind)?;
        let relative =
            source == "." || source.starts_with("./") || source.starts_with("../") || !source.starts_with(['/', '~', '$']);
        relative.then(|| source.trim_start_matches("./").trim_end_matches('/'))
    }

    /// The entry with another source, in the syntax that it was written in.
    pub fn with_source(value: &Value, source: &str) -> Value {
        match value {
            Value::String(short) => {
                let parts = split_short(short);
                let mut parts: Vec<&str> = parts.into_iter().collect();
                parts[0] = source;
                parts.join(":").into()
            }
            Value::Mapping(long) => {
                let mut long = long.clone();
                long.insert("source".into(), source.into());
                long.into()
            }
            other => other.clone(),
        }
    }
}

fn is_path(source: &str) -> bool {
    source.starts_with(['/', '.', '~']) || source.starts_with("${") && source.contains('/')
}

/// The parts of short syntax between `:`, those within `${…}` left whole.
pub fn split_short(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' if at > 0 && bytes[at - 1] == b'$' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_syntaxes() {
        let short = Mount::read(&"./nginx/:/etc/nginx/conf.d:ro".into()).unwrap();
        assert_eq!(short.relative_source(), Some("nginx"));
        assert_eq!(short.target, "/etc/nginx/conf.d");
        let named = Mount::read(&"data:/data".into()).unwrap();
        assert!(!named.bind && named.relative_source().is_none());
        let variable = Mount::read(&"${DIR:-./data}:/data".into()).unwrap();
        assert_eq!((variable.source.as_deref(), variable.target.as_str()), (Some("${DIR:-./data}"), "/data"));
        assert_eq!(variable.relative_source(), None);
        let long: Value = yaml_serde::from_str("{type: bind, source: media, target: /m}").unwrap();
        assert_eq!(Mount::read(&long).unwrap().relative_source(), Some("media"));
    }

    #[test]
    fn keeps_the_syntax_when_the_source_changes() {
        assert_eq!(Mount::with_source(&"./a:/b:ro".into(), "/x"), Value::from("/x:/b:ro"));
    }
}
