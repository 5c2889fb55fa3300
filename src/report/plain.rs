//! Plain lines, for logs and pipes: one a step, what failed with its last lines, nothing that moves.

use std::collections::{BTreeMap, VecDeque};

use crate::error::Error;

use super::style::{BAD, BOLD, DIM, GOOD, OF_CONTAINERS, WARN, bytes, paint, seconds};
use super::{Event, Outcome, OutcomeKind, Sink, StepStatus};

/// How many of a step's last lines are shown when it fails.
const TAIL: usize = 60;

/// Writes people's text to standard error, and what was asked for to standard output.
#[derive(Debug, Default)]
pub(super) struct Plain {
    verbose: bool,
    quiet: bool,
    tail: VecDeque<String>,
    hosts: BTreeMap<String, Plain>,
}

impl Plain {
    pub(super) fn new(verbose: bool, quiet: bool) -> Self {
        Self { verbose, quiet, tail: VecDeque::new(), hosts: BTreeMap::new() }
    }

    /// The lines for people that this event comes to.
    pub(super) fn lines(&mut self, event: &Event) -> Vec<String> {
        let loud = !self.quiet;
        let mut lines = Vec::new();
        match event {
            Event::Note(text) if loud => lines.push(format!("  {text}")),
            Event::Warning(text) => lines.push(format!("{} {text}", paint(WARN, "!"))),
            Event::Began { step } => {
                self.tail.clear();
                if self.verbose {
                    lines.push(format!("  {step} …"));
                }
            }
            Event::Still { step, seconds } if loud => lines.push(format!("  {step}: running for {seconds} s")),
            Event::Done { step, duration_ms } if loud => {
                lines.push(format!("{} {step} {}", paint(GOOD, "✓"), paint(DIM, seconds(*duration_ms))));
            }
            Event::Failed { step, reason } => {
                if !self.verbose {
                    lines.extend(self.tail.drain(..).map(|line| format!("    {line}")));
                }
                let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                lines.push(format!("{} {step}{reason}", paint(BAD, "✗")));
            }
            Event::Undoing { .. } => self.tail.clear(),
            Event::Undone { step } if loud => lines.push(format!("{} {step} undone", paint(WARN, "↶"))),
            Event::UndoFailed { step, reason } => {
                lines.extend(self.tail.drain(..).map(|line| format!("    {line}")));
                lines.push(format!("{} {step} could not be undone: {reason}", paint(BAD, "✗")));
            }
            Event::Output { line, .. } => {
                if self.verbose {
                    lines.push(format!("    {line}"));
                } else {
                    if self.tail.len() == TAIL {
                        self.tail.pop_front();
                    }
                    self.tail.push_back(line.clone());
                }
            }
            Event::Found(found) if loud => lines.push(format!("  {}: {}", found.step, found.summary)),
            Event::Progress { what, done, total: Some(total) } if loud && done == total => {
                lines.push(format!("  {what}: {} sent", bytes(*done)));
            }
            Event::Outcome(outcome) => lines.push(verdict(outcome)),
            Event::Error(error) => lines.extend(error_lines(error)),
            Event::OnHost { host, event } => {
                let plain = self.hosts.entry(host.clone()).or_insert_with(|| Self::new(self.verbose, self.quiet));
                let of_host = plain.lines(event);
                // Of what goes well the target's own events tell, once for all of its hosts.
                let fine = matches!(**event, Event::Done { .. } | Event::Note(_) | Event::Still { .. } | Event::Progress { .. });
                if self.verbose || !fine {
                    lines.extend(of_host.into_iter().map(|line| format!("{} {line}", paint(DIM, format!("{host}:")))));
                }
            }
            _ => {}
        }
        lines
    }
}

fn error_lines(error: &Error) -> Vec<String> {
    let text = error.text();
    let mut text = text.lines();
    let mut lines = vec![format!("{} {}", paint(BAD, "error:"), text.next().unwrap_or_default())];
    lines.extend(text.map(str::to_owned));
    lines.extend(error.last_hints().iter().map(|hint| format!("  {} {hint}", paint(BOLD, "hint:"))));
    lines
}

/// The lines that these events come to, without colours.
#[cfg(test)]
pub(crate) fn plain_lines(events: &[Event]) -> Vec<String> {
    let mut plain = Plain::default();
    events.iter().flat_map(|event| plain.lines(event)).map(|line| anstream::adapter::strip_str(&line).to_string()).collect()
}

/// What is to be known of a release that serves.
fn but(outcome: &Outcome) -> String {
    outcome.reason.as_ref().map_or_else(String::new, |reason| format!("; {}", paint(WARN, reason)))
}

/// One sentence on how it ended and what serves now.
pub(super) fn verdict(outcome: &Outcome) -> String {
    let target = &outcome.target;
    let release = outcome.release.as_deref().unwrap_or("nothing");
    let before = outcome.previous.as_deref();
    let took = seconds(outcome.duration_ms);
    let not_undone = outcome.steps.iter().find(|step| step.status == StepStatus::UndoFailed);
    let serving = match (before, not_undone) {
        (Some(before), _) if !outcome.differs.is_empty() => {
            format!("{before} serves, but some things differ: {}", outcome.differs.join("; "))
        }
        (_, Some(step)) => format!("what serves is not certain: the step {} could not be undone", step.name),
        (Some(before), None) => format!("{before} serves, as before"),
        (None, None) => String::from("no release served before, and none does now"),
    };
    if outcome.is_mixed() {
        let word = if outcome.outcome == OutcomeKind::RolledBack { "rolled back in part:" } else { "failed:" };
        return format!("{} {} ({took})", paint(BAD, word), outcome.reason.as_deref().unwrap_or_default());
    }
    match outcome.outcome {
        OutcomeKind::Deployed => format!("{} {target} serves {release} ({took}){}", paint(GOOD, "deployed:"), but(outcome)),
        OutcomeKind::Done => format!("{} {target} ({took})", paint(GOOD, "done:")),
        OutcomeKind::Unchanged => format!("{} {target} serves {release} already ({took})", paint(GOOD, "unchanged:")),
        OutcomeKind::RolledBack if outcome.failed_step.is_none() => {
            format!("{} {target} serves {release} again ({took}){}", paint(GOOD, "rolled back:"), but(outcome))
        }
        OutcomeKind::RolledBack => format!("{} {release} failed and was undone; {serving} ({took})", paint(BAD, "rolled back:")),
        OutcomeKind::Refused => format!("{} nothing was changed; {serving} ({took})", paint(BAD, "refused:")),
        OutcomeKind::Failed if outcome.release.is_none() => format!("{} {serving} ({took})", paint(BAD, "failed:")),
        OutcomeKind::Failed => format!("{} {release} was not deployed; {serving} ({took})", paint(BAD, "failed:")),
        OutcomeKind::Interrupted => format!("{} {serving} ({took})", paint(WARN, "interrupted:")),
    }
}

impl Sink for Plain {
    fn tell(&mut self, event: &Event) {
        for line in self.lines(event) {
            print::err(&line);
        }
        if let Some(text) = wanted(event) {
            print::out(&text);
        }
    }
}

/// What was asked for, and so goes to standard output.
pub(super) fn wanted(event: &Event) -> Option<String> {
    match event {
        Event::Text(text) => Some(text.clone()),
        Event::Log { container, time, line } => Some(log(container, time, line)),
        Event::OnHost { host, event } => wanted(event).map(|text| format!("{host} {text}")),
        _ => None,
    }
}

/// A line of a container's log: its time of day, the container in a colour of its own, the text.
fn log(container: &str, time: &str, line: &str) -> String {
    let sum: usize = container.bytes().map(usize::from).sum();
    let time = time.get(11..23).unwrap_or(time);
    format!("{} {} {line}", paint(DIM, time), paint(OF_CONTAINERS[sum % OF_CONTAINERS.len()], format!("{container:<14}")))
}

/// The only places that write to the process's streams.
pub(super) mod print {
    /// A line to standard output.
    #[expect(clippy::disallowed_macros, reason = "report is the room that prints")]
    pub(in crate::report) fn out(text: &str) {
        anstream::println!("{}", text.strip_suffix('\n').unwrap_or(text));
    }

    /// A line to standard error.
    #[expect(clippy::disallowed_macros, reason = "report is the room that prints")]
    pub(in crate::report) fn err(text: &str) {
        anstream::eprintln!("{text}");
    }
}
