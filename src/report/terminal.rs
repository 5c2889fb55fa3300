//! A terminal whose cursor moves: the steps as a list, the running one with its last lines below it, a bar
//! for what is sent.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plain::{Plain, print, wanted};
use super::slots::Picture;
use super::{Event, Sink};

/// Lines of the running step that stay in sight.
const TAIL: usize = 4;

/// Draws on standard error.
pub(super) struct Terminal {
    plain: Plain,
    area: MultiProgress,
    step: Option<ProgressBar>,
    tail: Vec<String>,
    bar: Option<ProgressBar>,
    picture: Picture,
}

impl Terminal {
    pub(super) fn new(verbose: bool) -> Self {
        Self {
            plain: Plain::new(verbose, false),
            area: MultiProgress::new(),
            step: None,
            tail: Vec::new(),
            bar: None,
            picture: Picture::default(),
        }
    }

    fn end_step(&mut self) {
        if let Some(step) = self.step.take() {
            step.finish_and_clear();
        }
        self.tail.clear();
        self.picture = Picture::default();
    }

    fn begin(&mut self, what: &str) {
        self.end_step();
        let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed}{msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let step = self.area.add(ProgressBar::new_spinner().with_style(style).with_prefix(what.to_owned()));
        step.enable_steady_tick(Duration::from_millis(120));
        self.step = Some(step);
    }

    fn show_tail(&mut self, line: &str) {
        self.tail.push(line.chars().take(100).collect());
        if self.tail.len() > TAIL {
            self.tail.remove(0);
        }
        self.draw();
    }

    /// What stands below the running step: both releases where there is a canary, and its last lines.
    fn draw(&self) {
        let Some(step) = &self.step else { return };
        let picture = self.picture.lines();
        step.set_message(picture.iter().chain(&self.tail).map(|line| format!("\n    {line}")).collect::<String>());
    }

    fn progress(&mut self, what: &str, done: u64, total: Option<u64>) {
        let bar = self.bar.get_or_insert_with(|| {
            let template = match total {
                Some(_) => "  {prefix} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
                None => "  {prefix} {bytes} {bytes_per_sec}",
            };
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
            self.area.add(bar.with_style(style).with_prefix(what.to_owned()))
        });
        bar.set_position(done);
        if total == Some(done)
            && let Some(bar) = self.bar.take()
        {
            bar.finish_and_clear();
        }
    }
}

impl Sink for Terminal {
    fn tell(&mut self, event: &Event) {
        match event {
            Event::Began { step } => self.begin(step),
            Event::Undoing { step } => self.begin(&format!("undoing {step}")),
            Event::Output { line, .. } => self.show_tail(line),
            Event::Slots(slots) => {
                self.picture.see(slots);
                self.draw();
            }
            Event::Progress { what, done, total } => self.progress(what, *done, *total),
            Event::Done { .. } | Event::Failed { .. } | Event::Undone { .. } | Event::UndoFailed { .. } => self.end_step(),
            Event::Outcome(_) | Event::Error(_) => {
                self.end_step();
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
        // The spinner tells it.
        let lines = if matches!(event, Event::Still { .. }) { Vec::new() } else { self.plain.lines(event) };
        self.area.suspend(|| {
            for line in lines {
                print::err(&line);
            }
            if let Some(text) = wanted(event) {
                print::out(&text);
            }
        });
    }
}
