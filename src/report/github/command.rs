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

/// The forms under which a secret may turn up in a log: as it is, each of its lines, and as shells, JSON, addresses and
/// Base64 write it. What is too short to be told from other text is left out.
pub(super) fn forms(secret: &str) -> Vec<String> {
    let mut forms: Vec<String> = std::iter::once(secret).chain(secret.lines()).map(str::to_owned).collect();
    forms.push(crate::text::shell_words([secret]));
    forms.push(format!("'{}'", secret.replace('\'', "'\\''")));
    forms.push(serde_json::Value::from(secret).to_string().trim_matches('"').to_owned());
    forms.push(in_address(secret));
    forms.push(base64(secret.as_bytes()));
    forms.retain(|form| form.trim().len() >= 4);
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.dedup();
    forms
}

fn in_address(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
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
    fn a_secret_is_masked_in_every_form() {
        let found = forms("p'a \"$%ü");
        for form in ["p'a \"$%ü", "'p'\\''a \"$%ü'", "p'a \\\"$%ü", "p%27a%20%22%24%25%C3%BC", "cCdhICIkJcO8"] {
            assert!(found.iter().any(|known| known == form), "{form}: {found:?}");
        }
        assert!(forms("abc").iter().all(|form| form.len() >= 4), "{:?}", forms("abc"));
        assert!(forms("two lines\nof it").contains(&"of it".to_owned()));
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
