//! The one way to tell what happens.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::text::{printable, secret_forms, without_secrets};

use super::json::document;
use super::plain::print;
use super::{AlertTold, Event, Found, Outcome, Sink, StepReport};

/// Hands events to a sink, from any task. Secrets are taken out of every text on the way.
#[derive(Clone)]
pub struct Reporter {
    inner: Arc<Mutex<Inner>>,
    host: Option<Arc<str>>,
}

struct Inner {
    sink: Box<dyn Sink>,
    secrets: Vec<String>,
    /// The last events, where somebody wants them at the end.
    kept: Option<VecDeque<(Instant, Event)>>,
}

/// How many events are kept: more than a deploy tells, unless what it runs prints a lot.
const KEPT: usize = 5000;

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reporter")
    }
}

impl Reporter {
    /// A reporter for this sink.
    pub fn new(sink: Box<dyn Sink>) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { sink, secrets: Vec::new(), kept: None })), host: None }
    }

    /// The same, for what happens on one host of a fleet.
    #[must_use]
    pub fn of_host(&self, host: &str) -> Self {
        Self { inner: self.inner.clone(), host: Some(host.into()) }
    }

    /// The same, for what happens on all hosts.
    #[must_use]
    pub fn of_target(&self) -> Self {
        Self { inner: self.inner.clone(), host: None }
    }

    /// From now on these values are never shown.
    pub fn hide(&self, secrets: &[String]) {
        let Ok(mut inner) = self.inner.lock() else { return };
        inner.secrets.extend(secrets.iter().flat_map(|secret| secret_forms(secret)));
        inner.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        inner.secrets.dedup();
        inner.sink.hide(secrets);
    }

    /// From now on events are kept for `kept_events`, the last five thousand of them.
    pub fn keep_events(&self) {
        let Ok(mut inner) = self.inner.lock() else { return };
        inner.kept.get_or_insert_default();
    }

    /// The events that were kept, as `--json` prints them, each with how long ago it was told.
    pub fn kept_events(&self) -> Vec<(Duration, serde_json::Value)> {
        let Ok(inner) = self.inner.lock() else { return Vec::new() };
        let kept = inner.kept.iter().flatten();
        kept.filter_map(|(at, event)| Some((at.elapsed(), document(event)?))).collect()
    }

    /// Nothing more will happen: what was kept for the end is written.
    pub fn finish(&self) {
        let Ok(mut inner) = self.inner.lock() else { return };
        inner.sink.finish();
    }

    /// Tells one event.
    pub fn tell(&self, event: Event) {
        let Ok(mut inner) = self.inner.lock() else { return };
        let event = redacted(event, &inner.secrets);
        let event = match &self.host {
            Some(host) => Event::OnHost { host: host.to_string(), event: Box::new(event) },
            None => event,
        };
        inner.sink.tell(&event);
        if let Some(kept) = &mut inner.kept
            && is_news(&event)
        {
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back((Instant::now(), event));
        }
    }

    /// Tells of a fault of estiba's own, from wherever it happened: also while an event is being told.
    pub fn fault(&self, place: &str, message: &str) {
        let Ok(mut inner) = self.inner.try_lock() else {
            // What it says may hold a secret, and cannot be cleaned of it now.
            print::err(&format!("estiba stopped at {place}; this is a fault of estiba, please report it"));
            return;
        };
        let error = Error::failed(format!("estiba stopped at {place}: {message}"))
            .hint("this is a fault of estiba; please report it")
            .hint("a run that has begun goes on without this client, and ends by itself: `estiba status` shows what serves");
        let event = redacted(Event::Error(error), &inner.secrets);
        inner.sink.tell(&event);
    }

    /// A text as it may be shown: for what leaves by another way than an event.
    pub fn shown(&self, text: &str) -> String {
        let secrets = self.inner.lock().map(|inner| inner.secrets.clone()).unwrap_or_default();
        cleaned(text.to_owned(), &secrets)
    }

    /// The same of every text in a JSON document.
    pub fn shown_document(&self, document: serde_json::Value) -> serde_json::Value {
        let secrets = self.inner.lock().map(|inner| inner.secrets.clone()).unwrap_or_default();
        clean_document(document, &secrets)
    }

    /// Tells a note.
    pub fn note(&self, text: impl Into<String>) {
        self.tell(Event::Note(text.into()));
    }
}

/// Does it tell of something that happened? How far something has come, and what a command was asked for, is none of it.
fn is_news(event: &Event) -> bool {
    match event {
        Event::OnHost { event, .. } => is_news(event),
        Event::Progress { .. } | Event::Still { .. } | Event::Slots(_) | Event::Log { .. } => false,
        Event::Plan { .. } | Event::Text(_) | Event::Document(_) => false,
        _ => true,
    }
}

/// Without secrets, and without what a terminal would take for a command. A secret may have such a thing within it.
fn cleaned(text: String, secrets: &[String]) -> String {
    let shown = printable(&without_secrets(&text, secrets));
    without_secrets(&shown, secrets).into_owned()
}

fn clean_document(document: serde_json::Value, secrets: &[String]) -> serde_json::Value {
    use serde_json::Value;
    match document {
        Value::String(text) => cleaned(text, secrets).into(),
        Value::Array(items) => items.into_iter().map(|item| clean_document(item, secrets)).collect(),
        Value::Object(entries) => {
            let clean = |(key, value)| (cleaned(key, secrets), clean_document(value, secrets));
            Value::Object(entries.into_iter().map(clean).collect())
        }
        other => other,
    }
}

/// Every text of every event, whoever it came from: each way out begins here.
fn redacted(event: Event, secrets: &[String]) -> Event {
    let clean = |text: String| cleaned(text, secrets);
    match event {
        Event::Note(text) => Event::Note(clean(text)),
        Event::Warning(text) => Event::Warning(clean(text)),
        Event::Began { step } => Event::Began { step: clean(step) },
        Event::Still { step, seconds } => Event::Still { step: clean(step), seconds },
        Event::Done { step, duration_ms } => Event::Done { step: clean(step), duration_ms },
        Event::Failed { step, reason } => Event::Failed { step: clean(step), reason: clean(reason) },
        Event::Undoing { step } => Event::Undoing { step: clean(step) },
        Event::Undone { step } => Event::Undone { step: clean(step) },
        Event::UndoFailed { step, reason } => Event::UndoFailed { step: clean(step), reason: clean(reason) },
        Event::Output { step, line } => Event::Output { step: clean(step), line: clean(line) },
        Event::Slots(slots) => Event::Slots(slots),
        Event::Found(found) => Event::Found(Found {
            step: clean(found.step),
            summary: clean(found.summary),
            details: found.details.into_iter().map(|(name, text)| (clean(name), clean(text))).collect(),
        }),
        Event::Log { container, time, line } => Event::Log { container: clean(container), time: clean(time), line: clean(line) },
        Event::Progress { what, done, total } => Event::Progress { what: clean(what), done, total },
        Event::Plan { document, markdown } => {
            Event::Plan { document: clean_document(document, secrets), markdown: clean(markdown) }
        }
        Event::Text(text) => Event::Text(clean(text)),
        Event::Document(document) => Event::Document(clean_document(document, secrets)),
        Event::Error(error) => Event::Error(error.with_texts(&clean)),
        Event::Outcome(outcome) => Event::Outcome(Box::new(Outcome {
            event: outcome.event,
            outcome: outcome.outcome,
            target: clean(outcome.target),
            release: outcome.release.map(clean),
            previous: outcome.previous.map(clean),
            image: outcome.image.map(clean),
            url: outcome.url.map(clean),
            failed_step: outcome.failed_step.map(clean),
            reason: outcome.reason.map(clean),
            unfinished: outcome.unfinished.into_iter().map(clean).collect(),
            differs: outcome.differs.into_iter().map(clean).collect(),
            alerts: outcome.alerts.into_iter().map(|told| AlertTold { why: told.why.map(clean), ..told }).collect(),
            duration_ms: outcome.duration_ms,
            steps: outcome.steps.into_iter().map(|step| StepReport { name: clean(step.name), ..step }).collect(),
            traffic: outcome.traffic,
        })),
        Event::OnHost { host, event } => Event::OnHost { host: clean(host), event: Box::new(redacted(*event, secrets)) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Keep(Arc<Mutex<Vec<Event>>>);

    impl Sink for Keep {
        fn tell(&mut self, event: &Event) {
            self.0.lock().unwrap().push(event.clone());
        }
    }

    #[test]
    fn no_text_gets_past_with_a_secret_or_a_control_character_in_it() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let reporter = Reporter::new(Box::new(Keep(kept.clone())));
        reporter.hide(&["hunter22".into(), "two\nlines".into()]);
        reporter.note("a hunter22 b");
        reporter.note("\u{1b}[1mhun\u{1b}[0mter22 and aHVudGVyMjI=");
        reporter.tell(Event::Output { step: "s".into(), line: "\u{1b}]0;x\u{7}\u{1b}[91mlines\u{1b}[0m hunter22".into() });
        reporter.tell(Event::Began { step: "\u{1b}]52;c;aGk=\u{7}check hunter22".into() });
        let document = serde_json::json!({"hunter22": ["\u{1b}[1mhunter22", {"image": "x hunter22"}], "count": 3});
        reporter.tell(Event::Document(document.clone()));
        reporter.tell(Event::Plan { document, markdown: "hunter22".into() });
        let clean = serde_json::json!({"***": ["***", {"image": "x ***"}], "count": 3});
        assert_eq!(reporter.shown("a\nhunter22\u{7}"), "a\n***");
        reporter.fault("src/x.rs:1", "called with hunter22");
        {
            let _telling = reporter.inner.lock();
            reporter.fault("src/x.rs:2", "called with hunter22");
        }
        let kept = kept.lock().unwrap();
        assert_eq!(kept[0], Event::Note("a *** b".into()));
        assert_eq!(kept[1], Event::Note("*** and ***".into()));
        assert_eq!(kept[2], Event::Output { step: "s".into(), line: "*** ***".into() });
        assert_eq!(kept[3], Event::Began { step: "check ***".into() });
        assert_eq!(kept[4], Event::Document(clean.clone()));
        assert_eq!(kept[5], Event::Plan { document: clean, markdown: "***".into() });
        assert!(matches!(&kept[6], Event::Error(error) if error.message == "estiba stopped at src/x.rs:1: called with ***"));
        assert_eq!(kept.len(), 7);
    }

    #[test]
    fn what_happened_is_kept_where_that_was_asked_for() {
        let reporter = Reporter::new(Box::new(Keep(Arc::default())));
        reporter.note("before");
        assert_eq!(reporter.kept_events(), []);
        reporter.hide(&["hunter22".into()]);
        reporter.keep_events();
        reporter.of_host("h").note("a hunter22");
        reporter.tell(Event::Progress { what: "image".into(), done: 1, total: None });
        reporter.tell(Event::Began { step: "check".into() });
        let kept: Vec<_> = reporter.kept_events().into_iter().map(|(_, event)| event).collect();
        let first = serde_json::json!({"event": "note", "text": "a ***", "host": "h"});
        assert_eq!(kept, [first, serde_json::json!({"event": "step-began", "step": "check"})]);
        for _ in 0..KEPT {
            reporter.note("more");
        }
        assert!(reporter.kept_events().len() == KEPT && reporter.kept_events()[0].1["text"] == "more");
    }

    #[test]
    fn an_outcome_is_clean_in_every_field() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let reporter = Reporter::new(Box::new(Keep(kept.clone())));
        reporter.hide(&["hunter22".into()]);
        let bad = || String::from("\u{1b}[31mhunter22\u{7}");
        reporter.tell(Event::Outcome(Box::new(Outcome {
            event: "outcome",
            outcome: super::super::OutcomeKind::Deployed,
            target: bad(),
            release: Some(bad()),
            previous: Some(bad()),
            image: Some(bad()),
            url: Some(bad()),
            failed_step: Some(bad()),
            reason: Some(bad()),
            unfinished: vec![bad()],
            differs: vec![bad()],
            alerts: vec![AlertTold { channel: "slack".into(), state: "lost".into(), why: Some(bad()) }],
            duration_ms: 1,
            steps: vec![StepReport { name: bad(), status: super::super::StepStatus::Done, at_ms: 0, duration_ms: 1 }],
            traffic: None,
        })));
        let kept = kept.lock().unwrap();
        let Event::Outcome(outcome) = &kept[0] else { panic!("{kept:?}") };
        let text = serde_json::to_string(outcome).unwrap();
        assert!(!text.contains("hunter22") && !text.contains("\\u"), "{text}");
        assert_eq!(text.matches("***").count(), 11, "{text}");
    }
}
