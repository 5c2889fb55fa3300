//! deploy.toml: its shape, loading with places in errors, and what conventions fill in.

mod checks;
mod duration;
mod envfile;
mod extends;
mod inventory;
mod load;
mod project;
mod resolve;
mod resolved;
mod schedule;
mod shape;
mod window;

pub use duration::Seconds;
pub use envfile::EnvFile;
pub use load::{Loaded, load, parse};
pub use project::{Project, Selection};
pub use resolve::resolve;
pub use resolved::{
    Accepted, Alerts, App, AppService, BackedUp, BackupService, Cache, Canary, Channel, Database, Decided, Edge, Fleet,
    GUESSED_PORT, Health, Image, Job, KNOWN_HOSTS, LOCAL, LoadCheck, Metric, MetricOf, Origin, Port, Proof, Registered, Reload,
    Require, Resolved, Rollout, Scan, Setting, Smoke, Smtp, StaticFiles, StaticPlace, Target, TeamStep, Tests, Watch,
};
pub use schedule::Schedule;
pub use shape::{
    AlertOn, AppSection, Backup, Become, Config, DuringMigrations, Engine, FleetMode, HealthSection, ImageSource, Inconclusive,
    Protocol, Restore, ServiceKind, StepPlace, Sticky, Strategy, WaveSize, schema,
};
pub use window::Window;
