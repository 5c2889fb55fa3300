//! The live screen of `top`: what a target's servers, containers and apps do, look after look.

mod draw;
mod state;

pub use draw::draw;
pub use state::{Act, State};
