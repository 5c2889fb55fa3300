//! `extends`: a service that takes over another's settings, by Compose's rules: mappings are merged,
//! lists appended (mounts and ports of the same target replaced), commands and single values replaced.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use yaml_serde::{Mapping, Value};

use crate::error::Result;

use super::ComposeFile;
use super::file::parse_yaml;
use super::mounts::Mount;

/// Deeper chains than this are taken for a mistake.
const DEPTH: usize = 32;

/// The services of a file with `extends` resolved.
pub(super) fn resolve(file: &ComposeFile, services: &Mapping, read: &dyn Fn(&Utf8Path) -> Result<String>) -> Result<Mapping> {
    let mut resolver = Resolver { file, read, others: BTreeMap::new() };
    let mut resolved = Mapping::new();
    for (name, service) in services {
        let service = match name.as_str() {
            Some(name) => resolver.service(services, None, name, service, 0)?,
            None => service.clone(),
        };
        resolved.insert(name.clone(), service);
    }
    Ok(resolved)
}

struct Resolver<'a> {
    file: &'a ComposeFile,
    read: &'a dyn Fn(&Utf8Path) -> Result<String>,
    others: BTreeMap<Utf8PathBuf, Mapping>,
}

impl Resolver<'_> {
    fn service(
        &mut self,
        services: &Mapping,
        from: Option<&Utf8Path>,
        name: &str,
        service: &Value,
        depth: usize,
    ) -> Result<Value> {
        let Some(extends) = service.as_mapping().and_then(|map| map.get("extends")) else {
            return Ok(service.clone());
        };
        let wrong = |message: String| self.file.source().error_near("extends", message);
        if depth >= DEPTH {
            return Err(wrong(format!("service `{name}` extends itself, or a chain of more than {DEPTH} services")));
        }
        let (base_name, base_file) = match extends {
            Value::String(base) => (base.clone(), None),
            Value::Mapping(map) => {
                let base = map.get("service").and_then(Value::as_str);
                let Some(base) = base else {
                    return Err(wrong(format!("`extends` of service `{name}` names no service")));
                };
                (base.to_owned(), map.get("file").and_then(Value::as_str).map(Utf8PathBuf::from))
            }
            _ => return Err(wrong(format!("`extends` of service `{name}` is neither a name nor service and file"))),
        };
        let base = match base_file.as_deref().or(from) {
            Some(path) => {
                if !self.others.contains_key(path) {
                    let text =
                        (self.read)(path).map_err(|error| wrong(format!("service `{name}` extends: {}", error.message)))?;
                    let root = parse_yaml(path.as_str(), &text)?;
                    let services = root.get("services").and_then(Value::as_mapping).cloned().unwrap_or_default();
                    self.others.insert(path.to_owned(), services);
                }
                let others = self.others[path].clone();
                let base = self.find(&others, name, &base_name)?;
                self.service(&others, Some(path), &base_name, &base, depth + 1)?
            }
            None => {
                let base = self.find(services, name, &base_name)?;
                self.service(services, None, &base_name, &base, depth + 1)?
            }
        };
        let (Value::Mapping(mut merged), Value::Mapping(own)) = (base, service.clone()) else {
            return Ok(service.clone());
        };
        for (key, value) in own {
            if key.as_str() == Some("extends") {
                continue;
            }
            let value = match merged.shift_remove(&key) {
                Some(base) => merge(key.as_str().unwrap_or(""), base, value),
                None => value,
            };
            merged.insert(key, value);
        }
        merged.shift_remove("extends");
        Ok(merged.into())
    }

    fn find(&self, services: &Mapping, name: &str, base: &str) -> Result<Value> {
        services.get(base).cloned().ok_or_else(|| {
            self.file.source().error_near("extends", format!("service `{name}` extends `{base}`, which does not exist"))
        })
    }
}

fn merge(key: &str, base: Value, own: Value) -> Value {
    match (key, base, own) {
        ("command" | "entrypoint" | "test", _, own) => own,
        ("environment" | "labels" | "args", base, own) if base.is_sequence() || own.is_sequence() => {
            let (mut merged, own) = (as_mapping(base), as_mapping(own));
            merged.extend(own);
            merged.into()
        }
        ("depends_on", base, own) if base.is_sequence() || own.is_sequence() => {
            let (mut merged, own) = (dependencies(base), dependencies(own));
            merged.extend(own);
            merged.into()
        }
        ("volumes", Value::Sequence(base), Value::Sequence(own)) => {
            let targets: Vec<String> = own.iter().filter_map(Mount::read).map(|mount| mount.target).collect();
            let kept = base.into_iter().filter(|value| Mount::read(value).is_none_or(|mount| !targets.contains(&mount.target)));
            kept.chain(own).collect::<Vec<_>>().into()
        }
        (_, Value::Mapping(mut base), Value::Mapping(own)) => {
            for (key, value) in own {
                let value = match base.shift_remove(&key) {
                    Some(before) => merge(key.as_str().unwrap_or(""), before, value),
                    None => value,
                };
                base.insert(key, value);
            }
            base.into()
        }
        (_, Value::Sequence(mut base), Value::Sequence(own)) => {
            base.extend(own.into_iter().filter(|value| !base.contains(value)).collect::<Vec<_>>());
            base.into()
        }
        (_, _, own) => own,
    }
}

/// The short form of `depends_on` as the long one it stands for.
fn dependencies(value: Value) -> Mapping {
    match value {
        Value::Mapping(mapping) => mapping,
        Value::Sequence(list) => {
            let started = || Mapping::from_iter([("condition".into(), "service_started".into())]);
            list.into_iter().map(|name| (name, started().into())).collect()
        }
        _ => Mapping::new(),
    }
}

/// `["A=1", "B"]` as the mapping it stands for.
fn as_mapping(value: Value) -> Mapping {
    match value {
        Value::Mapping(mapping) => mapping,
        Value::Sequence(list) => list
            .into_iter()
            .filter_map(|item| {
                let item = item.as_str()?.to_owned();
                Some(match item.split_once('=') {
                    Some((key, value)) => (key.into(), value.into()),
                    None => (item.into(), Value::Null),
                })
            })
            .collect(),
        _ => Mapping::new(),
    }
}
