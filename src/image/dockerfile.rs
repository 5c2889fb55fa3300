//! A look at the Dockerfile before anything is built: what it copies must be in the context.

use camino::Utf8Path;

use crate::error::Result;
use crate::text::{Source, read_limited};

/// Refuses a `COPY` or `ADD` of a file that the context does not hold. What only a build can know (variables,
/// patterns, other stages, addresses) is left to the build.
pub(super) fn check(folder: &Utf8Path, dockerfile: &str, context: &[String]) -> Result<()> {
    let path = folder.join(dockerfile);
    let text = read_limited(&path)?;
    let source = Source { name: path.as_str(), text: &text };
    if !instructions(&text).any(|(_, instruction)| instruction.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("FROM "))) {
        return Err(source.error_at(1, 1, 1, "the Dockerfile has no FROM").hint("its first instruction is FROM and an image"));
    }
    for (line, instruction) in instructions(&text) {
        for copied in copied(&instruction) {
            let wanted = copied.trim_start_matches("./").trim_matches('/');
            let there = wanted.is_empty() || wanted == "." || context.iter().any(|file| below(file, wanted));
            if there
                || folder.join(wanted).is_dir()
                    && !folder.join(wanted).read_dir_utf8().is_ok_and(|mut entries| entries.next().is_some())
            {
                continue;
            }
            let column = text.lines().nth(line - 1).and_then(|text| text.find(&copied)).map_or(1, |at| at + 1);
            let error = source.error_at(line, column, copied.chars().count(), format!("the build context has no `{copied}`"));
            return Err(if folder.join(wanted).exists() {
                error.hint("the .dockerignore leaves it out")
            } else {
                error.hint(format!("the context is {}", shown(folder)))
            });
        }
    }
    Ok(())
}

fn shown(folder: &Utf8Path) -> &str {
    if folder.as_str().is_empty() { "this folder" } else { folder.as_str() }
}

fn below(file: &str, wanted: &str) -> bool {
    file.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Instructions with the line they begin on; continued lines joined, comments and here-documents left out.
fn instructions(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open: Option<(usize, String)> = None;
    let mut here_document: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        if let Some(end) = &here_document {
            if line.trim() == end {
                here_document = None;
            }
            continue;
        }
        let trimmed = line.trim();
        if trimmed.starts_with('#') || (trimmed.is_empty() && open.is_none()) {
            continue;
        }
        let (start, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        match trimmed.strip_suffix('\\') {
            Some(part) => {
                joined.push_str(part);
                joined.push(' ');
                open = Some((start, joined));
            }
            None => {
                joined.push_str(trimmed);
                if let Some((_, after)) = joined.split_once("<<") {
                    let word: String = after.trim_start_matches('-').chars().take_while(|c| !c.is_whitespace()).collect();
                    here_document = Some(word.trim_matches(['"', '\'']).to_owned()).filter(|word| !word.is_empty());
                }
                found.push((start, joined));
            }
        }
    }
    found.extend(open);
    found.into_iter()
}

/// The sources of a `COPY` or `ADD` from the context that are plain paths.
fn copied(instruction: &str) -> Vec<String> {
    let Some((word, rest)) = instruction.split_once(char::is_whitespace) else { return Vec::new() };
    let rest = rest.trim();
    if !(word.eq_ignore_ascii_case("COPY") || word.eq_ignore_ascii_case("ADD")) || rest.contains("<<") {
        return Vec::new();
    }
    let words: Vec<String> = if rest.starts_with('[') {
        serde_json::from_str(rest).unwrap_or_default()
    } else {
        rest.split_whitespace().map(str::to_owned).collect()
    };
    if words.iter().any(|word| word.starts_with("--from")) {
        return Vec::new();
    }
    let paths: Vec<String> = words.into_iter().filter(|word| !word.starts_with("--")).collect();
    let plain =
        |path: &&String| !path.contains(['$', '*', '?', '[', '\\', '"']) && !path.contains("://") && !path.starts_with("git@");
    paths[..paths.len().saturating_sub(1)].iter().filter(plain).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_copied_from_the_context() {
        assert_eq!(copied("COPY --chown=a:b x.txt y/ /app/"), ["x.txt", "y/"]);
        assert_eq!(copied("copy [\"a b\", \"/c\"]"), ["a b"]);
        assert!(copied("COPY --from=build /x /y").is_empty());
        assert!(copied("ADD https://example.com/x /x").is_empty());
        assert!(copied("COPY $FILES *.txt /x").is_empty());
        assert!(copied("RUN cp a b").is_empty());
    }

    #[test]
    fn continued_lines_comments_and_here_documents_are_understood() {
        let text = "# x\nFROM a\nRUN b \\\n  # not this\n  && c\nRUN <<EOF\nCOPY nothing /\nEOF\nCOPY d \\\n e /\n";
        let found: Vec<_> =
            instructions(text).map(|(line, text)| (line, text.split_whitespace().collect::<Vec<_>>().join(" "))).collect();
        assert_eq!(found, [(2, "FROM a".into()), (3, "RUN b && c".into()), (6, "RUN <<EOF".into()), (9, "COPY d e /".into())]);
    }

    #[test]
    fn any_dockerfile_is_looked_through() {
        let good = [
            include_str!("../../examples/django/Dockerfile"),
            "# x\nFROM a AS b\nRUN b \\\n  # not this\n  && c\nRUN <<EOF\nCOPY nothing /\nEOF\nCOPY --chown=1:1 d \\\n e /\nADD [\"f g\", \"/h\"]\n",
        ];
        let good: Vec<Vec<u8>> = good.iter().map(|text| text.as_bytes().to_vec()).collect();
        crate::fuzz::read("dockerfile", &good, |text| {
            let text = String::from_utf8_lossy(text);
            let lines = text.lines().count();
            for (line, instruction) in instructions(&text) {
                assert!((1..=lines).contains(&line));
                assert!(copied(&instruction).iter().all(|path| !path.contains('$')));
            }
        });
    }
}
