//! What happens, and how people and programs read it. Everything that happens becomes an [`Event`];
//! a sink turns events into a terminal with progress, plain lines, or JSON lines. No other room prints.

mod ask;
mod event;
mod github;
mod json;
mod plain;
mod reporter;
mod style;
mod terminal;

pub use ask::ask;
pub use event::{Event, Outcome, OutcomeKind, StepReport, StepStatus};
pub use github::Workflow;
pub use reporter::{Choice, Reporter, Sink};
pub use style::printable;
