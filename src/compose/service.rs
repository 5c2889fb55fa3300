//! One service of the model, and what the files tell about it.

use std::collections::BTreeMap;

use yaml_serde::{Mapping, Value};

use crate::text::paths::tidy;

use super::{HealthUrl, Mount, health_url};

/// A service and its name.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its settings as written, in long form.
    pub map: &'a Mapping,
    /// The same with variables filled in.
    pub(super) filled: &'a Mapping,
}

/// What a service is built from, variables filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Build {
    /// The context's path from the Compose file's folder.
    pub context: String,
    /// The Dockerfile, from the context; `None` where it stands in the Compose file itself.
    pub dockerfile: Option<String>,
    /// The Dockerfile's text, where it stands in the Compose file.
    pub inline: Option<String>,
    /// The stage.
    pub target: Option<String>,
    /// The arguments.
    pub arguments: BTreeMap<String, String>,
    /// Everything else as Compose reads it.
    pub more: Mapping,
}

/// A port that a service publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The port in the container.
    pub target: u16,
    /// The port of the host; none for one that Docker chooses.
    pub published: Option<String>,
    /// The host's address.
    pub host: Option<String>,
    /// `tcp` or `udp`.
    pub protocol: String,
}

impl<'a> Service<'a> {
    fn list(&self, key: &str) -> &'a [Value] {
        self.filled.get(key).and_then(Value::as_sequence).map_or(&[], Vec::as_slice)
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.filled.get(key).and_then(Value::as_str)
    }

    /// Its image, variables filled in.
    pub fn image(&self) -> Option<&'a str> {
        self.text("image")
    }

    /// The name of its image, without registry, tag and digest.
    pub fn image_name(&self) -> Option<&'a str> {
        let last = self.image()?.rsplit('/').next()?;
        last.split([':', '@']).next()
    }

    /// What it is built from, where it is built.
    pub fn build(&self) -> Option<Build> {
        let build = self.filled.get("build")?.as_mapping()?;
        let text = |key: &str| build.get(key).and_then(Value::as_str).map(str::to_owned);
        let inline = text("dockerfile_inline");
        let mut more = build.clone();
        more.retain(|key, _| {
            !["context", "dockerfile", "dockerfile_inline", "target", "args"].iter().any(|known| key.as_str() == Some(*known))
        });
        let dockerfile = text("dockerfile").unwrap_or_else(|| "Dockerfile".into());
        Some(Build {
            context: tidy(&text("context").unwrap_or_default()),
            dockerfile: inline.is_none().then(|| tidy(&dockerfile)),
            inline,
            target: text("target"),
            arguments: pairs(build.get("args")).into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            more,
        })
    }

    /// Its environment, variables filled in; what has no value is left out.
    pub fn environment(&self) -> BTreeMap<String, String> {
        pairs(self.filled.get("environment")).into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Its labels, variables filled in.
    pub fn labels(&self) -> BTreeMap<String, String> {
        pairs(self.filled.get("labels")).into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect()
    }

    /// Its mounts, in the order in which they are written.
    pub fn mounts(&self) -> Vec<Mount> {
        let written = self.map.get("volumes").and_then(Value::as_sequence).map_or(&[][..], Vec::as_slice);
        let filled = self.list("volumes");
        let target = |value: &Value| value.get("target").and_then(Value::as_str).map(str::to_owned);
        let find = |at: usize, entry: &Value| {
            // A target may be written with a variable too: then its place in the list tells.
            filled
                .iter()
                .find(|filled| target(filled) == target(entry))
                .or_else(|| filled.get(at).filter(|_| filled.len() == written.len()))
        };
        written.iter().enumerate().filter_map(|(at, entry)| Mount::of(entry, find(at, entry))).collect()
    }

    /// The services that it names in `depends_on`, with the condition.
    pub fn depends_on(&self) -> Vec<(&'a str, &'a str)> {
        let depends = self.map.get("depends_on").and_then(Value::as_mapping);
        let condition = |value: &'a Value| value.get("condition").and_then(Value::as_str).unwrap_or("service_started");
        depends.into_iter().flatten().filter_map(|(name, value)| Some((name.as_str()?, condition(value)))).collect()
    }

    /// The services that it needs: those of `depends_on` and `links`.
    pub fn needs(&self) -> Vec<&'a str> {
        let links = self.list("links").iter().filter_map(|link| link.as_str()?.split(':').next());
        self.depends_on().into_iter().map(|(name, _)| name).chain(links).collect()
    }

    /// The address in its healthcheck.
    pub fn health_url(&self) -> Option<HealthUrl> {
        health_url(self.filled.get("healthcheck")?.as_mapping()?.get("test")?)
    }

    /// Its command and entrypoint in one line.
    pub fn command_line(&self) -> String {
        let words = |key: &str| -> Vec<String> {
            match self.filled.get(key) {
                Some(Value::Sequence(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                Some(Value::String(text)) => vec![text.clone()],
                _ => Vec::new(),
            }
        };
        [words("entrypoint"), words("command")].concat().join(" ").replace("$$", "$")
    }

    /// The ports that it publishes.
    pub fn published(&self) -> Vec<Published> {
        let port = |value: &Value| {
            let number = |key: &str| value.get(key).and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok());
            let text = |key: &str| match value.get(key)? {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            };
            Some(Published {
                target: number("target")?,
                published: text("published"),
                host: text("host_ip"),
                protocol: text("protocol").unwrap_or_else(|| "tcp".into()),
            })
        };
        self.list("ports").iter().filter_map(port).collect()
    }

    /// The TCP ports in its container that it exposes or publishes: exposed ones first.
    pub fn ports(&self) -> Vec<u16> {
        let exposed = self.list("expose").iter().filter_map(|value| {
            let text = value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|number| number.to_string()))?;
            text.strip_suffix("/tcp").unwrap_or(&text).parse().ok()
        });
        let published = self.published().into_iter().filter(|port| port.protocol == "tcp").map(|port| port.target);
        let mut ports: Vec<u16> = Vec::new();
        for port in exposed.chain(published) {
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        ports
    }

    /// How often it runs at once.
    pub fn replicas(&self) -> u64 {
        let number = |value: Option<&Value>| value.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
        let deploy = self.filled.get("deploy").and_then(|deploy| deploy.get("replicas"));
        number(self.filled.get("scale")).or_else(|| number(deploy)).unwrap_or(1)
    }

    /// A single text of its settings, variables filled in.
    pub fn setting(&self, key: &str) -> Option<&'a str> {
        self.text(key)
    }

    /// The paths of its `env_file`, from the Compose file's folder, and whether each must be there.
    pub fn env_files(&self) -> Vec<(String, bool)> {
        let list = self.map.get("env_file").and_then(Value::as_sequence);
        let file = |entry: &Value| {
            let required = entry.get("required").and_then(Value::as_bool) != Some(false);
            Some((tidy(entry.get("path")?.as_str()?), required))
        };
        list.into_iter().flatten().filter_map(file).collect()
    }
}

/// A mapping of texts, numbers and truth values.
fn pairs(value: Option<&Value>) -> Vec<(String, Option<String>)> {
    let scalar = |value: &Value| match value {
        // What Compose prints can be read by Compose again, so every dollar in it is doubled.
        Value::String(text) => Some(text.replace("$$", "$")),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    };
    let map = value.and_then(Value::as_mapping);
    map.into_iter().flatten().filter_map(|(name, value)| Some((name.as_str()?.to_owned(), scalar(value)))).collect()
}
