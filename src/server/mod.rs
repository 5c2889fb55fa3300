//! The server's half as typed calls: the embedded scripts, the facts, the upload, a run and its journal.

mod backups;
mod bundle;
mod calls;
mod facts;
mod first_answer;
mod gate;
mod incoming;
mod journal;
mod metrics;
mod prepare;
pub mod protocol;
mod scripts;
mod status;
mod steps;
mod upload;

pub use calls::{Followed, LogsAsked, Server, Start};
pub use facts::{Container, Durations, Facts, KeptRelease};
pub use gate::gate;
pub use incoming::{Loaded, Segment};
pub use journal::{Record, RecordKind};
pub use metrics::Metrics;
pub use prepare::{Found, Item, ItemState, Prepare, Prepared};
pub use protocol::alert_mark;
pub use protocol::{BuildFile, Fact, ReleaseFile, RunFile, SettingsFile, VERSION};
pub use scripts::Scripts;
pub use status::Status;
pub use steps::{Step, kinds, steps_of};
pub use upload::packed_scripts;
