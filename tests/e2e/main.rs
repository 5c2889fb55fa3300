//! The promises of a deploy, each against Debian's own sshd and a real Docker Engine. They run one after
//! another (`--test-threads=1`); `make test` sets up what they need.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests set up their own world, and stop where it is not so")]

mod actions;
mod alerts;
mod backup_service;
mod bad_releases;
mod calls;
mod canary;
mod clock;
mod daily;
mod database;
mod deploy_user;
mod edge;
mod first_deploy;
mod fleet;
mod hostile;
mod images;
mod init;
mod local;
mod lock;
mod logs;
mod mariadb;
mod metrics;
mod monitoring;
mod plan;
mod proof;
#[path = "../matrix/proxy.rs"]
mod proxy;
mod rollback;
mod secrets;
mod sequences;
mod serve;
#[expect(dead_code, reason = "the fault matrix does more to its server")]
#[path = "../matrix/server.rs"]
mod server;
mod setup;
mod sources;
mod ssh;
mod stack;
mod stacks;
mod static_files;
mod support;
mod survival;
mod takeover;
mod under_load;
mod verdicts;
mod volumes;
