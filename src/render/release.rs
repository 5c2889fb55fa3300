//! One release, rendered.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use crate::artefact::{Artefact, manifest};
use crate::config::{
    Backup, DuringMigrations, Engine, LoadCheck, Metric, MetricOf, Origin, Project, Protocol, Resolved, Restore, Schedule,
    Setting, Smoke, StaticFiles, StaticPlace, StepPlace, Strategy,
};
use crate::error::{Error, Result};
use crate::server::{SettingsFile, VERSION};
use crate::text::{Source, command_words, render_template, shell_words};

use super::{Files, InputFile, Rendered, alerts, edge, paths, plain, slot, stack};

/// What rendering is made from.
#[derive(Debug, Clone)]
pub struct Renderer<'a> {
    /// The resolved configuration.
    pub resolved: &'a Resolved,
    /// What templates may use.
    pub template_values: Vec<(&'static str, String)>,
    /// The files that services mount.
    pub files: Files,
}

/// The two slots, in the order that they are used on an empty server.
pub const SLOTS: [&str; 2] = ["blue", "green"];

impl<'a> Renderer<'a> {
    /// Reads what rendering needs from the project's folder.
    pub fn open(project: &Project, resolved: &'a Resolved) -> Result<Self> {
        let base = project.path(resolved.compose_paths.value[0].parent().unwrap_or(Utf8Path::new("")));
        let template_values = vec![
            ("project", resolved.project.clone()),
            ("target", resolved.target.name.clone()),
            ("app", resolved.app.service.value.clone()),
            ("port", resolved.apps[0].port().number.to_string()),
        ];
        let files = Files::read(&base, &project.boundary(), paths::wanted(resolved))
            .map_err(|(path, error)| resolved.compose.about_path(&path, error))?;
        Ok(Self { resolved, template_values, files })
    }
}

/// Renders the release.
///
/// What cannot be deployed (a missing file, a folder that would be lost) is an input error with its place; all that is wrong
/// is told at once.
pub fn render(renderer: &Renderer<'_>) -> Result<Rendered> {
    let resolved = renderer.resolved;
    let mut rendered = Rendered { secrets: resolved.env.secrets.clone(), notes: resolved.notes.clone(), ..Rendered::default() };
    let mut files: BTreeMap<String, Artefact> = BTreeMap::new();

    let layout = paths::Layout::new(resolved, &renderer.files);
    let stack_text = stack::render(resolved, &layout)?;
    files.insert("files/stack.yml".into(), Artefact::text(stack_text));
    for slot in SLOTS {
        let text = slot::render(resolved, &layout, slot, &mut rendered)?;
        files.insert(format!("files/slot-{slot}.yml"), Artefact::text(text));
    }
    files.insert("files/plain.yml".into(), Artefact::text(plain::render(resolved, &layout)?));
    layout.finish()?;
    rendered.notes.extend(layout.notes());
    files.insert(format!("files/{}", resolved.env.name), Artefact::secret(resolved.env.to_text()));
    for path in layout.release_files() {
        place(&mut files, renderer, "files", &path, &layout)?;
    }
    let stack_files = layout.stack_files();
    for (_, path) in &stack_files {
        place(&mut files, renderer, "stack", path, &layout)?;
    }
    let lines = stack_files.iter().map(|(service, path)| format!("{service}\t{}\n", paths::placed(path))).collect::<String>();
    files.insert("stack.files".into(), Artefact::text(lines));
    files.insert("stack.writable".into(), Artefact::text(layout.stack_writable()));
    files.insert("stack.reloads".into(), Artefact::text(reloads(resolved)));
    for app in &resolved.apps {
        let folder = format!("edge/{}", app.service);
        files.insert(format!("{folder}/haproxy.cfg"), Artefact::text(edge::configuration(resolved, app)));
        files.insert(format!("{folder}/edge.lua"), Artefact::text(edge::SCRIPT));
        let page = resolved.edge.maintenance.value.as_deref().and_then(|path| renderer.files.get(path));
        files.extend(page.map(|page| {
            (format!("{folder}/maintenance.html"), Artefact { mode: 0o644, bytes: page.bytes.clone(), secret: false })
        }));
    }
    files.insert("apps".into(), Artefact::text(apps(resolved)?));
    files.insert("static".into(), Artefact::text(static_files(resolved)));
    files.extend(proof(resolved)?);
    files.extend(alerts::files(&resolved.alerts));
    let (mut offsite_secrets, mut offsite_places) = (Vec::new(), String::new());
    if let Some(text) = offsite_environment(resolved) {
        let values = resolved.backup.offsite_environment.iter().map(|(_, value)| value.clone());
        let address = resolved.backup.offsite.clone().filter(|_| resolved.backup.offsite_is_secret);
        offsite_secrets.extend(values.chain(address).filter(|value| value.len() >= 4));
        let lines = text.lines().filter_map(|line| line.split_once('='));
        offsite_places = secret_places(lines, &offsite_secrets);
        files.insert("offsite.env".into(), Artefact::secret(text));
    }
    let values = resolved.env.values.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let places = secret_places(values, &rendered.secrets);
    let settings = settings(resolved, &layout.shared(), places, offsite_places)?;
    files.insert("settings.env".into(), Artefact::text(settings.to_text()));
    rendered.secrets.extend(offsite_secrets);
    rendered.secrets.extend(resolved.alerts.secrets.iter().cloned());
    files.insert("public".into(), Artefact::text(public(&files)));
    files.insert("manifest".into(), Artefact::text(manifest(&files)));
    rendered.release = files;
    rendered.notes.sort();
    rendered.notes.dedup();
    Ok(rendered)
}

/// What a key that may only look is given: all that holds no secret, and what a scan found.
fn public(files: &BTreeMap<String, Artefact>) -> String {
    let paths = files.iter().filter(|(_, file)| !file.secret).map(|(path, _)| path.as_str());
    paths.chain(["findings", "public"]).map(|path| format!("{path}\n")).collect()
}

/// Puts a file, or all that lies below a folder, into a folder of the release. Templates are filled in.
fn place(
    files: &mut BTreeMap<String, Artefact>,
    renderer: &Renderer<'_>,
    folder: &str,
    path: &str,
    layout: &paths::Layout<'_>,
) -> Result<()> {
    let is_env_file = folder == "files" && layout.is_env_file(path);
    let is_secret = is_env_file || layout.is_secret(path);
    for (below, input) in renderer.files.below(path) {
        let own = if below.is_empty() { Utf8PathBuf::from(path) } else { Utf8PathBuf::from(path).join(below) };
        let within = |known: &String| own == *known || own.starts_with(known);
        let is_template = renderer.resolved.templates.iter().any(within);
        let mut artefact = if is_template { filled(renderer, own.as_str(), input)? } else { copied(input, is_env_file) };
        artefact.secret |= is_secret;
        files.insert(format!("{folder}/{}", paths::placed(own.as_str())), artefact);
    }
    Ok(())
}

fn copied(input: &InputFile, is_env_file: bool) -> Artefact {
    // An env file holds what nobody else may read, whatever its mode here.
    let mode = if is_env_file { 0o600 } else { input.mode };
    Artefact { mode, bytes: input.bytes.clone(), secret: input.is_secret() }
}

fn filled(renderer: &Renderer<'_>, path: &str, input: &InputFile) -> Result<Artefact> {
    let Ok(text) = std::str::from_utf8(&input.bytes) else {
        return Err(Error::input(format!("the template {path} is not UTF-8"))
            .hint("save it as UTF-8, or take it out of [stack] templates"));
    };
    let text = render_template(Source { name: path, text }, &renderer.template_values)?;
    Ok(Artefact { mode: input.mode, bytes: text.into_bytes(), secret: input.is_secret() })
}

/// How services of the stack take over changed files, a line each: service, test and command, parted by tabs.
fn reloads(resolved: &Resolved) -> String {
    let words = |command: &str| shell_words(command_words(command).unwrap_or_default().iter().map(String::as_str));
    let line = |(service, reload): (&String, &Setting<crate::config::Reload>)| {
        format!("{service}\t{}\t{}\n", words(&reload.value.test), words(&reload.value.run))
    };
    resolved.reloads.iter().map(line).collect()
}

/// Where the static files of this release lie, a line each, its fields parted by tabs; see remote-scripts/lib/static.sh.
fn static_files(resolved: &Resolved) -> String {
    let volume = |name: &str| {
        let filled = resolved.compose.filled_section("volumes").and_then(|volumes| volumes.get(name));
        let own = filled.and_then(|volume| volume.get("name")).and_then(yaml_serde::Value::as_str);
        own.map_or_else(|| format!("{}_{name}", resolved.compose_project.value), str::to_owned)
    };
    let line = |files: &StaticFiles| {
        let (kind, source) = match &files.place {
            StaticPlace::Folder(path) => ("folder", path.clone()),
            StaticPlace::Volume(name) => ("volume", volume(name)),
        };
        let image = resolved.image_of(&files.service).map_or("ESTIBA_IMAGE", |image| &image.variable);
        [&files.place.folder(), kind, &source, image, &files.target].join("\t") + "\n"
    };
    resolved.static_files.value.iter().map(line).collect()
}

/// What the server knows of each app, a line each in the order in which they start, its fields parted by tabs; see
/// remote-scripts/lib/apps.sh.
fn apps(resolved: &Resolved) -> Result<String> {
    let mut text = String::new();
    for name in stack::app_order(resolved) {
        let Some(app) = resolved.apps.iter().find(|app| app.service == name) else { continue };
        let replicas = resolved.compose.service(&name).map_or(1, |service| service.replicas());
        if replicas > edge::MOST_REPLICAS {
            let most = edge::MOST_REPLICAS;
            return Err(resolved
                .compose
                .error(
                    &name,
                    "replicas",
                    &format!("service `{name}` has {replicas} replicas; an edge handles at most {most} per slot"),
                )
                .hint("run more workers in each container"));
        }
        let protocol = |protocol| match protocol {
            Protocol::Http => "http",
            Protocol::H2c => "h2c",
            Protocol::Tcp => "tcp",
        };
        let ports: Vec<String> =
            app.ports.value.iter().map(|port| format!("{}:{}", port.number, protocol(port.protocol))).collect();
        let health = &app.health;
        let strategy = match app.strategy.value {
            Strategy::BlueGreen => "blue-green",
            Strategy::Canary => "canary",
            Strategy::Recreate => "recreate",
        };
        let path = if health.path.value.is_empty() { "-" } else { &health.path.value };
        let published = resolved.compose.service(&name).is_some_and(|service| !service.published().is_empty());
        let fields = [
            name.clone(),
            ports.join(","),
            path.to_owned(),
            health.host.value.clone(),
            health.expect_status.value.to_string(),
            health.interval.value.0.to_string(),
            health.timeout.value.0.to_string(),
            strategy.to_owned(),
            String::from(if published { "published" } else { "behind" }),
        ];
        text += &fields.join("\t");
        text.push('\n');
    }
    Ok(text)
}

/// What the team has the release prove on the server.
fn proof(resolved: &Resolved) -> Result<Vec<(String, Artefact)>> {
    let mut files = Vec::new();
    if !resolved.proof.team_steps.is_empty() {
        files.push(("steps".into(), Artefact::text(team_steps(resolved)?)));
    }
    if !resolved.proof.smoke.is_empty() {
        files.push(("smoke".into(), Artefact::secret(smoke(resolved))));
    }
    if !resolved.proof.metrics.is_empty() {
        files.push(("metrics".into(), Artefact::text(metrics(resolved)?)));
    }
    if let Some(load) = &resolved.proof.load {
        files.push(("load".into(), Artefact::text(load_check(load))));
    }
    Ok(files)
}

/// The load check, as words of a shell; see remote-scripts/lib/loadtest.sh.
fn load_check(load: &LoadCheck) -> String {
    let numbers = [
        load.requests_per_second.value.to_string(),
        load.duration.value.0.to_string(),
        load.max_error_rate.value.to_string(),
        load.max_p95_ms.value.to_string(),
        load.max_p95_ratio.value.to_string(),
    ];
    let words = [&load.app.value].into_iter().chain(&numbers).chain(&load.paths);
    shell_words(words.map(String::as_str)) + "\n"
}

/// The team's own steps, a line each, its fields parted by tabs; see remote-scripts/lib/team.sh.
fn team_steps(resolved: &Resolved) -> Result<String> {
    let mut text = String::new();
    for step in &resolved.proof.team_steps {
        let place = match step.on {
            StepPlace::App => "app",
            StepPlace::Server => "server",
            StepPlace::Client => "client",
        };
        let undo = if step.undo.is_empty() { "-".to_owned() } else { words(&step.undo)? };
        let fields =
            [step.name.clone(), place.to_owned(), step.service.clone(), step.timeout.0.to_string(), words(&step.run)?, undo];
        text += &(fields.join("\t") + "\n");
    }
    Ok(text)
}

/// The smoke requests, a line each, as words of a shell; see remote-scripts/lib/smoke.sh.
fn smoke(resolved: &Resolved) -> String {
    let line = |smoke: &Smoke| {
        let (status, most) = (smoke.expect_status.to_string(), smoke.max_ms.to_string());
        let fields = [&smoke.app, &smoke.method, &smoke.path, &status, &most, &smoke.contains, &smoke.body];
        let held: Vec<String> = smoke.json.iter().map(|(pointer, value)| format!("\t{pointer}\t{value}")).collect();
        shell_words(fields.into_iter().chain(&smoke.headers).chain(&held).map(String::as_str)) + "\n"
    };
    resolved.proof.smoke.iter().map(line).collect()
}

/// What is measured, a line each, as words of a shell; see remote-scripts/lib/metric.sh.
fn metrics(resolved: &Resolved) -> Result<String> {
    let bound = |bound: Option<f64>| bound.map_or_else(|| "-".to_owned(), |bound| bound.to_string());
    let line = |metric: &Metric| -> Result<String> {
        let (every, in_a_row) = (metric.every.0.to_string(), metric.in_a_row.to_string());
        let fields = [metric.name.clone(), every, in_a_row, bound(metric.max), bound(metric.min)];
        let of = match &metric.of {
            MetricOf::Command(run) => format!("run {}", words(run)?),
            MetricOf::Prometheus { address, query } => shell_words(["prometheus", address, query]),
        };
        Ok(format!("{} {of}\n", shell_words(fields.iter().map(String::as_str))))
    };
    resolved.proof.metrics.iter().map(line).collect()
}

/// Where in the values of an env file secrets stand, for the server to keep them out of its journal without a copy of
/// them: `KEY:offset:length`, in bytes.
fn secret_places<'a>(values: impl Iterator<Item = (&'a str, &'a str)>, secrets: &[String]) -> String {
    let in_value = |(key, value): (&str, &str)| -> Vec<String> {
        let place = |secret: &String| value.find(secret.as_str()).map(|at| format!("{key}:{at}:{}", secret.len()));
        secrets.iter().filter_map(place).collect()
    };
    values.flat_map(in_value).collect::<Vec<_>>().join(" ")
}

/// The settings that the server's half reads.
fn settings(resolved: &Resolved, shared: &[String], secrets: String, offsite_secrets: String) -> Result<SettingsFile> {
    let app = &resolved.app;
    let first = &resolved.apps[0];
    let order = stack::order(resolved);
    let is_file = |path: &&String| [".sqlite3", ".sqlite", ".db"].iter().any(|end| path.ends_with(end));
    let (shared_files, shared): (Vec<&String>, Vec<&String>) = shared.iter().partition(is_file);
    let owned = |paths: Vec<&String>| paths.into_iter().cloned().collect();
    let stack_built = resolved.images.iter().filter(|image| !image.services.iter().any(|service| resolved.in_slot(service)));
    let recreate = resolved.apps.iter().any(|app| app.strategy.value == Strategy::Recreate);
    let mut settings = SettingsFile {
        protocol: VERSION,
        project: resolved.project.clone(),
        target: resolved.target.name.clone(),
        site_url: resolved.target.url.clone().unwrap_or_default(),
        compose_project: resolved.compose_project.value.clone(),
        app_service: first.service.clone(),
        apps: stack::app_order(resolved),
        workers: app.workers.value.clone(),
        jobs: resolved.jobs.iter().filter(|job| job.in_slot).map(|job| job.service.clone()).collect(),
        overlap: app.overlap.value,
        migrate: words(&app.migrate.value)?,
        migrate_service: app.migrate_service.clone(),
        pending_migrations: words(&app.pending_migrations.value)?,
        reverse_migration: words(&app.reverse_migration.value)?,
        migrate_timeout: app.migrate_timeout.value.0,
        migrate_always: app.migrate.origin == Origin::File,
        collect_static: words(&app.collect_static.value)?,
        // A turn of each release, its first second, and what is still on its way at the end.
        load_seconds: resolved.proof.load.as_ref().map_or(0, |load| 2 * load.duration.value.0 + 32),
        stack_services: order.services,
        stack_jobs: order.jobs,
        stack_after_jobs: order.after_jobs,
        stack_after_apps: order.after_apps,
        stack_built: stack_built.map(|image| image.variable.clone()).collect(),
        proxies: resolved.proxies.clone(),
        shared: owned(shared),
        shared_files: owned(shared_files),
        drain_timeout: resolved.edge.drain_timeout.value.0,
        edge_image: resolved.edge.image.value.clone(),
        health_timeout: resolved.apps.iter().map(|app| app.health.timeout.value.0).max().unwrap_or(60),
        health_request_timeout: first.health.timeout.value.0.clamp(1, 5),
        health_accept: accepted(resolved),
        env_file: resolved.env.name.clone(),
        secrets,
        offsite_secrets,
        strategy: if recreate { "recreate" } else { "blue-green" },
        image_name: resolved.image().name.value.clone(),
        images: resolved.images.iter().map(|image| format!("{}:{}", image.variable, image.name.value)).collect(),
        ..SettingsFile::default()
    };
    add_data(&mut settings, resolved);
    add_backup_service(&mut settings, resolved);
    if let Some(watch) = &resolved.watch {
        settings.watch_every = watch.every.value.0;
        settings.watch_disk = watch.disk_percent.value.into();
        settings.watch_certificate = watch.certificate_days.value.into();
        settings.watch_backup = watch.backup_age.value.0;
        settings.watch_tell = watch.tell.value;
        settings.watch_metrics = watch.metrics.value;
    }
    Ok(settings)
}

/// A command of the team's as the words of a shell.
fn words(command: &str) -> Result<String> {
    let words = command_words(command).ok_or_else(|| Error::input(format!("the quotes do not match: {command}")))?;
    Ok(shell_words(words.iter().map(String::as_str)))
}

/// The statuses that `/` may answer with, of whichever app.
fn accepted(resolved: &Resolved) -> Vec<String> {
    let all: BTreeSet<u16> = resolved.apps.iter().flat_map(|app| app.health.accept.value.iter().copied()).collect();
    all.iter().map(u16::to_string).collect()
}

/// The database and the cache. A name that deploy.toml does not tell is asked of the database's own container, which knows what
/// Compose filled in.
fn add_data(settings: &mut SettingsFile, resolved: &Resolved) {
    let told = |setting: &Setting<String>| {
        if setting.origin == Origin::File { setting.value.clone() } else { String::new() }
    };
    if let Some(database) = &resolved.database {
        settings.database_service = database.service.value.clone();
        settings.database_engine = match database.engine.value {
            Engine::Postgres => "postgres",
            Engine::Mysql => "mysql",
        };
        settings.database_name = told(&database.name);
        settings.database_user = told(&database.user);
        settings.backup = match database.backup.value {
            Backup::BeforeMigrations => "before-migrations",
            Backup::Always => "always",
            Backup::Never => "never",
        };
        settings.during_migrations = match database.during_migrations.value {
            DuringMigrations::Online => "online",
            DuringMigrations::ReadOnly => "read-only",
            DuringMigrations::Maintenance => "maintenance",
        };
        settings.restore = match database.restore.value {
            Restore::WhenLossless => "when-lossless",
            Restore::OnCriticalFailure => "on-critical-failure",
            Restore::Never => "never",
        };
        settings.lock_timeout = database.lock_timeout.value.0;
        settings.keep_backups = database.keep_backups.value.into();
        settings.keep_daily = database.keep_daily.value.into();
        settings.keep_weekly = database.keep_weekly.value.into();
        settings.keep_monthly = database.keep_monthly.value.into();
    }
    if let Some(cache) = &resolved.cache {
        settings.cache_service = cache.service.value.clone();
        settings.cache_persist = cache.persist.value;
    }
}

/// The backup service and the off-site repository.
fn add_backup_service(settings: &mut SettingsFile, resolved: &Resolved) {
    let backup = &resolved.backup;
    settings.volumes = backup.volumes.iter().map(|volume| format!("{}={}", volume.name, volume.source)).collect();
    if backup.is_wanted() {
        let spelled = |schedule: &Option<(String, Schedule)>| {
            schedule.as_ref().map(|(_, schedule)| schedule.spelled_out()).unwrap_or_default()
        };
        settings.backup_image = backup.image.value.clone();
        settings.backup_schedule = spelled(&backup.schedule);
        settings.drill_schedule = spelled(&backup.drill);
        let alert = command_words(&backup.alert).unwrap_or_default();
        settings.backup_alert = shell_words(alert.iter().map(String::as_str));
    }
    if let Some(offsite) = &backup.offsite {
        // Its address may hold a password: that is in offsite.env.
        settings.offsite = if offsite.starts_with('/') { offsite.clone() } else { "remote".to_owned() };
        settings.offsite_image = backup.offsite_image.value.clone();
    }
}

/// What restic gets in its environment, a line each; nothing where there is no off-site repository.
fn offsite_environment(resolved: &Resolved) -> Option<String> {
    let repository = resolved.backup.offsite.as_ref()?;
    let lines = resolved.backup.offsite_environment.iter().map(|(name, value)| format!("{name}={value}\n"));
    Some(std::iter::once(format!("RESTIC_REPOSITORY={repository}\n")).chain(lines).collect())
}
