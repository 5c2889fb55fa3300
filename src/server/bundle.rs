//! What somebody who helps from afar needs to know of a server.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

use super::Server;
use super::protocol::{Entry, marker};

impl Server<'_> {
    /// The parts of a bundle by their names, with so many lines of each container's log. The server takes the secrets of the release
    /// that serves out of them.
    pub async fn bundle(&self, lines: u32) -> Result<BTreeMap<String, String>> {
        let output = self.look(&Self::inline(Entry::Bundle, &[self.root(), &lines.to_string()])).await?;
        let text = output.text();
        if let Some(why) = text.lines().find_map(|line| marker::behind(marker::UNKNOWN, line)) {
            return Err(Error::failed(format!("{}: {why}", self.connection().address())));
        }
        parts(&text).ok_or_else(|| {
            Error::failed(format!("{}: the server's answer was cut short: {}", self.connection().address(), output.complaint()))
        })
    }
}

/// The parts of a bundle; `None` where its end is missing.
fn parts(text: &str) -> Option<BTreeMap<String, String>> {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    let mut name = None;
    let mut is_whole = false;
    for line in text.lines() {
        if let Some(next) = marker::behind(marker::BUNDLE, line) {
            name = Some(next).filter(|name| is_plain(name));
        } else if let Some(name) = name {
            *parts.entry(name.to_owned()).or_default() += &format!("{line}\n");
        }
        is_whole = line == marker::END;
    }
    is_whole.then_some(parts)
}

/// A name becomes a path of an archive that somebody unpacks: it leads nowhere else.
fn is_plain(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part != ".." && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    name.len() <= 200 && name.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_has_parts_with_plain_names() {
        let text = "noise\n\nestiba:bundle server.txt\nLinux\n\nestiba:bundle ../../etc/x\nbad\n\nestiba:bundle runs/r1.txt\n1\tdone\n\nestiba:end\n";
        let found = parts(text).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["runs/r1.txt", "server.txt"]);
        assert!(found["server.txt"].starts_with("Linux\n"));
        assert!(parts(&text[..text.len() - 12]).is_none());
    }

    #[test]
    fn any_answer_is_parts_within_their_folder_or_none() {
        let good = b"estiba:bundle a/b.txt\nx\n\nestiba:end\n".to_vec();
        crate::fuzz::read("bundle", &[good], |text| {
            for name in parts(&String::from_utf8_lossy(text)).unwrap_or_default().keys() {
                assert!(!name.starts_with('/') && !name.split('/').any(|part| part == ".."), "{name}");
            }
        });
    }
}
