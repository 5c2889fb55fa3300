//! Telling people elsewhere.

mod pull_request;

pub use pull_request::comment;
