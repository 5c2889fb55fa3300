//! estiba: deploys that cannot leave a server half-way.
//!
//! A library with a thin binary. Each module knows one thing; see `docs/architecture.md`.

#![warn(clippy::too_many_lines)]

pub mod artefact;
pub mod cli;
pub mod compose;
pub mod config;
pub mod demo;
pub mod deploy;
pub mod digest;
pub mod error;
#[cfg(test)]
mod fuzz;
pub mod image;
pub mod logs;
pub mod notify;
pub mod plan;
pub mod private;
pub mod process;
mod random;
pub mod render;
pub mod report;
pub mod scaffold;
pub mod serve;
pub mod server;
pub mod ssh;
pub mod text;
pub mod top;
