//! slot-blue.yml and slot-green.yml: the app and its workers under names of their own, so that two
//! releases run side by side.

use yaml_serde::{Mapping, Value};

use crate::compose::Service;
use crate::config::Resolved;
use crate::error::Result;

use super::Rendered;
use super::paths::Layout;
use super::stack::{in_slot, modes};

/// Settings that two slots cannot both have; each is taken off, and that is said.
const TAKEN_OFF: [(&str, &str); 3] = [
    ("container_name", "two slots cannot share a container's name"),
    ("ports", "the proxy is the one that publishes ports"),
    ("mac_address", "two slots cannot share an address"),
];

/// Renders the file of one slot.
pub(super) fn render(resolved: &Resolved, layout: &Layout<'_>, slot: &str, rendered: &mut Rendered) -> Result<String> {
    let mut services = Mapping::new();
    for service in resolved.compose.services().filter(|service| in_slot(resolved, *service)) {
        let map = self::service(resolved, layout, service, slot, rendered)?;
        services.insert(format!("{}-{slot}", service.name).into(), map.into());
    }
    let mut root = Mapping::new();
    root.insert("services".into(), services.into());
    let text =
        yaml_serde::to_string(&root).map_err(|error| resolved.compose.source().error_near("services", error.to_string()))?;
    Ok(format!("# Rendered by estiba from the team's Compose file: the app and what follows it, in slot {slot}.\n{text}"))
}

fn service(
    resolved: &Resolved,
    layout: &Layout<'_>,
    service: Service<'_>,
    slot: &str,
    rendered: &mut Rendered,
) -> Result<Mapping> {
    let name = service.name;
    let mut map = service.map.clone();
    refuse_what_cannot_work(resolved, service)?;
    for (key, why) in TAKEN_OFF {
        if map.shift_remove(key).is_some() {
            rendered.notes.push(format!("`{key}` is taken off service `{name}`: {why}"));
        }
    }
    map.shift_remove("build");
    map.insert("image".into(), "${ESTIBA_IMAGE}".into());
    map.insert("pull_policy".into(), "never".into());
    if let Some(volumes) = layout.volumes(service, true)? {
        map.insert("volumes".into(), volumes);
    }
    if let Some(env_file) = layout.env_file(service)? {
        map.insert("env_file".into(), env_file);
    }
    add(&mut map, "environment", &[("ESTIBA_RELEASE", "${ESTIBA_RELEASE}"), ("ESTIBA_SLOT", slot)]);
    add(&mut map, "labels", &[("estiba.release", "${ESTIBA_RELEASE}"), ("estiba.slot", slot)]);
    if networks(&mut map) {
        rendered.notes.push(format!(
            "fixed addresses and aliases are taken off the networks of service `{name}`: two slots cannot share them"
        ));
    }
    let renamed = |other: &str| -> Option<String> {
        resolved.compose.service(other).filter(|other| in_slot(resolved, *other)).map(|other| format!("{}-{slot}", other.name))
    };
    rename(&mut map, &renamed);
    modes(&mut map);
    Ok(map)
}

fn refuse_what_cannot_work(resolved: &Resolved, service: Service<'_>) -> Result<()> {
    let name = service.name;
    let source = resolved.compose.source();
    if service.map.get("network_mode").and_then(Value::as_str) == Some("host") {
        return Err(source
            .error_near(
                "network_mode:",
                format!("service `{name}` is on the host's network, where two slots would fight for one port"),
            )
            .hint("take `network_mode: host` off; the proxy reaches the slots on the stack's own network"));
    }
    let on_host = match service.map.get("networks") {
        Some(Value::Sequence(list)) => list.iter().any(|item| item.as_str() == Some("host")),
        Some(Value::Mapping(map)) => map.contains_key("host"),
        _ => false,
    };
    if on_host {
        return Err(source.error_near(
            "networks:",
            format!("service `{name}` is on the host's network, where two slots would fight for one port"),
        ));
    }
    Ok(())
}

/// Adds entries to `environment` or `labels`, in whichever form they are written.
fn add(map: &mut Mapping, key: &str, entries: &[(&str, &str)]) {
    match map.get_mut(key) {
        Some(Value::Sequence(list)) => list.extend(entries.iter().map(|(name, value)| Value::from(format!("{name}={value}")))),
        Some(Value::Mapping(existing)) => {
            for (name, value) in entries {
                existing.insert((*name).into(), (*value).into());
            }
        }
        _ => {
            let fresh: Mapping = entries.iter().map(|(name, value)| (Value::from(*name), Value::from(*value))).collect();
            map.insert(key.into(), fresh.into());
        }
    }
}

/// Takes fixed addresses and aliases off the service's networks. Says whether there were any.
fn networks(map: &mut Mapping) -> bool {
    let Some(Value::Mapping(networks)) = map.get_mut("networks") else { return false };
    let mut any = false;
    for (_, network) in networks.iter_mut() {
        let Some(network) = network.as_mapping_mut() else { continue };
        for key in ["ipv4_address", "ipv6_address", "aliases", "mac_address"] {
            any |= network.shift_remove(key).is_some();
        }
    }
    any
}

/// References to other services of the slot get the slot's names.
fn rename(map: &mut Mapping, renamed: &dyn Fn(&str) -> Option<String>) {
    for key in ["depends_on", "links", "volumes_from"] {
        match map.get_mut(key) {
            Some(Value::Sequence(list)) => {
                for item in list.iter_mut() {
                    let Some(text) = item.as_str() else { continue };
                    let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
                    if let Some(new) = renamed(name) {
                        *item = format!("{new}{rest}").into();
                    }
                }
            }
            Some(Value::Mapping(entries)) => {
                *entries = std::mem::take(entries)
                    .into_iter()
                    .map(|(name, value)| (name.as_str().and_then(renamed).map_or(name, Value::from), value))
                    .collect();
            }
            _ => {}
        }
    }
    for key in ["network_mode", "ipc", "pid"] {
        let shared = map.get(key).and_then(Value::as_str).and_then(|mode| mode.strip_prefix("service:")).and_then(renamed);
        if let Some(new) = shared {
            map.insert(key.into(), format!("service:{new}").into());
        }
    }
}
