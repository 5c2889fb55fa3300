//! The application's image: its build context, its build, and its way to the server.

mod build;
mod context;
mod ignore;
mod send;

pub use build::{Built, build};
pub use context::Context;
pub use send::{Compression, send};
pub(crate) use send::ChannelWriter;
