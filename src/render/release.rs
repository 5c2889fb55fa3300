//! One release, rendered.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use minijinja::context;

use crate::config::{
    Backup, DuringMigrations, Engine, Origin, Project, Resolved, Restore, Schedule, Setting, Source, Strategy, command_words,
    read_limited, shell_words,
};
use crate::error::{Error, Result};

use super::{Artefact, EnvFile, Files, Rendered, edge, manifest, paths, slot, stack, variables};

/// What rendering is made from.
#[derive(Debug, Clone)]
pub struct Renderer<'a> {
    /// The resolved configuration.
    pub resolved: &'a Resolved,
    /// The env file, rendered.
    pub env: EnvFile,
    /// The files that the stack mounts and the proxy's configuration.
    pub files: Files,
}

/// The two slots, in the order that they are used on an empty server.
pub const SLOTS: [&str; 2] = ["blue", "green"];

impl<'a> Renderer<'a> {
    /// Reads what rendering needs from the project's folder.
    pub fn open(project: &Project, resolved: &'a Resolved) -> Result<Self> {
        let base = project.path(resolved.compose_path.value.parent().unwrap_or(Utf8Path::new("")));
        let env = match &resolved.target.env_file.value {
            None => EnvFile { name: ".env".into(), ..EnvFile::default() },
            Some(path) => {
                let full = project.path(path);
                let text = read_limited(&full)?;
                let name = path.file_name().unwrap_or(".env");
                EnvFile::render(
                    Source { name: full.as_str(), text: &text },
                    name,
                    &template_values(resolved),
                    &project.environment,
                )?
            }
        };
        let mut wanted = paths::wanted(resolved);
        wanted.push(resolved.proxy.config.value.clone());
        Ok(Self { resolved, env, files: Files::read(&base, wanted)? })
    }
}

/// What templates may use.
pub(super) fn template_values(resolved: &Resolved) -> minijinja::Value {
    context! {
        project => &resolved.project,
        target => &resolved.target.name,
        app => &resolved.app.service.value,
        port => resolved.app.port.value,
    }
}

/// Renders the release.
///
/// What cannot be deployed (an undefined variable, a host network on the app, a missing file) is an
/// input error with its place.
pub fn render(renderer: &Renderer<'_>) -> Result<Rendered> {
    let resolved = renderer.resolved;
    variables::check(resolved, &renderer.env)?;
    let mut rendered = Rendered { secrets: renderer.env.secrets.clone(), ..Rendered::default() };
    let mut files: BTreeMap<String, Artefact> = BTreeMap::new();

    let layout = paths::Layout::new(resolved, &renderer.files);
    files.insert("files/stack.yml".into(), Artefact::text(stack::render(resolved, &layout, &mut rendered)?));
    for slot in SLOTS {
        let text = slot::render(resolved, &layout, slot, &mut rendered)?;
        files.insert(format!("files/slot-{slot}.yml"), Artefact::text(text));
    }
    files.insert(format!("files/{}", renderer.env.name), Artefact::secret(renderer.env.to_text()));
    for path in layout.release_files() {
        for (below, input) in renderer.files.below(&path) {
            let place = Utf8PathBuf::from("files").join(&path);
            let place = if below.is_empty() { place } else { place.join(below) };
            files.insert(
                place.into_string(),
                Artefact { mode: input.mode, bytes: input.bytes.clone(), secret: input.is_secret() || layout.is_env_file(&path) },
            );
        }
    }
    rendered.stack = layout.stack_files();
    files.extend(edge::render(resolved, &renderer.files)?);
    let (mut offsite_secrets, mut offsite_places) = (Vec::new(), String::new());
    if let Some(text) = offsite_environment(resolved) {
        let values = resolved.backup.offsite_environment.iter().map(|(_, value)| value.clone());
        let address = resolved.backup.offsite.clone().filter(|_| resolved.backup.offsite_is_secret);
        offsite_secrets.extend(values.chain(address).filter(|value| value.len() >= 4));
        let lines = text.lines().filter_map(|line| line.split_once('='));
        offsite_places = secret_places(lines, &offsite_secrets);
        files.insert("offsite.env".into(), Artefact::secret(text));
    }
    let values = renderer.env.values.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let places = secret_places(values, &rendered.secrets);
    let settings = settings(resolved, &renderer.env, &places, &offsite_places)?;
    files.insert("settings.env".into(), Artefact::text(settings));
    rendered.secrets.extend(offsite_secrets);
    files.insert("manifest".into(), Artefact::text(manifest(&files)));
    rendered.release = files;
    rendered.notes.sort();
    rendered.notes.dedup();
    Ok(rendered)
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

/// The settings that the server's half reads: shell assignments, every value quoted.
fn settings(resolved: &Resolved, env: &EnvFile, secrets: &str, offsite_secrets: &str) -> Result<String> {
    let words = |command: &str| -> Result<String> {
        let words = command_words(command).ok_or_else(|| Error::input(format!("the quotes do not match: {command}")))?;
        Ok(shell_words(words.iter().map(String::as_str)))
    };
    let health = &resolved.health;
    let stack_services = stack::started(resolved);
    let request_timeout = health.timeout.value.0.clamp(1, 5).to_string();
    let settings: Vec<(&str, String)> = vec![
        ("PROJECT", resolved.project.clone()),
        ("TARGET", resolved.target.name.clone()),
        ("COMPOSE_PROJECT", resolved.compose_project.value.clone()),
        ("APP_SERVICE", resolved.app.service.value.clone()),
        ("APP_PORT", resolved.app.port.value.to_string()),
        ("WORKERS", resolved.app.workers.value.join(" ")),
        ("OVERLAP", u8::from(resolved.app.overlap.value).to_string()),
        ("MIGRATE", words(&resolved.app.migrate.value)?),
        ("PENDING_MIGRATIONS", words(&resolved.app.pending_migrations.value)?),
        ("REVERSE_MIGRATION", words(&resolved.app.reverse_migration.value)?),
        ("MIGRATE_TIMEOUT", resolved.app.migrate_timeout.value.0.to_string()),
        // A command of the team's own may do more than migrate.
        ("MIGRATE_ALWAYS", u8::from(resolved.app.migrate.origin == Origin::File).to_string()),
        ("COLLECT_STATIC", words(&resolved.app.collect_static.value)?),
        ("STACK_SERVICES", stack_services.join(" ")),
        ("SHARED", resolved.shared.value.join(" ")),
        ("PROXY_SERVICE", resolved.proxy.service.value.clone()),
        ("DRAIN_TIMEOUT", resolved.proxy.drain_timeout.value.0.to_string()),
        ("HEALTH_PATH", health.path.value.clone()),
        ("HEALTH_HOST", health.host.value.clone()),
        ("HEALTH_STATUS", health.expect_status.value.to_string()),
        ("HEALTH_INTERVAL", health.interval.value.0.to_string()),
        ("HEALTH_TIMEOUT", health.timeout.value.0.to_string()),
        ("HEALTH_REQUEST_TIMEOUT", request_timeout),
        ("ENV_FILE", env.name.clone()),
        ("SECRETS", secrets.to_owned()),
        ("OFFSITE_SECRETS", offsite_secrets.to_owned()),
        (
            "STRATEGY",
            String::from(match resolved.rollout.strategy.value {
                Strategy::BlueGreen => "blue-green",
                Strategy::Recreate => "recreate",
            }),
        ),
        ("IMAGE_NAME", resolved.image.name.value.clone()),
    ];
    let settings = settings.into_iter().chain(database_settings(resolved)).collect::<Vec<_>>();
    let line = |(key, value): &(&str, String)| format!("{key}={}\n", shell_words([value.as_str()]));
    Ok(settings.iter().map(line).collect())
}

/// The settings of the database and the cache. A name that deploy.toml does not tell is asked of the database's own
/// container, which knows what Compose filled in.
fn database_settings(resolved: &Resolved) -> Vec<(&'static str, String)> {
    let told = |setting: &Setting<String>| {
        if setting.origin == Origin::File { setting.value.clone() } else { String::new() }
    };
    let mut settings = Vec::new();
    if let Some(database) = &resolved.database {
        let backup = match database.backup.value {
            Backup::BeforeMigrations => "before-migrations",
            Backup::Always => "always",
            Backup::Never => "never",
        };
        let during_migrations = match database.during_migrations.value {
            DuringMigrations::Online => "online",
            DuringMigrations::ReadOnly => "read-only",
            DuringMigrations::Maintenance => "maintenance",
        };
        let restore = match database.restore.value {
            Restore::WhenLossless => "when-lossless",
            Restore::OnCriticalFailure => "on-critical-failure",
            Restore::Never => "never",
        };
        settings.extend([
            ("DATABASE_SERVICE", database.service.value.clone()),
            (
                "DATABASE_ENGINE",
                String::from(match database.engine.value {
                    Engine::Postgres => "postgres",
                    Engine::Mysql => "mysql",
                }),
            ),
            ("DATABASE_NAME", told(&database.name)),
            ("DATABASE_USER", told(&database.user)),
            ("BACKUP", backup.to_owned()),
            ("DURING_MIGRATIONS", during_migrations.to_owned()),
            ("RESTORE", restore.to_owned()),
            ("LOCK_TIMEOUT", database.lock_timeout.value.0.to_string()),
            ("KEEP_BACKUPS", database.keep_backups.value.to_string()),
            ("KEEP_DAILY", database.keep_daily.value.to_string()),
            ("KEEP_WEEKLY", database.keep_weekly.value.to_string()),
            ("KEEP_MONTHLY", database.keep_monthly.value.to_string()),
        ]);
    }
    if let Some(cache) = &resolved.cache {
        settings.push(("CACHE_SERVICE", cache.service.value.clone()));
        settings.push(("CACHE_PERSIST", u8::from(cache.persist.value).to_string()));
    }
    let backup = &resolved.backup;
    if backup.is_wanted() {
        let spelled = |schedule: &Option<(String, Schedule)>| {
            schedule.as_ref().map(|(_, schedule)| schedule.spelled_out()).unwrap_or_default()
        };
        settings.push(("BACKUP_SCHEDULE", spelled(&backup.schedule)));
        settings.push(("DRILL_SCHEDULE", spelled(&backup.drill)));
        let alert = command_words(&backup.alert).unwrap_or_default();
        settings.push(("BACKUP_ALERT", shell_words(alert.iter().map(String::as_str))));
    }
    if let Some(offsite) = &backup.offsite {
        // Its address may hold a password: that is in offsite.env.
        settings.push(("OFFSITE", if offsite.starts_with('/') { offsite.clone() } else { "remote".to_owned() }));
        settings.push(("OFFSITE_IMAGE", backup.offsite_image.value.clone()));
    }
    settings
}

/// What restic gets in its environment, a line each; nothing where there is no off-site repository.
fn offsite_environment(resolved: &Resolved) -> Option<String> {
    let repository = resolved.backup.offsite.as_ref()?;
    let lines = resolved.backup.offsite_environment.iter().map(|(name, value)| format!("{name}={value}\n"));
    Some(std::iter::once(format!("RESTIC_REPOSITORY={repository}\n")).chain(lines).collect())
}
