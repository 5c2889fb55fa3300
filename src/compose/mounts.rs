//! A mount of a service: as it is written, and what it is once its variables are filled in.

use yaml_serde::{Mapping, Value};

use crate::text::paths::tidy;

/// One entry of a service's `volumes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its settings as written.
    pub written: Mapping,
    /// What its source is once filled: a path for a bind mount, a volume's name; none for an anonymous volume.
    pub source: Option<String>,
    /// Where it is mounted.
    pub target: String,
    /// Is the source a path on the host?
    pub bind: bool,
    /// May the container only read it?
    pub read_only: bool,
}

impl Mount {
    /// An entry as written, with the same entry filled.
    pub(crate) fn of(written: &Value, filled: Option<&Value>) -> Option<Self> {
        let written = written.as_mapping()?.clone();
        let known = filled.and_then(Value::as_mapping).unwrap_or(&written);
        let text = |key: &str| known.get(key).and_then(Value::as_str).map(str::to_owned);
        let kind = text("type").unwrap_or_default();
        let read_only = known.get("read_only").and_then(Value::as_bool) == Some(true);
        Some(Self { source: text("source"), target: text("target")?, bind: kind == "bind", read_only, written })
    }

    /// The source as the team wrote it.
    pub fn written_source(&self) -> &str {
        self.written.get("source").and_then(Value::as_str).unwrap_or_default()
    }

    /// The source, where it is a path that starts at the Compose file's folder, without its leading `./`; `.` for that
    /// folder itself.
    pub fn relative_source(&self) -> Option<String> {
        let source = self.source.as_deref().filter(|_| self.bind)?;
        (!source.starts_with(['/', '~'])).then(|| {
            let plain = tidy(source);
            if plain.is_empty() { ".".to_owned() } else { plain }
        })
    }

    /// The entry as a bind mount of that path.
    pub fn with_source(&self, source: &str) -> Value {
        let mut long = self.written.clone();
        long.insert("type".into(), "bind".into());
        long.insert("source".into(), source.into());
        // Settings of a volume are none of a bind mount's.
        if !self.written.contains_key("bind") {
            long.shift_remove("volume");
            long.insert("bind".into(), Mapping::from_iter([(Value::from("create_host_path"), true.into())]).into());
        }
        long.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(written: &str, filled: &str) -> Mount {
        Mount::of(&yaml_serde::from_str(written).unwrap(), Some(&yaml_serde::from_str(filled).unwrap())).unwrap()
    }

    #[test]
    fn a_source_by_a_variable_is_what_it_is_filled_with() {
        let media = mount(
            "{type: volume, source: '${MEDIA:-./media}', target: /m, volume: {}}",
            "{type: bind, source: ./media/, target: /m, bind: {create_host_path: true}}",
        );
        assert_eq!(media.relative_source().as_deref(), Some("media"));
        let placed: Value =
            yaml_serde::from_str("{type: bind, source: /srv/media, target: /m, bind: {create_host_path: true}}").unwrap();
        assert_eq!(media.with_source("/srv/media"), placed);
        assert_eq!(
            mount("{type: volume, source: data, target: /d}", "{type: volume, source: data, target: /d}").relative_source(),
            None
        );
    }
}
