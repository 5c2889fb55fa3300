//! One file a command. Each parses, calls, and says the exit code.

pub(super) mod abort;
pub(super) mod backup;
pub(super) mod canary;
pub(super) mod completions;
pub(super) mod config;
pub(super) mod demo;
pub(super) mod deploy;
pub(super) mod doctor;
pub(super) mod eject;
pub(super) mod exec;
pub(super) mod history;
pub(super) mod init;
pub(super) mod logs;
pub(super) mod look;
pub(super) mod metrics;
pub(super) mod order;
pub(super) mod plan;
pub(super) mod promote;
pub(super) mod recover;
pub(super) mod reference;
pub(super) mod rollback;
pub(super) mod serve;
pub(super) mod setup;
pub(super) mod status;
mod table;
pub(super) mod top;
