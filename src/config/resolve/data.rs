//! What holds data: the database, the cache, and the backups beside those of deploys.

use crate::compose::{Model, Service};
use crate::error::Result;
use crate::text::paths::tidy;
use crate::text::{command_words, is_name};

use super::super::resolved::{BackedUp, BackupService, Cache, Database, Origin, Setting};
use super::super::shape::{Backup, DuringMigrations, Engine, Restore};
use super::super::{Project, Schedule, Seconds};
use super::common::{named, only};
use super::world::World;

/// The engine of a service, by its image.
fn engine_of(world: &World<'_>, service: &Service<'_>) -> Option<Engine> {
    let runs = |names: &[&str]| world.runs(service, names);
    if runs(&["backup", "exporter", "bouncer", "admin"]) {
        None
    } else if runs(&["postgres", "postgis", "pgvector", "timescale", "pgautoupgrade"]) {
        Some(Engine::Postgres)
    } else if runs(&["mariadb", "mysql"]) {
        Some(Engine::Mysql)
    } else {
        by_its_data(service)
    }
}

/// By the folder in which the engine keeps its data, whatever the image is called, where the service is told how to make a
/// database there.
fn by_its_data(service: &Service<'_>) -> Option<Engine> {
    let keeps = |places: &[&str]| {
        service.mounts().iter().any(|mount| !mount.read_only && places.iter().any(|place| mount.target.starts_with(place)))
    };
    let environment = service.environment();
    let told = |beginnings: &[&str]| environment.keys().any(|name| beginnings.iter().any(|known| name.starts_with(known)));
    if keeps(&["/var/lib/postgresql", "/bitnami/postgresql", "/home/postgres/pgdata"]) && told(&["POSTGRES_", "POSTGRESQL_"]) {
        Some(Engine::Postgres)
    } else if keeps(&["/var/lib/mysql", "/bitnami/mariadb", "/bitnami/mysql"]) && told(&["MYSQL_", "MARIADB_"]) {
        Some(Engine::Mysql)
    } else {
        None
    }
}

/// May the name stand in SQL, in a connection and in an argument? PostgreSQL takes a name with `=` in it for connection settings.
fn is_database_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    name.len() <= 63 && name.bytes().next().is_some_and(plain) && name.bytes().all(|b| plain(b) || b".$-".contains(&b))
}

pub(super) fn resolve_database(world: &World<'_>) -> Result<Option<Database>> {
    let World { project, compose, .. } = world;
    let section = &project.loaded.config.database;
    let candidates: Vec<_> = compose.services().filter(|service| engine_of(world, service).is_some()).collect();
    if section.service.is_none() && candidates.is_empty() {
        return Ok(None);
    }
    let service = Setting::or_found(section.service.clone(), || {
        let found = only("the database", "[database] service", compose, &candidates, "no service has a database's image")?;
        Ok((found.name.to_owned(), "the service with a database's image".into()))
    })?;
    let found = named(project, compose, &service.value, "[database] service")?;
    let engine = Setting::or_found(section.engine, || {
        Ok((engine_of(world, &found).unwrap_or_default(), format!("the image of `{}`", service.value)))
    })?;
    let environment = found.environment();
    let from = |variables: &[&str], own: &Option<String>, default: &str| {
        Setting::or_found(own.clone(), || {
            let told = variables.iter().find_map(|variable| Some((variable, environment.get(*variable)?)));
            Ok(match told {
                Some((variable, value)) => (value.clone(), format!("{variable} of `{}`", service.value)),
                None if variables.is_empty() => (default.to_owned(), String::from("the one who may make databases")),
                None => (default.to_owned(), format!("{} is not set on `{}`", variables.join(" or "), service.value)),
            })
        })
    };
    let during_migrations = Setting::or_default(section.during_migrations, DuringMigrations::default());
    let (name, user) = match engine.value {
        Engine::Postgres => {
            (from(&["POSTGRES_DB"], &section.name, "postgres")?, from(&["POSTGRES_USER"], &section.user, "postgres")?)
        }
        Engine::Mysql => {
            (from(&["MARIADB_DATABASE", "MYSQL_DATABASE"], &section.name, "mysql")?, from(&[], &section.user, "root")?)
        }
    };
    let database = Database {
        user,
        name,
        engine,
        during_migrations,
        backup: Setting::or_default(section.backup, Backup::default()),
        restore: Setting::or_default(section.restore, Restore::default()),
        lock_timeout: Setting::or_default(section.lock_timeout, Seconds(1)),
        keep_backups: Setting::or_default(section.keep_backups, 14),
        keep_daily: Setting::or_default(section.keep_daily, 0),
        keep_weekly: Setting::or_default(section.keep_weekly, 0),
        keep_monthly: Setting::or_default(section.keep_monthly, 0),
        service,
    };
    check_database(world, &database)?;
    Ok(Some(database))
}

/// Names that are no words of a command, and a promise that the engine cannot keep.
fn check_database(world: &World<'_>, database: &Database) -> Result<()> {
    let World { project, compose, .. } = world;
    for (key, setting) in [("name", &database.name), ("user", &database.user)] {
        if !is_database_name(&setting.value) {
            let message = format!("the database's {key} `{}` is not a name of plain characters", setting.value);
            let error = match setting.origin {
                Origin::File => project.loaded.source().error_near(&setting.value, message),
                _ => compose.error(&database.service.value, &setting.value, &message),
            };
            return Err(error.hint("letters, digits and _.$- only, 63 at most, a letter, a digit or _ first"));
        }
    }
    if database.engine.value == Engine::Mysql && database.during_migrations.value == DuringMigrations::ReadOnly {
        return Err(project
            .loaded
            .source()
            .error_near(
                "during-migrations",
                "MySQL cannot refuse writes to all but the migration: read-only would promise too much",
            )
            .hint("use `maintenance`, which stops all requests at the edge, or `online`"));
    }
    Ok(())
}

pub(super) fn resolve_cache(project: &Project, compose: &Model) -> Result<Option<Cache>> {
    let section = &project.loaded.config.cache;
    let persist = Setting::or_default(section.persist, false);
    // What is not copied need not be known.
    if section.service.is_none() && !persist.value {
        return Ok(None);
    }
    let candidates: Vec<_> = compose
        .services()
        .filter(|service| service.image_name().is_some_and(|image| image.contains("redis") || image.contains("valkey")))
        .collect();
    let service = Setting::or_found(section.service.clone(), || {
        let found = only("the cache", "[cache] service", compose, &candidates, "no service has a redis image")?;
        Ok((found.name.to_owned(), "the service with a redis image".into()))
    })?;
    named(project, compose, &service.value, "[cache] service")?;
    Ok(Some(Cache { service, persist }))
}

/// The volumes and folders of `[backup] volumes`, each found in the Compose file or among the shared folders.
fn backed_up(project: &Project, compose: &Model, shared: &[String]) -> Result<Vec<BackedUp>> {
    let volumes = compose.filled_section("volumes");
    let find = |written: &String| {
        let path = tidy(written);
        let of_engine = volumes.and_then(|volumes| volumes.get(path.as_str()));
        let source = if let Some(entry) = of_engine {
            format!("volume/{}", entry.get("name").and_then(yaml_serde::Value::as_str).unwrap_or(&path))
        } else if shared.iter().any(|folder| path == *folder || path.starts_with(&format!("{folder}/"))) {
            format!("shared/{path}")
        } else {
            let known = volumes.into_iter().flatten().filter_map(|(name, _)| name.as_str());
            let known: Vec<&str> = known.chain(shared.iter().map(String::as_str)).collect();
            return Err(project
                .loaded
                .source()
                .error_near(
                    &format!("\"{written}\""),
                    format!("[backup] volumes: `{written}` is neither a volume of the Compose file nor a shared folder"),
                )
                .hint(format!("there are: {}", if known.is_empty() { "none".into() } else { known.join(", ") })));
        };
        let name = path.replace('/', "-");
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
        if !plain(&source) || name.starts_with(['-', '.']) {
            return Err(project
                .loaded
                .source()
                .error_near(written, format!("[backup] volumes: `{written}` is not a plain name"))
                .hint("letters, digits and ._-/ only"));
        }
        Ok(BackedUp { name, written: written.clone(), source })
    };
    let found = project.loaded.config.backup.volumes.iter().map(find).collect::<Result<Vec<BackedUp>>>()?;
    for (at, one) in found.iter().enumerate() {
        if let Some(other) = found[..at].iter().find(|other| other.name == one.name) {
            let message =
                format!("[backup] volumes: `{}` and `{}` would have the same name in a backup", other.written, one.written);
            return Err(project
                .loaded
                .source()
                .error_near(&one.written, message)
                .hint("name each once, and a folder instead of one in it"));
        }
    }
    Ok(found)
}

pub(super) fn resolve_backup(project: &Project, compose: &Model, has_database: bool, shared: &[String]) -> Result<BackupService> {
    let section = &project.loaded.config.backup;
    let source = project.loaded.source();
    let schedule = |text: &Option<String>, key: &str| -> Result<Option<(String, Schedule)>> {
        let Some(text) = text else { return Ok(None) };
        let schedule = Schedule::parse(text).map_err(|why| {
            source
                .error_near(key, format!("[backup] {key} = \"{text}\" is not a schedule: {why}"))
                .hint("\"0 3 * * *\" is every night at three, UTC")
        })?;
        Ok(Some((text.clone(), schedule)))
    };
    let wrong = |near: &str, message: &str| source.error_near(near, message);
    let alert = section.alert.clone().unwrap_or_default();
    if command_words(&alert).is_none() {
        return Err(wrong(&alert, "the quotes of [backup] alert do not match")
            .hint("write the command as in a shell; put pipes, && and variables into `sh -c '…'`"));
    }
    let service = BackupService {
        schedule: schedule(&section.schedule, "schedule")?,
        drill: schedule(&section.drill, "drill")?,
        volumes: backed_up(project, compose, shared)?,
        alert,
        image: Setting::or_default(section.image.clone(), "docker:27-cli".into()),
        offsite: section.offsite.clone(),
        offsite_is_secret: section.offsite_is_secret,
        offsite_environment: section.offsite_environment.clone().into_iter().collect(),
        offsite_image: Setting::or_default(section.offsite_image.clone(), "restic/restic:0.17.3".into()),
    };
    if service.is_wanted() && !has_database {
        return Err(wrong("[backup]", "a backup is scheduled, and no database is known").hint("[database] service names it"));
    }
    if service.is_wanted() && compose.service(BackupService::SERVICE).is_some() {
        return Err(compose.source().error_near(
            &format!("{}:", BackupService::SERVICE),
            format!("`{}` is the name of the service that [backup] schedule adds", BackupService::SERVICE),
        ));
    }
    if let Some(offsite) = &service.offsite {
        let has = |name: &str| service.offsite_environment.iter().any(|(key, value)| key == name && !value.is_empty());
        if !has("RESTIC_PASSWORD") {
            return Err(wrong("offsite", "the off-site repository has no password")
                .hint("offsite-environment = { RESTIC_PASSWORD = \"${RESTIC_PASSWORD}\" }; keep the password elsewhere too: without it no copy can be read"));
        }
        if offsite.is_empty() || offsite.chars().any(char::is_control) {
            return Err(wrong("offsite", "[backup] offsite is not the address of a repository"));
        }
        if offsite.starts_with('/') && !offsite.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b)) {
            return Err(
                wrong("offsite", "[backup] offsite is not a path of plain characters").hint("letters, digits and ._-/ only")
            );
        }
    }
    for (name, value) in &service.offsite_environment {
        if !is_name(name) || value.contains(['\n', '\r', '\0']) {
            return Err(wrong(name, "an entry of offsite-environment is a variable's name and a value of one line"));
        }
    }
    Ok(service)
}
