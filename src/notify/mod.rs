//! Telling people elsewhere.

mod alert;
mod approval;
mod github;
mod pull_request;
mod trace;

pub use alert::Alert;
pub use approval::approval;
pub use pull_request::comment;
pub use trace::Collector;
