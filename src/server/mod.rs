//! The server's half as typed calls: the embedded scripts, the facts, the upload, a run and its journal.

mod backups;
mod calls;
mod facts;
mod incoming;
mod journal;
mod scripts;
mod status;

pub use calls::{Followed, Server, Start};
pub use facts::{Container, Facts, KeptRelease};
pub use incoming::{Loaded, Segment};
pub use journal::{Record, RecordKind};
pub use scripts::Scripts;
pub use status::Status;
