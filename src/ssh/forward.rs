//! A port of the server's loopback that leads here.

use russh::client::Msg;
use russh::{Channel, ChannelStream};
use tokio::sync::mpsc;

use crate::error::Result;

use super::{Connection, failure};

/// What comes through a forwarded port: one TCP connection of somebody on the server.
pub type Incoming = ChannelStream<Msg>;

/// The most connections that may wait to be taken.
const WAITING: usize = 64;

/// A port that is forwarded here for as long as its connection lasts, or until it is closed.
pub struct Forward<'a> {
    connection: &'a Connection,
    /// The port on the server's loopback.
    pub port: u16,
    channels: mpsc::Receiver<Channel<Msg>>,
}

impl std::fmt::Debug for Forward<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Forward({} of {})", self.port, self.connection.address)
    }
}

impl Connection {
    /// Asks for a free port of the server's loopback. `None`: its sshd does not allow that.
    pub async fn forward(&self) -> Result<Option<Forward<'_>>> {
        let (sender, channels) = mpsc::channel(WAITING);
        self.listener.set(Some((0, sender.clone())));
        match self.handle.tcpip_forward("127.0.0.1", 0).await {
            Ok(port) => {
                self.listener.set(Some((port, sender)));
                // A port has sixteen bits, whatever the protocol's field holds.
                Ok(u16::try_from(port).ok().map(|port| Forward { connection: self, port, channels }))
            }
            Err(russh::Error::RequestDenied) => {
                self.listener.set(None);
                Ok(None)
            }
            Err(error) => Err(failure::lost(&self.address, "asking for a port", &error)),
        }
    }
}

impl Forward<'_> {
    /// The next connection. It waits for ever once the SSH connection is over: the command that uses the port tells.
    pub async fn accept(&mut self) -> Option<Incoming> {
        self.channels.recv().await.map(Channel::into_stream)
    }

    /// Closes the port.
    pub async fn close(self) {
        let _ = self.connection.handle.cancel_tcpip_forward("127.0.0.1", u32::from(self.port)).await;
        self.connection.listener.set(None);
    }
}
