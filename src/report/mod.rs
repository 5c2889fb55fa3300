//! What happens, and how people and programs read it. Everything that happens becomes an [`Event`];
//! a sink turns events into a terminal with progress, plain lines, or JSON lines. No other room prints.

mod ask;
mod choice;
mod event;
mod github;
mod json;
mod passage;
mod plain;
mod reporter;
mod sink;
mod slots;
mod style;
mod terminal;
mod timings;

pub use ask::{Asker, agreed, ask};
pub use choice::Choice;
pub use event::{AlertTold, Event, Found, MIXED, Outcome, OutcomeKind, StepReport, StepStatus, Traffic};
pub use github::Workflow;
pub use passage::Passage;
#[cfg(test)]
pub(crate) use plain::plain_lines;
pub use reporter::Reporter;
pub use sink::Sink;
pub use slots::{Side, Slots};
pub use style::bytes;
pub use timings::timings;
