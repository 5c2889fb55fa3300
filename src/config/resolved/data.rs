//! What is known of the database, the cache and their backups.

use super::super::shape::{Backup, DuringMigrations, Engine, Restore};
use super::super::{Schedule, Seconds};
use super::Setting;

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
    /// What is copied beside the database.
    pub volumes: Vec<BackedUp>,
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

/// A volume or a shared folder that goes into backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// What it is called in a backup: the volume's name, or the folder's path with `-` for `/`.
    pub name: String,
    /// What it is called in deploy.toml.
    pub written: String,
    /// What it is on the server: `volume/` and the Engine's name for it, or `shared/` and its path.
    pub source: String,
}

impl BackupService {
    /// The service's name in the stack.
    pub const SERVICE: &str = "estiba-backup";

    /// Is there anything for a service to do?
    pub const fn is_wanted(&self) -> bool {
        self.schedule.is_some() || self.drill.is_some()
    }
}
