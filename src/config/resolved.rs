//! What a resolved deploy.toml holds: each value, and beside it where it came from.

mod alerts;
mod data;
mod fleet;
mod proof;

use std::collections::BTreeMap;
use std::fmt;

use camino::Utf8PathBuf;
use yaml_serde::Mapping;

use crate::compose::Model;
use crate::error::{Error, Result};

use super::shape::{Become, ImageSource, Protocol, ServiceKind, Strategy};
use super::{EnvFile, Seconds};

pub use alerts::{Alerts, Channel, Smtp, Watch};
pub use data::{BackedUp, BackupService, Cache, Database};
pub use fleet::Fleet;
pub(super) use fleet::percent;
pub use proof::{Accepted, Canary, LoadCheck, Metric, MetricOf, Proof, Require, Scan, Smoke, TeamStep, Tests};

/// How a port is called that nothing tells.
pub const GUESSED_PORT: &str = "a guess: nothing tells it";

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
    /// The Compose files' paths, from the project's folder.
    pub compose_paths: Setting<Vec<Utf8PathBuf>>,
    /// The profiles that are deployed.
    pub profiles: Vec<String>,
    /// What the files say.
    pub compose: Model,
    /// The target's environment.
    pub env: EnvFile,
    /// What each service is to a deploy, and why.
    pub kinds: BTreeMap<String, Decided>,
    /// Folders and files that outlive releases, relative to the Compose file.
    pub shared: Setting<Vec<String>>,
    /// The folders and volumes of static files, of which each release has its own.
    pub static_files: Setting<Vec<StaticFiles>>,
    /// Files and folders of the stack that are templates.
    pub templates: Vec<String>,
    /// How services of the stack take over changed files.
    pub reloads: BTreeMap<String, Setting<Reload>>,
    /// The applications, the first one with the project's commands.
    pub apps: Vec<AppService>,
    /// The application: its commands and what follows it.
    pub app: App,
    /// The jobs, in the order in which they run.
    pub jobs: Vec<Job>,
    /// The images that are built, pulled or sent, the first app's first.
    pub images: Vec<Image>,
    /// The edge.
    pub edge: Edge,
    /// The names of proxies of the team's own stack.
    pub proxies: Vec<String>,
    /// Services of the stack that somebody runs by hand.
    pub by_hand: Vec<String>,
    /// Rollout.
    pub rollout: Rollout,
    /// What the team has a release prove.
    pub proof: Proof,
    /// The database, where the stack has one.
    pub database: Option<Database>,
    /// The cache, where the stack has one.
    pub cache: Option<Cache>,
    /// What is made of backups beside those of deploys.
    pub backup: BackupService,
    /// Who is told of what.
    pub alerts: Alerts,
    /// What the server looks at by itself.
    pub watch: Option<Watch>,
    /// What was assumed, and what is worth knowing.
    pub notes: Vec<String>,
}

impl Resolved {
    /// The first app's image.
    pub fn image(&self) -> &Image {
        &self.images[0]
    }

    /// The image that this service runs, where it is one of the project's own.
    pub fn image_of(&self, service: &str) -> Option<&Image> {
        self.images.iter().find(|image| image.services.iter().any(|known| known == service))
    }

    /// The first app's health.
    pub fn health(&self) -> &Health {
        &self.apps[0].health
    }

    /// What that service is.
    pub fn kind(&self, service: &str) -> ServiceKind {
        self.kinds.get(service).map_or(ServiceKind::Stack, |decided| decided.kind)
    }

    /// Does this service live in the slots: an app, a worker, or a job of an app's image?
    pub fn in_slot(&self, service: &str) -> bool {
        match self.kind(service) {
            ServiceKind::App | ServiceKind::Worker => true,
            ServiceKind::Job => self.jobs.iter().any(|job| job.service == service && job.in_slot),
            ServiceKind::Stack => false,
        }
    }

    /// Is this service one of the apps?
    pub fn is_app(&self, service: &str) -> bool {
        self.kind(service) == ServiceKind::App
    }
}

/// Where a release's static files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaticPlace {
    /// A shared folder, by its path from the Compose file's.
    Folder(String),
    /// A volume, by its name in the Compose file.
    Volume(String),
}

impl StaticPlace {
    /// As the Compose file's `volumes` name it.
    pub fn name(&self) -> &str {
        match self {
            Self::Folder(name) | Self::Volume(name) => name,
        }
    }

    /// The folder of a release that holds its own files of it.
    pub fn folder(&self) -> String {
        self.name().replace("../", "_up/").replace('/', "_")
    }
}

/// Static files that a proxy, or somebody else, reads where an app puts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticFiles {
    /// Where that is.
    pub place: StaticPlace,
    /// The first service that writes to it.
    pub service: String,
    /// Where that service has it.
    pub target: String,
}

/// What a service is, and what told so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What it is.
    pub kind: ServiceKind,
    /// What told so, in words.
    pub why: String,
}

/// How a service takes over changed files: commands in its container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// Tells whether it takes them; empty for none.
    pub test: String,
    /// Has it read them; empty where it sees them by itself.
    pub run: String,
}

/// A port of an app, and what is spoken on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Its number in the container.
    pub number: u16,
    /// What is spoken.
    pub protocol: Protocol,
}

/// A service that answers requests.
#[derive(Debug, Clone)]
pub struct AppService {
    /// Its name.
    pub service: String,
    /// Its ports, the one that its health is asked on first.
    pub ports: Setting<Vec<Port>>,
    /// Its health.
    pub health: Health,
    /// Blue-green or recreate.
    pub strategy: Setting<Strategy>,
}

impl AppService {
    /// The port that its health is asked on.
    pub fn port(&self) -> Port {
        self.ports.value.first().copied().unwrap_or(Port { number: 8000, protocol: Protocol::Http })
    }
}

/// A service that ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub service: String,
    /// Does it run for each release, before that starts? Else it is the stack's, and runs before what waits for it.
    pub in_slot: bool,
    /// Is it the migration?
    pub migrates: bool,
}

/// `[edge]`, resolved.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Its image.
    pub image: Setting<String>,
    /// The longest wait for requests in flight.
    pub drain_timeout: Setting<Seconds>,
    /// Beginnings of labels that belong to it.
    pub labels: Vec<String>,
    /// Networks whose `X-Forwarded-*` headers are passed on.
    pub trusted_proxies: Vec<String>,
    /// The maintenance page, from the Compose file's folder.
    pub maintenance: Setting<Option<String>>,
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
    /// The private key's file, or what else names a key.
    pub identity: Option<String>,
    /// Hosts on the way there.
    pub jump: Vec<String>,
    /// Is `~/.ssh/config` followed?
    pub ssh_config: Setting<bool>,
    /// How commands get their rights there.
    pub becomes: Option<Become>,
    /// The folder on the server.
    pub root: Setting<String>,
    /// The site's address.
    pub url: Option<String>,
    /// What its page must hold.
    pub url_contains: Option<String>,
    /// The env file's template, from the project's folder; `None` where there is none.
    pub env_file: Setting<Option<Utf8PathBuf>>,
    /// What must hold before a deploy.
    pub require: Require,
    /// How several hosts get a release.
    pub fleet: Fleet,
}

/// As a target's `hosts` name the machine that deploys.
pub const LOCAL: &str = "local";

/// The file of host keys that is read, and added to, where a target names none.
pub const KNOWN_HOSTS: &str = "~/.ssh/known_hosts";

/// `[app]`, resolved.
#[derive(Debug, Clone)]
pub struct App {
    /// The service that runs blue and green.
    pub service: Setting<String>,
    /// The services that follow it.
    pub workers: Setting<Vec<String>>,
    /// May two versions of a worker run at once?
    pub overlap: Setting<bool>,
    /// The migrate command; empty for none.
    pub migrate: Setting<String>,
    /// The service in whose container it runs.
    pub migrate_service: String,
    /// The command that lists pending migrations; empty for none.
    pub pending_migrations: Setting<String>,
    /// The command that reverses migrations; empty for none.
    pub reverse_migration: Setting<String>,
    /// The longest that a migration may take.
    pub migrate_timeout: Setting<Seconds>,
    /// The command that collects static files; empty for none.
    pub collect_static: Setting<String>,
}

/// An image of the project's own: `[image]` for the first one.
#[derive(Debug, Clone)]
pub struct Image {
    /// The variable of the rendered files that it stands in.
    pub variable: String,
    /// The services that run it, the one that it is named after first.
    pub services: Vec<String>,
    /// Its name without a tag.
    pub name: Setting<String>,
    /// How it gets to the server.
    pub source: Setting<ImageSource>,
    /// The build context, from the project's folder.
    pub context: Setting<Utf8PathBuf>,
    /// The Dockerfile, from the context.
    pub dockerfile: Setting<String>,
    /// The Dockerfile's text, where it stands in the Compose file.
    pub inline: Option<String>,
    /// The build's stage, where the Compose file names one.
    pub build_target: Option<String>,
    /// What the image has of its context: the paths that the Dockerfile copies, `.` for all. Empty where it copies none.
    pub copied: Vec<String>,
    /// The build's arguments.
    pub arguments: BTreeMap<String, String>,
    /// The build's other settings, as Compose reads them.
    pub build: Mapping,
    /// Where `source` is `registry`: which one there.
    pub registered: Option<Registered>,
    /// Where `source` is `archive`: its path, from the project's folder.
    pub archive: Option<Utf8PathBuf>,
}

impl Image {
    /// Is it built, here or on the server, from a folder of the project's?
    pub fn build_is_here(&self) -> bool {
        matches!(self.source.value, ImageSource::Build | ImageSource::Server)
    }
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

/// `[health]`, resolved.
#[derive(Debug, Clone)]
pub struct Health {
    /// The path; empty where it is enough that the port takes connections.
    pub path: Setting<String>,
    /// The status of a healthy answer.
    pub expect_status: Setting<u16>,
    /// What `/` may answer with, besides a page.
    pub accept: Setting<Vec<u16>>,
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
    /// How long the release before goes on running after the commit.
    pub keep_warm: Setting<Seconds>,
    /// What a canary goes by.
    pub canary: Canary,
}
