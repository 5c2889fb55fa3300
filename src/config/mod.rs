//! deploy.toml: its shape, loading with places in errors, and what conventions fill in.

mod duration;
mod env;
mod load;
mod nearest;
mod project;
mod resolve;
mod resolved;
mod schedule;
mod shape;
mod source;
mod words;

pub use duration::Seconds;
pub use env::{Environment, fill, is_name};
pub use load::{Loaded, load, parse};
pub use nearest::nearest;
pub use project::{Project, read_limited};
pub use resolve::resolve;
pub use resolved::{
    App, BackupService, Cache, Database, GUESSED_PORT, Health, Image, Origin, Proxy, Registered, Resolved, Rollout, Setting,
    Target,
};
pub use schedule::Schedule;
pub use shape::{Backup, Config, DuringMigrations, Engine, ImageSource, Restore, Strategy, schema};
pub use source::Source;
pub use words::{join as shell_words, split as command_words};
