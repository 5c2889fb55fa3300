//! stack.yml: everything but the app and its workers, which live in the slots.

use yaml_serde::{Mapping, Value};

use crate::compose::{Service, expand};
use crate::config::{BackupService, Resolved};
use crate::error::Result;

use super::Rendered;
use super::paths::Layout;

const HEADER: &str = "# Rendered by estiba from the team's Compose file: the services that do not change with a release.\n";

/// Does this service live in the slots: the app, a worker, or another of the app's build?
pub(super) fn in_slot(resolved: &Resolved, service: Service<'_>) -> bool {
    let app = resolved.compose.service(&resolved.app.service.value);
    let same_build = service.build().is_some() && app.is_some_and(|app| app.build() == service.build());
    service.name == resolved.app.service.value
        || resolved.app.workers.value.iter().any(|worker| worker == service.name)
        || same_build
}

/// The services of the stack that run all the time, the proxy left out.
pub(super) fn started(resolved: &Resolved) -> Vec<String> {
    resolved
        .compose
        .services()
        .filter(|service| !in_slot(resolved, *service) && service.starts_by_default())
        .filter(|service| service.name != resolved.proxy.service.value)
        .map(|service| service.name.to_owned())
        .chain(resolved.backup.is_wanted().then(|| BackupService::SERVICE.to_owned()))
        .collect()
}

/// The backup service: the server's own scripts in a container that may speak to the Engine, as the user who deploys.
/// It sees the server's processes, so that a run of its own is a run like any other: one lock, one journal, one undo.
fn backup_service(resolved: &Resolved) -> Mapping {
    let root = &resolved.target.root.value;
    let text = |lines: &[&str]| Value::Sequence(lines.iter().map(|line| Value::from(*line)).collect());
    let entries: [(&str, Value); 13] = [
        ("image", resolved.backup.image.value.as_str().into()),
        ("entrypoint", text(&["sh", &format!("{root}/bin/current/schedule.sh"), root])),
        ("command", text(&[])),
        ("user", "${ESTIBA_USER:-0:0}".into()),
        ("group_add", text(&["${ESTIBA_DOCKER_GROUP:-0}"])),
        ("environment", text(&["HOME=/tmp", "DOCKER_HOST=unix:///var/run/docker.sock"])),
        ("volumes", text(&[&format!("{root}:{root}"), "${ESTIBA_DOCKER_SOCKET:-/var/run/docker.sock}:/var/run/docker.sock"])),
        ("pid", "host".into()),
        ("network_mode", "host".into()),
        ("read_only", true.into()),
        ("tmpfs", text(&["/tmp"])),
        ("security_opt", text(&["no-new-privileges:true"])),
        ("restart", "unless-stopped".into()),
    ];
    let mut map: Mapping = entries.into_iter().map(|(key, value)| (Value::from(key), value)).collect();
    map.insert("cap_drop".into(), text(&["ALL"]));
    // An Engine that maps users refuses the host's processes else.
    map.insert("userns_mode".into(), "host".into());
    map
}

/// Renders stack.yml.
pub(super) fn render(resolved: &Resolved, layout: &Layout<'_>, rendered: &mut Rendered) -> Result<String> {
    let source = resolved.compose.source();
    let mut root = Mapping::new();
    for (key, value) in &resolved.compose.root {
        let Some(name) = key.as_str() else { continue };
        let value = match name {
            "version" | "name" => continue,
            "services" => services(resolved, layout, rendered)?.into(),
            "secrets" | "configs" => files(value, layout)?,
            "networks" => {
                host_network(resolved, value)?;
                value.clone()
            }
            _ => value.clone(),
        };
        root.insert(key.clone(), value);
    }
    let text = yaml_serde::to_string(&root).map_err(|error| source.error_near("services", error.to_string()))?;
    Ok(format!("{HEADER}{text}"))
}

fn services(resolved: &Resolved, layout: &Layout<'_>, rendered: &mut Rendered) -> Result<Mapping> {
    let mut services = Mapping::new();
    for service in resolved.compose.services().filter(|service| !in_slot(resolved, *service)) {
        let name = service.name;
        let wrong = |key: &str, message: String| {
            let source = resolved.compose.source();
            source.error_near(&format!("{key}:"), message)
        };
        if service.build().is_some() {
            return Err(wrong("build", format!("service `{name}` is built too, and not from the app's build"))
                .hint("a service of the stack runs an image: build it elsewhere and name it by `image`"));
        }
        let mut map = service.map.clone();
        if name == resolved.proxy.service.value && map.get("network_mode").and_then(Value::as_str) == Some("host") {
            return Err(wrong(
                "network_mode",
                format!("the proxy `{name}` is on the host's network, where it cannot see the slots"),
            )
            .hint("publish its ports instead: ports: [\"80:80\", \"443:443\"]"));
        }
        if let Some(volumes) = layout.volumes(service, false)? {
            map.insert("volumes".into(), volumes);
        }
        if let Some(env_file) = layout.env_file(service)? {
            map.insert("env_file".into(), env_file);
        }
        without_slot_services(resolved, &mut map);
        modes(&mut map);
        services.insert(name.into(), map.into());
    }
    if resolved.backup.is_wanted() {
        services.insert(BackupService::SERVICE.into(), backup_service(resolved).into());
    }
    if resolved.compose.root.contains_key("name")
        && resolved.compose.root.get("name").and_then(Value::as_str) != Some(resolved.compose_project.value.as_str())
    {
        rendered
            .notes
            .push(format!("the Compose file's own `name` is not used: the project is `{}`", resolved.compose_project.value));
    }
    Ok(services)
}

/// A service of the stack cannot wait for one in a slot: the order of steps sees to that.
fn without_slot_services(resolved: &Resolved, map: &mut Mapping) {
    let goes = |name: &str| resolved.compose.service(name).is_some_and(|service| in_slot(resolved, service));
    let empty = match map.get_mut("depends_on") {
        Some(Value::Sequence(list)) => {
            list.retain(|item| !item.as_str().is_some_and(goes));
            list.is_empty()
        }
        Some(Value::Mapping(depends)) => {
            let gone: Vec<Value> = depends.keys().filter(|key| key.as_str().is_some_and(goes)).cloned().collect();
            for key in gone {
                depends.shift_remove(&key);
            }
            depends.is_empty()
        }
        _ => false,
    };
    if empty {
        map.shift_remove("depends_on");
    }
    if let Some(Value::Sequence(links)) = map.get_mut("links") {
        links.retain(|item| !item.as_str().is_some_and(|link| goes(link.split(':').next().unwrap_or(link))));
    }
}

/// `mode: 0440` is read as a text by YAML 1.2 and as an octal number by Compose: written as the number.
pub(super) fn modes(map: &mut Mapping) {
    for key in ["secrets", "configs"] {
        let Some(Value::Sequence(list)) = map.get_mut(key) else { continue };
        for entry in list.iter_mut().filter_map(Value::as_mapping_mut) {
            let octal = entry.get("mode").and_then(Value::as_str).map(|mode| mode.trim_start_matches("0o"));
            if let Some(mode) = octal.and_then(|mode| u32::from_str_radix(mode, 8).ok()) {
                entry.insert("mode".into(), mode.into());
            }
        }
    }
}

fn files(section: &Value, layout: &Layout<'_>) -> Result<Value> {
    let Some(section) = section.as_mapping() else { return Ok(section.clone()) };
    let mut placed = section.clone();
    for (_, entry) in placed.iter_mut() {
        if let Some(entry) = entry.as_mapping_mut()
            && let Some(file) = entry.get("file").and_then(Value::as_str).map(str::to_owned)
        {
            entry.insert("file".into(), layout.secret_file(&file)?.into());
        }
    }
    Ok(placed.into())
}

fn host_network(resolved: &Resolved, networks: &Value) -> Result<()> {
    let default = networks.as_mapping().and_then(|networks| networks.get("default")?.as_mapping());
    let name = default.and_then(|default| default.get("name")?.as_str()).map(|name| expand(name, &Default::default()));
    if name.as_deref() == Some("host") {
        return Err(resolved
            .compose
            .source()
            .error_near("networks:", "the default network is the host's: two slots of one app cannot share its ports")
            .hint("use a bridge network, Compose's default"));
    }
    Ok(())
}
