//! The client's own steps: what it does before the servers begin.

use std::time::Instant;

use crate::error::Result;
use crate::report::{Event, StepReport, StepStatus};

use super::operation::{Operation, milliseconds};

/// Runs a part of the client's work as a step, and adds what became of it.
pub(super) async fn step<T>(
    operation: &Operation<'_>,
    name: &str,
    steps: &mut Vec<StepReport>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let (started, at_ms, reporter) = (Instant::now(), operation.so_far(), operation.reporter);
    reporter.tell(Event::Began { step: name.into() });
    let result = work.await;
    let duration_ms = milliseconds(started);
    let status = match &result {
        Ok(_) => {
            reporter.tell(Event::Done { step: name.into(), duration_ms });
            StepStatus::Done
        }
        Err(_) => {
            // The error itself is told by whoever asked.
            reporter.tell(Event::Failed { step: name.into(), reason: String::new() });
            StepStatus::Failed
        }
    };
    steps.push(StepReport { name: name.into(), status, at_ms, duration_ms });
    result
}
