//! The application's image: its build context, its build, and its way to the server.

mod archive;
mod build;
mod context;
mod dockerfile;
mod endpoint;
mod ignore;
mod layers;
mod learning;
mod login;
mod oci;
mod pull;
mod push;
mod registry;
mod save;
mod send;
mod settings;
mod supply;
mod task;
mod transfer;

pub use archive::Archive;
pub use build::{Built, build, inspect};
pub use context::{Context, context_delta};
pub use layers::common_layers;
pub use learning::Learning;
pub use registry::{LookedUp, look_up};
pub use send::{Receiver, send};
pub use settings::BuildSettings;
pub use supply::{Compression, Supply};
pub use transfer::{Destination, Sent, transfer};
