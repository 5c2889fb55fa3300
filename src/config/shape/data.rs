//! The sections about what holds data: `[database]`, `[cache]`, `[backup]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Seconds;

/// What kind of database it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// PostgreSQL 13 or later.
    #[default]
    Postgres,
    /// MariaDB 10.6 or later, MySQL 8 or later.
    #[serde(alias = "mariadb")]
    Mysql,
}

/// When the database is backed up in a deploy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Backup {
    /// Before migrations that are pending.
    #[default]
    BeforeMigrations,
    /// In every deploy.
    Always,
    /// Not at all.
    Never,
}

/// What the site does while migrations run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DuringMigrations {
    /// It goes on, writes and all.
    #[default]
    Online,
    /// It shows everything and takes no writes: those are answered 503, and the database refuses them.
    ReadOnly,
    /// It shows the team's own page, `maintenance.html` in the proxy's folder.
    Maintenance,
}

/// Whether a failed deploy may put the backup's data back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restore {
    /// Only where nothing is lost: nobody could write since the backup.
    #[default]
    WhenLossless,
    /// Also where the old release is not healthy on the migrated schema and no other way back is left. What was
    /// written since the backup is kept in the database that is replaced.
    OnCriticalFailure,
    /// Not at all.
    Never,
}

/// `[database]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DatabaseSection {
    /// The database's service. Default: the one with a postgres, mariadb or mysql image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The database engine: `postgres`, or `mysql` for MySQL and MariaDB. Default: by the service's image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// The database's name. Default: `POSTGRES_DB`, `MARIADB_DATABASE` or `MYSQL_DATABASE` of its service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The database's user, one who may make databases. Default: `POSTGRES_USER` of its service, or `root`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// When a deploy backs it up: `before-migrations` (default), `always` or `never`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// What the site does while migrations run: `online` (default), `read-only` or `maintenance`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub during_migrations: Option<DuringMigrations>,
    /// Whether a failed deploy may put the backup's data back: `when-lossless` (default), `on-critical-failure` or
    /// `never`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restore>,
    /// How long a statement of a migration waits for a lock before it gives up; what it waits for, the site's own
    /// requests wait for behind it. Default: 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_timeout: Option<Seconds>,
    /// The newest backups that are kept. Default: 14.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_backups: Option<u32>,
    /// Beside them, one backup for each of this many days. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_daily: Option<u32>,
    /// Beside them, one backup for each of this many weeks. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_weekly: Option<u32>,
    /// Beside them, one backup for each of this many months. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_monthly: Option<u32>,
}

/// `[cache]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CacheSection {
    /// The cache's service. Default: the one with a redis image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Does it hold what must not be lost? Then it is saved, and its file copied, with every backup. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persist: Option<bool>,
}

/// `[backup]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BackupSection {
    /// When the backup service of the stack makes a backup: five fields as in cron (minute, hour, day, month,
    /// weekday), UTC. `"0 3 * * *"` is every night at three. Default: never, and there is no backup service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// When the newest backup is restored into a database of its own and compared, as if it were needed: the copy in
    /// the off-site repository, where there is one. Five fields as in cron, UTC. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<String>,
    /// Volumes of the Compose file and shared folders (`media`) that go into each backup of the service, or by hand, beside the database.
    /// A backup before a migration holds the database alone. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// A command that is run in the app's container when a scheduled backup or drill has failed; the news stands on
    /// its standard input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// The image that the backup service runs in: one with the `docker` command. The server keeps the one that it pulled first, as long
    /// as this name is the same. Default: `docker:27-cli`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A restic repository that each backup of the service, or by hand, is copied into, encrypted: a folder of the
    /// server (`/mnt/backups`, which must be there), `sftp:user@host:/path` or `s3:https://host/bucket`. For sftp,
    /// `<root>/shared/offsite-ssh` holds the key and known_hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offsite: Option<String>,
    /// What restic needs in its environment: `RESTIC_PASSWORD = "${RESTIC_PASSWORD}"`, and for S3
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. Values are written to the server with mode 0600.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub offsite_environment: BTreeMap<String, String>,
    /// The image that restic runs in, kept in the same way. Default: `restic/restic:0.17.3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offsite_image: Option<String>,
    /// Does the repository's address hold something of the environment?
    #[serde(skip)]
    pub offsite_is_secret: bool,
}
