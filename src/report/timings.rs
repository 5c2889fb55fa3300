//! Where the time of a run went, as a small chart for a terminal.

use super::Outcome;
use super::style::{bytes, seconds};

/// The longest bar, in characters.
const WIDTH: u64 = 40;

/// A line a step with its time and a bar, what was in no step, and what went over the wire.
pub fn timings(outcome: &Outcome) -> String {
    let in_steps: u64 = outcome.steps.iter().map(|step| step.duration_ms).sum();
    let between = outcome.duration_ms.saturating_sub(in_steps);
    let rows = outcome.steps.iter().map(|step| (step.name.as_str(), step.duration_ms)).chain([("in no step", between)]);
    let rows: Vec<(&str, u64)> = rows.collect();
    let longest = rows.iter().map(|(_, took)| *took).max().unwrap_or(0).max(1);
    let name_width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut lines = vec![format!("{} from the command's start to the outcome", seconds(outcome.duration_ms))];
    for (name, took) in rows {
        let bar = "█".repeat(usize::try_from((took * WIDTH).div_ceil(longest)).unwrap_or(0));
        lines.push(format!("  {name:name_width$} {:>8}  {bar}", seconds(took)).trim_end().to_owned());
    }
    lines.push("  In no step: connections, the first look, the way between two steps, and the wait for another run.".into());
    if let Some(traffic) = &outcome.traffic {
        lines.push(format!(
            "  {} commands over SSH, {} sent, {} received",
            traffic.commands,
            bytes(traffic.bytes_sent),
            bytes(traffic.bytes_received)
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::{StepReport, StepStatus, Traffic};
    use super::*;

    #[test]
    fn a_chart_has_each_step_and_what_was_in_none() {
        let step = |name: &str, duration_ms| StepReport { name: name.into(), status: StepStatus::Done, at_ms: 0, duration_ms };
        let outcome = Outcome {
            duration_ms: 5000,
            steps: vec![step("send", 1000), step("preflight", 0), step("start", 2000)],
            traffic: Some(Box::new(Traffic { commands: 7, bytes_sent: 2048, bytes_received: 10 })),
            ..Outcome::failed("production")
        };
        insta::assert_snapshot!(timings(&outcome), @r"
        5.0 s from the command's start to the outcome
          send          1.0 s  ████████████████████
          preflight     0.0 s
          start         2.0 s  ████████████████████████████████████████
          in no step    2.0 s  ████████████████████████████████████████
          In no step: connections, the first look, the way between two steps, and the wait for another run.
          7 commands over SSH, 2.00 KiB sent, 10 B received
        ");
    }
}
