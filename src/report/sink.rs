//! Where events go.

use super::Event;

/// Turns events into something to read.
pub trait Sink: Send {
    /// Tells one event.
    fn tell(&mut self, event: &Event);

    /// Is told of values that must not be shown. They are taken out of every event already; this is for readers that
    /// hide them themselves.
    fn hide(&mut self, _secrets: &[String]) {}

    /// Nothing more will happen.
    fn finish(&mut self) {}
}
