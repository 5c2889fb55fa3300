//! deploy.toml: its shape, loading with places in errors, and what conventions fill in.

mod checks;
mod duration;
mod envfile;
mod load;
mod project;
mod resolve;
mod resolved;
mod schedule;
mod shape;

pub use duration::Seconds;
pub use envfile::EnvFile;
pub use load::{Loaded, load, parse};
pub use project::Project;
pub use resolve::resolve;
pub use resolved::{
    App, AppService, BackupService, Cache, Database, Decided, Edge, GUESSED_PORT, Health, Image, Job, Origin, Port, Registered,
    Reload, Resolved, Rollout, Setting, StaticFiles, StaticPlace, Target,
};
pub use schedule::Schedule;
pub use shape::{
    AppSection, Backup, Config, DuringMigrations, Engine, HealthSection, ImageSource, Protocol, Restore, ServiceKind, Strategy,
    schema,
};
