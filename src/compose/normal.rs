//! One form for what Compose lets people write in several: with variables unfilled, Compose leaves lists as lists and short
//! forms short. Everything above reads and writes the long form alone.

use yaml_serde::{Mapping, Value};

/// The long form of a model that Compose read without filling variables in.
pub(super) fn normalise(root: &mut Mapping) {
    root.retain(|key, _| !key.as_str().is_some_and(|key| key.starts_with("x-") || key == "version" || key == "name"));
    let Some(Value::Mapping(services)) = root.get_mut("services") else { return };
    for (_, service) in services.iter_mut() {
        if let Some(service) = service.as_mapping_mut() {
            self::service(service);
        }
    }
}

fn service(map: &mut Mapping) {
    map.retain(|key, value| !key.as_str().is_some_and(|key| key.starts_with("x-")) && !value.is_null());
    for key in ["environment", "labels", "annotations", "sysctls", "extra_hosts"] {
        // `extra_hosts` in a list may be parted by a colon.
        let separator = if key == "extra_hosts" { [':', '='] } else { ['=', '='] };
        if let Some(Value::Sequence(list)) = map.get(key) {
            let pairs = pairs(list, separator);
            // Several addresses of one name would be lost in a mapping.
            if key != "extra_hosts" || pairs.len() == list.len() {
                map.insert(key.into(), pairs.into());
            }
        }
    }
    if let Some(Value::Mapping(build)) = map.get_mut("build") {
        for key in ["args", "labels", "additional_contexts", "extra_hosts"] {
            let separator = if key == "extra_hosts" { [':', '='] } else { ['=', '='] };
            if let Some(Value::Sequence(list)) = build.get(key) {
                let pairs = pairs(list, separator);
                build.insert(key.into(), pairs.into());
            }
        }
        build.retain(|_, value| !value.is_null());
    }
    if let Some(Value::Sequence(list)) = map.get("depends_on") {
        let started = || -> Value {
            [("condition", Value::from("service_started")), ("required", true.into())]
                .into_iter()
                .map(|(key, value)| (Value::from(key), value))
                .collect::<Mapping>()
                .into()
        };
        let long: Mapping = list.iter().map(|name| (name.clone(), started())).collect();
        map.insert("depends_on".into(), long.into());
    }
    if let Some(Value::Sequence(list)) = map.get("networks") {
        let long: Mapping = list.iter().map(|name| (name.clone(), Value::Null)).collect();
        map.insert("networks".into(), long.into());
    }
    for key in ["secrets", "configs"] {
        if let Some(Value::Sequence(list)) = map.get_mut(key) {
            for entry in list.iter_mut() {
                if let Some(source) = entry.as_str() {
                    *entry = Mapping::from_iter([(Value::from("source"), Value::from(source))]).into();
                }
            }
        }
    }
    match map.get("env_file") {
        Some(Value::String(path)) => {
            let long = env_file(path);
            map.insert("env_file".into(), vec![long].into());
        }
        Some(Value::Sequence(list)) => {
            let long: Vec<Value> = list.iter().map(|entry| entry.as_str().map_or_else(|| entry.clone(), env_file)).collect();
            map.insert("env_file".into(), long.into());
        }
        _ => {}
    }
    for key in ["expose", "tmpfs", "dns", "dns_search", "label_file"] {
        if let Some(one @ (Value::String(_) | Value::Number(_))) = map.get(key).cloned() {
            map.insert(key.into(), vec![one].into());
        }
    }
}

fn env_file(path: &str) -> Value {
    Mapping::from_iter([(Value::from("path"), Value::from(path)), (Value::from("required"), true.into())]).into()
}

/// `["A=1", "B"]` as the mapping it stands for; a name alone is one without a value.
fn pairs(list: &[Value], separator: [char; 2]) -> Mapping {
    let pair = |item: &Value| {
        let item = item.as_str()?;
        Some(match item.split_once(separator) {
            Some((key, value)) => (key.into(), value.into()),
            None => (item.into(), Value::Null),
        })
    };
    list.iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_become_long_ones() {
        let mut root: Mapping = yaml_serde::from_str(
            "x-a: 1\nservices: {web: {environment: [A=1=2, B], depends_on: [db], networks: [back], env_file: .env, secrets: [k], x-b: 2, build: {args: [V=1]}}}",
        )
        .unwrap();
        normalise(&mut root);
        let expected: Mapping = yaml_serde::from_str(
            "services: {web: {environment: {A: '1=2', B: null}, depends_on: {db: {condition: service_started, required: true}}, networks: {back: null}, env_file: [{path: .env, required: true}], secrets: [{source: k}], build: {args: {V: '1'}}}}",
        )
        .unwrap();
        assert_eq!(root, expected);
    }
}
