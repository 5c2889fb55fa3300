//! Commands as people write them, taken apart into words and put together again for a POSIX shell.

/// The words of a command. What needs a shell (a pipe, `&&`, a variable) is handed to `sh -c` whole.
/// `None` when its quotes do not match.
pub fn command_words(command: &str) -> Option<Vec<String>> {
    if command.chars().any(|c| "|&;<>()$`*?[#~\n".contains(c)) {
        return Some(vec!["sh".into(), "-c".into(), command.into()]);
    }
    shlex::split(command)
}

/// The words quoted for a POSIX shell, parted by spaces. A NUL, which no word can hold, is dropped.
pub fn shell_words<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted = words.into_iter().map(|word| {
        let word = word.replace('\0', "");
        match shlex::try_quote(&word) {
            Ok(quoted) => quoted.into_owned(),
            Err(_) => String::from("''"),
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_command_needs_no_shell() {
        assert_eq!(command_words("python manage.py migrate").unwrap(), ["python", "manage.py", "migrate"]);
        assert_eq!(command_words("a 'b c'").unwrap(), ["a", "b c"]);
        assert_eq!(command_words("a && b").unwrap(), ["sh", "-c", "a && b"]);
        assert_eq!(command_words("a 'b"), None);
    }

    proptest! {
        #[test]
        fn what_is_joined_is_read_back(words in proptest::collection::vec("[^\0]{0,20}", 0..6)) {
            let joined = shell_words(words.iter().map(String::as_str));
            prop_assert_eq!(shlex::split(&joined).unwrap(), words);
        }
    }
}
