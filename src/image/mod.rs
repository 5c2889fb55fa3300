//! The application's image: its build context, its build, and its way to the server.

mod archive;
mod build;
mod context;
mod dockerfile;
mod endpoint;
mod ignore;
mod layers;
mod oci;
mod pieces;
mod pull;
mod push;
mod registry;
mod send;
mod settings;
mod supply;
mod transfer;

pub use archive::Archive;
pub use build::{Built, build, inspect};
pub use context::{Context, context_delta};
pub use layers::common_layers;
pub(crate) use pieces::ChannelWriter;
pub use registry::{LookedUp, look_up};
pub use send::{Compression, Receiver, Sent, send};
pub use settings::BuildSettings;
pub use supply::Supply;
pub use transfer::{Destination, transfer};
