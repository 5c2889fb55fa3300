//! What a collector gets of one run.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::error::Result;

use super::collector::{Collector, Ended};
use super::event_logs::logs;
use super::trace::trace;

/// The requests that tell of one run.
#[derive(Debug, Clone)]
pub struct Telemetry {
    trace: Value,
    logs: Value,
}

impl Telemetry {
    /// That of a run that has just ended, now, with the events that it has told, each with how long ago that was.
    pub fn of(collector: &Collector, ended: &Ended<'_>, events: &[(Duration, Value)], now: Timestamp) -> Self {
        let (ids, resource) = (collector.ids(), collector.resource());
        Self { trace: trace(ended, &ids, &resource), logs: logs(ended, events, now, &ids, &resource) }
    }

    /// The same with every text as this makes it.
    #[must_use]
    pub fn shown(self, clean: impl Fn(Value) -> Value) -> Self {
        Self { trace: clean(self.trace), logs: clean(self.logs) }
    }

    /// Sends each of them once, as far as the collector takes it.
    ///
    /// Fails where it did not answer well within a second.
    pub async fn send(&self, collector: &Collector) -> Result<()> {
        collector.send(&self.trace, &self.logs).await
    }
}
