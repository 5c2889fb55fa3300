//! JSON lines on standard output for programs; the same events as plain text on standard error.

use serde_json::{Value, json};

use super::plain::{Plain, print};
use super::{Event, Sink};

/// Writes one JSON object a line.
#[derive(Debug)]
pub(super) struct Json {
    plain: Plain,
}

impl Json {
    pub(super) fn new(plain: Plain) -> Self {
        Self { plain }
    }
}

fn object(event: &Event) -> Option<Value> {
    Some(match event {
        Event::Note(text) => json!({"event": "note", "text": text}),
        Event::Warning(text) => json!({"event": "warning", "text": text}),
        Event::Began { step } => json!({"event": "step-began", "step": step}),
        Event::Done { step, duration_ms } => json!({"event": "step-done", "step": step, "duration_ms": duration_ms}),
        Event::Failed { step, reason } => json!({"event": "step-failed", "step": step, "reason": reason}),
        Event::Undoing { step } => json!({"event": "step-undoing", "step": step}),
        Event::Undone { step } => json!({"event": "step-undone", "step": step}),
        Event::UndoFailed { step, reason } => json!({"event": "step-undo-failed", "step": step, "reason": reason}),
        Event::Output { step, line } => json!({"event": "output", "step": step, "line": line}),
        Event::Progress { what, done, total } => json!({"event": "progress", "what": what, "done": done, "total": total}),
        Event::Error(error) => json!({
            "event": "error", "exit": error.kind.code(), "message": error.message, "hints": error.hints,
        }),
        Event::Document(document) => document.clone(),
        Event::Outcome(outcome) => serde_json::to_value(outcome).ok()?,
        Event::Text(_) => return None,
    })
}

impl Sink for Json {
    fn tell(&mut self, event: &Event) {
        for line in self.plain.lines(event) {
            print::err(&line);
        }
        if let Some(object) = object(event) {
            print::out(&object.to_string());
        }
    }
}
