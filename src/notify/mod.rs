//! Telling people elsewhere.

mod alert;
mod pull_request;
mod trace;

pub use alert::Alert;
pub use pull_request::comment;
pub use trace::Collector;
