//! One SSH connection: host keys, authentication, commands, uploads. Wraps russh, which no other room uses
//! but the demo's own server.

mod address;
mod attach;
mod connection;
mod exec;
mod failure;
mod forward;
mod hostkey;
mod identity;
mod listener;
mod pieces;
mod traffic;

pub use address::Address;
pub use attach::Terminal;
pub use connection::{Connection, Settings};
pub(crate) use exec::keep_the_end;
pub use exec::{Output, Piece, Running};
pub use forward::{Forward, Incoming};
pub use hostkey::HostKeys;
pub use identity::{Identity, parse_key};
pub(crate) use pieces::ChannelWriter;
pub use traffic::Traffic;
