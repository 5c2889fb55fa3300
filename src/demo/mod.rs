//! `estiba demo`: the example deployed to this machine, over SSH, with nothing prepared.

mod example;
mod load;
mod run;
mod site;
mod sshd;

pub use load::{Load, Running, Tally};
pub use run::{Demo, run};
pub use sshd::Sshd;
