//! deploy.toml: its shape, loading with places in errors, and what conventions fill in.

mod duration;
mod env;
mod envfile;
mod load;
mod nearest;
mod project;
mod resolve;
mod resolved;
mod schedule;
mod shape;
mod source;
mod template;
mod words;

pub use duration::Seconds;
pub use env::{Environment, fill, is_name};
pub use envfile::{EnvFile, quote_env_value};
pub use load::{Loaded, load, parse};
pub use nearest::nearest;
pub use project::{Project, read_limited};
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
pub use source::Source;
pub use template::render_template;
pub use words::{join as shell_words, split as command_words};
