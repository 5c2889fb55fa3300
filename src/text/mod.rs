//! Texts that people and programs wrote: read within bounds, filled in, taken apart, and pointed into when they are wrong.
//!
//! The ground floor: every other room stands on it.

mod file;
mod markdown;
mod nearest;
pub(crate) mod paths;
mod printable;
mod secrets;
mod shell;
mod source;
mod template;
mod variables;

pub use file::read_limited;
pub(crate) use markdown::{code, fence, html, inline};
pub use nearest::nearest;
pub use printable::printable;
pub use secrets::{secret_forms, without_secrets};
pub use shell::{command_words, shell_words};
pub use source::Source;
pub use template::render_template;
pub use variables::{Environment, Offered, fill, is_name, is_reserved};
