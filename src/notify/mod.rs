//! Telling people elsewhere.

mod alert;
mod approval;
mod collector;
mod event_logs;
mod github;
mod pull_request;
mod telemetry;
mod trace;

pub use alert::Alert;
pub use approval::approval;
pub use collector::{Collector, Ended};
pub use pull_request::comment;
pub use telemetry::Telemetry;
