//! What both halves agree on, in one place: the names in the files that the client writes and the server's scripts read, the
//! facts and answers that the scripts print, and the words that mark them.
//!
//! The scripts of one version stand together in a folder of their own, so that a client only ever speaks to its own. What
//! lasts longer are releases: their settings are read by the scripts of later versions, and by those of an earlier one after
//! a step back. `remote-scripts/lib/settings.sh` gives what an older one leaves out, and [`VERSION`] tells a newer one.

pub mod alert_mark;
mod entries;
mod facts;
mod files;
pub mod marker;

pub use entries::{Entry, Rights};
pub use facts::{Fact, Repeated};
pub use files::{BuildFile, ReleaseFile, RunFile, SettingsFile};

/// The version of what a release says of itself. It is raised when scripts of an older version would misread a release.
pub const VERSION: u64 = 1;

#[cfg(test)]
mod tests;
