//! The summary of a run, in Markdown: how it ended, its steps and their times, the last lines of what failed.

use std::collections::VecDeque;
use std::fmt::Write;

use crate::error::Error;
use crate::text::{fence, inline, printable};

use super::super::plain::verdict;
use super::super::slots::Picture;
use super::super::style::seconds;
use super::super::{Event, Found, Outcome, OutcomeKind, StepStatus};
use super::command::cut;

/// GitHub drops a summary of more than 1 MiB whole; nobody reads half of that.
const LONGEST: usize = 60_000;
/// Lines of the failed step that are kept.
const LAST: usize = 40;

/// What the summary needs of the events.
#[derive(Debug, Default)]
pub(super) struct Summary {
    last: VecDeque<String>,
    failed: Vec<String>,
    hosts: Vec<(String, Outcome)>,
    found: Vec<Found>,
    picture: Picture,
}

impl Summary {
    pub(super) fn see(&mut self, event: &Event) {
        match event {
            Event::Began { .. } | Event::Undoing { .. } => self.last.clear(),
            Event::Output { line, .. } => {
                if self.last.len() == LAST {
                    self.last.pop_front();
                }
                self.last.push_back(cut(line, 500));
            }
            Event::Failed { .. } if self.failed.is_empty() => self.failed = self.last.drain(..).collect(),
            Event::Slots(slots) => self.picture.see(slots),
            Event::Found(found) => self.found.push(found.clone()),
            Event::OnHost { host, event } => {
                if let Event::Outcome(outcome) = &**event {
                    self.hosts.push((host.clone(), (**outcome).clone()));
                }
            }
            _ => {}
        }
    }

    pub(super) fn of(&self, outcome: &Outcome) -> String {
        let serves = outcome.outcome == OutcomeKind::Deployed
            || outcome.outcome == OutcomeKind::RolledBack && outcome.failed_step.is_none();
        let sign = match outcome.outcome {
            _ if !outcome.unfinished.is_empty() => "⚠️",
            OutcomeKind::Deployed | OutcomeKind::Done | OutcomeKind::Unchanged => "✅",
            OutcomeKind::RolledBack if outcome.failed_step.is_none() => "✅",
            OutcomeKind::Interrupted => "⚠️",
            _ => "❌",
        };
        let mut text = format!("### {sign} {}\n", inline(&printable(&verdict(outcome))));
        // Of a release that serves, the verdict has it.
        if let Some(reason) = outcome.reason.as_ref().filter(|_| !serves) {
            let step = outcome.failed_step.as_ref().map(|step| format!("**{step}**: ")).unwrap_or_default();
            let _ = write!(text, "\n{step}{}\n", inline(reason));
        }
        if let Some(url) = &outcome.url {
            let _ = write!(text, "\n<{url}>\n");
        }
        if !self.hosts.is_empty() {
            text.push_str("\n| host | |\n| --- | --- |\n");
            for (host, outcome) in &self.hosts {
                let _ = writeln!(text, "| {} | {} |", inline(host), inline(&printable(&verdict(outcome))));
            }
        }
        if !outcome.steps.is_empty() {
            text.push_str("\n| step | | time |\n| --- | --- | ---: |\n");
            for step in &outcome.steps {
                let _ = writeln!(text, "| {} | {} | {} |", step.name, status(step.status), seconds(step.duration_ms));
            }
            text.push_str(&timeline(outcome));
        }
        self.found.iter().for_each(|found| write_found(&mut text, found));
        text.push_str(&self.picture.to_markdown());
        if !self.failed.is_empty() {
            let lines = self.failed.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
            let fence = fence(&lines);
            let _ = write!(
                text,
                "\n<details open><summary>Last lines of the step that failed</summary>\n\n{fence}\n{lines}\n{fence}\n\n</details>\n"
            );
        }
        bounded(text)
    }

    pub(super) fn of_error(error: &Error) -> String {
        let said = error.text();
        let fence = fence(&said);
        let mut text = format!("### ❌ Nothing was done\n\n{fence}\n{said}\n{fence}\n");
        for hint in error.last_hints() {
            let _ = writeln!(text, "- {}", inline(hint));
        }
        bounded(text)
    }

    pub(super) fn of_plan(&self, markdown: &str) -> String {
        let mut text = markdown.to_owned();
        self.found.iter().for_each(|found| write_found(&mut text, found));
        bounded(text)
    }
}

/// What a check found: a line, and a table that opens.
fn write_found(text: &mut String, found: &Found) {
    let _ = write!(text, "\n**{}**: {}\n", found.step, inline(&found.summary));
    if found.details.is_empty() {
        return;
    }
    text.push_str("\n<details><summary>Each of them</summary>\n\n| | |\n| --- | --- |\n");
    for (name, what) in &found.details {
        let _ = writeln!(text, "| {} | {} |", inline(name), inline(what));
    }
    text.push_str("\n</details>\n");
}

const fn status(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Done => "✅",
        StepStatus::Failed => "❌ failed",
        StepStatus::Undone => "↩️ undone",
        StepStatus::UndoFailed => "❌ could not be undone",
    }
}

/// The steps one after another, as a Mermaid chart. A step's name is one of ours.
fn timeline(outcome: &Outcome) -> String {
    let mut text = String::from("\n```mermaid\ngantt\n    dateFormat x\n    axisFormat %M:%S\n");
    let mut at = 0;
    for step in &outcome.steps {
        let tag = if step.status == StepStatus::Failed { "crit" } else { "done" };
        let _ = writeln!(text, "    {} :{tag}, {at}, {}", step.name, at + step.duration_ms.max(1));
        at += step.duration_ms;
    }
    text + "```\n"
}

fn bounded(text: String) -> String {
    if text.len() <= LONGEST {
        return text + "\n";
    }
    let mut at = LONGEST;
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    // Whatever block was cut is ended.
    format!("{}\n\n```\n\n</details>\n\nThe rest is left out here: it would be more than a summary holds.\n\n", &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_summary_is_cut_within_its_bounds() {
        let text = bounded("ä".repeat(100_000));
        assert!(text.len() < LONGEST + 200 && text.contains("left out"));
    }
}
