//! One run on one host, followed over as many connections as it takes.

use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::error::{Error, Kind, Result};
use crate::report::{Event, OutcomeKind, Reporter};
use crate::server::{Followed, Record, Server, Start};
use crate::ssh::Connection;

use super::super::confirm::{Confirm, give_word};
use super::super::connect::Session;
use super::super::operation::Options;
use super::super::signals::Signals;
use super::super::team::attend;
use super::journal::{End, Journal};

/// How often a lost connection is dialled again before the client gives up: some five minutes in all.
const DIALS: u32 = 40;
/// The longest that telling the server to stop may take.
const ABORT: Duration = Duration::from_secs(20);
/// How often a long step is said to be still at work.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Follows one run.
pub(super) struct Follower<'a> {
    session: &'a Session<'a>,
    run: &'a str,
    pub(super) journal: Journal<'a>,
    reporter: &'a Reporter,
    options: &'a Options,
    /// What took the place of the session's own connection, once that was lost.
    connection: Option<Connection>,
    /// Is there no connection just now?
    is_cut_off: bool,
    /// Bytes of the journal that have come.
    offset: u64,
    dials: u32,
    aborted: bool,
    leave_at: Option<Instant>,
    /// What the server said beside the journal.
    complaint: String,
}

impl<'a> Follower<'a> {
    pub(super) const fn new(
        session: &'a Session<'a>,
        run: &'a str,
        journal: Journal<'a>,
        reporter: &'a Reporter,
        options: &'a Options,
    ) -> Self {
        Self {
            session,
            run,
            journal,
            reporter,
            options,
            connection: None,
            is_cut_off: false,
            offset: 0,
            dials: 0,
            aborted: false,
            leave_at: None,
            complaint: String::new(),
        }
    }

    /// Starts the run and follows it to its end; a lost connection is dialled again and the journal taken up
    /// where it was. On the first signal the server is told to stop and undo, on the second the client goes and
    /// leaves that to the server.
    pub(super) async fn run(&mut self, confirm: Confirm<'_>, signals: &mut Signals) -> Result<End> {
        let beating = heartbeat(self.journal.step(), self.reporter.clone());
        let confirming = give_word(self.session, self.run, confirm, self.journal.step(), self.reporter.clone());
        let (release, nonce) = (confirm.release, confirm.nonce);
        let attending = attend(self.session, self.run, release, nonce, self.journal.calls(), self.reporter.clone());
        let mut beside = pin!(async {
            tokio::join!(beating, confirming, attending);
        });
        loop {
            // What the run does meanwhile is not known, so that nothing is said of it.
            let followed = match self.is_cut_off {
                true => None,
                false => match self.listen(beside.as_mut(), signals).await {
                    Some(followed) => followed.ok(),
                    None => return Ok(self.left_to_the_server()),
                },
            };
            let mut abandoned = false;
            if let Some(followed) = followed {
                self.offset += followed.bytes;
                // Of a server that goes on complaining the last words count.
                if !followed.complaint.is_empty() {
                    self.complaint.clone_from(&followed.complaint);
                }
                abandoned = followed.is_abandoned();
                if followed.bytes > 0 {
                    self.dials = 0;
                }
            }
            if self.journal.end().is_some() || self.dials == DIALS {
                return self.ended();
            }
            self.dials += 1;
            if abandoned {
                self.reporter.tell(Event::Warning(
                    "the process that carried out the run on the server is gone; the server ends the run now".into(),
                ));
                let _ = self.server().recover().await;
                continue;
            }
            self.dial(signals).await;
            if self.leave_at.is_some_and(|at| at <= Instant::now()) {
                return Ok(self.left_to_the_server());
            }
        }
    }

    pub(super) fn server(&self) -> Server<'_> {
        let connection = self.connection.as_ref().unwrap_or(&self.session.connection);
        Server::new(connection, &self.session.resolved.target.root.value)
    }

    /// Listens until the connection ends; `None` when the client is to go before. `beside` is done meanwhile, and never ends.
    async fn listen(
        &mut self,
        mut beside: Pin<&mut impl Future<Output = ()>>,
        signals: &mut Signals,
    ) -> Option<Result<Followed>> {
        let Self { session, run, journal, connection, options, offset, aborted, leave_at, .. } = self;
        let Options { patience, leave_at_commit, .. } = options;
        let mut committed = journal.committed();
        let server = Server::new(connection.as_ref().unwrap_or(&session.connection), &session.resolved.target.root.value);
        let mut following = pin!(start_or_follow(&server, run, *offset, |record| journal.see(record)));
        loop {
            tokio::select! {
                followed = &mut following => return Some(followed),
                () = &mut beside => {}
                () = until(*leave_at) => return None,
                _ = committed.wait_for(|is| *is), if *leave_at_commit => return None,
                () = signals.next() => {
                    if std::mem::replace(aborted, true) {
                        return None;
                    }
                    *leave_at = patience.map(|patience| Instant::now() + patience);
                    let _ = timeout(patience.unwrap_or(ABORT), abort(session, connection.as_ref(), run)).await;
                }
            }
        }
    }

    /// Dials again, a little later each time. Where nobody answers yet, the next time does.
    async fn dial(&mut self, signals: &mut Signals) {
        let wait = Duration::from_millis(200 << self.dials.min(6)).min(Duration::from_secs(8));
        // One that turns this machine away is not asked more often than its firewall bears.
        let wait = wait.max(self.session.settings.door.pause());
        if self.dials == 1 {
            self.reporter.tell(Event::Warning("the connection was lost; the run goes on there. Reconnecting".into()));
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = signals.next() => {
                if !std::mem::replace(&mut self.aborted, true) {
                    self.leave_at = self.options.patience.map(|patience| Instant::now() + patience);
                }
            }
        }
        self.connection = Connection::once(&self.session.settings).await.ok();
        self.is_cut_off = self.connection.is_none();
        if let (true, Some(connection)) = (self.aborted, &self.connection) {
            abort(self.session, Some(connection), self.run).await;
        }
    }

    fn left_to_the_server(&self) -> End {
        if self.has_left_early() {
            let reason = "the server goes on stopping the release before it, as --no-wait-drain asks; `estiba status` shows when \
                          that is done";
            return End { code: 0, outcome: OutcomeKind::Deployed, failed_step: None, reason: Some(reason.into()) };
        }
        let reason = if self.journal.is_committed() {
            "the release was committed before; the server finishes what is left by itself"
        } else {
            "the server was asked to stop, and undoes the run by itself; `estiba status` shows when that is done"
        };
        End { code: 130, outcome: OutcomeKind::Interrupted, failed_step: None, reason: Some(reason.into()) }
    }

    /// Did the client leave a release that is committed, because it was asked to?
    pub(super) fn has_left_early(&self) -> bool {
        self.options.leave_at_commit && self.journal.is_committed() && self.journal.end().is_none()
    }

    fn ended(&self) -> Result<End> {
        let Some(end) = self.journal.end() else {
            let error = Error::new(
                Kind::NeedsPerson,
                format!(
                    "{}: no result of the run {} has arrived; the server undoes or finishes the run by itself",
                    self.session.connection.address(),
                    self.run
                ),
            )
            .hint("`estiba status` shows whether it still runs; `estiba recover` ends a run whose process is gone");
            return Err(if self.complaint.is_empty() {
                error
            } else {
                error.hint(format!("the server said: {}", self.complaint.trim()))
            });
        };
        let interrupted = self.aborted && end.code != 0;
        Ok(End {
            code: if interrupted && end.code != 4 { 130 } else { end.code },
            outcome: if interrupted { OutcomeKind::Interrupted } else { end.outcome },
            ..end.clone()
        })
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
async fn start_or_follow(server: &Server<'_>, run: &str, offset: u64, see: impl FnMut(Record)) -> Result<Followed> {
    if offset == 0 { server.start(&Start { run: run.to_owned() }, see).await } else { server.follow(run, offset, see).await }
}

/// Tells the server to stop and undo, within a second or over a new connection.
async fn abort(session: &Session<'_>, connection: Option<&Connection>, run: &str) {
    let root = &session.resolved.target.root.value;
    let server = Server::new(connection.unwrap_or(&session.connection), root);
    if timeout(Duration::from_millis(800), server.abort(Some(run))).await.is_ok_and(|told| told.is_ok()) {
        return;
    }
    if let Ok(Ok(connection)) = timeout(Duration::from_secs(5), Connection::once(&session.settings)).await {
        let _ = timeout(Duration::from_secs(2), Server::new(&connection, root).abort(Some(run))).await;
    }
}
