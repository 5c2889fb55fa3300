//! The applications: their ports, their health, how they change over, and the project's commands.

use std::collections::BTreeMap;

use crate::compose::Service;
use crate::error::{Error, Result};

use super::super::Seconds;
use super::super::resolved::{App, AppService, Decided, GUESSED_PORT, Health, Image, Job, Origin, Port, Setting, Target};
use super::super::shape::{AppSection, HealthSection, Protocol, ServiceKind, Strategy};
use super::common::{check_words, named, said};
use super::world::World;

/// The apps, the one first that has the project's commands.
pub(super) fn resolve(
    world: &World<'_>,
    kinds: &BTreeMap<String, Decided>,
    target: &Target,
    notes: &mut Vec<String>,
) -> Result<Vec<AppService>> {
    let is_app = |service: &Service<'_>| kinds.get(service.name).is_some_and(|decided| decided.kind == ServiceKind::App);
    let mut services: Vec<Service<'_>> = world.compose.services().filter(is_app).collect();
    if services.is_empty() {
        return Err(Error::input(format!("{}: no service is an app", world.compose.name)).hint("name it: [app] service = \"…\""));
    }
    let config = &world.project.loaded.config;
    let first = |service: &Service<'_>| {
        let told = match section(world, service.name) {
            _ if config.app.service.as_deref() == Some(service.name) => 0,
            Some(section) if section.migrate.is_some() => 1,
            _ => 2,
        };
        let has_manage = service.build().is_some_and(|build| manage_py(world, &build, world.stage(service.name)));
        let text = format!("{} {}", service.name, service.command_line());
        let is_aside = ["flower", "cable", "scheduler", "docs", "admin"].iter().any(|word| text.contains(word));
        let base = world.runs(service, &["nginx", "httpd", "caddy"]);
        (told, !has_manage, is_aside, base, world.asked(service.name).is_empty(), !service.name.starts_with("web"))
    };
    services.sort_by_key(first);
    let several = services.len() > 1;
    services
        .iter()
        .enumerate()
        .map(|(at, service)| {
            refuse_what_cannot_work(world, service)?;
            let empty = AppSection::default();
            let section = section(world, service.name).unwrap_or(if at == 0 { &config.app } else { &empty });
            let ports = ports(world, service, section);
            if matches!(&ports.origin, Origin::Found(how) if how == GUESSED_PORT) {
                let key = if several { format!("[apps.{}] port", service.name) } else { "[app] port".into() };
                notes.push(format!("port {} of `{}` is {GUESSED_PORT}; {key} sets it", ports.value[0].number, service.name));
            }
            let health = health(world, service, section, at == 0, ports.value[0].protocol, target, notes)?;
            let strategy = Setting::or_default(config.rollout.strategy, Strategy::default());
            Ok(AppService { service: service.name.to_owned(), ports, health, strategy })
        })
        .collect()
}

/// The section of deploy.toml that is this app's.
fn section<'a>(world: &World<'a>, service: &str) -> Option<&'a AppSection> {
    let config = &world.project.loaded.config;
    if config.app.service.as_deref() == Some(service) {
        return Some(&config.app);
    }
    config.apps.iter().find(|(name, section)| section.service.as_deref().unwrap_or(name) == service).map(|(_, section)| section)
}

/// What an edge cannot stand in front of, by name.
fn refuse_what_cannot_work(world: &World<'_>, service: &Service<'_>) -> Result<()> {
    let name = service.name;
    let mut errors = Vec::new();
    if let Some(mode) = service.setting("network_mode").filter(|mode| *mode != "default") {
        let why = match mode {
            "host" => format!("service `{name}` is on the host's network, where two slots would fight for one port"),
            "none" => format!("service `{name}` has no network, so nothing can be in front of it"),
            _ => format!("service `{name}` has `network_mode: {mode}`, where it has no network of the stack's"),
        };
        errors.push(
            world
                .compose
                .error(name, "network_mode", &why)
                .hint("take `network_mode` off; the edge reaches the slots on the stack's own network"),
        );
    }
    let networks = service.map.get("networks").and_then(yaml_serde::Value::as_mapping);
    if networks.is_some_and(|networks| networks.contains_key("host")) {
        errors.push(
            world
                .compose
                .error(
                    name,
                    "networks",
                    &format!("service `{name}` is on the host's network, where two slots would fight for one port"),
                )
                .hint("take it off that network"),
        );
    }
    if let Some(port) = service.published().iter().find(|port| port.protocol == "udp") {
        errors.push(
            world
                .compose
                .error(
                    name,
                    "ports",
                    &format!("service `{name}` publishes the UDP port {}, which the edge cannot pass on", port.target),
                )
                .hint(format!(
                    "[services.{name}] kind = \"stack\" leaves the service as it is, replaced only when that is meant"
                )),
        );
    }
    for suffix in ["blue", "green"] {
        let slot = format!("{name}-{suffix}");
        if world.compose.service(&slot).is_some() {
            errors.push(
                world
                    .compose
                    .error(&slot, &slot, &format!("`{slot}` is the name of a slot of `{name}`"))
                    .hint("give that service another name"),
            );
        }
    }
    Error::all(errors)
}

/// The ports that the app listens on, the one first that its health is asked on.
fn ports(world: &World<'_>, service: &Service<'_>, section: &AppSection) -> Setting<Vec<Port>> {
    let name = service.name;
    let asked = world.asked(name);
    let protocol = |number: u16| {
        let words: Vec<&str> =
            asked.iter().filter(|(port, _)| port.is_none_or(|port| port == number)).map(|(_, word)| word.as_str()).collect();
        let command = world.runs_text(service);
        let socket = command.contains("uwsgi")
            && ["--socket", "-s "].iter().any(|option| command.contains(option))
            && !command.contains("--http");
        let fixed =
            [443, 8443, 9443, 4443, 22, 2222, 25, 465, 587, 993, 143, 1883, 8883, 5432, 3306, 6379, 21, 53].contains(&number);
        if words.contains(&"uwsgi_pass") || words.contains(&"fastcgi_pass") || socket || fixed {
            Protocol::Tcp
        } else if words.contains(&"grpc_pass") {
            Protocol::H2c
        } else {
            Protocol::Http
        }
    };
    if let Some(ports) = section.ports.as_ref().filter(|ports| !ports.is_empty()) {
        return said(ports.iter().map(|port| Port { number: port.port, protocol: port.protocol }).collect());
    }
    let declared = service.ports();
    let mut first = section.port.map(|port| (port, Origin::File));
    let mut found = |port: Option<u16>, how: String| {
        if let (None, Some(port)) = (&first, port) {
            first = Some((port, Origin::Found(how)));
        }
    };
    let known = |port: &u16| declared.contains(port);
    found(
        asked.iter().find_map(|(port, _)| port.filter(|port| declared.is_empty() || known(port))),
        format!("what the proxy asks `{name}` on"),
    );
    found(service.health_url().and_then(|url| url.port).filter(|port| known(port)), format!("the healthcheck of `{name}`"));
    let label = |(label, value): (String, String)| label.ends_with("loadbalancer.server.port").then(|| value.parse().ok())?;
    found(service.labels().into_iter().find_map(label), format!("a label of `{name}`"));
    found(service.environment().get("VIRTUAL_PORT").and_then(|port| port.parse().ok()), format!("VIRTUAL_PORT of `{name}`"));
    found(declared.first().copied(), format!("the ports of `{name}`"));
    found(asked.iter().find_map(|(port, _)| *port), format!("what the proxy asks `{name}` on"));
    found(service.health_url().and_then(|url| url.port), format!("the healthcheck of `{name}`"));
    found(bound(&world.runs_text(service)), format!("the command of `{name}`"));
    if let Some(stage) = world.stage(name) {
        found(stage.ports.first().copied(), String::from("EXPOSE of the Dockerfile"));
    }
    if world.runs(service, &["nginx-unprivileged"]) {
        found(Some(8080), String::from("its image's own port"));
    }
    if world.runs(service, &["nginx", "httpd", "caddy"]) {
        found(Some(80), String::from("its image's own port"));
    }
    let (first, origin) = first.unwrap_or((8000, Origin::Found(GUESSED_PORT.into())));
    let others = declared.into_iter().filter(|port| *port != first);
    let value = std::iter::once(first).chain(others).map(|number| Port { number, protocol: protocol(number) }).collect();
    Setting { value, origin }
}

/// The port that a command binds: `--bind 0.0.0.0:8000`, `-b :8000`, `--port 8000`, `runserver 0.0.0.0:8000`.
fn bound(command: &str) -> Option<u16> {
    let words: Vec<&str> =
        command.split([' ', '=', ',', '"', '\'', '[', ']', '\n', '\t']).filter(|word| !word.is_empty()).collect();
    let number = |word: &str| word.rsplit(':').next()?.parse().ok();
    words.windows(2).find_map(|pair| match pair[0] {
        "--bind" | "-b" | "runserver" | "--http" | "--http-socket" | "--socket" | "-p" | "--port" | "-l" => number(pair[1]),
        _ => None,
    })
}

fn health(
    world: &World<'_>,
    service: &Service<'_>,
    own: &AppSection,
    is_first: bool,
    protocol: Protocol,
    target: &Target,
    notes: &mut Vec<String>,
) -> Result<Health> {
    let name = service.name;
    let common = &world.project.loaded.config.health;
    let none = HealthSection::default();
    let own = own.health.as_ref().unwrap_or(&none);
    // What [health] says of the path is about the first app.
    let path_section = if is_first { common } else { &none };
    let host = Setting::or_found(own.host.clone().or_else(|| common.host.clone()), || {
        let host = target.url.as_deref().and_then(host_of);
        Ok(match host {
            Some(host) => (host.to_owned(), "the target's url".into()),
            None => ("localhost".into(), "no url is set".into()),
        })
    })?;
    let path = Setting::or_found(own.path.clone().or_else(|| path_section.path.clone()), || {
        Ok(match service.health_url() {
            _ if protocol == Protocol::Tcp => (String::new(), format!("`{name}` speaks no HTTP: its port must take connections")),
            Some(url) => (url.path, format!("the healthcheck of `{name}`")),
            None if is_first => {
                notes.push(format!(
                    "`{name}` has no healthcheck with a URL, so / must answer 200; [health] path sets another path"
                ));
                ("/".into(), format!("`{name}` has no healthcheck with an address"))
            }
            None => {
                notes.push(format!("`{name}` has no healthcheck with a URL, so only its port is checked; [apps.{name}] health = {{ path = \"/\" }} asks more"));
                (String::new(), format!("`{name}` has no healthcheck with an address"))
            }
        })
    })?;
    Ok(Health {
        path,
        expect_status: Setting::or_default(own.expect_status.or(path_section.expect_status), 200),
        accept: Setting::or_default(own.accept.clone().or_else(|| common.accept.clone()), Vec::new()),
        interval: Setting::or_default(own.interval.or(common.interval), Seconds(1)),
        timeout: Setting::or_default(own.timeout.or(common.timeout), Seconds(60)),
        host,
    })
}

fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    rest.split(['/', '?', '#']).next()?.split(':').next().filter(|host| !host.is_empty())
}

/// Names of volumes and folders in which two releases may write at once.
const MANY_WRITERS: [&str; 13] =
    ["static", "media", "asset", "upload", "public", "cache", "tmp", "log", "sock", "node_modules", "run", "cert", "venv"];

/// An app that may not run twice is `recreate`, unless deploy.toml says otherwise.
pub(super) fn choose_strategies(world: &World<'_>, apps: &mut [AppService], shared: &[String], notes: &mut Vec<String>) {
    for app in apps.iter_mut().filter(|app| app.strategy.origin != Origin::File) {
        let Some(service) = world.compose.service(&app.service) else { continue };
        if let Some(why) = alone(world, &service, shared) {
            notes.push(format!(
                "`{}` changes over by `recreate`, because {why}: requests wait at the edge meanwhile. [rollout] strategy = \"blue-green\" runs two at once",
                app.service
            ));
            app.strategy = Setting { value: Strategy::Recreate, origin: Origin::Found(why) };
        }
    }
}

/// Why two of it must not run at once.
fn alone(world: &World<'_>, service: &Service<'_>, shared: &[String]) -> Option<String> {
    let sqlite = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.contains("sqlite:") || text.ends_with(".sqlite3") || text.ends_with(".sqlite")
    };
    if let Some((name, _)) = service.environment().iter().find(|(_, value)| sqlite(value)) {
        return Some(format!("its {name} names an SQLite file"));
    }
    for mount in service.mounts() {
        let source = mount.source.clone().unwrap_or_default();
        if sqlite(&source) {
            return Some(format!("it mounts the SQLite file {}", mount.written_source()));
        }
        let many = MANY_WRITERS
            .iter()
            .any(|word| mount.target.to_ascii_lowercase().contains(word) || source.to_ascii_lowercase().contains(word));
        if mount.read_only || many || source.is_empty() || mount.target.ends_with(".sock") {
            continue;
        }
        let is_volume = !mount.bind && mount.written.get("type").and_then(yaml_serde::Value::as_str) != Some("tmpfs");
        let path = mount.relative_source().or_else(|| world.compose.below_folder(&source));
        let is_shared =
            mount.bind && path.is_none_or(|path| shared.iter().any(|folder| crate::text::paths::is_within(&path, folder)));
        let others = world
            .compose
            .services()
            .filter(|other| other.name != service.name)
            .any(|other| other.mounts().iter().any(|known| known.source == mount.source && known.source.is_some()));
        if (is_volume || is_shared) && !others {
            return Some(format!("it alone writes to {}", mount.written_source()));
        }
    }
    None
}

/// Does the app have a volume or a folder for static files, by its name?
fn keeps_static_files(service: &Service<'_>, shared: &[String]) -> bool {
    let is_static = |path: &str| path.rsplit('/').next().is_some_and(|name| name.to_ascii_lowercase().contains("static"));
    let volumes = service
        .mounts()
        .into_iter()
        .filter(|mount| !mount.bind && !mount.read_only)
        .any(|mount| is_static(&mount.target) || mount.source.as_deref().is_some_and(is_static));
    volumes || shared.iter().any(|folder| is_static(folder))
}

/// The project's commands and what follows the apps.
pub(super) fn commands(
    world: &World<'_>,
    kinds: &BTreeMap<String, Decided>,
    apps: &[AppService],
    image: &Image,
    jobs: &[Job],
    shared: &[String],
) -> Result<App> {
    let World { project, compose, .. } = world;
    let config = &project.loaded.config;
    let first = &apps[0].service;
    let service = named(project, compose, first, "[app] service")?;
    let section = section(world, first).unwrap_or(&config.app);
    check_commands_elsewhere(world, first)?;
    let django = image.inline.is_none() && service.build().is_some_and(|build| manage_py(world, &build, world.stage(first)));
    let convention = |command: &str, there: bool| {
        if there {
            (command.to_owned(), String::from("manage.py beside the Dockerfile"))
        } else {
            (String::new(), String::from("none is known"))
        }
    };
    let has_static = keeps_static_files(&service, shared);
    let migrating = jobs.iter().find(|job| job.migrates).filter(|_| section.migrate.is_none());
    let migrate_service = migrating.map_or(first, |job| &job.service).clone();
    let migrate = match migrating {
        Some(job) => {
            let command = compose.service(&job.service).map(|service| command_of(&service)).unwrap_or_default();
            Setting { value: command, origin: Origin::Found(format!("the job `{}`", job.service)) }
        }
        None => Setting::or_found(section.migrate.clone(), || Ok(convention("python manage.py migrate --noinput", django)))?,
    };
    let app = App {
        workers: workers(world, kinds, section),
        migrate,
        migrate_service,
        overlap: Setting::or_default(section.overlap, false),
        pending_migrations: Setting::or_found(section.pending_migrations.clone(), || {
            Ok(convention("python manage.py showmigrations --plan", django))
        })?,
        reverse_migration: Setting::or_found(section.reverse_migration.clone(), || {
            Ok(convention("python manage.py migrate {app} {migration} --noinput", django))
        })?,
        migrate_timeout: Setting::or_default(section.migrate_timeout, Seconds(1800)),
        collect_static: Setting::or_found(section.collect_static.clone(), || {
            Ok(convention("python manage.py collectstatic --noinput", django && has_static))
        })?,
        service: match &config.app.service {
            Some(service) => said(service.clone()),
            None => Setting {
                value: first.clone(),
                origin: Origin::Found(kinds.get(first).map(|decided| decided.why.clone()).unwrap_or_default()),
            },
        },
    };
    for (key, command) in [
        ("[app] migrate", &app.migrate.value),
        ("[app] pending-migrations", &app.pending_migrations.value),
        ("[app] reverse-migration", &app.reverse_migration.value),
        ("[app] collect-static", &app.collect_static.value),
    ] {
        check_words(project, key, command)?;
    }
    Ok(app)
}

/// One app's commands are for all of them.
fn check_commands_elsewhere(world: &World<'_>, first: &str) -> Result<()> {
    let project = world.project;
    let config = &project.loaded.config;
    for (name, other) in &config.apps {
        let own = other.service.as_deref().unwrap_or(name);
        if own != first && (other.migrate.is_some() || other.collect_static.is_some() || other.pending_migrations.is_some()) {
            return Err(project
                .loaded
                .source()
                .error_near(&format!("[apps.{name}]"), format!("commands are set for `{first}` and again in [apps.{name}]"))
                .hint("set migrate and collect-static for one app only; it runs them for all"));
        }
    }
    Ok(())
}

/// The services that follow the apps.
fn workers(world: &World<'_>, kinds: &BTreeMap<String, Decided>, section: &AppSection) -> Setting<Vec<String>> {
    let workers: Vec<String> = world
        .compose
        .services()
        .filter(|service| kinds.get(service.name).is_some_and(|decided| decided.kind == ServiceKind::Worker))
        .map(|service| service.name.to_owned())
        .collect();
    match &section.workers {
        Some(_) => Setting { value: workers, origin: Origin::File },
        None => Setting { value: workers, origin: Origin::Found("what follows the apps: see docs/services.md".into()) },
    }
}

/// Does the image have Django's manage.py: at the top of the context, or in a folder of it that is copied?
fn manage_py(world: &World<'_>, build: &crate::compose::Build, stage: Option<&super::dockerfile::Stage>) -> bool {
    let context = world.context(build);
    let folders =
        stage.into_iter().flat_map(|stage| &stage.copied).map(|path| path.trim_start_matches("./").trim_end_matches('/'));
    let folders =
        std::iter::once("").chain(folders.filter(|path| !path.is_empty() && *path != "." && !path.contains(['*', '$'])));
    folders.into_iter().any(|folder| {
        let path = context.join(folder).join("manage.py");
        crate::text::read_limited(&path).is_ok_and(|text| {
            text.trim().is_empty() || text.contains("DJANGO_SETTINGS_MODULE") || text.contains("django.core.management")
        })
    })
}

/// A service's command as one would write it in a shell.
fn command_of(service: &Service<'_>) -> String {
    match service.map.get("command") {
        Some(yaml_serde::Value::Sequence(list)) => crate::text::shell_words(
            list.iter()
                .filter_map(yaml_serde::Value::as_str)
                .map(|word| word.to_owned())
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str),
        ),
        Some(yaml_serde::Value::String(text)) => text.replace("$$", "$"),
        _ => String::new(),
    }
}

/// The migration is no job beside itself.
pub(super) fn without_migration(jobs: Vec<Job>, app: &App) -> Vec<Job> {
    jobs.into_iter().filter(|job| !job.migrates || job.service != app.migrate_service).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_command_is_seen() {
        assert_eq!(bound("gunicorn site.wsgi --bind 0.0.0.0:8001 --workers 3"), Some(8001));
        assert_eq!(bound("gunicorn -b :5000 app"), Some(5000));
        assert_eq!(bound("[\"uvicorn\", \"a:b\", \"--port\", \"9000\"]"), Some(9000));
        assert_eq!(bound("python manage.py runserver 0.0.0.0:8080"), Some(8080));
        assert_eq!(bound("celery -A x worker -l info"), None);
    }
}
