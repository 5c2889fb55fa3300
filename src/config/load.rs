//! Reads deploy.toml: `${NAME}` filled in, keys checked against the schema, values against their types.

use std::ops::Range;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Result};

use super::envfile::may_be_secret;
use super::{Config, Environment, Source, env, nearest, shape};

/// A deploy.toml that was read, with its own text for later errors.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// Its path as the user knows it.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl Loaded {
    /// The text with its name, to point at places in it.
    pub fn source(&self) -> Source<'_> {
        Source { name: &self.name, text: &self.text }
    }
}

/// Reads the text of deploy.toml.
///
/// Every failure is an input error (exit 2) with file, line, column and the offending line.
pub fn load(name: &str, text: &str, environment: &Environment) -> Result<Loaded> {
    let config = parse(Source { name, text }, environment)?;
    Ok(Loaded { config, name: name.to_owned(), text: text.to_owned() })
}

/// The same, for the configuration alone.
pub fn parse(source: Source<'_>, environment: &Environment) -> Result<Config> {
    let document = DeTable::parse(source.text).map_err(|error| toml_error(source, &error))?;
    let schema = shape::schema();
    check_keys(source, document.get_ref(), &schema, &schema, "")?;
    let mut config: Config = toml::from_str(source.text).map_err(|error| toml_error(source, &error))?;
    fill_values(source, &mut config, environment)?;
    check_values(source, &config).map_err(|error| error.or_hint("`estiba config schema` has every key and its values"))?;
    Ok(config)
}

fn toml_error(source: Source<'_>, error: &toml::de::Error) -> Error {
    let span: Range<usize> = error.span().unwrap_or(0..0);
    let found = source.error(span.clone(), error.message());
    match error.message() {
        message if message.contains("missing field `project`") || message.contains("missing field `name`") => {
            found.hint("a deploy.toml begins with [project] and name = \"…\"")
        }
        message if message.contains("missing field `hosts`") => found.hint("a target needs hosts = [\"user@host\"]"),
        _ => match documentation_at(source, &span) {
            Some(documentation) => found.hint(documentation),
            None => found.hint(
                "deploy.toml is TOML: [section], then key = \"text\", key = 3, key = true or key = [\"a\", \"b\"] below it",
            ),
        },
    }
}

/// What the key is, whose value stands at this place.
fn documentation_at(source: Source<'_>, span: &Range<usize>) -> Option<String> {
    fn find(table: &DeTable<'_>, span: &Range<usize>, at: &str) -> Option<String> {
        table.iter().find_map(|(key, value)| {
            let name: &str = key.get_ref();
            let path = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
            match value.get_ref() {
                DeValue::Table(inner) => find(inner, span, &path),
                _ => (value.span().start <= span.start && span.end <= value.span().end && !span.is_empty()).then_some(path),
            }
        })
    }
    let document = DeTable::parse(source.text).ok()?;
    let path = find(document.get_ref(), span, "")?;
    Some(format!("{path}: {}", documentation(&path)?))
}

/// The documentation of a key, by its path; the name of a target is passed over.
fn documentation(path: &str) -> Option<String> {
    let root = shape::schema();
    let mut schema = &root;
    let mut text = None;
    for name in path.split('.') {
        let section = follow(schema, &root);
        schema = section.get("properties").and_then(|known| known.get(name)).or_else(|| section.get("additionalProperties"))?;
        text = schema.get("description").and_then(Json::as_str);
    }
    Some(text?.replace('\n', " "))
}

/// Walks document and schema side by side; the first unknown key is the error.
fn check_keys(source: Source<'_>, table: &DeTable<'_>, schema: &Json, root: &Json, at: &str) -> Result<()> {
    let schema = follow(schema, root);
    let known = schema.get("properties").and_then(Json::as_object);
    let any = schema.get("additionalProperties").filter(|value| value.is_object());
    for (key, value) in table {
        let name: &str = key.get_ref();
        let next = known.and_then(|known| known.get(name)).or(any);
        let Some(next) = next else {
            let place = if at.is_empty() { String::from("at the top") } else { format!("in [{at}]") };
            let mut error = source.error(key.span(), format!("unknown key `{name}` {place}"));
            let names: Vec<&str> = known.map(|known| known.keys().map(String::as_str).collect()).unwrap_or_default();
            if let Some(near) = nearest(name, names.iter().copied()) {
                error = error.hint(format!("did you mean `{near}`?"));
            } else if let Some(home) = home_of(name, root) {
                error = error.hint(format!("`{name}` belongs in [{home}]"));
            } else {
                error = error.hint(format!("known keys {place}: {}", names.join(", ")));
            }
            return Err(error);
        };
        let path = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        check_value(source, value, next, root, &path)?;
    }
    Ok(())
}

fn check_value(source: Source<'_>, value: &Spanned<DeValue<'_>>, schema: &Json, root: &Json, at: &str) -> Result<()> {
    let schema = follow(schema, root);
    match value.get_ref() {
        DeValue::Table(table) if schema.get("properties").is_some() || schema.get("additionalProperties").is_some() => {
            check_keys(source, table, schema, root, at)
        }
        other if schema.get("properties").is_some() && !matches!(other, DeValue::Table(_)) => Err(source
            .error(value.span(), format!("`{at}` is a section: write [{at}] and its keys below it"))
            .hint(documentation(at).unwrap_or_else(|| String::from("a section is a table")))),
        _ => Ok(()),
    }
}

/// The schema behind `$ref` and behind the `null` of an optional one.
fn follow<'a>(schema: &'a Json, root: &'a Json) -> &'a Json {
    let mut schema = schema;
    for _ in 0..8 {
        if let Some(path) = schema.get("$ref").and_then(Json::as_str) {
            schema = root.pointer(path.trim_start_matches('#')).unwrap_or(&Json::Null);
        } else if let Some(choice) = schema.get("anyOf").and_then(Json::as_array) {
            let some = choice.iter().find(|one| one.get("type").and_then(Json::as_str) != Some("null"));
            schema = some.unwrap_or(&Json::Null);
        } else {
            break;
        }
    }
    schema
}

/// The section that knows this key, for a key that stands in the wrong one.
fn home_of(name: &str, root: &Json) -> Option<String> {
    let sections = root.get("properties")?.as_object()?;
    for (section, schema) in sections {
        let known = follow(schema, root).get("properties").and_then(Json::as_object);
        if known.is_some_and(|known| known.contains_key(name)) {
            return Some(section.clone());
        }
    }
    None
}

/// Fills `${NAME}` in every value that may hold one.
fn fill_values(source: Source<'_>, config: &mut Config, environment: &Environment) -> Result<()> {
    let mut used = Vec::new();
    let mut one = |value: &mut String| -> Result<()> {
        *value = env::fill(source, value, environment, &mut used)?;
        Ok(())
    };
    for target in config.target.values_mut() {
        target.hosts.iter_mut().try_for_each(&mut one)?;
        target.host_keys.iter_mut().try_for_each(&mut one)?;
        let places = [&mut target.identity, &mut target.root, &mut target.url, &mut target.env_file];
        places.into_iter().flatten().try_for_each(&mut one)?;
    }
    let image = &mut config.image;
    [&mut image.reference, &mut image.username, &mut image.password, &mut image.archive]
        .into_iter()
        .flatten()
        .try_for_each(&mut one)?;
    if let Some(offsite) = &mut config.backup.offsite {
        let written = offsite.clone();
        one(offsite)?;
        config.backup.offsite_is_secret = written != *offsite;
    }
    config.backup.offsite_environment.values_mut().try_for_each(&mut one)?;
    used.retain(|name| may_be_secret(name));
    config.secrets = used.iter().filter_map(|name| environment.get(name)).filter(|value| value.len() >= 4).cloned().collect();
    Ok(())
}

fn check_values(source: Source<'_>, config: &Config) -> Result<()> {
    let name = &config.project.name;
    check_project_name(source, name, "project.name")?;
    if let Some(name) = &config.project.compose_project {
        check_project_name(source, name, "compose-project")?;
    }
    for name in config.target.values().filter_map(|section| section.compose_project.as_deref()) {
        check_project_name(source, name, "compose-project")?;
    }
    for (target, section) in &config.target {
        if section.hosts.is_empty() {
            return Err(source.error_near("hosts", format!("target `{target}` has no host")).hint("hosts = [\"user@host\"]"));
        }
        if section.root.as_deref().is_some_and(|root| !is_safe_root(root)) {
            let root = section.root.as_deref().unwrap_or_default();
            return Err(source
                .error_near(root, format!("the root `{root}` is not an absolute path of plain characters"))
                .hint("letters, digits and ._-/ only, two folders deep at least or not below a system folder: /srv/name"));
        }
    }
    for section in config.target.values() {
        let good = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        if let Some(url) = section.url.as_deref().filter(|url| !good(url)) {
            return Err(source
                .error_near(url, format!("the url `{url}` is not an address"))
                .hint("https://example.com, as in a browser"));
        }
    }
    for folder in config.stack.shared.iter().flatten() {
        if folder.is_empty()
            || folder.starts_with('/')
            || folder.contains("..")
            || !folder.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b))
        {
            return Err(source
                .error_near(folder, format!("the shared folder `{folder}` is not a relative path of plain characters"))
                .hint("letters, digits and ._-/ only, from the Compose file's folder"));
        }
    }
    let rollout = &config.rollout;
    if let Some(rate) = rollout.max_error_rate.filter(|rate| !(0.0..=1.0).contains(rate)) {
        return Err(source.error_near("max-error-rate", format!("max-error-rate is {rate}; it is a share from 0 to 1")));
    }
    if let Some(keep) = rollout.keep_releases.filter(|keep| *keep < 2) {
        return Err(source
            .error_near("keep-releases", format!("keep-releases is {keep}; without a previous release there is no way back"))
            .hint("2 at least"));
    }
    for app in std::iter::once(&config.app).chain(config.apps.values()) {
        let ports = app.port.into_iter().chain(app.ports.iter().flatten().map(|port| port.port));
        if ports.into_iter().any(|port| port == 0) {
            return Err(source.error_near("port", "port 0 is no port"));
        }
        if app.port.is_some() && app.ports.is_some() {
            return Err(source
                .error_near("ports", "an app has either `port` or `ports`")
                .hint("put the port into the list: ports = [{ port = 8000 }]"));
        }
    }
    for health in
        std::iter::once(&config.health).chain(config.apps.values().chain([&config.app]).filter_map(|app| app.health.as_ref()))
    {
        if let Some(path) = health.path.as_deref().filter(|path| !is_request_path(path)) {
            return Err(source
                .error_near(path, format!("health.path `{path}` is not the path of a request"))
                .hint("it begins with / and has no space in it"));
        }
        if let Some(status) = health.expect_status.filter(|status| !(100..600).contains(status)) {
            return Err(source.error_near("expect-status", format!("expect-status {status} is no HTTP status")));
        }
        if let Some(host) = health
            .host
            .as_deref()
            .filter(|host| host.is_empty() || !host.bytes().all(|b| b.is_ascii_graphic() && !b"'\"\\|&;<>`$".contains(&b)))
        {
            return Err(source
                .error_near(host, format!("health.host `{host}` is not the name of a host"))
                .hint("as in the Host header of a request: example.com"));
        }
    }
    for network in config.edge.trusted_proxies.iter().flatten() {
        let (address, bits) = network.split_once('/').unwrap_or((network, "32"));
        if address.parse::<std::net::IpAddr>().is_err() || bits.parse::<u8>().is_err() {
            return Err(source
                .error_near(network, format!("`{network}` in trusted-proxies is neither an address nor a network"))
                .hint("203.0.113.7, or 203.0.113.0/24"));
        }
    }
    if config.database.keep_backups == Some(0) {
        return Err(source
            .error_near("keep-backups", "keep-backups is 0; no backup would be there when it is needed")
            .hint("1 at least"));
    }
    if config.database.lock_timeout.is_some_and(|timeout| timeout.0 == 0) {
        return Err(source
            .error_near("lock-timeout", "lock-timeout is 0s, by which PostgreSQL would wait for ever")
            .hint("1s at least"));
    }
    Ok(())
}

fn check_project_name(source: Source<'_>, name: &str, key: &str) -> Result<()> {
    let good = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && name.len() <= 63;
    if good {
        return Ok(());
    }
    Err(source
        .error_near(&format!("\"{name}\""), format!("{key} `{name}` is not a name that Docker and Compose take"))
        .hint("lower-case letters, digits, - and _, beginning with a letter or digit, 63 at most"))
}

fn is_safe_root(root: &str) -> bool {
    const SYSTEM: [&str; 14] =
        ["/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/opt", "/proc", "/root", "/srv", "/sys", "/usr", "/var"];
    // Below these nobody keeps an application, and some programs read all that is there.
    const NEVER: [&str; 8] = ["/bin/", "/boot/", "/dev/", "/etc/", "/lib/", "/proc/", "/sbin/", "/sys/"];
    let plain = root.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    root.starts_with('/')
        && plain
        && !root.contains("/..")
        && !SYSTEM.contains(&root.trim_end_matches('/'))
        && !NEVER.iter().any(|folder| root.starts_with(folder))
        && root.len() > 2
}

fn is_request_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && !b"'\"\\|&;<>`$".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        load("deploy.toml", text, &Environment::new()).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_has_its_place_and_the_nearest_known_one() {
        let text = "[project]\nname = \"x\"\n[rollout]\nstrategi = \"recreate\"\n";
        insta::assert_snapshot!(error(text), @r#"
        unknown key `strategi` in [rollout]
         --> deploy.toml:4:1
          |
        4 | strategi = "recreate"
          | ^^^^^^^^
          hint: did you mean `strategy`?
        "#);
    }

    #[test]
    fn a_key_in_the_wrong_section_is_told_its_home() {
        assert!(error("[project]\nname = \"x\"\nkeep-releases = 3\n").contains("belongs in [rollout]"));
    }

    #[test]
    fn a_wrong_type_has_its_place() {
        let said = error("[project]\nname = \"x\"\n[app]\nport = \"eight\"\n");
        assert!(said.contains("deploy.toml:4:8"), "{said}");
    }

    #[test]
    fn values_are_checked() {
        assert!(error("[project]\nname = \"Big Name\"\n").contains("deploy.toml:2:8"));
        assert!(error("[project]\nname = \"x\"\n[target.a]\nhosts = [\"h\"]\nroot = \"/etc\"\n").contains("root"));
        assert!(error("[project]\nname = \"x\"\n[target.a]\nhosts = [\"h\"]\nroot = \"/etc/x\"\n").contains("root"));
        assert!(error("[project]\nname = \"x\"\n[target.a]\nhosts = [\"u@${NOPE}\"]\n").contains("`NOPE` is not set"));
        assert!(error("project = 3\n").contains("is a section"));
        assert!(error("").contains("missing field `project`"));
    }
}
