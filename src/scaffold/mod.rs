//! What `init` writes: deploy.toml and the workflows for a project, and a stack for one that has none.

mod found;
mod templates;
mod workflows;
mod write;

pub use found::{Found, look};
pub use templates::{ACTION, files};
pub use workflows::unprotected_jobs;
pub use write::{Written, write};
