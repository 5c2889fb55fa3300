//! The log of a step: a group for each step of ours, a line with its time behind it, annotations for what failed.

use std::collections::VecDeque;

use super::super::plain::{Plain, print, wanted};
use super::super::{Event, Sink};
use super::command::{cut, data, harmless, property, token};
use crate::error::{Error, Place};
use crate::text::secret_forms;

/// Lines of a step's output that are shown as they come.
const SHOWN: usize = 500;
/// Of those beyond, the last ones that are shown when the step ends.
const LAST: usize = 60;
/// Characters of a line that are shown.
const WIDEST: usize = 2000;

/// Writes to standard error, where the runner reads commands as it does on standard output.
///
/// Commands are stopped, by a word that nobody knows, whenever a text is written: none of it can be one, whoever wrote it.
#[derive(Debug)]
pub(in crate::report) struct Log {
    plain: Plain,
    token: String,
    stopped: bool,
    grouped: bool,
    masked: Vec<String>,
    shown: usize,
    left_out: usize,
    last: VecDeque<String>,
}

impl Log {
    pub(in crate::report) fn new(quiet: bool) -> Self {
        Self {
            plain: Plain::new(false, quiet),
            token: token(),
            stopped: false,
            grouped: false,
            masked: Vec::new(),
            shown: 0,
            left_out: 0,
            last: VecDeque::new(),
        }
    }

    fn say(&mut self, line: &str) {
        if !self.stopped {
            print::err(&format!("::stop-commands::{}", self.token));
            self.stopped = true;
        }
        print::err(&harmless(line));
    }

    fn command(&mut self, command: &str) {
        if self.stopped {
            print::err(&format!("::{}::", self.token));
            self.stopped = false;
        }
        print::err(command);
    }

    fn resume(&mut self) {
        if self.stopped {
            print::err(&format!("::{}::", self.token));
            self.stopped = false;
        }
    }

    fn begin(&mut self, title: &str) {
        self.end();
        self.command(&format!("::group::{}", data(title)));
        self.grouped = true;
    }

    /// Ends the group, with the last lines of those that were too many.
    fn end(&mut self) {
        if self.left_out > self.last.len() {
            let count = self.left_out - self.last.len();
            self.say(&format!("    … {count} lines are left out here; the run's journal on the server has them"));
        }
        for line in std::mem::take(&mut self.last) {
            self.say(&line);
        }
        (self.shown, self.left_out) = (0, 0);
        if std::mem::take(&mut self.grouped) {
            self.command("::endgroup::");
        }
    }

    fn output(&mut self, line: &str) {
        let line = format!("    {}", cut(line, WIDEST));
        if self.shown < SHOWN {
            self.shown += 1;
            self.say(&line);
            return;
        }
        self.left_out += 1;
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

impl Sink for Log {
    fn tell(&mut self, event: &Event) {
        match event {
            Event::Began { step } => self.begin(step),
            Event::Undoing { step } => self.begin(&format!("undoing {step}")),
            Event::Done { .. } | Event::Failed { .. } | Event::Undone { .. } | Event::UndoFailed { .. } | Event::Outcome(_) => {
                self.end();
            }
            Event::Output { line, .. } => self.output(line),
            _ => {}
        }
        for line in self.plain.lines(event) {
            for line in line.lines() {
                self.say(&cut(line, WIDEST));
            }
        }
        match event {
            Event::Failed { step, reason } => {
                self.command(&format!("::error title={}::{}", property(&format!("{step} failed")), data(reason)));
            }
            Event::UndoFailed { step, reason } => {
                self.command(&format!("::error title={}::{}", property(&format!("{step} could not be undone")), data(reason)));
            }
            Event::OnHost { host, event } => {
                if let Event::Failed { step, reason } | Event::UndoFailed { step, reason } = &**event {
                    let title = property(&format!("{host}: {step} failed"));
                    self.command(&format!("::error title={title}::{}", data(reason)));
                }
            }
            Event::Warning(text) => self.command(&format!("::warning::{}", data(text))),
            Event::Error(error) => {
                // An annotation for each thing that is wrong, at its place.
                for annotation in annotations(error) {
                    self.command(&annotation);
                }
            }
            Event::Log { .. } => {
                self.say("");
                print::out(&no_command(&wanted(event).unwrap_or_default()));
            }
            Event::Text(text) => {
                self.say("");
                print::out(&text.lines().map(no_command).collect::<Vec<_>>().join("\n"));
            }
            _ => {}
        }
        // What follows us in the job has its commands again.
        if matches!(event, Event::Outcome(_) | Event::Error(_) | Event::Text(_)) {
            self.resume();
        }
    }

    fn finish(&mut self) {
        self.resume();
    }

    fn hide(&mut self, secrets: &[String]) {
        for form in secrets.iter().flat_map(|secret| secret_forms(secret)) {
            if !self.masked.contains(&form) {
                self.command(&format!("::add-mask::{}", form.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")));
                self.masked.push(form);
            }
        }
    }
}

/// A line of standard output, which the runner reads apart from where commands are stopped: none is a command.
fn no_command(line: &str) -> String {
    let line = harmless(line);
    if line.trim_start().starts_with("::") { format!("| {line}") } else { line }
}

fn annotations(error: &Error) -> Vec<String> {
    let annotation = |error: &Error| {
        let hints: String = error.hints.iter().map(|hint| format!("\nhint: {hint}")).collect();
        let place = error.place.as_deref().map(properties).unwrap_or_default();
        let first = error.message.lines().next().unwrap_or_default();
        format!("::error {place}::{}", data(&format!("{first}{hints}")))
    };
    error.each().map(annotation).collect()
}

/// A place in a file, as the properties of an annotation.
fn properties(place: &Place) -> String {
    format!("file={},line={},col={}", property(&place.file), place.line, place.column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Source;

    #[test]
    fn a_line_of_standard_output_is_no_command() {
        for line in ["::error title=x::y", "  ::add-mask::deployed", "##[error]x"] {
            let said = no_command(line);
            assert!(!said.trim_start().starts_with("::") && !said.contains("##["), "{said}");
        }
        assert_eq!(no_command("{\"a\": \"::b\"}"), "{\"a\": \"::b\"}");
    }

    #[test]
    fn each_error_in_a_file_is_an_annotation_at_its_place() {
        let source = Source { name: "deploy,1.toml", text: "a\n b\n" };
        let errors = vec![source.error(3..4, "unknown key"), Error::input("no answer").hint("ask again")];
        let told = annotations(&Error::all(errors).unwrap_err());
        assert_eq!(told, ["::error file=deploy%2C1.toml,line=2,col=2::unknown key", "::error ::no answer%0Ahint: ask again"]);
    }
}
