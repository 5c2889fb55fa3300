//! JSON lines on standard output for programs; the same events for people on standard error.

use serde_json::{Value, json};

use super::plain::print;
use super::{Event, Sink};
use crate::error::Error;

/// Writes one JSON object a line.
pub(super) struct Json {
    people: Box<dyn Sink>,
}

impl Json {
    pub(super) fn new(people: Box<dyn Sink>) -> Self {
        Self { people }
    }
}

/// One of the things that are wrong: `place` is null where it is in no file.
fn one_error(error: &Error) -> Value {
    let place = error.place.as_deref();
    let place = place.map(|place| json!({"file": place.file, "line": place.line, "column": place.column}));
    json!({"message": error.message, "place": place, "hints": error.hints})
}

/// An event as a program reads it; `None` is for people alone.
pub(super) fn document(event: &Event) -> Option<Value> {
    Some(match event {
        Event::Note(text) => json!({"event": "note", "text": text}),
        Event::Warning(text) => json!({"event": "warning", "text": text}),
        Event::Began { step } => json!({"event": "step-began", "step": step}),
        Event::Still { step, seconds } => json!({"event": "step-still", "step": step, "seconds": seconds}),
        Event::Done { step, duration_ms } => json!({"event": "step-done", "step": step, "duration_ms": duration_ms}),
        Event::Failed { step, reason } => json!({"event": "step-failed", "step": step, "reason": reason}),
        Event::Undoing { step } => json!({"event": "step-undoing", "step": step}),
        Event::Undone { step } => json!({"event": "step-undone", "step": step}),
        Event::UndoFailed { step, reason } => json!({"event": "step-undo-failed", "step": step, "reason": reason}),
        Event::Output { step, line } => json!({"event": "output", "step": step, "line": line}),
        Event::Slots(slots) => {
            json!({"event": "slots", "app": slots.app, "share": slots.share, "seconds_left": slots.seconds_left,
            "new": slots.new, "old": slots.old})
        }
        Event::Found(found) => {
            let details: Vec<_> = found.details.iter().map(|(name, text)| json!({"name": name, "text": text})).collect();
            json!({"event": "found", "step": found.step, "summary": found.summary, "details": details})
        }
        Event::Log { container, time, line } => json!({"event": "log", "container": container, "time": time, "line": line}),
        Event::Progress { what, done, total } => json!({"event": "progress", "what": what, "done": done, "total": total}),
        Event::Error(error) => json!({
            "event": "error", "exit": error.kind.code(), "message": error.text(), "hints": error.last_hints(),
            "errors": error.each().map(one_error).collect::<Vec<_>>(),
        }),
        Event::Document(document) => document.clone(),
        Event::Outcome(outcome) => serde_json::to_value(outcome).ok()?,
        Event::OnHost { host, event } => {
            let mut object = document(event)?;
            // The last word is the target's.
            if let Event::Outcome(_) = **event {
                object["event"] = "host-outcome".into();
            }
            object["host"] = host.as_str().into();
            object
        }
        Event::Text(_) | Event::Plan { .. } => return None,
    })
}

impl Sink for Json {
    fn tell(&mut self, event: &Event) {
        // Standard output is for programs alone.
        if !matches!(event, Event::Text(_) | Event::Log { .. }) {
            self.people.tell(event);
        }
        if let Some(object) = document(event) {
            // A workflow's runner reads `##[command]` anywhere in a line; in JSON it has another spelling.
            print::out(&object.to_string().replace("##[", "#\\u0023["));
        }
    }

    fn hide(&mut self, secrets: &[String]) {
        self.people.hide(secrets);
    }

    fn finish(&mut self) {
        self.people.finish();
    }
}
