//! What an existing stack lacks, held against what `init` writes.

use serde::Serialize;
use yaml_serde::{Mapping, Value};

use crate::compose::{Published, Service};
use crate::config::{Resolved, ServiceKind};

/// Ports that databases, caches and brokers listen on.
const DATA_PORTS: [u16; 9] = [5432, 3306, 6379, 11211, 27017, 5672, 9200, 1433, 2379];

/// One thing that a stack lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// The service; none where it is the whole stack's.
    pub service: Option<String>,
    /// What it lacks.
    pub what: &'static str,
    /// Why that matters.
    pub why: &'static str,
    /// What to write, into the Compose file or deploy.toml.
    pub write: &'static str,
}

/// All that the stack lacks, service by service, and what is the whole stack's last.
pub fn lacks(resolved: &Resolved) -> Vec<Lack> {
    let mut found = Vec::new();
    for service in resolved.compose.services() {
        let kind = resolved.kinds.get(service.name).map(|decided| decided.kind);
        let is_data = service.ports().iter().any(|port| DATA_PORTS.contains(port))
            || resolved.database.as_ref().is_some_and(|database| database.service.value == service.name);
        let named = of_service(&service, kind, is_data).into_iter();
        found.extend(named.map(|(what, why, write)| Lack { service: Some(service.name.to_owned()), what, why, write }));
    }
    let of_all = |what, why, write| Lack { service: None, what, why, write };
    let published: Vec<Published> = resolved.compose.services().flat_map(|service| service.published()).collect();
    let is_https = |port: &Published| port.target == 443 || port.published.as_deref().is_some_and(|port| port.ends_with("443"));
    if !published.is_empty() && !published.iter().any(is_https) {
        found.push(of_all(
            "no port for https",
            "unless something in front of this server speaks https, passwords and sessions can be read on their way",
            "a proxy with a certificate: `estiba init --domain NAME` in an empty folder shows one with nginx and certbot",
        ));
    }
    if resolved.database.is_some() && resolved.backup.schedule.is_none() {
        found.push(of_all(
            "no scheduled backup",
            "a deploy backs the database up before migrations only",
            "[backup] schedule = \"0 3 * * *\" in deploy.toml",
        ));
    }
    found
}

/// Why and how, of one thing that is lacking.
type What = (&'static str, &'static str, &'static str);

fn of_service(service: &Service<'_>, kind: Option<ServiceKind>, is_data: bool) -> Vec<What> {
    let found = reach(service, is_data).into_iter().chain(written(service)).chain(limits(
        service,
        kind == Some(ServiceKind::Job),
        is_data,
    ));
    found.filter(|(lacks, _)| *lacks).map(|(_, what)| what).collect()
}

/// What a break-in reaches.
fn reach(service: &Service<'_>, is_data: bool) -> Vec<(bool, What)> {
    let map = service.map;
    let has_in = |key: &str, wanted: &str| {
        map.get(key).and_then(Value::as_sequence).is_some_and(|list| {
            list.iter()
                .filter_map(Value::as_str)
                .any(|value| value.eq_ignore_ascii_case(wanted) || value == format!("{wanted}:true"))
        })
    };
    let is_true = |key: &str| map.get(key).and_then(Value::as_bool) == Some(true);
    vec![
        (
            is_true("privileged"),
            (
                "it is privileged",
                "whoever breaks into it has the whole server",
                "leave `privileged` out, and name what it needs in `cap_add`",
            ),
        ),
        (
            service.mounts().iter().any(|mount| mount.source.as_deref().is_some_and(|source| source.ends_with("docker.sock"))),
            (
                "it has the Engine's socket",
                "whoever breaks into it has the whole server",
                "leave it out, or put a filtering proxy for the socket between",
            ),
        ),
        (
            is_data
                && service
                    .published()
                    .iter()
                    .any(|port| port.host.as_deref() != Some("127.0.0.1") && port.host.as_deref() != Some("::1")),
            (
                "its port is published",
                "Docker opens it past the server's firewall, and everybody may try passwords",
                "leave `ports` out: services of the stack reach each other by name",
            ),
        ),
        (
            !has_in("cap_drop", "ALL"),
            (
                "it has all of Docker's capabilities",
                "a bug in it reaches further than it must",
                "cap_drop: [ALL], and `cap_add` for what it needs",
            ),
        ),
        (
            !has_in("security_opt", "no-new-privileges"),
            (
                "its processes may gain privileges",
                "a setuid program in the image makes root of anybody",
                "security_opt: [\"no-new-privileges:true\"]",
            ),
        ),
    ]
}

/// What the Compose file should not say of it.
fn written(service: &Service<'_>) -> Vec<(bool, What)> {
    let map = service.map;
    vec![
        (
            service.build().is_none() && service.image_name().is_some() && moves(service.image().unwrap_or_default()),
            (
                "its image has no version",
                "another one comes with the next pull, tested by nobody",
                "a version as the image's tag",
            ),
        ),
        (
            literal_secret(map),
            (
                "a password stands in the Compose file",
                "it is in the repository for whoever reads that, for ever",
                "${NAME} there, and the value in the environment of whoever deploys",
            ),
        ),
    ]
}

/// What it may use up, and what starts it again. One that ends by itself needs no start.
fn limits(service: &Service<'_>, ends: bool, is_data: bool) -> Vec<(bool, What)> {
    let map = service.map;
    let limit = |key: &str| at(map, &["deploy", "resources", "limits", key]).is_some();
    vec![
        (
            !ends && at(map, &["restart"]).is_none() && at(map, &["deploy", "restart_policy"]).is_none(),
            ("no restart policy", "after a crash or a reboot it stays down", "restart: unless-stopped"),
        ),
        (
            !ends && is_data && map.get("healthcheck").is_none(),
            ("no healthcheck", "what waits for it starts before it answers", "healthcheck: with pg_isready, redis-cli ping, …"),
        ),
        (
            map.get("mem_limit").is_none() && !limit("memory"),
            ("no limit on memory", "a leak takes everything else on the server with it", "mem_limit: 512m"),
        ),
        (
            map.get("pids_limit").is_none() && !limit("pids"),
            ("no limit on processes", "a fork bomb takes the server", "pids_limit: 256"),
        ),
        (
            at(map, &["logging"]).is_none(),
            (
                "no limit on its log",
                "the Engine keeps a container's log without end, until the disk is full",
                "logging: {driver: json-file, options: {max-size: 10m, max-file: \"3\"}}",
            ),
        ),
    ]
}

fn at<'a>(map: &'a Mapping, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(map.get(*first)?, |value, key| value.get(*key))
}

/// Is the image's tag one that means another image tomorrow?
fn moves(image: &str) -> bool {
    if image.contains('@') || image.contains('$') {
        return false;
    }
    match image.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag == "latest",
        _ => true,
    }
}

/// Does a variable with a secret's name have a value that is written out?
fn literal_secret(map: &Mapping) -> bool {
    let Some(environment) = map.get("environment").and_then(Value::as_mapping) else { return false };
    environment.iter().any(|(name, value)| {
        let name = name.as_str().unwrap_or_default().to_ascii_uppercase();
        let is_secret = ["PASSWORD", "SECRET", "TOKEN", "API_KEY", "PRIVATE_KEY"].iter().any(|part| name.ends_with(part));
        is_secret && value.as_str().is_some_and(|value| !value.is_empty() && !value.contains('$'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Mapping {
        yaml_serde::from_str(text).unwrap()
    }

    #[test]
    fn an_image_s_tag_says_whether_it_stays() {
        assert!(moves("redis") && moves("redis:latest") && moves("host:5000/app"));
        assert!(!moves("redis:7") && !moves("host:5000/app:1") && !moves("app@sha256:aa") && !moves("app:${TAG}"));
    }

    #[test]
    fn a_password_that_is_written_out_is_found() {
        assert!(literal_secret(&map("environment: {POSTGRES_PASSWORD: hunter2}")));
        assert!(!literal_secret(&map("environment: {POSTGRES_PASSWORD: \"${POSTGRES_PASSWORD}\", TOKEN_URL: x}")));
        assert!(!literal_secret(&map("image: x")));
    }
}
