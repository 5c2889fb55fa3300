//! Relative paths as texts, in the one way in which they are compared.

/// Without `.`, doubled slashes and a slash at its end; `..` is kept where it leads out.
pub(crate) fn tidy(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Is it that folder, or below it?
pub(crate) fn is_within(path: &str, folder: &str) -> bool {
    folder == "." || path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_in_one_way() {
        assert_eq!(tidy("./a//b/../c/"), "a/c");
        assert_eq!(tidy("../a/.."), "..");
        assert_eq!(tidy("./"), "");
        assert!(is_within("a/b", "a") && is_within("a", "a") && is_within("a", "."));
        assert!(!is_within("ab", "a") && !is_within("a", "a/b"));
    }
}
