//! The application's image: its build context, its build, and its way to the server.

mod build;
mod context;
mod dockerfile;
mod ignore;
mod layers;
mod send;

pub use build::{Built, build};
pub use context::Context;
pub use layers::common_layers;
pub(crate) use send::ChannelWriter;
pub use send::{Compression, send};
