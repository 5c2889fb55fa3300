//! What a Dockerfile tells of the image that it makes: what its last stage starts from, copies and exposes.

use std::collections::BTreeMap;

/// The stage that becomes the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stage {
    /// The image that it starts from, with stages in between followed.
    pub(super) base: String,
    /// The ports of `EXPOSE`.
    pub(super) ports: Vec<u16>,
    /// Does it copy from other stages?
    pub(super) copies_stages: bool,
    /// The sources that it copies from the context.
    pub(super) copied: Vec<String>,
    /// Its `CMD` and `ENTRYPOINT`.
    pub(super) command: String,
}

/// Reads the stage of that name, or the last one.
pub(super) fn stage(text: &str, target: Option<&str>) -> Stage {
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let mut stages: BTreeMap<String, Stage> = BTreeMap::new();
    let mut arguments: BTreeMap<String, String> = BTreeMap::new();
    let mut current = Stage::default();
    let mut name = String::new();
    for line in joined.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let Some((word, rest)) = line.split_once(char::is_whitespace) else { continue };
        let rest = rest.trim();
        match word.to_ascii_uppercase().as_str() {
            "ARG" => {
                if let Some((key, value)) = rest.split_once('=') {
                    arguments.insert(key.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned());
                }
            }
            "FROM" => {
                if !name.is_empty() {
                    stages.insert(name.clone(), current.clone());
                    if target.is_some_and(|target| target.eq_ignore_ascii_case(&name)) {
                        return current;
                    }
                }
                let mut words = rest.split_whitespace().filter(|word| !word.starts_with("--"));
                let from = words.next().unwrap_or_default().to_owned();
                name = match (words.next(), words.next()) {
                    (Some(by), Some(name)) if by.eq_ignore_ascii_case("as") => name.to_ascii_lowercase(),
                    _ => format!("stage {}", stages.len()),
                };
                let filled = crate::compose::expand(&from, &arguments);
                current = match stages.get(&filled.to_ascii_lowercase()) {
                    Some(earlier) => earlier.clone(),
                    None => Stage { base: filled, ..Stage::default() },
                };
            }
            "EXPOSE" => {
                let ports = rest.split_whitespace().filter_map(|port| port.split('/').next()?.parse::<u16>().ok());
                current.ports.extend(ports);
            }
            "COPY" | "ADD" => {
                if rest.contains("--from=") {
                    current.copies_stages = true;
                } else {
                    let words = rest.trim_start_matches('[').trim_end_matches(']');
                    let words: Vec<String> = words
                        .split([' ', ',', '\t'])
                        .map(|word| word.trim_matches(['"', '\'']).to_owned())
                        .filter(|word| !word.is_empty() && !word.starts_with("--"))
                        .collect();
                    current.copied.extend(words[..words.len().saturating_sub(1)].iter().cloned());
                }
            }
            "CMD" | "ENTRYPOINT" => current.command = format!("{} {rest}", current.command).trim().to_owned(),
            _ => {}
        }
    }
    current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stage_is_the_image() {
        let text = "ARG V=1.27\nFROM node:20 AS build\nCOPY . .\nEXPOSE 3000\nFROM nginx:${V} \nCOPY --from=build /app/dist /usr/share/nginx/html\nCOPY nginx.conf \\\n  /etc/nginx/conf.d/\nEXPOSE 80\nCMD [\"nginx\"]\n";
        let last = stage(text, None);
        assert_eq!((last.base.as_str(), last.copies_stages, last.ports.as_slice()), ("nginx:1.27", true, &[80][..]));
        assert_eq!(last.copied, ["nginx.conf"]);
        assert_eq!(stage(text, Some("build")).base, "node:20");
        assert_eq!(stage("FROM a AS b\nFROM b\nEXPOSE 1", None), Stage { base: "a".into(), ports: vec![1], ..Stage::default() });
    }

    #[test]
    fn any_dockerfile_has_a_last_stage() {
        let good = [include_str!("../../../examples/django/Dockerfile").as_bytes().to_vec(), b"ARG V=1\nFROM node:20 AS build\nEXPOSE 3000/tcp 90\nFROM build\nENV A=b\nFROM nginx:${V}\nCOPY --from=build /a /b\nCOPY [\"c d\", \"/e\"]\nCMD [\"nginx\"]\n".to_vec()];
        crate::fuzz::read("stage", &good, |text| {
            let text = String::from_utf8_lossy(text);
            let _ = (stage(&text, None), stage(&text, Some("build")));
        });
    }
}
