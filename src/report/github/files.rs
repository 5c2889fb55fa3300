//! The step's outputs and its summary, written once it is known how it ended, well or not.

use std::fs::OpenOptions;
use std::io::Write;

use camino::Utf8Path;
use serde_json::Value;

use crate::error::Error;

use super::super::{Event, Outcome, OutcomeKind, Sink, plain::print};
use super::Workflow;
use super::command::token;
use super::summary::Summary;

/// Writes the files, and hands every event on.
pub(in crate::report) struct Files {
    inner: Box<dyn Sink>,
    workflow: Workflow,
    summary: Summary,
    error: Option<Error>,
    told: bool,
}

impl Files {
    pub(in crate::report) fn new(workflow: Workflow, inner: Box<dyn Sink>) -> Self {
        Self { inner, workflow, summary: Summary::default(), error: None, told: false }
    }

    fn outputs(&self, outputs: &[(&str, String)]) {
        let text: String = outputs
            .iter()
            .map(|(name, value)| {
                let end = token();
                format!("{name}<<{end}\n{value}\n{end}\n")
            })
            .collect();
        append(self.workflow.output.as_deref(), &text);
    }
}

/// A file that cannot be written is told and fails nothing: the deploy counts.
fn append(path: Option<&Utf8Path>, text: &str) {
    let Some(path) = path else { return };
    let written = OpenOptions::new().append(true).create(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    if let Err(error) = written {
        print::err(&format!("cannot write {path}: {error}"));
    }
}

/// A unit variant's name, as JSON has it.
fn word(kind: OutcomeKind) -> String {
    serde_json::to_value(kind).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn of(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    vec![
        ("outcome", word(outcome.outcome)),
        ("release", text(&outcome.release)),
        ("previous", text(&outcome.previous)),
        ("image", text(&outcome.image)),
        ("url", text(&outcome.url)),
        ("changed", (outcome.outcome == OutcomeKind::Deployed).to_string()),
    ]
}

/// What a plan tells.
fn of_plan(plan: &Value) -> Vec<(&'static str, String)> {
    vec![
        ("plan-digest", plan["digest"].as_str().unwrap_or_default().to_owned()),
        ("changed", plan["changes"].as_bool().unwrap_or_default().to_string()),
    ]
}

impl Sink for Files {
    fn tell(&mut self, event: &Event) {
        self.inner.tell(event);
        self.summary.see(event);
        match event {
            Event::Outcome(outcome) => {
                self.told = true;
                self.outputs(&of(outcome));
                append(self.workflow.summary.as_deref(), &self.summary.of(outcome));
            }
            // An outcome may follow, which tells more.
            Event::Error(error) => self.error = Some(error.clone()),
            Event::Plan { document, markdown } => {
                self.outputs(&of_plan(document));
                append(self.workflow.summary.as_deref(), &self.summary.of_plan(markdown));
            }
            _ => {}
        }
    }

    fn hide(&mut self, secrets: &[String]) {
        self.inner.hide(secrets);
    }

    fn finish(&mut self) {
        self.inner.finish();
        let Some(error) = self.error.take().filter(|_| !self.told) else { return };
        self.outputs(&[("outcome", word(error.kind.into())), ("changed", String::from("false"))]);
        append(self.workflow.summary.as_deref(), &Summary::of_error(&error));
    }
}
