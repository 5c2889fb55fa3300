//! Templates and the Compose file in, artefacts out. Pure: no network, no clock, no environment but
//! what it is handed.

mod artefact;
mod edge;
mod inputs;
mod paths;
mod plain;
mod release;
mod slot;
mod stack;

pub use artefact::{Artefact, Rendered, digest, digest_of, hex, manifest};
pub use inputs::{Files, InputFile};
pub use release::{Renderer, render};
