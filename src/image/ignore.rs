//! .dockerignore, by Docker's rules: patterns are anchored at the context, the last one that matches a path or
//! one of its folders decides, `!` takes in again.

use globset::{GlobBuilder, GlobMatcher};

use crate::error::Result;
use crate::text::Source;

/// The patterns of a .dockerignore.
#[derive(Debug, Clone, Default)]
pub(super) struct Ignore {
    patterns: Vec<(bool, GlobMatcher)>,
}

impl Ignore {
    pub(super) fn parse(source: Source<'_>) -> Result<Self> {
        let mut ignore = Self::default();
        for (index, line) in source.text.lines().enumerate() {
            let line = line.trim().trim_start_matches('\u{feff}');
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (keep, pattern) = match line.strip_prefix('!') {
                Some(pattern) => (true, pattern.trim()),
                None => (false, line),
            };
            let pattern = pattern.trim_start_matches("./").trim_matches('/');
            if pattern.is_empty() || pattern == "." {
                continue;
            }
            let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
            let glob = glob.map_err(|error| {
                source
                    .error_at(index + 1, 1, line.chars().count(), format!("not a pattern: {}", error.kind()))
                    .hint("a pattern is a path with *, ?, [a-z] and **")
            })?;
            ignore.patterns.push((keep, glob.compile_matcher()));
        }
        Ok(ignore)
    }

    /// Is this path left out of the context?
    pub(super) fn leaves_out(&self, path: &str) -> bool {
        let mut out = false;
        for (keep, pattern) in &self.patterns {
            if out == *keep && ancestors(path).any(|ancestor| pattern.is_match(ancestor)) {
                out = !keep;
            }
        }
        out
    }

    /// May something below a folder that is left out be taken in again?
    pub(super) fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|(keep, _)| *keep)
    }
}

/// The path itself, then each of its folders.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rfind('/').map(|at| &path[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(patterns: &str, path: &str) -> bool {
        Ignore::parse(Source { name: ".dockerignore", text: patterns }).unwrap().leaves_out(path)
    }

    #[test]
    fn patterns_are_anchored_and_cover_what_lies_below() {
        assert!(left_out("media", "media/a/b"));
        assert!(!left_out("media", "app/media"));
        assert!(left_out("*.pyc", "a.pyc"));
        assert!(!left_out("*.pyc", "app/a.pyc"));
        assert!(left_out("**/*.pyc", "app/x/a.pyc") && left_out("**/*.pyc", "a.pyc"));
        assert!(left_out("/media/", "media"));
        assert!(left_out(".env*", ".env.production"));
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        assert!(!left_out("docs\n!docs/keep.md", "docs/keep.md"));
        assert!(left_out("docs\n!docs/keep.md", "docs/other.md"));
        assert!(left_out("!docs/keep.md\ndocs", "docs/keep.md"));
        assert!(!left_out("*\n!app", "app/x.py"));
    }

    #[test]
    fn any_patterns_leave_files_out_or_are_refused() {
        let good = ["# x\n*.pyc\n**/node_modules\n!keep/[a-z]?.txt\n./dist/\n\\#x\n".as_bytes().to_vec()];
        crate::fuzz::read("dockerignore", &good, |text| {
            let text = String::from_utf8_lossy(text);
            let Ok(ignore) = Ignore::parse(Source { name: ".dockerignore", text: &text }) else { return };
            let _ = ignore.has_exceptions();
            for path in ["a.pyc", "node_modules/a/b/c.js", "keep/a1.txt", "a/b/c/d/e/f/g/h", "é/\u{1f4a9}"] {
                let _ = ignore.leaves_out(path);
            }
        });
    }
}
