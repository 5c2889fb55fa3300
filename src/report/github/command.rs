//! Workflow commands: `::name key=value::text`, as the runner reads them from a step's output.

/// A message longer than this is cut by the runner.
const LONGEST: usize = 4000;

/// A word that nobody can guess, by which commands are stopped and resumed.
pub(super) fn token() -> String {
    format!("estiba-{}", crate::random::hex(16))
}

/// `##[error]` and the like are read anywhere in a line, and shown so by the web page even where commands are stopped.
pub(super) fn harmless(line: &str) -> String {
    line.replace("##[", "# #[")
}

/// The text of a command, on one line, with no command of the runner's older form in it.
pub(super) fn data(text: &str) -> String {
    harmless(&cut(text, LONGEST)).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a command's property.
pub(super) fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// At most that many characters, and how many were left out.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{} … ({} bytes more)", &text[..at], text.len() - at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_leave_its_command() {
        assert_eq!(data("100 %\r\n::error::x"), "100 %25%0D%0A::error::x");
        assert_eq!(property("a,b:c\n"), "a%2Cb%3Ac%0A");
        assert_eq!(data("a ##[error]b"), "a # #[error]b");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        assert_eq!(cut("äöü", 2), "äö … (2 bytes more)");
        assert_eq!(cut("äöü", 3), "äöü");
    }

    #[test]
    fn what_the_page_would_show_as_an_error_is_taken_apart() {
        assert_eq!(harmless("a ##[error]b ##[group]c"), "a # #[error]b # #[group]c");
    }
}
