//! Markdown around a text that somebody else wrote.

/// A Markdown fence longer than any in the text, so that the text cannot end it.
pub(crate) fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(3.max(longest + 1))
}

/// A text that is no Markdown, on one line.
pub(crate) fn inline(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars() {
        match character {
            '\n' | '\r' => plain.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '!' | '~' => {
                plain.push('\\');
                plain.push(character);
            }
            other => plain.push(other),
        }
    }
    plain
}

/// A text as code within a line, which it cannot end.
pub(crate) fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let (ticks, space) = ("`".repeat(longest + 1), if text.starts_with('`') || text.ends_with('`') { " " } else { "" });
    format!("{ticks}{space}{}{space}{ticks}", text.replace(['\n', '\r'], " "))
}

/// A text within HTML that stands in Markdown, on one line.
pub(crate) fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    text.replace('[', "&#91;").replace(']', "&#93;").replace('`', "&#96;").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_neither_markdown_nor_html() {
        assert_eq!(inline("a <b>\n| `c`"), "a \\<b\\> \\| \\`c\\`");
        assert_eq!((code("a"), code("a ``b`")), ("`a`".to_owned(), "``` a ``b` ```".to_owned()));
        assert_eq!(html("<a href=\"x\">\n&[`"), "&lt;a href=&quot;x&quot;&gt; &amp;&#91;&#96;");
    }

    #[test]
    fn a_fence_is_longer_than_any_in_the_text() {
        assert_eq!(fence("a"), "```");
        assert_eq!(fence("a ```` b"), "`````");
    }
}
