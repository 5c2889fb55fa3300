//! The team's own proxies: what their files say of the apps, and how they take over changed files.

use std::collections::BTreeMap;
use std::fs;

use camino::Utf8PathBuf;

use crate::compose::Service;
use crate::error::Result;

use super::super::Seconds;
use super::super::resolved::{Decided, Edge, Origin, Reload, Setting};
use super::world::World;
use super::{check_words, named, plain};

/// A file that is longer holds no configuration.
const LONGEST: u64 = 64 * 1024;
/// More files are not looked through.
const MOST: usize = 200;

/// The text files that a proxy is configured by: those that it mounts, and those that its image is built from.
pub(super) fn texts(world: &World<'_>, service: Service<'_>) -> Vec<String> {
    let mounted = service.mounts().into_iter().filter_map(|mount| mount.relative_source()).filter(|path| !path.starts_with(".."));
    let mut open: Vec<Utf8PathBuf> =
        mounted.filter(|path| path != ".").map(|path| world.project.path(world.base.join(path))).collect();
    if let (Some(build), Some(stage)) = (service.build(), world.stage(service.name)) {
        let context = world.context(&build);
        open.extend(stage.copied.iter().filter(|path| !path.contains("..")).map(|path| context.join(plain(path))));
    }
    for key in ["configs"] {
        let entries = service.map.get(key).and_then(yaml_serde::Value::as_sequence);
        for source in entries.into_iter().flatten().filter_map(|entry| entry.get("source")?.as_str()) {
            let section = world.compose.filled_section(key).and_then(|section| section.get(source)?.as_mapping());
            if let Some(file) = section.and_then(|section| section.get("file")?.as_str()) {
                open.push(world.project.path(world.base.join(plain(file))));
            }
        }
    }
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if found.len() >= MOST {
            break;
        }
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
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

/// How the proxies that everybody has take over changed files.
const KNOWN: [(&str, &str, &str); 7] = [
    ("exporter", "", "-"),
    ("nginx", "nginx -t", "nginx -s reload"),
    ("caddy", "caddy validate --config /etc/caddy/Caddyfile", "caddy reload --force --config /etc/caddy/Caddyfile"),
    ("traefik", "", ""),
    ("haproxy", "haproxy -c -f /usr/local/etc/haproxy/haproxy.cfg", "kill -USR2 1"),
    ("prometheus", "promtool check config /etc/prometheus/prometheus.yml", "kill -HUP 1"),
    ("alertmanager", "amtool check-config /etc/alertmanager/alertmanager.yml", "kill -HUP 1"),
];

/// The services of the stack that take over changed files without being replaced.
pub(super) fn reloads(world: &World<'_>, kinds: &BTreeMap<String, Decided>) -> Result<BTreeMap<String, Setting<Reload>>> {
    let mut reloads = BTreeMap::new();
    for service in world.compose.services() {
        if kinds.get(service.name).is_none_or(|decided| decided.kind != super::super::ServiceKind::Stack) {
            continue;
        }
        let known = KNOWN.iter().find(|(image, _, _)| world.runs(&service, &[image])).filter(|(_, _, run)| *run != "-");
        if let Some((image, test, run)) = known {
            let reload = Reload { test: (*test).to_owned(), run: (*run).to_owned() };
            reloads
                .insert(service.name.to_owned(), Setting { value: reload, origin: Origin::Found(format!("known for {image}")) });
        }
    }
    for (name, section) in &world.project.loaded.config.stack.reload {
        let service = named(world.project, world.compose, name, &format!("[stack.reload.{name}]"))?;
        let test = section.test.clone().unwrap_or_default();
        check_words(world.project, &format!("[stack.reload.{name}] test"), &test)?;
        check_words(world.project, &format!("[stack.reload.{name}] run"), &section.run)?;
        let reload = Reload { test, run: section.run.clone() };
        reloads.insert(service.name.to_owned(), Setting { value: reload, origin: Origin::File });
    }
    Ok(reloads)
}

/// `[edge]` with its defaults.
pub(super) fn edge(world: &World<'_>) -> Result<Edge> {
    let config = &world.project.loaded.config;
    let section = &config.edge;
    if let Some(service) = &config.proxy.service {
        named(world.project, world.compose, service, "[proxy] service")?;
    }
    let exists = |path: &str| world.project.path(world.base.join(path)).is_file();
    let maintenance = Setting::or_found(section.maintenance.clone().map(Some), || {
        let mut places = vec![String::from("maintenance.html")];
        for proxy in world.proxies() {
            let mounts = world.compose.service(&proxy).map(|service| service.mounts()).unwrap_or_default();
            places.extend(mounts.into_iter().filter_map(|mount| Some(format!("{}/maintenance.html", mount.relative_source()?))));
        }
        Ok(match places.into_iter().find(|place| exists(place)) {
            Some(place) => (Some(place), "a maintenance.html of the project".into()),
            None => (None, "there is no maintenance.html".into()),
        })
    })?;
    if let Some(path) = maintenance.value.as_deref().filter(|path| !exists(path)) {
        let source = world.project.loaded.source();
        return Err(source
            .error_near(path, format!("the maintenance page {path} does not exist"))
            .hint("[edge] maintenance is a file from the Compose file's folder"));
    }
    Ok(Edge {
        image: Setting::or_default(section.image.clone(), "haproxy:lts".into()),
        drain_timeout: Setting::or_default(section.drain_timeout.or(config.proxy.drain_timeout), Seconds(60)),
        labels: section.labels.clone().unwrap_or_default(),
        trusted_proxies: section.trusted_proxies.clone().unwrap_or_default(),
        maintenance,
    })
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
