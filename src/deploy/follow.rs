//! Following a run: each record of its journal becomes an event, and the whole an outcome.

use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::report::{Event, Outcome, OutcomeKind, Reporter, StepReport, StepStatus};
use crate::server::{Record, RecordKind, Server, Start};
use crate::ssh::Connection;

use super::Session;

/// A run's journal, told as it comes.
#[derive(Debug)]
pub(super) struct Follower {
    reporter: Reporter,
    steps: Vec<StepReport>,
    began_cs: u64,
    failed: Option<(String, String)>,
    end: Option<(u8, String, String, String)>,
    aborted: bool,
}

/// How a run ended on the server.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// Its exit code.
    pub(super) code: u8,
    /// What it came to.
    pub(super) outcome: OutcomeKind,
    /// The step that failed.
    pub(super) failed_step: Option<String>,
    /// Why.
    pub(super) reason: Option<String>,
}

impl Follower {
    pub(super) fn new(reporter: &Reporter, before: Vec<StepReport>) -> Self {
        Self { reporter: reporter.clone(), steps: before, began_cs: 0, failed: None, end: None, aborted: false }
    }

    fn see(&mut self, record: Record) {
        let Record { at_cs, kind, step, text } = record;
        let took = at_cs.saturating_sub(self.began_cs) * 10;
        match kind {
            RecordKind::Run => {}
            RecordKind::Began => {
                self.began_cs = at_cs;
                self.reporter.tell(Event::Began { step });
            }
            RecordKind::Out => self.reporter.tell(Event::Output { step, line: text }),
            RecordKind::Done => {
                self.steps.push(StepReport { name: step.clone(), status: StepStatus::Done, duration_ms: took });
                self.reporter.tell(Event::Done { step, duration_ms: took });
            }
            RecordKind::Failed => {
                self.steps.push(StepReport { name: step.clone(), status: StepStatus::Failed, duration_ms: took });
                self.failed.get_or_insert((step.clone(), text.clone()));
                self.reporter.tell(Event::Failed { step, reason: text });
            }
            RecordKind::Undoing => self.reporter.tell(Event::Undoing { step }),
            RecordKind::Undone => {
                self.mark(&step, StepStatus::Undone);
                self.reporter.tell(Event::Undone { step });
            }
            RecordKind::UndoFailed => {
                self.mark(&step, StepStatus::UndoFailed);
                self.reporter.tell(Event::UndoFailed { step, reason: text });
            }
            RecordKind::Note => self.reporter.note(text),
            RecordKind::Outcome => {
                let record = Record { at_cs, kind, step: step.clone(), text };
                let (code, word, reason) = record.outcome().unwrap_or((4, "failed", ""));
                self.end = Some((code, word.to_owned(), step, reason.to_owned()));
            }
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

    /// Starts the run and follows it to its end; a lost connection is dialled again and the journal taken up
    /// where it was.
    pub(super) async fn run(&mut self, session: &Session<'_>, run: &str) -> Result<Ended> {
        let start = Start { run: run.to_owned() };
        let mut aborted = false;
        let followed = {
            let server = session.server();
            let following = server.start(&start, |record| self.see(record));
            let aborting = abort_on_signal(session);
            tokio::pin!(following, aborting);
            loop {
                tokio::select! {
                    followed = &mut following => break followed,
                    () = &mut aborting, if !aborted => aborted = true,
                }
            }
        };
        self.aborted = aborted;
        let mut offset = followed.as_ref().map_or(0, |followed| followed.bytes);
        let mut exit = followed.as_ref().ok().and_then(|followed| followed.exit);
        let complaint = followed.map(|followed| followed.complaint).unwrap_or_default();
        let mut wait = Duration::from_millis(200);
        for _ in 0..20 {
            if self.end.is_some() || exit.is_some() {
                break;
            }
            self.reporter.tell(Event::Warning(format!(
                "the connection was lost; the server works on by itself. Dialling again in {} ms",
                wait.as_millis()
            )));
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(10));
            let Ok(connection) = Connection::open(&session.settings).await else { continue };
            let server = Server::new(&connection, &session.resolved.target.root.value);
            if let Ok(followed) = server.follow(run, offset, |record| self.see(record)).await {
                offset += followed.bytes;
                exit = followed.exit;
                wait = Duration::from_millis(200);
            }
        }
        self.ended(session, run, &complaint)
    }

    fn ended(&self, session: &Session<'_>, run: &str, complaint: &str) -> Result<Ended> {
        let Some((code, word, step, reason)) = self.end.clone() else {
            let error =
                Error::new(Kind::NeedsPerson, format!("{}: the run {run} has not told its end", session.connection.address()))
                    .hint("`estiba status` tells what runs; the next deploy ends an interrupted run first");
            return Err(if complaint.is_empty() { error } else { error.hint(format!("it said: {}", complaint.trim())) });
        };
        let outcome = match word.as_str() {
            "deployed" => OutcomeKind::Deployed,
            "rolled-back" | "rolled-back-to" => OutcomeKind::RolledBack,
            "refused" => OutcomeKind::Refused,
            _ => OutcomeKind::Failed,
        };
        let text = |text: String| Some(text).filter(|text| !text.is_empty());
        let interrupted = self.aborted && code != 0;
        Ok(Ended {
            code: if interrupted && code != 4 { 130 } else { code },
            outcome: if interrupted { OutcomeKind::Interrupted } else { outcome },
            failed_step: text(step),
            reason: text(reason),
        })
    }

    /// The outcome with this follower's steps.
    pub(super) fn outcome(&self, blank: Outcome, ended: &Ended) -> Outcome {
        Outcome {
            outcome: ended.outcome,
            failed_step: ended.failed_step.clone(),
            reason: ended.reason.clone(),
            steps: self.steps.clone(),
            ..blank
        }
    }
}

/// On the first SIGINT or SIGTERM tells the server to stop and undo; it does that by itself from then on.
async fn abort_on_signal(session: &Session<'_>) {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate => {}
    }
    let _ = session.server().abort().await;
}
