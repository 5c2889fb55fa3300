//! estiba: deploys that cannot leave a server half-way.
//!
//! A library with a thin binary. Each module knows one thing; see `docs/architecture.md`.

pub mod cli;
pub mod compose;
pub mod config;
pub mod demo;
pub mod deploy;
pub mod error;
pub mod image;
pub mod notify;
mod paths;
pub mod plan;
pub mod private;
pub mod process;
pub mod render;
pub mod report;
pub mod scaffold;
pub mod server;
pub mod ssh;
