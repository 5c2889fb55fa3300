//! A text with its name, to point at the place of an error in it.

use std::ops::Range;

use crate::error::{Error, Place};

/// One input file.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its path as the user knows it.
    pub name: &'a str,
    /// What it holds.
    pub text: &'a str,
}

impl Source<'_> {
    /// An input error about these bytes of the text: message, place, the line, and a mark under it.
    pub fn error(&self, span: Range<usize>, message: impl AsRef<str>) -> Error {
        let start = floor_char(self.text, span.start.min(self.text.len()));
        let (line, column) = position(self.text, start);
        let length = self.text[start..floor_char(self.text, span.end.clamp(start, self.text.len()))].chars().count();
        self.error_at(line, column, length, message)
    }

    /// The same for a place given as line and column, both from 1.
    pub fn error_at(&self, line: usize, column: usize, length: usize, message: impl AsRef<str>) -> Error {
        let shown: String = self.text.lines().nth(line.saturating_sub(1)).unwrap_or("").chars().take(200).collect();
        let rest = shown.chars().count().saturating_sub(column - 1).max(1);
        let mark = "^".repeat(length.clamp(1, rest));
        // A tab stays a tab in the padding, so that the mark stands under its column.
        let padding: String = shown.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let mark = format!("{padding}{mark}");
        Error::input(message.as_ref().trim_end()).at(Place { file: self.name.to_owned(), line, column, text: shown, mark })
    }

    /// The same for the first place where `needle` stands, or the first line.
    pub fn error_near(&self, needle: &str, message: impl AsRef<str>) -> Error {
        let start = self.text.find(needle).unwrap_or(0);
        self.error(start..start + needle.len(), message)
    }

    /// The same error, at the place where that text stands first.
    pub fn place(&self, error: Error, needle: &str) -> Error {
        let place = self.error_near(needle, "").place;
        Error { place, ..error }
    }
}

fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_the_place() {
        let source = Source { name: "deploy.toml", text: "[project]\n\tnaem = \"x\"\n" };
        let error = source.error(11..15, "unknown key `naem`");
        assert_eq!(error.to_string(), "unknown key `naem`\n --> deploy.toml:2:2\n  |\n2 | \tnaem = \"x\"\n  | \t^^^^");
    }

    #[test]
    fn a_place_past_the_end_or_within_a_character_is_still_a_place() {
        let source = Source { name: "f", text: "é" };
        assert!(source.error(1..9, "x").to_string().contains("f:1:1"));
        assert!(source.error(9..9, "x").to_string().contains("f:1:2"));
    }
}
