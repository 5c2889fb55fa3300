//! What containers say, as one stream: reads Compose's lines, and picks those that somebody asked for.

mod line;
mod pick;

pub use line::Line;
pub use pick::{Level, Pick};
