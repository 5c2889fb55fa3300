//! What is known of the project while it is decided what its services are: its files, its images, and who asks for whom.

use std::cell::RefCell;
use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use crate::compose::{Build, Model, Service};
use crate::error::Result;
use crate::text::read_limited;

use super::super::Project;
use super::dockerfile::{Stage, stage};
use super::proxy_files::{mentions, texts};

/// Images that hold data or pass it on.
const DATA: [&str; 35] = [
    "postgres",
    "postgis",
    "timescale",
    "pgvector",
    "pgautoupgrade",
    "mysql",
    "mariadb",
    "percona",
    "mongo",
    "redis",
    "valkey",
    "keydb",
    "dragonfly",
    "memcached",
    "rabbitmq",
    "elasticsearch",
    "opensearch",
    "kafka",
    "zookeeper",
    "clickhouse",
    "cassandra",
    "influxdb",
    "minio",
    "etcd",
    "neo4j",
    "couchdb",
    "solr",
    "meilisearch",
    "typesense",
    "qdrant",
    "weaviate",
    "nats",
    "mosquitto",
    "mssql",
    "cockroach",
];
/// Images that stand in front of others.
const PROXIES: [&str; 13] = [
    "nginx",
    "caddy",
    "traefik",
    "haproxy",
    "httpd",
    "envoy",
    "swag",
    "openresty",
    "oauth2-proxy",
    "https-portal",
    "letsencrypt",
    "acme",
    "certbot",
];
/// Images of tools that somebody runs by hand.
const BY_HAND: [&str; 2] = ["aws-cli", "awscli"];
/// Images that serve those who run the stack.
const TOOLS: [&str; 46] = [
    "adminer",
    "pgadmin",
    "phpmyadmin",
    "mailhog",
    "mailpit",
    "maildev",
    "portainer",
    "watchtower",
    "prometheus",
    "grafana",
    "alertmanager",
    "exporter",
    "cadvisor",
    "loki",
    "promtail",
    "jaeger",
    "ofelia",
    "autoheal",
    "backup",
    "pgbouncer",
    "bouncer",
    "pgpool",
    "redis-commander",
    "redisinsight",
    "kibana",
    "logstash",
    "filebeat",
    "fluentd",
    "fluent-bit",
    "vector",
    "selenium",
    "chrome",
    "browserless",
    "registry",
    "dozzle",
    "netdata",
    "telegraf",
    "otel",
    "opentelemetry",
    "tempo",
    "cloudflared",
    "tailscale",
    "wireguard",
    "localstack",
    "mongo-express",
    "socket-proxy",
];

/// What is known of the project while it is decided what its services are.
pub(super) struct World<'a> {
    pub(super) project: &'a Project,
    pub(super) compose: &'a Model,
    /// The Compose file's folder, from the project's.
    pub(super) base: Utf8PathBuf,
    /// The stage that each built service's Dockerfile makes.
    stages: BTreeMap<String, Stage>,
    /// What the proxies' own files say, by the proxy's name.
    pub(super) texts: RefCell<BTreeMap<String, Vec<String>>>,
}

impl<'a> World<'a> {
    pub(super) fn look(project: &'a Project, compose: &'a Model, base: &Utf8Path) -> Result<Self> {
        let mut world = Self { project, compose, base: base.to_owned(), stages: BTreeMap::new(), texts: RefCell::default() };
        for service in compose.services() {
            let Some(build) = service.build() else { continue };
            let text = match (&build.inline, &build.dockerfile) {
                (Some(inline), _) => inline.clone(),
                (None, Some(dockerfile)) => {
                    let path = world.context(&build).join(dockerfile);
                    if path.is_file() && project.contains(&path) { read_limited(&path)? } else { String::new() }
                }
                (None, None) => String::new(),
            };
            world.stages.insert(service.name.to_owned(), stage(&text, build.target.as_deref()));
        }
        for service in compose.services().filter(|service| world.is_proxy(service)) {
            let texts = texts(project, compose, base, service, world.stage(service.name));
            world.texts.borrow_mut().insert(service.name.to_owned(), texts);
        }
        Ok(world)
    }

    /// A build's context, from where estiba runs.
    pub(super) fn context(&self, build: &Build) -> Utf8PathBuf {
        self.project.path(self.base.join(&build.context))
    }

    pub(super) fn stage(&self, service: &str) -> Option<&Stage> {
        self.stages.get(service)
    }

    /// The names that tell what runs in the service: its image's, and for a built one what that starts from.
    pub(super) fn image_names(&self, service: &Service<'_>) -> Vec<String> {
        let last =
            |image: &str| image.rsplit('/').next().unwrap_or(image).split([':', '@']).next().unwrap_or_default().to_owned();
        let base = self.stage(service.name).map(|stage| last(&stage.base));
        let own = service.image_name().filter(|_| base.is_none()).map(str::to_owned);
        own.into_iter().chain(base).collect()
    }

    /// Does it run one of these images: is it called so, or does a part of its name begin so?
    pub(super) fn runs(&self, service: &Service<'_>, images: &[&str]) -> bool {
        let is = |name: &str, image: &str| {
            name.starts_with(image) || name.contains(&format!("-{image}")) || name.contains(&format!("_{image}"))
        };
        self.image_names(service).iter().any(|name| images.iter().any(|image| is(name, image)))
    }

    /// Is it run by hand, and not a part of what serves?
    pub(super) fn is_by_hand(&self, service: &Service<'_>) -> bool {
        self.runs(service, &BY_HAND)
    }

    pub(super) fn is_data(&self, service: &Service<'_>) -> bool {
        let by_name =
            service.build().is_some() && (DATA.contains(&service.name) || service.name == "db") && service.published().is_empty();
        (self.runs(service, &DATA) || by_name) && !self.runs(service, &TOOLS)
    }

    /// Does it stand in front of others: does it run a proxy's image, or one made of it by adding its configuration alone?
    pub(super) fn is_proxy(&self, service: &Service<'_>) -> bool {
        if !self.runs(service, &PROXIES) || self.runs(service, &["exporter"]) {
            return false;
        }
        self.stage(service.name)
            .is_none_or(|stage| !stage.copies_stages && stage.copied.iter().all(|path| is_configuration(path)))
    }

    pub(super) fn is_tool(&self, service: &Service<'_>) -> bool {
        self.runs(service, &TOOLS)
    }

    /// The services that stand in front of others.
    pub(super) fn proxies(&self) -> Vec<String> {
        self.texts.borrow().keys().cloned().collect()
    }

    /// What a proxy's files say of the service: the ports that they ask it on, with the word before, `uwsgi_pass` say.
    pub(super) fn asked(&self, service: &str) -> Vec<(Option<u16>, String)> {
        let texts = self.texts.borrow();
        texts.values().flatten().flat_map(|text| mentions(text, service)).collect()
    }

    /// Do others say of this service that requests go to it?
    pub(super) fn is_asked_for(&self, service: &Service<'_>) -> bool {
        let labels = service.labels();
        let environment = service.environment();
        labels.keys().any(|label| label.starts_with("traefik.http.") || label.starts_with("caddy"))
            || environment.contains_key("VIRTUAL_HOST")
            || !self.asked(service.name).is_empty()
            || self.compose.services().filter(|other| self.is_proxy(other)).any(|proxy| {
                proxy
                    .depends_on()
                    .iter()
                    .any(|(name, condition)| *name == service.name && *condition != "service_completed_successfully")
            })
    }

    /// What the service runs, as far as files of the project tell: its command, its image's, and the scripts that these name.
    pub(super) fn runs_text(&self, service: &Service<'_>) -> String {
        let own = service.command_line();
        let mut text = match self.stage(service.name) {
            Some(stage) if own.is_empty() => stage.command.clone(),
            _ => own,
        };
        if let Some(build) = service.build() {
            let names: Vec<String> = text
                .split([' ', '"', '\'', '[', ']', ',', ';', '&'])
                .filter_map(|word| word.rsplit('/').next())
                .filter(|name| {
                    !name.is_empty()
                        && (name.ends_with(".sh")
                            || name.starts_with("start")
                            || name.starts_with("entrypoint")
                            || *name == "run")
                })
                .map(str::to_owned)
                .collect();
            if !names.is_empty() {
                for script in scripts(&self.context(&build), &names) {
                    text.push('\n');
                    text.push_str(&script);
                }
            }
        }
        text
    }

    /// Is there a sign that it answers requests?
    pub(super) fn answers(&self, service: &Service<'_>) -> bool {
        let exposes = service.command_line().is_empty() && self.stage(service.name).is_some_and(|stage| !stage.ports.is_empty());
        let by_command = serves(&self.runs_text(service));
        !service.ports().is_empty() || service.health_url().is_some() || exposes || by_command || self.is_asked_for(service)
    }

    /// Does its command work through a queue?
    pub(super) fn works(&self, service: &Service<'_>) -> bool {
        let command = service.command_line();
        let word = |name: &str| command.split([' ', '/', '"', '\'', ';', '&', '-', '_', ':']).any(|word| word.starts_with(name));
        service.published().is_empty()
            && !command.contains("flower")
            && !serves(&command)
            && [
                "celery",
                "rqworker",
                "rq",
                "qcluster",
                "huey",
                "dramatiq",
                "sidekiq",
                "worker",
                "beat",
                "procrastinate",
                "scheduler",
                "consumer",
                "queue",
            ]
            .iter()
            .any(|name| word(name))
    }

    /// Does it prepare something and end: by its name or command, and nothing has it started again?
    pub(super) fn prepares(&self, service: &Service<'_>) -> bool {
        let again = service.setting("restart").is_some_and(|restart| restart == "always" || restart == "unless-stopped");
        let words = |text: &str| {
            text.split(['-', '_', '.']).any(|part| {
                [
                    "migrate",
                    "migration",
                    "migrations",
                    "migrator",
                    "seed",
                    "seeder",
                    "init",
                    "setup",
                    "bootstrap",
                    "collectstatic",
                ]
                .contains(&part)
            })
        };
        let command = service.command_line();
        !again
            && service.ports().is_empty()
            && !serves(&self.runs_text(service))
            && (words(service.name)
                || ["manage.py migrate", "manage.py collectstatic", "alembic upgrade"]
                    .iter()
                    .any(|known| command.contains(known)))
    }
}

/// Programs that answer requests.
const SERVERS: [&str; 16] = [
    "gunicorn",
    "uvicorn",
    "daphne",
    "hypercorn",
    "granian",
    "uwsgi",
    "waitress",
    "runserver",
    "flask run",
    "puma",
    "rails s",
    "php-fpm",
    "next start",
    "npm start",
    "fastapi run",
    "serve ",
];

fn serves(text: &str) -> bool {
    SERVERS.iter().any(|server| text.contains(server))
}

/// The texts of these scripts, wherever they lie in the context.
fn scripts(context: &Utf8Path, names: &[String]) -> Vec<String> {
    let mut open = vec![(context.to_owned(), 0)];
    let mut found = Vec::new();
    let mut seen = 0;
    while let Some((folder, depth)) = open.pop() {
        for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
            seen += 1;
            if seen > 3000 {
                return found;
            }
            let name = entry.file_name().to_owned();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < 4 && !name.starts_with('.') && name != "node_modules" => {
                    open.push((entry.path().to_owned(), depth + 1))
                }
                Ok(kind) if kind.is_file() && names.contains(&name) => found.extend(read_limited(entry.path())),
                _ => {}
            }
        }
    }
    found
}

/// Does a proxy's image copy this as its configuration?
fn is_configuration(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ends = [
        ".conf",
        ".template",
        ".cfg",
        ".yml",
        ".yaml",
        ".toml",
        ".pem",
        ".crt",
        ".key",
        ".htpasswd",
        ".sh",
        ".j2",
        ".tmpl",
        ".ini",
        ".types",
    ];
    ends.iter().any(|end| name.ends_with(end))
        || name == "Caddyfile"
        || name.starts_with("Caddyfile")
        || [
            "nginx",
            "conf.d",
            "conf",
            "templates",
            "certs",
            "ssl",
            "sites-enabled",
            "sites-available",
            "traefik",
            "dynamic",
            "entrypoint",
            "error_pages",
            "errors",
        ]
        .contains(&name)
}
