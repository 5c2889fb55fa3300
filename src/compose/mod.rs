//! The team's Compose file: read with merge keys and `extends` resolved, and asked about its services.

mod extends;
mod file;
mod health;
mod interpolate;
mod mounts;
mod service;

pub use file::ComposeFile;
pub use health::{HealthUrl, health_url};
pub use interpolate::{Variable, expand, variables};
pub use mounts::{Mount, split_short};
pub use service::Service;
