//! slot-blue.yml and slot-green.yml: the apps, their workers and jobs under names of their own, so that two
//! releases run side by side.

use std::collections::BTreeMap;

use yaml_serde::{Mapping, Value};

use crate::compose::{Mount, Service};
use crate::config::{Resolved, ServiceKind, StaticFiles, StaticPlace};
use crate::error::{Error, Result};

use super::Rendered;
use super::edge;
use super::paths::{Layout, section_files};
use super::stack::placed;

/// Renders the file of one slot.
pub(super) fn render(resolved: &Resolved, layout: &Layout<'_>, slot: &str, rendered: &mut Rendered) -> Result<String> {
    let mut services = Mapping::new();
    let mut sections: BTreeMap<&str, Mapping> = BTreeMap::new();
    refuse_hooks(resolved)?;
    for service in resolved.compose.services().filter(|service| resolved.in_slot(service.name)) {
        let mut map = self::service(resolved, layout, service, slot, rendered)?;
        for key in ["secrets", "configs"] {
            own_files(resolved, layout, service, slot, key, &mut map, sections.entry(key).or_default());
        }
        services.insert(format!("{}-{slot}", service.name).into(), map.into());
    }
    let mut root = Mapping::new();
    root.insert("services".into(), services.into());
    root.extend(
        sections.into_iter().filter(|(_, section)| !section.is_empty()).map(|(key, section)| (key.into(), section.into())),
    );
    let text =
        yaml_serde::to_string(&root).map_err(|error| resolved.compose.source().error_near("services", error.to_string()))?;
    Ok(format!("# Rendered by estiba from the team's Compose files: the apps and what follows them, in slot {slot}.\n{text}"))
}

/// A deploy stops containers by their signal, past Compose, which alone knows of a hook.
fn refuse_hooks(resolved: &Resolved) -> Result<()> {
    let with_hook =
        resolved.compose.services().filter(|service| resolved.in_slot(service.name) && service.map.contains_key("pre_stop"));
    let error = |service: Service<'_>| {
        let message = format!("service `{}`: `pre_stop` is refused: deploys stop containers by signal only", service.name);
        let hint = "let the program do it when it gets its stop_signal (SIGTERM by default)";
        resolved.compose.error(service.name, "pre_stop", &message).hint(hint)
    };
    Error::all(with_hook.map(error).collect())
}

fn service(
    resolved: &Resolved,
    layout: &Layout<'_>,
    service: Service<'_>,
    slot: &str,
    rendered: &mut Rendered,
) -> Result<Mapping> {
    let name = service.name;
    let is_app = resolved.is_app(name);
    let mut map = placed(resolved, layout, service, true);
    own_static_files(resolved, &mut map);
    for key in ["container_name", "ports", "hostname", "domainname", "expose"] {
        if map.shift_remove(key).is_some() && !is_app {
            rendered.notes.push(format!("`{key}` is taken off service `{name}`: two slots cannot share it"));
        }
    }
    if map.shift_remove("mac_address").is_some() {
        rendered.notes.push(format!("`mac_address` is taken off service `{name}`: two slots cannot share it"));
    }
    let environment = mapping(&mut map, "environment");
    environment.retain(|name, _| !is_app || !name.as_str().is_some_and(edge::is_discovery_variable));
    if is_app {
        // What the env file says of how the app is found is the edge's.
        let written = service.map.get("environment").and_then(Value::as_mapping);
        for (name, _) in edge::discovery_environment(resolved, service) {
            if !written.is_some_and(|written| written.contains_key(&name)) {
                environment.insert(name, "".into());
            }
        }
    }
    environment.insert("ESTIBA_RELEASE".into(), "${ESTIBA_RELEASE}".into());
    environment.insert("ESTIBA_SLOT".into(), slot.into());
    let labels = mapping(&mut map, "labels");
    if is_app {
        labels.retain(|label, _| !label.as_str().is_some_and(|label| edge::is_discovery(resolved, label)));
        labels.insert("traefik.enable".into(), "false".into());
    }
    labels.insert("estiba.release".into(), "${ESTIBA_RELEASE}".into());
    labels.insert("estiba.slot".into(), slot.into());
    networks(resolved, name, slot, &mut map, rendered);
    let renamed = |other: &str| -> Option<String> { resolved.in_slot(other).then(|| format!("{other}-{slot}")) };
    rename(&mut map, &renamed);
    Ok(map)
}

/// Instead of the static files that all releases share, those of this one.
fn own_static_files(resolved: &Resolved, map: &mut Mapping) {
    let root = &resolved.target.root.value;
    let Some(Value::Sequence(volumes)) = map.get_mut("volumes") else { return };
    for mount in volumes.iter_mut() {
        let Some(entry) = Mount::of(mount, None) else { continue };
        let is_there = |files: &&StaticFiles| match &files.place {
            StaticPlace::Folder(path) => entry.source.as_deref() == Some(&format!("{root}/shared/{path}")),
            StaticPlace::Volume(name) => !entry.bind && entry.source.as_deref() == Some(name),
        };
        if let Some(files) = resolved.static_files.value.iter().find(is_there) {
            *mount = entry.with_source(&format!("{root}/static/${{ESTIBA_RELEASE}}/{}", files.place.folder()));
        }
    }
}

/// A mapping of the service's, made where it is not there.
fn mapping<'a>(map: &'a mut Mapping, key: &str) -> &'a mut Mapping {
    if !matches!(map.get(key), Some(Value::Mapping(_))) {
        map.insert(key.into(), Mapping::new().into());
    }
    match map.get_mut(key) {
        Some(Value::Mapping(mapping)) => mapping,
        _ => unreachable!("it was put there as a mapping"),
    }
}

/// Fixed addresses and aliases go: an app's are its edge's. A worker, which never runs twice, keeps its own name. An app has a
/// name on the edges' network that nobody else on the server has.
fn networks(resolved: &Resolved, name: &str, slot: &str, map: &mut Mapping, rendered: &mut Rendered) {
    let kind = resolved.kind(name);
    let networks = if map.contains_key("network_mode") { return } else { mapping(map, "networks") };
    if networks.is_empty() {
        networks.insert("default".into(), Value::Null);
    }
    for (_, network) in networks.iter_mut() {
        let mut kept = network.as_mapping().cloned().unwrap_or_default();
        let mut any = false;
        for key in ["ipv4_address", "ipv6_address", "mac_address", "link_local_ips"] {
            any |= kept.shift_remove(key).is_some();
        }
        if any && kind != ServiceKind::App {
            rendered
                .notes
                .push(format!("fixed addresses are taken off the networks of service `{name}`: two slots cannot share them"));
        }
        let aliases = kept.shift_remove("aliases");
        if kind == ServiceKind::Worker && !resolved.app.overlap.value {
            let mut own = vec![Value::from(name)];
            own.extend(aliases.and_then(|aliases| aliases.as_sequence().cloned()).unwrap_or_default());
            kept.insert("aliases".into(), own.into());
        }
        *network = if kept.is_empty() { Value::Null } else { kept.into() };
    }
    if kind == ServiceKind::App {
        let alias = vec![Value::from(edge::slot_name(resolved, name, slot))];
        networks.insert(edge::NETWORK.into(), Mapping::from_iter([(Value::from("aliases"), Value::from(alias))]).into());
    }
}

/// Files that come in as secrets or configs belong to the release, under a name of the slot's own.
pub(super) fn own_files(
    resolved: &Resolved,
    layout: &Layout<'_>,
    service: Service<'_>,
    slot: &str,
    key: &str,
    map: &mut Mapping,
    section: &mut Mapping,
) {
    let files: BTreeMap<String, String> = section_files(&resolved.compose, key).into_iter().collect();
    let Some(Value::Sequence(list)) = map.get_mut(key) else { return };
    for entry in list.iter_mut().filter_map(Value::as_mapping_mut) {
        let Some(source) = entry.get("source").and_then(Value::as_str).map(str::to_owned) else { continue };
        let Some(path) = files.get(&source) else { continue };
        let place = layout.section_file(service.name, path, true);
        let own = format!("{source}-{slot}");
        section.insert(own.as_str().into(), Mapping::from_iter([(Value::from("file"), Value::from(place))]).into());
        if !entry.contains_key("target") {
            let target = if key == "configs" { format!("/{source}") } else { source };
            entry.insert("target".into(), target.into());
        }
        entry.insert("source".into(), own.into());
    }
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
                        *item = format!(
                            "{new}{}",
                            if key == "links" && rest.is_empty() { format!(":{name}") } else { rest.to_owned() }
                        )
                        .into();
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
