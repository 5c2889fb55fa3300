//! A run's journal: each record becomes an event, and the whole an outcome.

use tokio::sync::watch;

use crate::report::{Event, Outcome, OutcomeKind, Reporter, Slots, StepReport, StepStatus};
use crate::server::{Record, RecordKind};

use super::super::gate::Gate;
use super::super::team::Call;

/// No run has as many steps; what a server says of more is shown, and not kept.
const MOST_REPORTS: usize = 500;

/// What the journal has told so far.
#[derive(Debug)]
pub(super) struct Journal<'a> {
    reporter: Reporter,
    /// Where the hosts of a fleet wait for each other, and which one this is.
    gate: Option<(&'a Gate, String)>,
    steps: Vec<StepReport>,
    /// What an undo has not brought back.
    differs: Vec<String>,
    /// When the run began.
    first_cs: Option<u64>,
    /// How long the command had been at work by then, in milliseconds.
    before_ms: u64,
    began_cs: u64,
    end: Option<End>,
    step: watch::Sender<String>,
    /// The steps that run on this machine, and which of them the run has come to.
    here: Vec<String>,
    calls: watch::Sender<Vec<Call>>,
    committed: watch::Sender<bool>,
}

/// The last record: how the run ended on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) code: u8,
    pub(super) outcome: OutcomeKind,
    pub(super) failed_step: Option<String>,
    pub(super) reason: Option<String>,
}

impl<'a> Journal<'a> {
    /// A journal of which nothing is known but the client's own steps before.
    pub(super) fn new(reporter: &Reporter, before: Vec<StepReport>, gate: Option<(&'a Gate, String)>) -> Self {
        let (step, _) = watch::channel(String::new());
        Self {
            reporter: reporter.clone(),
            gate,
            steps: before,
            differs: Vec::new(),
            first_cs: None,
            before_ms: 0,
            began_cs: 0,
            end: None,
            step,
            here: Vec::new(),
            calls: watch::Sender::new(Vec::new()),
            committed: watch::Sender::new(false),
        }
    }

    /// The same, of a run that has steps on this machine.
    pub(super) fn with_steps_here(self, here: Vec<String>) -> Self {
        Self { here, ..self }
    }

    /// The same, of a command that has been at work so long.
    pub(super) fn after(self, before_ms: u64) -> Self {
        Self { before_ms, ..self }
    }

    /// What the run asks of this machine, one after another.
    pub(super) fn calls(&self) -> watch::Receiver<Vec<Call>> {
        self.calls.subscribe()
    }

    /// Each is asked for once, whatever the server says, and nothing is undone that was not done.
    fn call(&self, step: &str, is_undo: bool) {
        let call = Call { step: step.to_owned(), is_undo };
        let is_new = |calls: &[Call]| {
            self.here.iter().any(|known| known == step)
                && !calls.contains(&call)
                && (!is_undo || calls.iter().any(|known| known.step == step))
        };
        self.calls.send_if_modified(|calls| {
            let is_new = is_new(calls);
            if is_new {
                calls.push(call.clone());
            }
            is_new
        });
    }

    /// The step that the run is at, and those that it comes to.
    pub(super) fn step(&self) -> watch::Receiver<String> {
        self.step.subscribe()
    }

    /// Whether the release is committed, and when it is.
    pub(super) fn committed(&self) -> watch::Receiver<bool> {
        self.committed.subscribe()
    }

    /// How it ended, once that has come.
    pub(super) const fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Has the server begun?
    pub(super) const fn has_begun(&self) -> bool {
        self.first_cs.is_some()
    }

    /// Was the release committed?
    pub(super) fn is_committed(&self) -> bool {
        self.steps.iter().any(|step| step.name == "commit" && step.status == StepStatus::Done)
    }

    /// Reads one record.
    pub(super) fn see(&mut self, record: Record) {
        let Record { at_cs, kind, step, text } = record;
        let since_first = at_cs.saturating_sub(*self.first_cs.get_or_insert(at_cs)) * 10;
        let took = at_cs.saturating_sub(self.began_cs) * 10;
        let at_ms = self.before_ms + since_first.saturating_sub(took);
        match kind {
            RecordKind::Run => {}
            RecordKind::Began => {
                self.began_cs = at_cs;
                self.step.send_replace(step.clone());
                self.call(&step, false);
                self.reporter.tell(Event::Began { step });
            }
            RecordKind::Out => self.reporter.tell(Event::Output { step, line: text }),
            RecordKind::Done => {
                self.report(StepReport { name: step.clone(), status: StepStatus::Done, at_ms, duration_ms: took });
                if let Some(longest) = self.gate.as_ref().and_then(|(gate, host)| gate.done(host, &step, took)) {
                    self.reporter.of_target().tell(Event::Done { step: step.clone(), duration_ms: longest });
                }
                let commits = step == "commit";
                self.reporter.tell(Event::Done { step, duration_ms: took });
                if commits {
                    let (whole, tenths) = (since_first / 1000, since_first % 1000 / 100);
                    self.reporter
                        .note(format!("committed {whole}.{tenths} s after the run began: the release serves, and stays"));
                    self.committed.send_replace(true);
                }
            }
            RecordKind::Failed => {
                self.report(StepReport { name: step.clone(), status: StepStatus::Failed, at_ms, duration_ms: took });
                self.reporter.tell(Event::Failed { step, reason: text });
            }
            RecordKind::Undoing => {
                self.call(&step, true);
                self.reporter.tell(Event::Undoing { step });
            }
            RecordKind::Undone => {
                self.mark(&step, StepStatus::Undone);
                self.reporter.tell(Event::Undone { step });
            }
            RecordKind::UndoFailed => {
                self.mark(&step, StepStatus::UndoFailed);
                self.reporter.tell(Event::UndoFailed { step, reason: text });
            }
            RecordKind::Slots => Slots::parse(&text).into_iter().for_each(|slots| self.reporter.tell(Event::Slots(slots))),
            RecordKind::Note => {
                if step == "compare" && self.differs.len() < MOST_REPORTS {
                    self.differs.push(text.clone());
                }
                self.reporter.note(text);
            }
            RecordKind::Outcome => {
                let record = Record { at_cs, kind, step: step.clone(), text };
                let (code, word, reason) = record.outcome().unwrap_or((4, "failed", ""));
                let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
                self.end = Some(End { code, outcome: outcome(word), failed_step: text(&step), reason: text(reason) });
            }
        }
    }

    fn report(&mut self, step: StepReport) {
        if self.steps.len() < MOST_REPORTS {
            self.steps.push(step);
        }
    }

    /// The step that failed stays marked as such: that is what its reader looks for.
    fn mark(&mut self, step: &str, status: StepStatus) {
        if let Some(report) = self.steps.iter_mut().rev().find(|report| report.name == step)
            && (report.status != StepStatus::Failed || status == StepStatus::UndoFailed)
        {
            report.status = status;
        }
    }

    /// The steps behind the commit that failed and were not done by a second try.
    fn unfinished(&self) -> Vec<String> {
        let committed = |step: &&StepReport| step.name == "commit" && step.status == StepStatus::Done;
        if !self.steps.iter().any(|step| committed(&step)) {
            return Vec::new();
        }
        let behind = self.steps.iter().skip_while(|step| !committed(step));
        let is_done = |name: &str| self.steps.iter().any(|step| step.name == name && step.status == StepStatus::Done);
        let mut names: Vec<String> = behind
            .filter(|step| step.status == StepStatus::Failed && !is_done(&step.name))
            .map(|step| step.name.clone())
            .collect();
        names.dedup();
        names
    }

    /// The outcome with this follower's steps.
    pub(super) fn outcome(&self, blank: Outcome, ended: &End) -> Outcome {
        Outcome {
            outcome: ended.outcome,
            failed_step: ended.failed_step.clone(),
            reason: ended.reason.clone(),
            unfinished: self.unfinished(),
            differs: self.differs.clone(),
            steps: self.steps.clone(),
            ..blank
        }
    }
}

/// What a run of that word came to.
fn outcome(word: &str) -> OutcomeKind {
    match word {
        "deployed" => OutcomeKind::Deployed,
        "rolled-back" | "rolled-back-to" => OutcomeKind::RolledBack,
        "done" => OutcomeKind::Done,
        "refused" => OutcomeKind::Refused,
        _ => OutcomeKind::Failed,
    }
}
