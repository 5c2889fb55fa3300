//! Secrets in texts.

use std::borrow::Cow;

/// The text with `***` in the place of each of these forms of secrets; the longest come first.
pub fn without_secrets<'t>(text: &'t str, forms: &[String]) -> Cow<'t, str> {
    forms.iter().fold(Cow::Borrowed(text), |text, form| if text.contains(form) { text.replace(form, "***").into() } else { text })
}

/// The forms under which a secret may turn up in a log: as it is, each of its lines, and as shells, JSON, addresses and
/// Base64 write it. What is too short to be told from other text is left out.
pub fn secret_forms(secret: &str) -> Vec<String> {
    let mut forms: Vec<String> = std::iter::once(secret).chain(secret.lines()).map(str::to_owned).collect();
    forms.push(super::shell_words([secret]));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_in_every_form() {
        let found = secret_forms("p'a \"$%ü");
        for form in ["p'a \"$%ü", "'p'\\''a \"$%ü'", "p'a \\\"$%ü", "p%27a%20%22%24%25%C3%BC", "cCdhICIkJcO8"] {
            assert!(found.iter().any(|known| known == form), "{form}: {found:?}");
        }
        assert!(secret_forms("abc").iter().all(|form| form.len() >= 4), "{:?}", secret_forms("abc"));
        assert!(secret_forms("two lines\nof it").contains(&"of it".to_owned()));
    }
}
