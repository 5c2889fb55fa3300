//! The settings of a build beside its context, Dockerfile, stage and arguments, as options of `docker build`.

use std::collections::BTreeMap;

use camino::Utf8Path;
use yaml_serde::{Mapping, Value};

use crate::config::{Image, Resolved};
use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::text::is_name;

/// What a build is told by options, and what by its environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildSettings {
    /// Options of `docker build`, each in one word or two.
    pub options: Vec<String>,
    /// Variables that options name: the values of secrets.
    pub environment: BTreeMap<String, String>,
    /// Are there options that only BuildKit has?
    pub needs_buildkit: bool,
    /// Are there options that only buildx has?
    pub needs_buildx: bool,
    /// Files and folders beside the context that the build reads, by what they hold.
    contents: Vec<String>,
}

impl BuildSettings {
    /// Reads the settings of this image's build; paths start at `base`. What leads out of the project is refused by name.
    pub(super) fn read(resolved: &Resolved, image: &Image, base: &Utf8Path, boundary: &Utf8Path) -> Result<Self> {
        let mut settings = Self::default();
        let service = image.services.first().map(String::as_str).unwrap_or_default();
        let wrong = |needle: &str, message: String, hint: &str| {
            resolved.compose.error(service, needle, &format!("service `{service}`: {message}")).hint(hint)
        };
        let mut errors = Vec::new();
        for (key, value) in image.build.iter().filter_map(|(key, value)| Some((key.as_str()?, value))) {
            let mut option = |name: &str, value: String| settings.options.extend([format!("--{name}"), value]);
            match key {
                "network" => option("network", text(value)),
                "shm_size" => option("shm-size", text(value)),
                "isolation" => option("isolation", text(value)),
                "cache_from" | "cache_to" => {
                    for cache in list(value) {
                        let message = || format!("`build.{key}` is a folder of this machine");
                        let local = names_a_folder(&cache);
                        errors.extend(local.then(|| wrong(&cache, message(), "use a registry: type=registry,ref=…")));
                        option(&key.replace('_', "-"), cache);
                    }
                    settings.needs_buildx |= key == "cache_to";
                }
                "labels" => each(value, |name, value| option("label", format!("{name}={value}"))),
                "extra_hosts" => each(value, |name, value| option("add-host", format!("{name}:{value}"))),
                "ulimits" => each(value, |name, value| option("ulimit", format!("{name}={value}"))),
                "no_cache" if value.as_bool() == Some(true) => settings.options.push("--no-cache".into()),
                "pull" if value.as_bool() == Some(true) => settings.options.push("--pull".into()),
                "ssh" => {
                    for (name, value) in pairs(value) {
                        let message = || format!("`build.ssh` names a key or a socket of this machine, {value}");
                        let hint = "ssh: [default] lends the SSH agent of whoever deploys";
                        errors.extend((!value.is_empty()).then(|| wrong(&value, message(), hint)));
                        option("ssh", name);
                    }
                    settings.needs_buildkit = true;
                }
                "additional_contexts" => {
                    settings.needs_buildx = true;
                    for (name, place) in pairs(value) {
                        if let Err(why) = settings.context(base, boundary, &name, &place) {
                            let hint = "what a build reads lies in the repository, or is an image (docker-image://…)";
                            errors.push(wrong(&place, format!("the additional context `{name}`: {why}"), hint));
                        }
                    }
                }
                "secrets" => {
                    settings.needs_buildkit = true;
                    for entry in value.as_sequence().into_iter().flatten() {
                        let source = entry.as_str().or_else(|| entry.get("source")?.as_str()).unwrap_or_default();
                        let target = entry.get("target").and_then(Value::as_str).unwrap_or(source);
                        if let Err(why) = settings.secret(resolved, base, boundary, source, target) {
                            let hint = "secrets: NAME: { environment: VARIABLE } takes it from the env file";
                            errors.push(wrong(source, format!("the build's secret `{source}`: {why}"), hint));
                        }
                    }
                }
                _ => {}
            }
        }
        Error::all(errors)?;
        Ok(settings)
    }

    fn context(&mut self, base: &Utf8Path, boundary: &Utf8Path, name: &str, place: &str) -> Result<(), String> {
        if place.starts_with("docker-image://") {
            self.options.extend(["--build-context".into(), format!("{name}={place}")]);
            return Ok(());
        }
        if place.contains("://") || place.starts_with("service:") {
            return Err(format!("`{place}` is no folder of the project"));
        }
        let path = inside(base, boundary, place)?;
        self.contents.push(contents(&path));
        self.options.extend(["--build-context".into(), format!("{name}={path}")]);
        Ok(())
    }

    fn secret(
        &mut self,
        resolved: &Resolved,
        base: &Utf8Path,
        boundary: &Utf8Path,
        source: &str,
        target: &str,
    ) -> Result<(), String> {
        let entry =
            resolved.compose.root.get("secrets").and_then(|secrets| secrets.get(source)).ok_or("it is not among `secrets`")?;
        if let Some(variable) = entry.get("environment").and_then(Value::as_str) {
            let known = resolved.env.values.iter().find(|(name, _)| name == variable);
            let (_, value) = known.ok_or_else(|| format!("`{variable}` is not in the env file"))?;
            let own = format!("ESTIBA_BUILD_SECRET_{}", self.environment.len());
            self.options.extend(["--secret".into(), format!("id={target},env={own}")]);
            self.environment.insert(own, value.clone());
            return Ok(());
        }
        let file = entry.get("file").and_then(Value::as_str).ok_or("it names neither a file nor a variable")?;
        let path = inside(base, boundary, file)?;
        self.options.extend(["--secret".into(), format!("id={target},src={path}")]);
        Ok(())
    }

    /// What an image built with them depends on.
    pub(super) fn digest(&self) -> String {
        sha256(format!("{:?}{:?}", self.options, self.contents).as_bytes())
    }
}

/// The path, where it is there and lies in the project.
fn inside(base: &Utf8Path, boundary: &Utf8Path, path: &str) -> Result<String, String> {
    let full = base.join(path);
    let real = full.canonicalize_utf8().map_err(|error| format!("{full}: {error}"))?;
    let boundary = boundary.canonicalize_utf8().unwrap_or_else(|_| boundary.to_owned());
    if real.starts_with(&boundary) { Ok(real.into_string()) } else { Err(format!("{full} is outside the project ({boundary})")) }
}

/// Does this cache name a folder of this machine? Its keys are read in any case.
fn names_a_folder(cache: &str) -> bool {
    cache.split(',').filter_map(|field| field.split_once('=')).any(|(key, value)| {
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().to_ascii_lowercase());
        key == "dest" || key == "src" || key == "type" && value == "local"
    })
}

fn each(value: &Value, mut tell: impl FnMut(String, String)) {
    pairs(value).into_iter().for_each(|(name, value)| tell(name, value));
}

/// What lies below the folder: names and contents, as a digest.
fn contents(path: &str) -> String {
    let mut open = vec![camino::Utf8PathBuf::from(path)];
    let mut lines = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() && !path.is_symlink() {
            open.extend(path.read_dir_utf8().into_iter().flatten().flatten().map(|entry| entry.path().to_owned()));
        } else if path.is_symlink() {
            lines.push(format!("{path} -> {}", path.read_link_utf8().unwrap_or_default()));
        } else if let Ok(sum) = std::fs::File::open(&path).and_then(crate::digest::sha256_of) {
            lines.push(format!("{path} {sum}"));
        }
    }
    lines.sort();
    sha256(lines.join("\n").as_bytes())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace("$$", "$"),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => String::new(),
    }
}

fn list(value: &Value) -> Vec<String> {
    value.as_sequence().into_iter().flatten().map(text).collect()
}

/// Names and values of a mapping; a list's texts are names.
fn pairs(value: &Value) -> Vec<(String, String)> {
    let limits = |limits: &Mapping| {
        format!("{}:{}", limits.get("soft").map(text).unwrap_or_default(), limits.get("hard").map(text).unwrap_or_default())
    };
    match value {
        Value::Mapping(map) => map
            .iter()
            .filter_map(|(name, value)| {
                let value = match value {
                    Value::Mapping(map) => limits(map),
                    Value::Sequence(list) => list.first().map(text).unwrap_or_default(),
                    value => text(value),
                };
                Some((name.as_str()?.to_owned(), value))
            })
            .collect(),
        Value::Sequence(list) => list
            .iter()
            .map(|item| {
                let item = text(item);
                match item.split_once(['=', ':']) {
                    Some((name, value)) => (name.to_owned(), value.to_owned()),
                    None => (item, String::new()),
                }
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Would a variable of this name steer the program that builds, or one that it starts?
fn steers(name: &str) -> bool {
    const NAMES: [&str; 6] = ["PATH", "HOME", "IFS", "ENV", "SHELL", "TMPDIR"];
    const BEGINNINGS: [&str; 12] =
        ["LD_", "DOCKER_", "BUILDKIT_", "BUILDX_", "COMPOSE_", "ESTIBA_", "GIT_", "SSL_", "GODEBUG", "XDG_", "BASH_", "ACTIONS_"];
    NAMES.contains(&name) || BEGINNINGS.iter().any(|known| name.starts_with(known))
}

/// Would it steer the interpreter of a helper that Docker starts, given a text that somebody has made up?
fn steers_helpers(name: &str) -> bool {
    const NAMES: [&str; 5] = ["SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "CDPATH"];
    const BEGINNINGS: [&str; 12] =
        ["PYTHON", "PERL", "RUBY", "NODE_", "JAVA", "JDK_", "_JAVA", "CLOUDSDK_", "AWS_", "AZURE_", "GOOGLE_", "LC_"];
    NAMES.contains(&name) || BEGINNINGS.iter().any(|known| name.starts_with(known))
}

/// How a build argument comes to the program that builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// As an argument, where others on the machine see it: it holds no secret.
    Shown,
    /// In its environment, where nobody else does: the value is a secret and nothing beside it, or an address with one in it, so that no
    /// text of the project's own becomes a variable that some program reads.
    Hidden,
    /// Neither would do.
    Refused,
}

impl Given {
    /// For an argument of this name and value.
    pub(super) fn of(name: &str, value: &str, secrets: &[String]) -> Self {
        if !secrets.iter().any(|secret| value.contains(secret.as_str())) {
            return Self::Shown;
        }
        let is_secret = secrets.iter().any(|secret| secret == value);
        let is_address = value.split_once("://").is_some_and(|(scheme, rest)| {
            !scheme.is_empty()
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-".contains(&byte))
                && !rest.contains(' ')
        });
        let harmless = is_name(name) && !steers(name) && (is_secret || is_address && !steers_helpers(name));
        if harmless { Self::Hidden } else { Self::Refused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_argument_is_a_variable_only_where_nobody_chose_its_text() {
        let secrets = ["hunter22".to_owned()];
        let given = |name, value| Given::of(name, value, &secrets);
        assert_eq!(given("PATH", "./tools:/usr/bin"), Given::Shown);
        assert_eq!(given("CLOUDSDK_PYTHON", "./tools/x"), Given::Shown);
        assert_eq!(given("TOKEN", "hunter22"), Given::Hidden);
        assert_eq!(given("DATABASE_URL", "postgres://u:hunter22@db/x"), Given::Hidden);
        for (name, value) in [
            ("DOCKER_HOST", "hunter22"),
            ("a-b", "hunter22"),
            ("PS4", "$(./tools/x) hunter22"),
            ("ANY", "./tools/x hunter22"),
            ("PYTHONPATH", "a://b:./tools:hunter22"),
            ("ANY", "a://b hunter22"),
        ] {
            assert_eq!(given(name, value), Given::Refused, "{name}={value}");
        }
    }

    #[test]
    fn a_cache_is_no_folder_of_this_machine_however_it_is_written() {
        for cache in ["type=local,dest=x", "TYPE=LOCAL,dest=x", " type = local ", "DEST=/x", "type=registry,src=/x"] {
            assert!(names_a_folder(cache), "{cache}");
        }
        assert!(!names_a_folder("type=registry,ref=example.com/x:y") && !names_a_folder("example.com/x:y"));
    }
}
