//! One service of a Compose file, and what the file tells about it.

use std::collections::BTreeMap;

use yaml_serde::{Mapping, Value};

use crate::error::Result;

use super::interpolate::environment_map;
use super::{ComposeFile, HealthUrl, Mount, health_url};

/// A service and its name.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its settings.
    pub map: &'a Mapping,
}

impl<'a> Service<'a> {
    /// Refuses what is not a service at all.
    pub(super) fn check(file: &ComposeFile, name: &Value, service: &Value) -> Result<()> {
        let Some(name) = name.as_str() else {
            return Err(file.source().error_near("services", "a service's name is a text"));
        };
        let good_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !good_name {
            return Err(file.source().error_near(name, format!("`{name}` is not a name that Compose takes for a service")));
        }
        let wrong = |what: &str| Err(file.source().error_near(&format!("{name}:"), format!("service `{name}`: {what}")));
        let Some(map) = service.as_mapping() else {
            return wrong("its settings are a mapping");
        };
        if !map.contains_key("image") && !map.contains_key("build") {
            return wrong("it has neither `image` nor `build`");
        }
        for (key, lists, texts) in [
            ("image", false, true),
            ("volumes", true, false),
            ("ports", true, false),
            ("profiles", true, false),
            ("env_file", true, true),
        ] {
            let good = match map.get(key) {
                None | Some(Value::Null) => true,
                Some(Value::Sequence(_)) => lists,
                Some(Value::String(_)) => texts,
                Some(_) => false,
            };
            if !good {
                return wrong(&format!("`{key}` is {}", if lists { "a list" } else { "a text" }));
            }
        }
        Ok(())
    }

    fn list(&self, key: &str) -> &'a [Value] {
        self.map.get(key).and_then(Value::as_sequence).map_or(&[], Vec::as_slice)
    }

    /// Its image as written.
    pub fn image(&self) -> Option<&'a str> {
        self.map.get("image").and_then(Value::as_str)
    }

    /// Is its image one of that name, whatever its registry, variant or tag?
    pub fn runs_image(&self, name: &str) -> bool {
        let Some(image) = self.image() else { return false };
        let last = image.rsplit('/').next().unwrap_or(image);
        last.split([':', '@']).next().unwrap_or(last).contains(name)
    }

    /// Does it start by default, with no profile asked for?
    pub fn starts_by_default(&self) -> bool {
        self.list("profiles").is_empty()
    }

    /// Context and Dockerfile of its build, where it is built.
    pub fn build(&self) -> Option<(String, Option<String>, Option<String>)> {
        match self.map.get("build")? {
            Value::String(context) => Some((context.clone(), None, None)),
            Value::Mapping(build) => {
                let text = |key: &str| build.get(key).and_then(Value::as_str).map(str::to_owned);
                Some((text("context").unwrap_or_else(|| ".".into()), text("dockerfile"), text("target")))
            }
            _ => None,
        }
    }

    /// The arguments of its build.
    pub fn build_args(&self) -> BTreeMap<String, String> {
        environment_map(self.map.get("build").and_then(Value::as_mapping).and_then(|build| build.get("args")))
    }

    /// Its environment as written.
    pub fn environment(&self) -> BTreeMap<String, String> {
        environment_map(self.map.get("environment"))
    }

    /// Its mounts.
    pub fn mounts(&self) -> impl Iterator<Item = Mount> + 'a {
        self.list("volumes").iter().filter_map(Mount::read)
    }

    /// The services it waits for or names, in both forms of `depends_on`.
    pub fn depends_on(&self) -> Vec<&'a str> {
        match self.map.get("depends_on") {
            Some(Value::Sequence(list)) => list.iter().filter_map(Value::as_str).collect(),
            Some(Value::Mapping(map)) => map.keys().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The address in its healthcheck.
    pub fn health_url(&self) -> Option<HealthUrl> {
        health_url(self.map.get("healthcheck")?.as_mapping()?.get("test")?)
    }

    /// The first port in its container that it exposes or publishes.
    pub fn port(&self) -> Option<u16> {
        let number = |value: &Value| match value {
            Value::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
            Value::String(text) => text.rsplit(':').next()?.split('/').next()?.parse().ok(),
            Value::Mapping(long) => long.get("target")?.as_u64().and_then(|number| u16::try_from(number).ok()),
            _ => None,
        };
        self.list("expose").iter().chain(self.list("ports")).find_map(number)
    }
}
