//! Following a run: each record of its journal becomes an event, and the whole an outcome.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::error::{Error, Kind, Result};
use crate::report::{Event, Outcome, OutcomeKind, Reporter, StepReport, StepStatus};
use crate::server::{Followed, Record, RecordKind, Server, Start};
use crate::ssh::Connection;

use super::Session;
use super::fleet::Gate;
use super::outside::{Outside, Seen};
use super::signals::Signals;

/// How often a lost connection is dialled again before the client gives up: some five minutes in all.
const DIALS: u32 = 40;
/// The longest that telling the server to stop may take.
const ABORT: Duration = Duration::from_secs(20);
/// How often a long step is said to be still at work.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// A run's journal, told as it comes.
#[derive(Debug)]
pub(super) struct Follower<'a> {
    reporter: Reporter,
    gate: Option<&'a Gate>,
    steps: Vec<StepReport>,
    /// What an undo has not brought back.
    differs: Vec<String>,
    began_cs: u64,
    end: Option<(u8, String, String, String)>,
    aborted: bool,
    patience: Option<Duration>,
    step: watch::Sender<String>,
}

/// No run has as many steps; what a server says of more is shown, and not kept.
const MOST_REPORTS: usize = 500;

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

/// What a run is confirmed with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Confirm<'a> {
    pub(super) outside: Option<&'a Outside<'a>>,
    pub(super) release: &'a str,
    pub(super) nonce: &'a str,
    /// Where this host waits for the others of its fleet.
    pub(super) gate: Option<&'a Gate>,
}

impl<'a> Follower<'a> {
    pub(super) fn new(reporter: &Reporter, before: Vec<StepReport>, patience: Option<Duration>, gate: Option<&'a Gate>) -> Self {
        let (step, _) = watch::channel(String::new());
        Self {
            reporter: reporter.clone(),
            gate,
            steps: before,
            differs: Vec::new(),
            began_cs: 0,
            end: None,
            aborted: false,
            patience,
            step,
        }
    }

    fn see(&mut self, record: Record) {
        let Record { at_cs, kind, step, text } = record;
        let took = at_cs.saturating_sub(self.began_cs) * 10;
        match kind {
            RecordKind::Run => {}
            RecordKind::Began => {
                self.began_cs = at_cs;
                self.step.send_replace(step.clone());
                self.reporter.tell(Event::Began { step });
            }
            RecordKind::Out => self.reporter.tell(Event::Output { step, line: text }),
            RecordKind::Done => {
                self.report(StepReport { name: step.clone(), status: StepStatus::Done, duration_ms: took });
                if let Some(longest) = self.gate.and_then(|gate| gate.done(&step, took)) {
                    self.reporter.of_target().tell(Event::Done { step: step.clone(), duration_ms: longest });
                }
                self.reporter.tell(Event::Done { step, duration_ms: took });
            }
            RecordKind::Failed => {
                self.report(StepReport { name: step.clone(), status: StepStatus::Failed, duration_ms: took });
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
            RecordKind::Note => {
                if step == "compare" && self.differs.len() < MOST_REPORTS {
                    self.differs.push(text.clone());
                }
                self.reporter.note(text);
            }
            RecordKind::Outcome => {
                let record = Record { at_cs, kind, step: step.clone(), text };
                let (code, word, reason) = record.outcome().unwrap_or((4, "failed", ""));
                self.end = Some((code, word.to_owned(), step, reason.to_owned()));
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

    /// Starts the run and follows it to its end; a lost connection is dialled again and the journal taken up
    /// where it was. On the first signal the server is told to stop and undo, on the second the client goes and
    /// leaves that to the server.
    pub(super) async fn run(
        &mut self,
        session: &Session<'_>,
        run: &str,
        confirm: Confirm<'_>,
        signals: &mut Signals,
    ) -> Result<Ended> {
        let confirming = confirm_run(session, run, confirm, self.step.subscribe(), self.reporter.clone());
        let beating = heartbeat(self.step.subscribe(), self.reporter.clone());
        tokio::pin!(confirming, beating);
        let patience = self.patience;
        let mut leave_at = None;
        let mut confirmed = false;
        let mut offset = 0;
        let mut complaint = String::new();
        let mut connection: Option<Connection> = None;
        let mut dials = 0;
        loop {
            let followed = {
                let server = Server::new(connection.as_ref().unwrap_or(&session.connection), &session.resolved.target.root.value);
                let aborted = self.aborted;
                let following = follow(&server, run, offset, |record| self.see(record));
                tokio::pin!(following);
                let mut now_aborted = aborted;
                let followed = loop {
                    tokio::select! {
                        followed = &mut following => break Some(followed),
                        () = &mut confirming, if !confirmed => confirmed = true,
                        () = &mut beating => {}
                        () = until(leave_at) => break None,
                        () = signals.next() => {
                            if now_aborted {
                                break None;
                            }
                            now_aborted = true;
                            leave_at = patience.map(|patience| Instant::now() + patience);
                            let _ = timeout(patience.unwrap_or(ABORT), abort(session, connection.as_ref(), run)).await;
                        }
                    }
                };
                (followed, now_aborted)
            };
            self.aborted = followed.1;
            let Some(followed) = followed.0 else { return Ok(self.left_to_the_server()) };
            let told = followed.as_ref().is_ok_and(|followed| followed.bytes > 0);
            let mut nobody = false;
            if let Ok(followed) = followed {
                offset += followed.bytes;
                nobody = followed.exit == Some(9);
                complaint.push_str(&followed.complaint);
            }
            if self.end.is_some() || dials == DIALS {
                return self.ended(session, run, &complaint);
            }
            if told {
                dials = 0;
            }
            dials += 1;
            if nobody {
                self.reporter.tell(Event::Warning("nobody works on the run any more; the server is told to end it".into()));
                let server = Server::new(connection.as_ref().unwrap_or(&session.connection), &session.resolved.target.root.value);
                let _ = server.recover().await;
                continue;
            }
            let before = self.aborted;
            connection = self.dial(session, run, dials, signals).await?;
            if self.aborted && !before {
                leave_at = patience.map(|patience| Instant::now() + patience);
            }
            if leave_at.is_some_and(|at| at <= Instant::now()) {
                return Ok(self.left_to_the_server());
            }
        }
    }

    /// Dials again, a little later each time. `None`: not yet.
    async fn dial(&mut self, session: &Session<'_>, run: &str, dials: u32, signals: &mut Signals) -> Result<Option<Connection>> {
        let wait = Duration::from_millis(200 << dials.min(6)).min(Duration::from_secs(8));
        if dials == 1 {
            self.reporter.tell(Event::Warning("the connection was lost; the server works on by itself. Dialling again".into()));
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = signals.next() => self.aborted = true,
        }
        let Ok(connection) = Connection::open(&session.settings).await else { return Ok(None) };
        if self.aborted {
            abort(session, Some(&connection), run).await;
        }
        Ok(Some(connection))
    }

    fn left_to_the_server(&self) -> Ended {
        let committed = self.steps.iter().any(|step| step.name == "commit" && step.status == StepStatus::Done);
        let reason = if committed {
            "the release was committed before; the server finishes what is left by itself"
        } else {
            "the server was told to stop; it undoes the run by itself. `estiba status` tells when that is done"
        };
        Ended { code: 130, outcome: OutcomeKind::Interrupted, failed_step: None, reason: Some(reason.into()) }
    }

    fn ended(&self, session: &Session<'_>, run: &str, complaint: &str) -> Result<Ended> {
        let Some((code, word, step, reason)) = self.end.clone() else {
            let error = Error::new(
                Kind::NeedsPerson,
                format!(
                    "{}: the run {run} has not told its end; the server undoes or finishes it by itself",
                    session.connection.address()
                ),
            )
            .hint("`estiba status` tells what runs, `estiba recover` ends a run that nobody works on");
            return Err(if complaint.is_empty() { error } else { error.hint(format!("it said: {}", complaint.trim())) });
        };
        let outcome = match word.as_str() {
            "deployed" => OutcomeKind::Deployed,
            "rolled-back" | "rolled-back-to" => OutcomeKind::RolledBack,
            "done" => OutcomeKind::Done,
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
    pub(super) fn outcome(&self, blank: Outcome, ended: &Ended) -> Outcome {
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

/// Waits for that moment; for ever where there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Says every half minute that a step is still at work, where it is the same one. Never ends.
async fn heartbeat(mut step: watch::Receiver<String>, reporter: Reporter) {
    let mut seconds = 0;
    loop {
        let at = step.borrow_and_update().clone();
        match timeout(HEARTBEAT, step.changed()).await {
            Ok(Ok(())) => seconds = 0,
            // Nobody tells of steps any more.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) if at.is_empty() => {}
            Err(_) => {
                seconds += HEARTBEAT.as_secs();
                reporter.tell(Event::Still { step: at, seconds });
            }
        }
    }
}

/// Starts the run, or takes its journal up at a byte where that was done before.
async fn follow(server: &Server<'_>, run: &str, offset: u64, see: impl FnMut(Record)) -> Result<Followed> {
    if offset == 0 { server.start(&Start { run: run.to_owned() }, see).await } else { server.follow(run, offset, see).await }
}

/// Tells the server to stop and undo, within a second or over a new connection.
async fn abort(session: &Session<'_>, connection: Option<&Connection>, run: &str) {
    let root = &session.resolved.target.root.value;
    let server = Server::new(connection.unwrap_or(&session.connection), root);
    if timeout(Duration::from_millis(800), server.abort(Some(run))).await.is_ok_and(|told| told.is_ok()) {
        return;
    }
    if let Ok(Ok(connection)) = timeout(Duration::from_secs(5), Connection::open(&session.settings)).await {
        let _ = timeout(Duration::from_secs(2), Server::new(&connection, root).abort(Some(run))).await;
    }
}

/// At `confirm` gives the server the client's word, good or bad: what the look from outside tells, and for a host of a fleet
/// whether all the others have come that far.
async fn confirm_run(
    session: &Session<'_>,
    run: &str,
    confirm: Confirm<'_>,
    mut step: watch::Receiver<String>,
    reporter: Reporter,
) {
    let word = match (confirm.gate, confirm.outside) {
        (Some(gate), outside) => {
            if step.wait_for(|step| step == "confirm").await.is_err() {
                return std::future::pending().await;
            }
            gate.arrive(&session.host());
            // All have arrived: what answers at the url is the new release, whichever host it is.
            let look = async {
                match outside {
                    Some(outside) => look_on(outside, confirm.release, step, &reporter).await,
                    None => Ok(()),
                }
            };
            gate.word(look).await
        }
        (None, Some(outside)) => look_on(outside, confirm.release, step, &reporter).await,
        (None, None) => return std::future::pending().await,
    };
    let word = word.as_ref().map(|()| confirm.nonce).map_err(String::as_str);
    while tell(session, run, word).await.is_err() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Looks from outside from `observe` on, until it is bad for good, or good at `confirm`.
async fn look_on(
    outside: &Outside<'_>,
    release: &str,
    mut step: watch::Receiver<String>,
    reporter: &Reporter,
) -> std::result::Result<(), String> {
    let mut noted = false;
    let mut bad = 0;
    loop {
        let at = step.borrow_and_update().clone();
        if at != "observe" && at != "confirm" {
            if step.changed().await.is_err() {
                return std::future::pending().await;
            }
            continue;
        }
        match outside.look(release).await {
            Seen::Good(note) => {
                bad = 0;
                if let Some(note) = note.filter(|_| !std::mem::replace(&mut noted, true)) {
                    reporter.tell(Event::Warning(note));
                }
                if at == "confirm" {
                    return Ok(());
                }
            }
            Seen::Bad(why) => {
                bad += 1;
                // A single bad look may be the visitor's own network.
                if bad >= 3 {
                    return Err(format!("from outside, the site is not as it should be: {why}"));
                }
            }
        }
        let rest = if at == "confirm" { 500 } else { 1500 };
        let _ = timeout(Duration::from_millis(rest), step.changed()).await;
    }
}

/// Gives the server the client's word, over the connection that is there or a new one.
async fn tell(session: &Session<'_>, run: &str, word: std::result::Result<&str, &str>) -> Result<()> {
    let root = &session.resolved.target.root.value;
    match timeout(Duration::from_secs(5), session.server().confirm(run, word)).await {
        Ok(Ok(())) => Ok(()),
        _ => {
            let connection = Connection::open(&session.settings).await?;
            Server::new(&connection, root).confirm(run, word).await
        }
    }
}
