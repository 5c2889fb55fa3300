//! Counts, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

/// What the service counts.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    deliveries: BTreeMap<&'static str, u64>,
    deploys: BTreeMap<String, u64>,
    last: Duration,
}

impl Metrics {
    fn with<T>(&self, work: impl FnOnce(&mut Counts) -> T) -> T {
        work(&mut self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// A request that came to this.
    pub(super) fn delivery(&self, result: &'static str) {
        self.with(|counts| *counts.deliveries.entry(result).or_default() += 1);
    }

    /// A deploy that ended.
    pub(super) fn deploy(&self, outcome: &str, took: Duration) {
        self.with(|counts| {
            *counts.deploys.entry(outcome.to_owned()).or_default() += 1;
            counts.last = took;
        });
    }

    /// All of it, with what is worked on and what waits.
    pub(super) fn text(&self, (running, waiting): (bool, bool)) -> String {
        self.with(|counts| {
            let mut text = String::from("# TYPE estiba_webhook_requests_total counter\n");
            for (result, count) in &counts.deliveries {
                let _ = writeln!(text, "estiba_webhook_requests_total{{result=\"{result}\"}} {count}");
            }
            text += "# TYPE estiba_deploys_total counter\n";
            for (outcome, count) in &counts.deploys {
                let _ = writeln!(text, "estiba_deploys_total{{outcome=\"{outcome}\"}} {count}");
            }
            let _ = write!(
                text,
                "# TYPE estiba_deploy_last_duration_seconds gauge\nestiba_deploy_last_duration_seconds {:.3}\n\
                 # TYPE estiba_deploy_running gauge\nestiba_deploy_running {}\n\
                 # TYPE estiba_deploy_waiting gauge\nestiba_deploy_waiting {}\n",
                counts.last.as_secs_f64(),
                u8::from(running),
                u8::from(waiting)
            );
            text
        })
    }
}
