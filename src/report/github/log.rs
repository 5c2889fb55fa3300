//! The log of a step: a group for each step of ours, a line with its time behind it, annotations for what failed.

use std::collections::VecDeque;

use super::super::plain::{Plain, print};
use super::super::{Event, Sink};
use super::command::{cut, data, forms, property, token};

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

/// `##[error]` and the like are read anywhere in a line, and shown so by the web page even where commands are stopped.
pub(super) fn harmless(line: &str) -> String {
    line.replace("##[", "# #[")
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
                let hints: String = error.hints.iter().map(|hint| format!("\nhint: {hint}")).collect();
                let place = place(&error.message).unwrap_or_default();
                let first = error.message.lines().next().unwrap_or_default();
                self.command(&format!("::error {place}::{}", data(&format!("{first}{hints}"))));
            }
            Event::Text(text) => {
                self.say("");
                print::out(&text.lines().map(harmless).collect::<Vec<_>>().join("\n"));
            }
            _ => {}
        }
        // What follows us in the job has its commands again.
        if matches!(event, Event::Outcome(_) | Event::Error(_) | Event::Text(_)) {
            self.resume();
        }
    }

    fn hide(&mut self, secrets: &[String]) {
        for form in secrets.iter().flat_map(|secret| forms(secret)) {
            if !self.masked.contains(&form) {
                self.command(&format!("::add-mask::{}", form.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")));
                self.masked.push(form);
            }
        }
    }
}

/// The place in a file that an error's message points to, as the properties of an annotation.
fn place(message: &str) -> Option<String> {
    let place = message.lines().find_map(|line| line.trim_start().strip_prefix("--> "))?;
    let mut parts = place.rsplitn(3, ':');
    let (column, line, file) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |text: &str| text.parse::<u32>().ok();
    Some(format!("file={},line={},col={}", property(file), number(line)?, number(column)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_a_file_has_its_place() {
        assert_eq!(place("unknown key\n --> deploy.toml:4:1\n  |\n").unwrap(), "file=deploy.toml,line=4,col=1");
        assert_eq!(place("no answer"), None);
    }

    #[test]
    fn what_the_page_would_show_as_an_error_is_taken_apart() {
        assert_eq!(harmless("a ##[error]b ##[group]c"), "a # #[error]b # #[group]c");
    }
}
