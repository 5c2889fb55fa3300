//! A site of one's own: a copy of the example, a root, a port, and the binary to deploy it with.

mod docker;
mod github;
mod load;
mod picture;
mod port;
mod recorder;
mod registry;
mod run;
mod scripted;
mod site;
mod sshd;
mod terminal;

pub use docker::docker;
pub use github::{Requests, github};
pub use load::{Mixed, Steady, wait_for};
pub use picture::Picture;
pub use port::free_address;
pub use recorder::{Answers, Recorder};
pub use registry::Registry;
pub use run::Run;
pub use scripted::{Manner, Scripted};
pub use site::{Kept, PASSWORD, Site, remove_project};
pub use sshd::{Sshd, sshd, sshd_configured, sshd_with};
pub use terminal::{in_a_terminal, with_input};
