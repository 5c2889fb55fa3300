//! What each service is to a deploy: an app, a worker, a job, or a part of the stack. The order of decision is documented in
//! docs/services.md.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use crate::compose::{Build, Model, Service};
use crate::error::{Error, Result};

use super::super::resolved::{Decided, Image, Job};
use super::super::shape::ServiceKind;
use super::super::{Project, read_limited};
use super::dockerfile::{Stage, stage};
use super::named;

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
                    if path.is_file() { read_limited(&path)? } else { String::new() }
                }
                (None, None) => String::new(),
            };
            world.stages.insert(service.name.to_owned(), stage(&text, build.target.as_deref()));
        }
        for service in compose.services().filter(|service| world.is_proxy(service)) {
            let texts = super::proxies::texts(&world, service);
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
    fn image_names(&self, service: &Service<'_>) -> Vec<String> {
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

    fn is_tool(&self, service: &Service<'_>) -> bool {
        self.runs(service, &TOOLS)
    }

    /// The services that stand in front of others.
    pub(super) fn proxies(&self) -> Vec<String> {
        self.texts.borrow().keys().cloned().collect()
    }

    /// What a proxy's files say of the service: the ports that they ask it on, with the word before, `uwsgi_pass` say.
    pub(super) fn asked(&self, service: &str) -> Vec<(Option<u16>, String)> {
        let texts = self.texts.borrow();
        texts.values().flatten().flat_map(|text| super::proxies::mentions(text, service)).collect()
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
    fn answers(&self, service: &Service<'_>) -> bool {
        let exposes = service.command_line().is_empty() && self.stage(service.name).is_some_and(|stage| !stage.ports.is_empty());
        let by_command = serves(&self.runs_text(service));
        !service.ports().is_empty() || service.health_url().is_some() || exposes || by_command || self.is_asked_for(service)
    }

    /// Does its command work through a queue?
    fn works(&self, service: &Service<'_>) -> bool {
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
    fn prepares(&self, service: &Service<'_>) -> bool {
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

/// Do two services run the same image of the project's own?
pub(super) fn same_image(one: &Service<'_>, other: &Service<'_>) -> bool {
    match (one.build(), other.build()) {
        (Some(one), Some(other)) => one == other,
        // Built by one, run by its name by the other.
        (Some(_), None) | (None, Some(_)) | (None, None) => one.image().is_some() && one.image() == other.image(),
    }
}

type Kinds = BTreeMap<String, Decided>;

/// Decides what each service is. What deploy.toml says goes before all else.
pub(super) fn decide(world: &World<'_>) -> Result<Kinds> {
    let World { project, compose, .. } = world;
    let config = &project.loaded.config;
    let mut kinds = Kinds::new();
    let mut put = |name: &str, kind: ServiceKind, why: &str| {
        kinds.entry(name.to_owned()).or_insert_with(|| Decided { kind, why: why.to_owned() });
    };
    for (name, section) in &config.services {
        let service = named(project, compose, name, &format!("[services.{name}]"))?;
        if let Some(kind) = section.kind {
            put(service.name, kind, "deploy.toml");
        }
    }
    if let Some(name) = &config.app.service {
        put(named(project, compose, name, "[app] service")?.name, ServiceKind::App, "deploy.toml");
    }
    for (name, section) in &config.apps {
        let name = section.service.as_deref().unwrap_or(name);
        put(named(project, compose, name, &format!("[apps.{name}]"))?.name, ServiceKind::App, "deploy.toml");
    }
    for section in config.apps.values().chain([&config.app]) {
        for name in section.workers.iter().flatten() {
            put(named(project, compose, name, "[app] workers")?.name, ServiceKind::Worker, "deploy.toml");
        }
    }
    let waited_for: BTreeSet<&str> = compose
        .services()
        .flat_map(|service| service.depends_on())
        .filter(|(_, condition)| *condition == "service_completed_successfully")
        .map(|(name, _)| name)
        .collect();
    let told = |kinds: &Kinds, name: &str| kinds.contains_key(name);
    for service in compose.services() {
        let name = service.name;
        if told(&kinds, name) {
            continue;
        }
        let ends = service.setting("restart").is_some_and(|restart| restart == "no") && service.ports().is_empty();
        let labelled = service.labels().keys().any(|label| label.starts_with("traefik.http."));
        let decided = if waited_for.contains(name) {
            Some((ServiceKind::Job, "others wait for its end"))
        } else if world.is_by_hand(&service) {
            Some((ServiceKind::Stack, "its image is a tool's that is run by hand: it is not started"))
        } else if world.is_data(&service) {
            Some((ServiceKind::Stack, "its image holds data"))
        } else if world.is_proxy(&service) {
            Some((ServiceKind::Stack, "its image is a proxy's"))
        } else if world.is_tool(&service) {
            Some((ServiceKind::Stack, "its image is a tool's"))
        } else if ends && compose.services().count() > 1 && !labelled && world.asked(name).is_empty() {
            Some((ServiceKind::Job, "it is not started again (`restart: \"no\"`) and has no port"))
        } else if world.prepares(&service) && compose.services().count() > 1 {
            Some((ServiceKind::Job, "it prepares something and ends"))
        } else {
            None
        };
        if let Some((kind, why)) = decided {
            kinds.insert(name.to_owned(), Decided { kind, why: why.to_owned() });
        }
    }
    let open: Vec<Service<'_>> = compose.services().filter(|service| !told(&kinds, service.name)).collect();
    let built: Vec<Service<'_>> = open.iter().filter(|service| service.build().is_some()).copied().collect();
    let has_app = kinds.values().any(|decided| decided.kind == ServiceKind::App);
    let mut put = |name: &str, kind: ServiceKind, why: &str| {
        kinds.entry(name.to_owned()).or_insert_with(|| Decided { kind, why: why.to_owned() });
    };
    for service in &built {
        let shares = compose.services().any(|other| other.name != service.name && same_image(service, &other));
        if world.works(service) {
            put(service.name, ServiceKind::Worker, "its command works through a queue");
        } else if world.answers(service) {
            put(service.name, ServiceKind::App, "it is built and answers requests");
        } else if !shares && has_web_name(service.name) {
            put(service.name, ServiceKind::App, "it is built, and its name says that it answers requests");
        }
    }
    let mut left: Vec<Service<'_>> = built.iter().filter(|service| !kinds.contains_key(service.name)).copied().collect();
    if !kinds.values().any(|decided| decided.kind == ServiceKind::App) {
        // Nothing says who answers: the only one, or the only one that runs its image's own command.
        let plain: Vec<Service<'_>> = left.iter().filter(|service| service.command_line().is_empty()).copied().collect();
        let candidates = if plain.len() == 1 || left.is_empty() { plain } else { left.clone() };
        match candidates.as_slice() {
            [one] => {
                kinds.insert(
                    one.name.to_owned(),
                    Decided { kind: ServiceKind::App, why: "it is the service that is built".into() },
                );
            }
            [] => images_alone(world, &open, &mut kinds)?,
            several => {
                let names: Vec<&str> = several.iter().map(|service| service.name).collect();
                return Err(compose
                    .error(names[0], names[0], &format!("which service is the app? {}", names.join(", ")))
                    .hint(format!("name it: [app] service = \"{}\"; for each of the others [services.NAME] kind = \"app\", \"worker\", \"job\" or \"stack\"", names[0])));
            }
        }
        left.retain(|service| !kinds.contains_key(service.name));
    } else if !has_app && built.is_empty() {
        images_alone(world, &open, &mut kinds)?;
    }
    for service in left {
        kinds.insert(
            service.name.to_owned(),
            Decided { kind: ServiceKind::Worker, why: "it is built, and nothing says that it answers requests".into() },
        );
    }
    // What runs an app's image under its name follows it.
    let apps: Vec<Service<'_>> = compose
        .services()
        .filter(|service| kinds.get(service.name).is_some_and(|decided| decided.kind == ServiceKind::App))
        .collect();
    for service in compose.services() {
        if kinds.contains_key(service.name) {
            continue;
        }
        let follows = apps.iter().any(|app| same_image(app, &service));
        let (kind, why) = if follows {
            (ServiceKind::Worker, "it runs the image of an app")
        } else {
            (ServiceKind::Stack, "it runs an image that is not the project's own")
        };
        kinds.insert(service.name.to_owned(), Decided { kind, why: why.into() });
    }
    Ok(kinds)
}

/// Nothing is built: the app is the image that answers requests and is nobody else's tool.
fn images_alone(world: &World<'_>, open: &[Service<'_>], kinds: &mut Kinds) -> Result<()> {
    if kinds.values().any(|decided| decided.kind == ServiceKind::App) {
        return Ok(());
    }
    let images: Vec<Service<'_>> = open.iter().filter(|service| service.build().is_none()).copied().collect();
    let working = |service: &&Service<'_>| !world.works(service);
    let answering: Vec<Service<'_>> = images.iter().filter(working).filter(|service| world.answers(service)).copied().collect();
    let asked: Vec<Service<'_>> = answering.iter().filter(|service| world.is_asked_for(service)).copied().collect();
    let named: Vec<Service<'_>> = answering.iter().filter(|service| has_web_name(service.name)).copied().collect();
    let candidates = [&asked, &named, &answering, &images]
        .into_iter()
        .find(|candidates| candidates.len() == 1)
        .or_else(|| [&asked, &answering, &images].into_iter().find(|candidates| !candidates.is_empty()));
    // The services of one image are one app.
    let mut distinct: Vec<Service<'_>> = Vec::new();
    for service in candidates.into_iter().flatten() {
        if !distinct.iter().any(|known| same_image(known, service)) {
            distinct.push(*service);
        }
    }
    // Images of one owner are released together: what of them answers is an app each, what works through a queue follows.
    let owner =
        |service: &Service<'_>| service.image().and_then(|image| image.rsplit_once('/')).map(|(owner, _)| owner.to_owned());
    let common = distinct.first().and_then(owner);
    let of_one_owner = common.is_some() && distinct.iter().all(|service| owner(service) == common);
    if of_one_owner {
        for service in images.iter().filter(|service| owner(service) == common) {
            let (kind, why) = if world.works(service) {
                (ServiceKind::Worker, "its image is of the app's owner, and its command works through a queue")
            } else if distinct.iter().any(|app| app.name == service.name) || world.answers(service) || has_web_name(service.name)
            {
                (ServiceKind::App, "nothing is built, and it answers requests")
            } else {
                (ServiceKind::Worker, "its image is of the app's owner, and nothing says that it answers requests")
            };
            kinds.entry(service.name.to_owned()).or_insert_with(|| Decided { kind, why: why.into() });
        }
        return Ok(());
    }
    match distinct.as_slice() {
        [one] => {
            kinds.insert(
                one.name.to_owned(),
                Decided { kind: ServiceKind::App, why: "nothing is built, and it answers requests".into() },
            );
            Ok(())
        }
        [] => Err(Error::input(format!(
            "{}: no service looks like the app: none is built, and none has a port",
            world.compose.name
        ))
        .hint("name it: [app] service = \"…\"")),
        several => {
            let names: Vec<&str> = several.iter().map(|service| service.name).collect();
            Err(world
                .compose
                .error(names[0], names[0], &format!("which service is the app? {}", names.join(", ")))
                .hint(format!("name it: [app] service = \"{}\"", names[0])))
        }
    }
}

fn has_web_name(name: &str) -> bool {
    ["web", "front", "back", "api", "app", "server", "ui", "site", "www", "django", "flask", "client", "dashboard", "admin"]
        .iter()
        .any(|word| name.split(['-', '_', '.']).any(|part| part.starts_with(word)))
}

/// The jobs, in the order in which they wait for one another.
pub(super) fn jobs(world: &World<'_>, kinds: &Kinds, images: &[Image]) -> Vec<Job> {
    let is = |name: &str, kind: ServiceKind| kinds.get(name).is_some_and(|decided| decided.kind == kind);
    let mut open: Vec<Service<'_>> = world.compose.services().filter(|service| is(service.name, ServiceKind::Job)).collect();
    let mut jobs: Vec<Job> = Vec::new();
    while !open.is_empty() {
        let names: Vec<&str> = open.iter().map(|service| service.name).collect();
        let free = open.iter().position(|service| !service.needs().iter().any(|need| names.contains(need))).unwrap_or(0);
        let service = open.remove(free);
        let image = images.iter().find(|image| image.services.iter().any(|known| known == service.name));
        let in_slot = image.is_some_and(|image| {
            image.services.iter().any(|known| is(known, ServiceKind::App) || is(known, ServiceKind::Worker))
        });
        jobs.push(Job { service: service.name.to_owned(), in_slot, migrates: in_slot && migrates(&service.command_line()) });
    }
    jobs
}

/// Does the command move a database's schema?
fn migrates(command: &str) -> bool {
    [
        "manage.py migrate",
        "alembic upgrade",
        "flask db upgrade",
        "db:migrate",
        "prisma migrate deploy",
        "django-admin migrate",
        "artisan migrate",
    ]
    .iter()
    .any(|known| command.contains(known))
}
