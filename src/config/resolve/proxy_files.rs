//! What a proxy's files say of the services that stand behind it.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};

use crate::compose::{Model, Service};

use super::super::Project;
use super::common::plain;
use super::dockerfile::Stage;

/// A file that is longer holds no configuration.
const LONGEST: u64 = 64 * 1024;
/// More files are not looked through.
const MOST: usize = 200;

/// The text files that a proxy is configured by: those that it mounts, and those that its image is built from.
pub(super) fn texts(
    project: &Project,
    compose: &Model,
    base: &Utf8Path,
    service: Service<'_>,
    stage: Option<&Stage>,
) -> Vec<String> {
    let mounted = service.mounts().into_iter().filter_map(|mount| mount.relative_source()).filter(|path| !path.starts_with(".."));
    let mut open: Vec<Utf8PathBuf> = mounted.filter(|path| path != ".").map(|path| project.path(base.join(path))).collect();
    if let (Some(build), Some(stage)) = (service.build(), stage) {
        let context = project.path(base.join(&build.context));
        open.extend(stage.copied.iter().filter(|path| !path.contains("..")).map(|path| context.join(plain(path))));
    }
    for key in ["configs"] {
        let entries = service.map.get(key).and_then(yaml_serde::Value::as_sequence);
        for source in entries.into_iter().flatten().filter_map(|entry| entry.get("source")?.as_str()) {
            let section = compose.filled_section(key).and_then(|section| section.get(source)?.as_mapping());
            if let Some(file) = section.and_then(|section| section.get("file")?.as_str()) {
                open.push(project.path(base.join(plain(file))));
            }
        }
    }
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if found.len() >= MOST {
            break;
        }
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if !project.contains(&path) {
            continue;
        }
        if metadata.is_dir() {
            open.extend(path.read_dir_utf8().into_iter().flatten().flatten().take(MOST).map(|entry| entry.path().to_owned()));
        } else if metadata.is_file() && metadata.len() <= LONGEST {
            found.extend(fs::read_to_string(&path));
        }
    }
    found.extend([service.command_line()]);
    found
}

/// Where a text asks this service: the port, where one stands behind its name, and the word before.
pub(super) fn mentions(text: &str, service: &str) -> Vec<(Option<u16>, String)> {
    let mut found = Vec::new();
    for line in text.lines() {
        let code = line.split('#').next().unwrap_or_default();
        let mut at = 0;
        while let Some(next) = code[at..].find(service) {
            let start = at + next;
            at = start + service.len();
            let before = &code[..start];
            let name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
            if before.ends_with(name) || code[at..].starts_with(name) {
                continue;
            }
            let port: String = code[at..].strip_prefix(':').unwrap_or("").chars().take_while(char::is_ascii_digit).collect();
            let word = before.split_whitespace().next().unwrap_or_default().to_owned();
            let asks = before.ends_with("//")
                || !port.is_empty()
                || ["server", "uwsgi_pass", "fastcgi_pass", "grpc_pass"].contains(&word.as_str());
            if asks {
                found.push((port.parse().ok(), word));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_proxy_says_of_a_service_is_seen() {
        let text = "upstream site { server web:8000; }\n# web:9\nlocation / { proxy_pass http://web; }\nuwsgi_pass web:3031;\nproxy_pass http://web-admin:1;\nserver_name web.example.com;\n";
        let expected = [(Some(8000), "upstream"), (None, "location"), (Some(3031), "uwsgi_pass")];
        assert_eq!(mentions(text, "web"), expected.map(|(port, word)| (port, word.to_owned())));
        assert_eq!(mentions("reverse_proxy web:8000", "web"), [(Some(8000), "reverse_proxy".to_owned())]);
    }
}
