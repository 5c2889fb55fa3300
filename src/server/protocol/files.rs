//! The files that the client writes and the server's scripts read as shell assignments.

use crate::text::shell_words;

/// A value as it stands in such a file.
trait Value {
    fn text(&self) -> String;
}

macro_rules! as_it_is_written {
    ($($type:ty),*) => { $(impl Value for $type {
        fn text(&self) -> String {
            self.to_string()
        }
    })* };
}

as_it_is_written!(String, &'static str, u64, f64);

impl Value for bool {
    fn text(&self) -> String {
        u8::from(*self).to_string()
    }
}

/// Words that none has a space in.
impl Value for Vec<String> {
    fn text(&self) -> String {
        self.join(" ")
    }
}

macro_rules! file {
    ($(#[$outer:meta])* $type:ident { $($(#[$doc:meta])* $field:ident: $value:ty = $name:literal,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $type { $($(#[$doc])* pub $field: $value,)* }

        impl $type {
            /// The names that the scripts know its values by.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The file, every value quoted.
            pub fn to_text(&self) -> String {
                [$(assignment($name, &self.$field.text())),*].concat()
            }
        }
    };
}

fn assignment(name: &str, value: &str) -> String {
    format!("{name}={}\n", shell_words([value]))
}

file! {
    /// `settings.env` of a release: what its steps do it by. Where a word stands for each of several things, they are parted by
    /// spaces.
    SettingsFile {
        /// [`super::VERSION`].
        protocol: u64 = "PROTOCOL",
        /// The project's name.
        project: String = "PROJECT",
        /// The target's name.
        target: String = "TARGET",
        /// The name that Compose knows the stack by.
        compose_project: String = "COMPOSE_PROJECT",
        /// The service of the first app.
        app_service: String = "APP_SERVICE",
        /// The services of all apps, in the order in which they start.
        apps: Vec<String> = "APPS",
        /// The services that follow the apps.
        workers: Vec<String> = "WORKERS",
        /// The jobs of the app's image, run once for a release.
        jobs: Vec<String> = "JOBS",
        /// May two releases' workers run at the same time?
        overlap: bool = "OVERLAP",
        /// The command that migrates, in the words of a shell; empty where nothing does.
        migrate: String = "MIGRATE",
        /// The service whose container migrates.
        migrate_service: String = "MIGRATE_SERVICE",
        /// The command that lists what is pending.
        pending_migrations: String = "PENDING_MIGRATIONS",
        /// The command that takes an app's migrations back to one of them.
        reverse_migration: String = "REVERSE_MIGRATION",
        /// The longest that a migration may take, in seconds.
        migrate_timeout: u64 = "MIGRATE_TIMEOUT",
        /// Is the command that migrates run with nothing pending too? A command of the team's own may do more.
        migrate_always: bool = "MIGRATE_ALWAYS",
        /// The command that collects static files.
        collect_static: String = "COLLECT_STATIC",
        /// The services of the stack that start first.
        stack_services: Vec<String> = "STACK_SERVICES",
        /// The jobs of the stack.
        stack_jobs: Vec<String> = "STACK_JOBS",
        /// The services that wait for those jobs.
        stack_after_jobs: Vec<String> = "STACK_AFTER_JOBS",
        /// The services that wait for the apps.
        stack_after_apps: Vec<String> = "STACK_AFTER_APPS",
        /// The variables of the images that are built for the stack.
        stack_built: Vec<String> = "STACK_BUILT",
        /// The services that stand in front of the apps.
        proxies: Vec<String> = "PROXIES",
        /// The folders that all releases share.
        shared: Vec<String> = "SHARED",
        /// The files that all releases share.
        shared_files: Vec<String> = "SHARED_FILES",
        /// How long requests that are under way may take at a change, in seconds.
        drain_timeout: u64 = "DRAIN_TIMEOUT",
        /// The edge's image.
        edge_image: String = "EDGE_IMAGE",
        /// How long an app may take until it is healthy, in seconds.
        health_timeout: u64 = "HEALTH_TIMEOUT",
        /// How long one look at its health may take, in seconds.
        health_request_timeout: u64 = "HEALTH_REQUEST_TIMEOUT",
        /// How long the load check takes, in seconds.
        load_seconds: u64 = "LOAD_SECONDS",
        /// The statuses that the front page may answer with, beside those that are good for everybody.
        health_accept: Vec<String> = "HEALTH_ACCEPT",
        /// The name of the env file.
        env_file: String = "ENV_FILE",
        /// Where in the env file's values secrets stand: `KEY:offset:length`, in bytes.
        secrets: String = "SECRETS",
        /// The same of the off-site repository's environment.
        offsite_secrets: String = "OFFSITE_SECRETS",
        /// `blue-green` or `recreate`.
        strategy: &'static str = "STRATEGY",
        /// The name of the first app's image, without a tag.
        image_name: String = "IMAGE_NAME",
        /// All images: the variable that each stands in, a colon, its name.
        images: Vec<String> = "IMAGES",
        /// The service of the database; empty where none is known.
        database_service: String = "DATABASE_SERVICE",
        /// `postgres` or `mysql`.
        database_engine: &'static str = "DATABASE_ENGINE",
        /// Its name, where deploy.toml tells it.
        database_name: String = "DATABASE_NAME",
        /// Its user, where deploy.toml tells it.
        database_user: String = "DATABASE_USER",
        /// When it is backed up: `before-migrations`, `always` or `never`.
        backup: &'static str = "BACKUP",
        /// What users may do while a migration runs: `online`, `read-only` or `maintenance`.
        during_migrations: &'static str = "DURING_MIGRATIONS",
        /// When a backup comes back: `when-lossless`, `on-critical-failure` or `never`.
        restore: &'static str = "RESTORE",
        /// How long a migration may wait for a lock, in seconds.
        lock_timeout: u64 = "LOCK_TIMEOUT",
        /// How many backups are kept,
        keep_backups: u64 = "KEEP_BACKUPS",
        /// of how many days one each,
        keep_daily: u64 = "KEEP_DAILY",
        /// of how many weeks,
        keep_weekly: u64 = "KEEP_WEEKLY",
        /// and of how many months.
        keep_monthly: u64 = "KEEP_MONTHLY",
        /// The service of the cache.
        cache_service: String = "CACHE_SERVICE",
        /// Does the cache hold what must not be lost?
        cache_persist: bool = "CACHE_PERSIST",
        /// What of volumes and shared folders goes into a backup: a name for each, `=volume/` and its volume, or `=shared/` and its path.
        volumes: Vec<String> = "VOLUMES",
        /// When the backup service makes backups, in the five fields of cron.
        backup_schedule: String = "BACKUP_SCHEDULE",
        /// When it tries one.
        drill_schedule: String = "DRILL_SCHEDULE",
        /// The command that tells of a scheduled run that failed.
        backup_alert: String = "BACKUP_ALERT",
        /// The image that the backup service runs in.
        backup_image: String = "BACKUP_IMAGE",
        /// The site's address.
        site_url: String = "SITE_URL",
        /// How often the server looks at the site between deploys, in seconds; 0 for never.
        watch_every: u64 = "WATCH_EVERY",
        /// How full a disk may be, in percent,
        watch_disk: u64 = "WATCH_DISK",
        /// how many days a certificate must have left,
        watch_certificate: u64 = "WATCH_CERTIFICATE",
        /// and how old the newest backup may be, in seconds.
        watch_backup: u64 = "WATCH_BACKUP",
        /// Are people told of what it sees?
        watch_tell: bool = "WATCH_TELL",
        /// Does it write figures at each look?
        watch_metrics: bool = "WATCH_METRICS",
        /// The off-site repository's path on the server, or `remote`.
        offsite: String = "OFFSITE",
        /// The image that writes there.
        offsite_image: String = "OFFSITE_IMAGE",
    }
}

file! {
    /// `release.env` of a release: who made it, of what. Behind these stands `DIGEST_VARIABLE` for each of its images.
    ReleaseFile {
        /// The commit, 7 digits.
        commit: String = "COMMIT",
        /// Who made it.
        by: String = "BY",
        /// What all of its images are made of, as a digest.
        context_digest: String = "CONTEXT_DIGEST",
    }
}

impl ReleaseFile {
    /// The file, with what each image is made of by the variable that it stands in.
    pub fn with_images<'a>(&self, images: impl Iterator<Item = (&'a str, &'a str)>) -> String {
        let digests = images.map(|(variable, digest)| assignment(&format!("DIGEST_{variable}"), digest));
        self.to_text() + &digests.collect::<String>()
    }
}

file! {
    /// `run.env` of a run: what it is to do, for whom.
    RunFile {
        /// Its id.
        run: String = "RUN",
        /// `deploy`, `rollback`, `backup`, `verify`, `restore`, `drill`, `eject`, `restart`, `scale`, `maintenance` or `down`.
        kind: &'static str = "KIND",
        /// The release that it is about.
        release: String = "RELEASE",
        /// The release that served when the client looked: another one by now is refused.
        expect_current: String = "EXPECT_CURRENT",
        /// Its steps, in their order.
        steps: Vec<String> = "STEPS",
        /// How long the new release is watched under real traffic, in seconds.
        observe: u64 = "OBSERVE",
        /// So many requests make a verdict.
        min_requests: u64 = "MIN_REQUESTS",
        /// The share of them that may fail.
        max_error_rate: f64 = "MAX_ERROR_RATE",
        /// How many releases are kept.
        keep_releases: u64 = "KEEP_RELEASES",
        /// How long the release before goes on running after the commit, so that going back is a switch, in seconds.
        keep_warm: u64 = "KEEP_WARM",
        /// The services of the stack whose containers may be replaced.
        allow_replace: Vec<String> = "ALLOW_REPLACE",
        /// The id of the first app's image; empty where the server makes it.
        image: String = "IMAGE",
        /// The ids of all images: the variable that each stands in, `=`, its id.
        image_ids: Vec<String> = "IMAGE_IDS",
        /// The variable of the image that the server builds.
        built_image: String = "BUILT_IMAGE",
        /// `build`, `server`, `registry` or `archive`.
        image_source: &'static str = "IMAGE_SOURCE",
        /// The Dockerfile that the server builds by.
        dockerfile: String = "DOCKERFILE",
        /// The stage of it.
        build_target: String = "BUILD_TARGET",
        /// What the client's word has to be at `confirm`; empty where nobody gives one.
        nonce: String = "NONCE",
        /// The backup that is verified or restored.
        backup_id: String = "BACKUP_ID",
        /// How long `confirm` waits, in seconds.
        confirm_timeout: u64 = "CONFIRM_TIMEOUT",
        /// How much longer at most, where other hosts of a fleet come later and the client says so, in seconds.
        fleet_time: u64 = "FLEET_TIME",
        /// The room that the release needs on the disk, in KiB.
        need_kb: u64 = "NEED_KB",
        /// Who asked for it,
        by: String = "BY",
        /// from where,
        from: String = "FROM",
        /// and when, UTC.
        started: String = "STARTED",
        /// The services that are restarted or scaled, or the volumes that are put back.
        services: Vec<String> = "SERVICES",
        /// How many containers a service is to have; `on` or `off` for maintenance; or the one file of a volume that is put back.
        asked: String = "ASKED",
        /// `own` for a run of the backup service, which ends no deploy that was cut off.
        recover: &'static str = "RECOVER",
        /// Why it was deployed although what the target requires did not hold.
        override_reason: String = "OVERRIDE",
        /// The shares of a canary, in percent.
        canary_steps: Vec<String> = "CANARY_STEPS",
        /// How long each lasts at least, in seconds,
        canary_step_seconds: u64 = "CANARY_STEP_SECONDS",
        /// all of them together,
        canary_time: u64 = "CANARY_TIME",
        /// and how long one may go on beyond that.
        canary_wait: u64 = "CANARY_WAIT",
        /// What keeps a visitor with one release: `cookie` or `address`.
        canary_sticky: &'static str = "CANARY_STICKY",
        /// What becomes of it for want of requests: `undo`, `wait` or `synthetic`.
        canary_inconclusive: &'static str = "CANARY_INCONCLUSIVE",
        /// Is the end of this run told by alerts? Of a fleet one host tells it.
        alerts: bool = "ALERTS",
        /// How many times as long the new release's p95 may be.
        max_p95_ratio: f64 = "MAX_P95_RATIO",
        /// Is that judged while the new release is observed, too?
        observe_p95: bool = "OBSERVE_P95",
    }
}

file! {
    /// `build.env` of a run whose image the server builds. Those that are names alone have their values in `build.values`.
    BuildFile {
        /// The build's arguments, as words of a shell: `NAME=VALUE` or `NAME`.
        arguments: String = "BUILD_ARGUMENTS",
    }
}
