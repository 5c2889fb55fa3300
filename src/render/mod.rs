//! Templates and the Compose file in, artefacts out. Pure: no network, no clock, no environment but
//! what it is handed.

mod alerts;
mod edge;
mod inputs;
mod paths;
mod plain;
mod release;
mod rendered;
mod slot;
mod stack;

pub use inputs::{Files, InputFile};
pub use release::{Renderer, render};
pub use rendered::Rendered;
