//! One SSH connection: host keys, authentication, commands, uploads. Wraps russh, which no other room uses
//! but the demo's own server.

mod address;
mod attach;
mod authenticate;
mod client;
mod connection;
mod door;
mod exec;
mod failure;
mod forward;
mod hostkey;
mod identity;
mod key;
mod listener;
mod local;
mod patterns;
mod pieces;
mod settings;
mod stream;
mod traffic;
mod user_config;

pub use address::Address;
pub use attach::Terminal;
pub use connection::Connection;
pub use door::Door;
pub(crate) use exec::keep_the_end;
pub use exec::{Output, Piece, Running};
pub use forward::{Forward, Incoming};
pub use hostkey::HostKeys;
pub use identity::{Identity, Sources};
pub use key::{new_key, parse_key, public_line};
pub use local::{fingerprint as local_fingerprint, serve};
pub(crate) use pieces::ChannelWriter;
pub use settings::{Hop, Settings};
pub use traffic::Traffic;
pub use user_config::UserConfig;
