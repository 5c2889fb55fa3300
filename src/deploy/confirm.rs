//! The client's word on a run: what the look from outside tells, and for a fleet whether all hosts have come that far.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::error::Result;
use crate::report::{Event, Reporter};
use crate::server::Server;
use crate::ssh::Connection;

use super::connect::Session;
use super::gate::Gate;
use super::look::{Look, Seen};

/// What a run is confirmed with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Confirm<'a> {
    pub(super) look: Option<&'a Look<'a>>,
    pub(super) release: &'a str,
    pub(super) nonce: &'a str,
    /// Where this host waits for the others of its fleet.
    pub(super) gate: Option<&'a Gate>,
    /// How often a host that waits there is told that it is not forgotten.
    pub(super) hold: Duration,
}

/// At `confirm` gives the server the client's word, good or bad: what the look from outside tells, and for a host of a fleet
/// whether all the others have come that far.
pub(super) async fn give_word(
    session: &Session<'_>,
    run: &str,
    confirm: Confirm<'_>,
    mut step: watch::Receiver<String>,
    reporter: Reporter,
) {
    let word = match (confirm.gate, confirm.look) {
        (Some(gate), look) => {
            if step.wait_for(|step| step == "confirm").await.is_err() {
                return std::future::pending().await;
            }
            gate.arrive(&session.host());
            // All have arrived: what answers at the url is the new release, whichever host it is.
            let seen = async {
                match look {
                    Some(look) => look_on(look, confirm.release, step, &reporter).await,
                    None => Ok(()),
                }
            };
            let mut word = pin!(gate.word(seen));
            loop {
                match timeout(confirm.hold, &mut word).await {
                    Ok(word) => break word,
                    // Others are not as far: while this client is there, the host waits on.
                    Err(_) => drop(timeout(Duration::from_secs(5), session.server().hold(run)).await),
                }
            }
        }
        (None, Some(look)) => look_on(look, confirm.release, step, &reporter).await,
        (None, None) if confirm.nonce.is_empty() => return std::future::pending().await,
        // It has steps on this machine, which is still there.
        (None, None) => {
            if step.wait_for(|step| step == "confirm").await.is_err() {
                return std::future::pending().await;
            }
            Ok(())
        }
    };
    let word = word.as_ref().map(|()| confirm.nonce).map_err(String::as_str);
    while tell(session, run, word).await.is_err() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Looks from outside from `observe` on, until it is bad for good, or good at `confirm`.
async fn look_on(
    look: &Look<'_>,
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
        match look.take(release).await {
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
                    return Err(format!("the site failed the check from outside: {why}"));
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
