//! The team's Compose files, as Docker Compose itself reads them, and asked about their services.
//!
//! Compose reads them twice: once with every `${NAME}` as it is written, which is what is rendered, and once filled, which
//! tells what each mount, port and image really is. A guard looks at the files before, so that reading them reaches
//! nothing outside of the project.

mod guard;
mod health;
mod interpolate;
mod model;
mod mounts;
mod normal;
mod program;
mod service;

pub use health::{HealthUrl, health_url};
pub use interpolate::{Variable, expand, variables};
pub use model::{Model, Reading, find_files};
pub use mounts::Mount;
pub use program::{Compose, parse_env_file, quote_env_value};
pub use service::{Build, Published, Service};
