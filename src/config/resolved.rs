//! What a resolved deploy.toml holds: each value, and beside it where it came from.

use std::fmt;

use camino::Utf8PathBuf;

use crate::compose::ComposeFile;
use crate::error::{Error, Result};

use super::shape::{Backup, DuringMigrations, Engine, ImageSource, Restore, Strategy};
use super::{Schedule, Seconds};

/// How a port is called that nothing tells.
pub const GUESSED_PORT: &str = "gunicorn's own default";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// deploy.toml says so.
    File,
    /// The product's default.
    Default,
    /// A convention, in words.
    Found(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("deploy.toml"),
            Self::Default => f.write_str("default"),
            Self::Found(how) => f.write_str(how),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

impl<T> Setting<T> {
    pub(super) fn or_default(value: Option<T>, default: T) -> Self {
        match value {
            Some(value) => Self { value, origin: Origin::File },
            None => Self { value: default, origin: Origin::Default },
        }
    }

    pub(super) fn or_found(value: Option<T>, found: impl FnOnce() -> Result<(T, String)>) -> Result<Self> {
        Ok(match value {
            Some(value) => Self { value, origin: Origin::File },
            None => {
                let (value, how) = found()?;
                Self { value, origin: Origin::Found(how) }
            }
        })
    }
}

/// The whole of what a deploy needs to know, for one target.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The project's name.
    pub project: String,
    /// The Compose project on the server.
    pub compose_project: Setting<String>,
    /// The target.
    pub target: Target,
    /// The Compose file's path, from the project's folder.
    pub compose_path: Setting<Utf8PathBuf>,
    /// The Compose file.
    pub compose: ComposeFile,
    /// Folders that outlive releases, relative to the Compose file.
    pub shared: Setting<Vec<String>>,
    /// The application.
    pub app: App,
    /// Its image.
    pub image: Image,
    /// The proxy.
    pub proxy: Proxy,
    /// Health.
    pub health: Health,
    /// Rollout.
    pub rollout: Rollout,
    /// The database, where the stack has one.
    pub database: Option<Database>,
    /// The cache, where the stack has one.
    pub cache: Option<Cache>,
    /// What is made of backups beside those of deploys.
    pub backup: BackupService,
}

/// `[target.NAME]`, resolved.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// `user@host[:port]` each.
    pub hosts: Vec<String>,
    /// Fingerprints, known_hosts lines or files.
    pub host_keys: Setting<Vec<String>>,
    /// The private key's file, where one is named.
    pub identity: Option<String>,
    /// The folder on the server.
    pub root: Setting<String>,
    /// The site's address.
    pub url: Option<String>,
    /// What its page must hold.
    pub url_contains: Option<String>,
    /// The env file's template, from the project's folder; `None` where there is none.
    pub env_file: Setting<Option<Utf8PathBuf>>,
}

/// `[app]`, resolved.
#[derive(Debug, Clone)]
pub struct App {
    /// The service that runs blue and green.
    pub service: Setting<String>,
    /// Its port.
    pub port: Setting<u16>,
    /// The services that follow it.
    pub workers: Setting<Vec<String>>,
    /// May two versions of a worker run at once?
    pub overlap: Setting<bool>,
    /// The migrate command; empty for none.
    pub migrate: Setting<String>,
    /// The command that lists pending migrations; empty for none.
    pub pending_migrations: Setting<String>,
    /// The command that reverses migrations; empty for none.
    pub reverse_migration: Setting<String>,
    /// The longest that a migration may take.
    pub migrate_timeout: Setting<Seconds>,
    /// The command that collects static files; empty for none.
    pub collect_static: Setting<String>,
}

/// `[image]`, resolved.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its name without a tag.
    pub name: Setting<String>,
    /// How it gets to the server.
    pub source: Setting<ImageSource>,
    /// The build context, from the project's folder.
    pub context: Setting<Utf8PathBuf>,
    /// The Dockerfile, from the context.
    pub dockerfile: Setting<String>,
    /// The build's stage, where the Compose file names one.
    pub build_target: Option<String>,
    /// Where `source` is `registry`: which one there.
    pub registered: Option<Registered>,
    /// Where `source` is `archive`: its path, from the project's folder.
    pub archive: Option<Utf8PathBuf>,
}

/// An image of a registry, and who may read it.
#[derive(Clone)]
pub struct Registered {
    /// Its name there.
    pub reference: String,
    /// User and password.
    pub login: Option<(String, String)>,
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registered({}, {:?})", self.reference, self.login.as_ref().map(|(user, _)| user))
    }
}

impl Registered {
    /// The reference in its parts.
    pub fn parse(&self) -> Result<oci_client::Reference> {
        self.reference.parse().map_err(|error| Error::input(format!("`{}` names no image: {error}", self.reference)))
    }
}

/// `[proxy]`, resolved.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Its service.
    pub service: Setting<String>,
    /// The folder of its configuration, from the Compose file's folder.
    pub config: Setting<String>,
    /// The longest wait for requests in flight.
    pub drain_timeout: Setting<Seconds>,
}

/// `[health]`, resolved.
#[derive(Debug, Clone)]
pub struct Health {
    /// The path.
    pub path: Setting<String>,
    /// The status of a healthy answer.
    pub expect_status: Setting<u16>,
    /// Time between two looks.
    pub interval: Setting<Seconds>,
    /// When a release that is not healthy has failed.
    pub timeout: Setting<Seconds>,
    /// The Host header.
    pub host: Setting<String>,
}

/// `[rollout]`, resolved.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// Blue-green or recreate.
    pub strategy: Setting<Strategy>,
    /// How long a new release is watched.
    pub observe: Setting<Seconds>,
    /// Below this many requests nothing is known.
    pub min_requests: Setting<u32>,
    /// The share of requests that may fail.
    pub max_error_rate: Setting<f64>,
    /// How long the client's word is waited for.
    pub confirm_timeout: Setting<Seconds>,
    /// Releases kept.
    pub keep_releases: Setting<u32>,
}

/// `[database]`, resolved.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its service.
    pub service: Setting<String>,
    /// Its engine.
    pub engine: Setting<Engine>,
    /// The database's name.
    pub name: Setting<String>,
    /// The database's user.
    pub user: Setting<String>,
    /// When it is backed up.
    pub backup: Setting<Backup>,
    /// What the site does while migrations run.
    pub during_migrations: Setting<DuringMigrations>,
    /// Whether a failed deploy may put the backup's data back.
    pub restore: Setting<Restore>,
    /// How long a migration waits for a lock.
    pub lock_timeout: Setting<Seconds>,
    /// Backups kept: the newest.
    pub keep_backups: Setting<u32>,
    /// Backups kept: one a day.
    pub keep_daily: Setting<u32>,
    /// Backups kept: one a week.
    pub keep_weekly: Setting<u32>,
    /// Backups kept: one a month.
    pub keep_monthly: Setting<u32>,
}

/// `[cache]`, resolved.
#[derive(Debug, Clone)]
pub struct Cache {
    /// Its service.
    pub service: Setting<String>,
    /// Is its file copied with every backup?
    pub persist: Setting<bool>,
}

/// `[backup]`, resolved.
#[derive(Debug, Clone)]
pub struct BackupService {
    /// When a backup is made, as it is written.
    pub schedule: Option<(String, Schedule)>,
    /// When the newest one is tried, as it is written.
    pub drill: Option<(String, Schedule)>,
    /// The command that is run when either failed; empty for none.
    pub alert: String,
    /// The image of the service.
    pub image: Setting<String>,
    /// The off-site repository.
    pub offsite: Option<String>,
    /// Does its address hold something of the environment, a password say?
    pub offsite_is_secret: bool,
    /// What restic gets in its environment.
    pub offsite_environment: Vec<(String, String)>,
    /// The image of restic.
    pub offsite_image: Setting<String>,
}

impl BackupService {
    /// The service's name in the stack.
    pub const SERVICE: &str = "estiba-backup";

    /// Is there anything for a service to do?
    pub const fn is_wanted(&self) -> bool {
        self.schedule.is_some() || self.drill.is_some()
    }
}
