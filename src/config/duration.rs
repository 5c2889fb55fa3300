//! Durations as people write them: `30s`, `2m`, `1h`, whole seconds.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A whole number of seconds, at most a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub u64);

impl Seconds {
    const LIMIT: u64 = 86_400;

    /// Reads `90s`, `2m` or `1h`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a duration; write it like \"30s\", \"2m\" or \"1h\"");
        let split = text.len() - text.chars().last().map_or(0, char::len_utf8);
        let (number, unit) = text.split_at(split);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(wrong()),
        };
        let seconds = number.checked_mul(factor).filter(|seconds| *seconds <= Self::LIMIT);
        seconds.map(Self).ok_or_else(|| format!("`{text}` is longer than a day"))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9]+[smh]$",
            "description": "A duration in whole seconds, minutes or hours, a day at most: \"30s\", \"2m\", \"1h\"."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_units() {
        assert_eq!(Seconds::parse("90s"), Ok(Seconds(90)));
        assert_eq!(Seconds::parse("2m"), Ok(Seconds(120)));
        assert_eq!(Seconds::parse("1h"), Ok(Seconds(3600)));
    }

    #[test]
    fn refuses_what_is_not_a_duration() {
        for text in ["", "s", "30", "30 s", "-1s", "1d", "25h", "99999999999999999999s", "1µ", "18446744073709551615h"] {
            assert!(Seconds::parse(text).is_err(), "{text}");
        }
    }
}
