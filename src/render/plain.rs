//! plain.yml: the stack as `docker compose up` runs it without estiba, with no edge and no slot. `eject` puts it in place.

use std::collections::BTreeMap;

use yaml_serde::{Mapping, Value};

use crate::config::Resolved;
use crate::error::Result;

use super::paths::Layout;
use super::slot::own_files;
use super::stack::{placed, sections};

/// Renders it.
pub(super) fn render(resolved: &Resolved, layout: &Layout<'_>) -> Result<String> {
    let mut root = sections(resolved, layout)?;
    let mut services = Mapping::new();
    let mut own: BTreeMap<&str, Mapping> = BTreeMap::new();
    for service in resolved.compose.services() {
        let in_slot = resolved.in_slot(service.name);
        let mut map = placed(resolved, layout, service, in_slot);
        if in_slot {
            for key in ["secrets", "configs"] {
                own_files(resolved, layout, service, "plain", key, &mut map, own.entry(key).or_default());
            }
        }
        services.insert(service.name.into(), map.into());
    }
    for (key, section) in own.into_iter().filter(|(_, section)| !section.is_empty()) {
        let mut whole = root.get(key).and_then(Value::as_mapping).cloned().unwrap_or_default();
        whole.extend(section);
        root.insert(key.into(), whole.into());
    }
    let mut plain = Mapping::from_iter([
        (Value::from("name"), Value::from(resolved.compose_project.value.as_str())),
        ("services".into(), services.into()),
    ]);
    plain.extend(root);
    let text =
        yaml_serde::to_string(&plain).map_err(|error| resolved.compose.source().error_near("services", error.to_string()))?;
    Ok(format!("# Written by `estiba eject` from the team's Compose files: the stack without estiba.\n{text}"))
}
