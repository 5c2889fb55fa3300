//! The client's side of a transaction: look, prepare, upload, start, follow, tell.

mod artefacts;
mod backup;
mod bring;
mod eject;
mod fleet;
mod follow;
mod offline;
mod options;
mod outside;
mod planning;
mod session;
mod signals;
mod transaction;
mod who;

pub use backup::{BackupRun, backup};
pub use eject::{eject, eject_steps};
pub use fleet::{all, each};
pub use offline::{open_with_stand_ins, plan_offline};
pub use options::Options;
pub use planning::{build_for, plan_all};
pub use session::{Prepared, Session, check_host_keys, prepare};
pub use transaction::{deploy, rollback};
pub use who::Who;
