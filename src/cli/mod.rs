//! The command line: one file a command. Each parses, calls, and says the exit code — nothing else.

mod abort;
mod args;
mod backup;
mod completions;
mod config;
mod context;
mod demo;
mod deploy;
mod eject;
mod history;
mod init;
mod main;
mod plan;
mod recover;
mod reference;
mod rollback;
mod status;

pub use args::Cli;
pub use main::main;
