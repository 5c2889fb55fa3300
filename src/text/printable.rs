//! What a terminal may be shown.

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
