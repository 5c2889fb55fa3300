//! The one way to tell what happens.

use std::sync::{Arc, Mutex};

use super::github::{Files, Log};
use super::json::Json;
use super::plain::Plain;
use super::terminal::Terminal;
use super::{Event, Workflow, printable};

/// Turns events into something to read.
pub trait Sink: Send {
    /// Tells one event.
    fn tell(&mut self, event: &Event);

    /// Is told of values that must not be shown. They are taken out of every event already; this is for readers that
    /// hide them themselves.
    fn hide(&mut self, _secrets: &[String]) {}

    /// Nothing more will happen.
    fn finish(&mut self) {}
}

/// Which sink, by what the user asked for and where output goes.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// JSON lines on standard output, people's text on standard error.
    pub json: bool,
    /// Is standard error a terminal whose cursor moves?
    pub terminal: bool,
    /// Also what commands print when all goes well, and each look at something.
    pub verbose: bool,
    /// Only what went wrong.
    pub quiet: bool,
    /// In GitHub Actions: where its files are.
    pub workflow: Option<Workflow>,
}

/// Hands events to a sink, from any task. Secrets are taken out of every text on the way.
#[derive(Clone)]
pub struct Reporter {
    inner: Arc<Mutex<Inner>>,
    host: Option<Arc<str>>,
}

struct Inner {
    sink: Box<dyn Sink>,
    secrets: Vec<String>,
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reporter")
    }
}

impl Reporter {
    /// A reporter for this sink.
    pub fn new(sink: Box<dyn Sink>) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { sink, secrets: Vec::new() })), host: None }
    }

    /// The reporter of the command line.
    pub fn choose(choice: Choice) -> Self {
        let people: Box<dyn Sink> = match &choice {
            Choice { workflow: Some(_), .. } => Box::new(Log::new(choice.quiet)),
            Choice { terminal: true, quiet: false, json: false, .. } => Box::new(Terminal::new(choice.verbose)),
            _ => Box::new(Plain::new(choice.verbose, choice.quiet)),
        };
        let sink = if choice.json { Box::new(Json::new(people)) } else { people };
        Self::new(match choice.workflow {
            Some(workflow) => Box::new(Files::new(workflow, sink)),
            None => sink,
        })
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
        inner.secrets.extend(secrets.iter().flat_map(|secret| secret.lines()).filter(|line| line.len() >= 4).map(str::to_owned));
        inner.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        inner.secrets.dedup();
        inner.sink.hide(secrets);
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
    }

    /// Tells a note.
    pub fn note(&self, text: impl Into<String>) {
        self.tell(Event::Note(text.into()));
    }
}

fn redacted(event: Event, secrets: &[String]) -> Event {
    let clean = |text: String| {
        let text =
            secrets.iter().fold(text, |text, secret| if text.contains(secret) { text.replace(secret, "***") } else { text });
        printable(&text)
    };
    match event {
        Event::Note(text) => Event::Note(clean(text)),
        Event::Warning(text) => Event::Warning(clean(text)),
        Event::Failed { step, reason } => Event::Failed { step, reason: clean(reason) },
        Event::UndoFailed { step, reason } => Event::UndoFailed { step, reason: clean(reason) },
        Event::Output { step, line } => Event::Output { step, line: clean(line) },
        Event::Text(text) => Event::Text(clean(text)),
        Event::Plan { document, markdown } => Event::Plan { document, markdown: clean(markdown) },
        Event::Error(mut error) => {
            error.message = clean(error.message);
            error.hints = error.hints.into_iter().map(clean).collect();
            Event::Error(error)
        }
        Event::Outcome(mut outcome) => {
            outcome.reason = outcome.reason.map(clean);
            Event::Outcome(outcome)
        }
        other => other,
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
        reporter.tell(Event::Output { step: "s".into(), line: "\u{1b}]0;x\u{7}\u{1b}[91mlines\u{1b}[0m hunter22".into() });
        let kept = kept.lock().unwrap();
        assert_eq!(kept[0], Event::Note("a *** b".into()));
        assert_eq!(kept[1], Event::Output { step: "s".into(), line: "*** ***".into() });
    }
}
