//! docs/compose.md says of every key of the Compose specification what becomes of it, and what it says is so.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::settings::SETTINGS;
use super::{project, try_to_render};

/// The specification's own schema, as of June 2026 (Apache-2.0).
const SCHEMA: &str = include_str!("compose-spec.json");
const DOCUMENT: &str = include_str!("../../docs/compose.md");

/// The keys below this node of the schema, `*` for a name that the team gives.
fn keys(schema: &Value, node: &Value, path: &str, found: &mut BTreeSet<String>) {
    if let Some(reference) = node["$ref"].as_str() {
        let definition = schema.pointer(reference.trim_start_matches('#')).unwrap();
        keys(schema, definition, path, found);
    }
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, value) in node["properties"].as_object().into_iter().flatten() {
        found.insert(below(name));
        keys(schema, value, &below(name), found);
    }
    for (pattern, value) in node["patternProperties"].as_object().into_iter().flatten() {
        if pattern != "^x-" {
            found.insert(below("*"));
            keys(schema, value, &below("*"), found);
        }
    }
    let alternatives = ["oneOf", "anyOf", "allOf"].iter().filter_map(|key| node[*key].as_array()).flatten();
    for value in alternatives.chain(node.get("items")) {
        keys(schema, value, path, found);
    }
}

/// The rows of the document: for each key what becomes of it.
fn rows() -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    let mut scope = "";
    for line in DOCUMENT.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            scope = if ["A service", "`build`"].contains(&heading) { "services.*." } else { "" };
        }
        let Some((names, text)) = line.strip_prefix("| `").and_then(|row| row.split_once(" | ")) else { continue };
        for name in names.split(", ") {
            let key = format!("{scope}{}", name.trim_matches(['`', ' ']));
            assert!(rows.insert(key.clone(), text.to_owned()).is_none(), "{key} has two rows");
        }
    }
    rows
}

#[test]
fn every_key_of_the_specification_has_a_row_or_belongs_to_one_that_has() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut all = BTreeSet::new();
    keys(&schema, &schema, "", &mut all);
    let rows = rows();
    // A row counts for what lies below it, but for one that leads to other rows.
    let is_told = |key: &str| {
        let mut above = key;
        while !rows.contains_key(above) {
            match above.rsplit_once('.') {
                Some((shorter, _)) => above = shorter,
                None => return false,
            }
        }
        above == key || !rows[above].contains("see below")
    };
    let missing: Vec<&String> = all.iter().filter(|key| !key.ends_with(".*") && !is_told(key)).collect();
    assert!(missing.is_empty(), "without a row in docs/compose.md: {missing:?}");
    let unknown: Vec<&String> = rows.keys().filter(|key| !all.contains(*key)).collect();
    assert!(unknown.is_empty(), "rows of keys that the specification does not have: {unknown:?}");
    assert!(all.len() > 250, "only {} keys were found in the schema", all.len());
}

#[test]
fn what_is_kept_is_compared_by_compose_itself() {
    let compared: BTreeSet<String> = SETTINGS.iter().map(|(name, _)| format!("services.*.{name}")).collect();
    let rows = rows();
    let kept = rows.iter().filter(|(_, text)| *text == "kept | kept |");
    let missing: Vec<&String> = kept.map(|(key, _)| key).filter(|key| !compared.contains(*key)).collect();
    // Compose before 2.41 does not read it.
    assert_eq!(missing, ["services.*.pull_refresh_after"]);
}

/// Something that is refused, for each row that says so: lines of the app, lines of a service of the stack, lines of deploy.toml.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    ("include", "", "  redis: {image: redis:7}\ninclude: [\"https://example.com/compose.yml\"]\n", ""),
    ("services.*.network_mode", "network_mode: host", "", ""),
    ("services.*.ipc", "ipc: shareable", "  redis: {image: redis:7, ipc: \"service:web\"}\n", ""),
    ("services.*.pid", "", "  redis: {image: redis:7, pid: \"service:web\"}\n", ""),
    ("services.*.pre_stop", "pre_stop: [{command: sleep 1}]", "", ""),
    ("services.*.provider", "", "  cloud: {provider: {type: cloud}}\n", ""),
    ("services.*.use_api_socket", "use_api_socket: true", "", ""),
    ("services.*.build.entitlements", "build: {context: ., entitlements: [network.host]}", "", ""),
    ("services.*.build.privileged", "build: {context: ., privileged: true}", "", ""),
    ("services.*.build.platforms", "build: {context: ., platforms: [linux/amd64, linux/arm64]}", "", ""),
    ("services.*.build.ssh", "build: {context: ., ssh: [default]}", "", "[image]\nsource = \"server\"\n"),
    ("services.*.build.network", "build: {context: ., network: host}", "", "[image]\nsource = \"server\"\n"),
];

#[test]
fn what_is_refused_is_refused_by_name_and_place() {
    for (key, app, more, deploy_toml) in REFUSED {
        let folder = project();
        let build = if app.starts_with("build:") { "" } else { "\n    build: ." };
        let lines = if app.is_empty() { String::new() } else { format!("\n    {app}") };
        std::fs::write(folder.path().join("compose.yml"), format!("services:\n  web:{build}{lines}\n{more}")).unwrap();
        let path = folder.path().join("deploy.toml");
        let text = std::fs::read_to_string(&path).unwrap().replace("[app]", &format!("{deploy_toml}[app]"));
        std::fs::write(path, text).unwrap();
        let said = try_to_render(folder.path()).expect_err(key).to_string();
        let name = key.rsplit('.').next().unwrap();
        assert!(said.contains(name) && (said.contains("compose.yml:") || said.contains("deploy.toml:")), "{key}: {said}");
    }
    let said: BTreeSet<String> = rows().into_iter().filter(|(_, text)| text.contains("refused")).map(|(key, _)| key).collect();
    let shown: BTreeSet<String> = REFUSED.iter().map(|(key, ..)| (*key).to_owned()).collect();
    let by_the_server = |key: &str| rows()[key].contains("source = \"server\"");
    let missing: Vec<&String> = said.iter().filter(|key| !shown.contains(*key) && !by_the_server(key)).collect();
    assert!(missing.is_empty(), "said to be refused in docs/compose.md and not tried: {missing:?}");
}
