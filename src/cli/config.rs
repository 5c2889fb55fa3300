//! `config check`, `config show`, `config schema`

use std::process::ExitCode;

use crate::config::{AppService, BackupService, Origin, Port, Resolved, Setting, resolve, schema};
use crate::deploy::{check_host_keys, open_with_stand_ins, prepare};
use crate::error::Result;
use crate::report::Event;

use super::args::{ConfigCommand, TargetArgs};
use super::context::Context;

pub(super) fn run(context: &Context, command: ConfigCommand) -> Result<ExitCode> {
    match command {
        ConfigCommand::Check(args) => check(context, &args)?,
        ConfigCommand::Show(args) => show(context, &args)?,
        ConfigCommand::Schema => {
            let schema = schema();
            context.reporter.tell(if context.global.json { Event::Document(schema) } else { Event::Text(format!("{schema:#}")) });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Checks every target, or the named one.
fn check(context: &Context, args: &TargetArgs) -> Result<()> {
    let project = context.project()?;
    let names: Vec<Option<&str>> = match &args.target {
        Some(name) => vec![Some(name)],
        None if project.loaded.config.target.is_empty() => vec![None],
        None => project.loaded.config.target.keys().map(|name| Some(name.as_str())).collect(),
    };
    for name in names {
        let resolved = resolve(&project, name)?;
        let prepared = prepare(&project, &resolved, &context.reporter)?;
        check_host_keys(&project, &resolved)?;
        for note in &prepared.rendered.notes {
            context.reporter.note(note);
        }
        let files = prepared.rendered.release.len();
        context.reporter.note(format!("target {}: good, {files} files rendered", resolved.target.name));
    }
    Ok(())
}

fn show(context: &Context, args: &TargetArgs) -> Result<()> {
    let project = open_with_stand_ins(&context.global.config, &context.environment)?;
    let resolved = resolve(&project, args.target.as_deref())?;
    let lines = lines(&resolved);
    if context.global.json {
        let entries = lines.iter().filter_map(|line| {
            let Line::Key { section, key, value, origin } = line else { return None };
            Some(serde_json::json!({"section": section, "key": key, "value": value, "origin": origin}))
        });
        context.reporter.tell(Event::Document(entries.collect()));
    } else {
        context.reporter.tell(Event::Text(text(&lines)));
    }
    Ok(())
}

enum Line {
    Section(String),
    Key { section: String, key: &'static str, value: toml::Value, origin: String },
}

/// TOML that means the same as deploy.toml and its conventions, with the origin of each value behind it.
fn text(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        match line {
            Line::Section(name) if text.is_empty() => text = format!("[{name}]\n"),
            Line::Section(name) => text += &format!("\n[{name}]\n"),
            Line::Key { key, value, origin, .. } => text += &format!("{:<44} # {origin}\n", format!("{key} = {value}")),
        }
    }
    text
}

/// An app's ports as deploy.toml writes them.
fn ports(app: &AppService) -> Setting<Vec<toml::Table>> {
    let table = |port: &Port| {
        let protocol = toml::Value::try_from(port.protocol).unwrap_or_else(|_| "http".into());
        toml::Table::from_iter([("port".to_owned(), i64::from(port.number).into()), ("protocol".to_owned(), protocol)])
    };
    Setting { value: app.ports.value.iter().map(table).collect(), origin: app.ports.origin.clone() }
}

/// `[backup]`; of what restic gets in its environment only the names.
fn backup_lines(backup: &BackupService) -> Vec<Line> {
    let line = |key, value: &str, origin: &Origin| Line::Key {
        section: String::from("backup"),
        key,
        value: value.into(),
        origin: origin.to_string(),
    };
    let mut lines = Vec::new();
    for (key, schedule) in [("schedule", &backup.schedule), ("drill", &backup.drill)] {
        lines.extend(schedule.iter().map(|(text, _)| line(key, text, &Origin::File)));
    }
    if backup.is_wanted() {
        lines.push(line("image", &backup.image.value, &backup.image.origin));
    }
    if !backup.alert.is_empty() {
        lines.push(line("alert", &backup.alert, &Origin::File));
    }
    if let Some(offsite) = &backup.offsite {
        let shown = if backup.offsite_is_secret { "(filled from the environment)" } else { offsite };
        lines.push(line("offsite", shown, &Origin::File));
        lines.push(line("offsite-image", &backup.offsite_image.value, &backup.offsite_image.origin));
        let names: toml::Table =
            backup.offsite_environment.iter().map(|(name, _)| (name.clone(), format!("${{{name}}}").into())).collect();
        lines.push(Line::Key {
            section: String::from("backup"),
            key: "offsite-environment",
            value: names.into(),
            origin: String::from("deploy.toml; values are not shown"),
        });
    }
    if !lines.is_empty() {
        lines.insert(0, Line::Section(String::from("backup")));
    }
    lines
}

fn lines(resolved: &Resolved) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut section = String::new();
    let mut begin = |lines: &mut Vec<Line>, name: &str| {
        lines.push(Line::Section(name.to_owned()));
        section = name.to_owned();
        section.clone()
    };
    fn add<T: Clone + serde::Serialize>(lines: &mut Vec<Line>, section: &str, key: &'static str, setting: &Setting<T>) {
        if let Ok(value) = toml::Value::try_from(setting.value.clone()) {
            lines.push(Line::Key { section: section.to_owned(), key, value, origin: setting.origin.to_string() });
        }
    }
    let file = |value: toml::Value| Setting { value, origin: Origin::File };

    let at = begin(&mut lines, "project");
    add(&mut lines, &at, "name", &file(resolved.project.clone().into()));
    add(&mut lines, &at, "compose-project", &resolved.compose_project);
    let target = &resolved.target;
    let at = begin(&mut lines, &format!("target.{}", target.name));
    add(&mut lines, &at, "hosts", &file(target.hosts.clone().into()));
    add(&mut lines, &at, "host-keys", &target.host_keys);
    for (key, value) in [("identity", &target.identity), ("url", &target.url), ("url-contains", &target.url_contains)] {
        if let Some(value) = value {
            add(&mut lines, &at, key, &file(value.clone().into()));
        }
    }
    add(&mut lines, &at, "root", &target.root);
    if let Some(path) = &target.env_file.value {
        add(&mut lines, &at, "env-file", &Setting { value: path.to_string(), origin: target.env_file.origin.clone() });
    }
    let at = begin(&mut lines, "stack");
    let paths: Vec<String> = resolved.compose_paths.value.iter().map(ToString::to_string).collect();
    add(&mut lines, &at, "compose", &Setting { value: paths, origin: resolved.compose_paths.origin.clone() });
    if !resolved.profiles.is_empty() {
        add(&mut lines, &at, "profiles", &file(resolved.profiles.clone().into()));
    }
    add(&mut lines, &at, "shared", &resolved.shared);
    if !resolved.templates.is_empty() {
        add(&mut lines, &at, "templates", &file(resolved.templates.clone().into()));
    }
    for (service, reload) in &resolved.reloads {
        let at = begin(&mut lines, &format!("stack.reload.{service}"));
        let setting = |text: &str| Setting { value: text.to_owned(), origin: reload.origin.clone() };
        add(&mut lines, &at, "test", &setting(&reload.value.test));
        add(&mut lines, &at, "run", &setting(&reload.value.run));
    }
    for (service, decided) in &resolved.kinds {
        let at = begin(&mut lines, &format!("services.{service}"));
        let origin = if decided.why == "deploy.toml" { Origin::File } else { Origin::Found(decided.why.clone()) };
        add(&mut lines, &at, "kind", &Setting { value: decided.kind, origin });
    }
    let app = &resolved.app;
    let at = begin(&mut lines, "app");
    add(&mut lines, &at, "service", &app.service);
    add(&mut lines, &at, "workers", &app.workers);
    add(&mut lines, &at, "overlap", &app.overlap);
    add(&mut lines, &at, "migrate", &app.migrate);
    add(&mut lines, &at, "pending-migrations", &app.pending_migrations);
    add(&mut lines, &at, "reverse-migration", &app.reverse_migration);
    add(&mut lines, &at, "migrate-timeout", &app.migrate_timeout);
    add(&mut lines, &at, "collect-static", &app.collect_static);
    let names = resolved.static_files.value.iter().map(|files| files.place.name().to_owned()).collect();
    add(&mut lines, &at, "static", &Setting::<Vec<String>> { value: names, origin: resolved.static_files.origin.clone() });
    add(&mut lines, &at, "ports", &ports(&resolved.apps[0]));
    for app in resolved.apps.iter().skip(1) {
        let at = begin(&mut lines, &format!("apps.{}", app.service));
        add(&mut lines, &at, "ports", &ports(app));
        let health: toml::Table = [("path".to_owned(), app.health.path.value.clone().into())].into_iter().collect();
        add(&mut lines, &at, "health", &Setting { value: health, origin: app.health.path.origin.clone() });
    }
    let image = resolved.image();
    let at = begin(&mut lines, "image");
    add(&mut lines, &at, "name", &image.name);
    add(&mut lines, &at, "source", &image.source);
    if image.build_is_here() {
        add(
            &mut lines,
            &at,
            "context",
            &Setting { value: image.context.value.to_string(), origin: image.context.origin.clone() },
        );
        add(&mut lines, &at, "dockerfile", &image.dockerfile);
    }
    if let Some(registered) = &image.registered {
        add(&mut lines, &at, "reference", &Setting { value: registered.reference.clone(), origin: image.source.origin.clone() });
    }
    if let Some(archive) = &image.archive {
        add(&mut lines, &at, "archive", &Setting { value: archive.to_string(), origin: Origin::File });
    }
    let edge = &resolved.edge;
    let at = begin(&mut lines, "edge");
    add(&mut lines, &at, "image", &edge.image);
    add(&mut lines, &at, "drain-timeout", &edge.drain_timeout);
    if !edge.labels.is_empty() {
        add(&mut lines, &at, "labels", &file(edge.labels.clone().into()));
    }
    if !edge.trusted_proxies.is_empty() {
        add(&mut lines, &at, "trusted-proxies", &file(edge.trusted_proxies.clone().into()));
    }
    if let Some(page) = &edge.maintenance.value {
        add(&mut lines, &at, "maintenance", &Setting { value: page.clone(), origin: edge.maintenance.origin.clone() });
    }
    let health = resolved.health();
    let at = begin(&mut lines, "health");
    add(&mut lines, &at, "path", &health.path);
    add(&mut lines, &at, "expect-status", &health.expect_status);
    add(&mut lines, &at, "interval", &health.interval);
    add(&mut lines, &at, "timeout", &health.timeout);
    add(&mut lines, &at, "host", &health.host);
    let rollout = &resolved.rollout;
    let at = begin(&mut lines, "rollout");
    add(&mut lines, &at, "strategy", &resolved.apps[0].strategy);
    add(&mut lines, &at, "observe", &rollout.observe);
    add(&mut lines, &at, "min-requests", &rollout.min_requests);
    add(&mut lines, &at, "max-error-rate", &rollout.max_error_rate);
    add(&mut lines, &at, "confirm-timeout", &rollout.confirm_timeout);
    add(&mut lines, &at, "keep-releases", &rollout.keep_releases);
    if let Some(database) = &resolved.database {
        let at = begin(&mut lines, "database");
        add(&mut lines, &at, "service", &database.service);
        add(&mut lines, &at, "engine", &database.engine);
        add(&mut lines, &at, "name", &database.name);
        add(&mut lines, &at, "user", &database.user);
        add(&mut lines, &at, "backup", &database.backup);
        add(&mut lines, &at, "during-migrations", &database.during_migrations);
        add(&mut lines, &at, "restore", &database.restore);
        add(&mut lines, &at, "lock-timeout", &database.lock_timeout);
        add(&mut lines, &at, "keep-backups", &database.keep_backups);
        add(&mut lines, &at, "keep-daily", &database.keep_daily);
        add(&mut lines, &at, "keep-weekly", &database.keep_weekly);
        add(&mut lines, &at, "keep-monthly", &database.keep_monthly);
    }
    if let Some(cache) = &resolved.cache {
        let at = begin(&mut lines, "cache");
        add(&mut lines, &at, "service", &cache.service);
        add(&mut lines, &at, "persist", &cache.persist);
    }
    lines.extend(backup_lines(&resolved.backup));
    lines
}
