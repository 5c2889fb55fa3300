//! Words and signs for what happens. Colour never carries meaning alone: each sign is a different one.

use anstyle::{AnsiColor, Style};

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const WARN: Style = AnsiColor::Yellow.on_default();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const BOLD: Style = Style::new().bold();

/// The text in that style.
pub(super) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// The text without colours and control characters, tabs and line ends excepted: what a remote command printed must not
/// move the cursor or change the window's title.
pub fn printable(text: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string();
    text.chars().filter(|c| (!c.is_control() || *c == '\n' || *c == '\t') && !is_direction(*c)).collect()
}

/// Does this character change the direction in which what follows is shown, so that it reads as something else?
const fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// 1.2 MB and the like.
pub(super) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}

/// 0.4 s, 12.3 s.
pub(super) fn seconds(duration_ms: u64) -> String {
    format!("{}.{} s", duration_ms / 1000, duration_ms % 1000 / 100)
}
