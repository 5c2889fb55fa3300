//! Where the channels of a forwarded port go.

use std::sync::{Arc, Mutex, PoisonError};

use russh::Channel;
use russh::client::Msg;
use tokio::sync::mpsc;

/// A port that was asked for, 0 until the server has chosen it, and where its channels go.
pub(super) type Asked = (u32, mpsc::Sender<Channel<Msg>>);

/// Where the channels of a forwarded port go; shared with russh's handler.
#[derive(Clone, Default)]
pub(super) struct Listener(Arc<Mutex<Option<Asked>>>);

impl Listener {
    /// The receiver of this port's channels, where it was asked for.
    pub(super) fn of(&self, port: u32) -> Option<mpsc::Sender<Channel<Msg>>> {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guard.as_ref().filter(|(ours, _)| *ours == port || *ours == 0).map(|(_, sender)| sender.clone())
    }

    pub(super) fn set(&self, value: Option<Asked>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }
}
