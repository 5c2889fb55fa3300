//! The command line.

mod alerts;
mod args;
mod commands;
mod context;
mod main;

pub use args::Cli;
pub use main::main;
