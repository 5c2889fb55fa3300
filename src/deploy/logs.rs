//! The logs of all of a host's containers, as one stream that outlives containers and connections.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::logs::Line;
use crate::server::LogsAsked;
use crate::ssh::Connection;

use super::connect::Session;

/// Hands each line to `see`, in the order of time; with `follow`, those that come afterwards too, until nobody listens any more or the
/// server cannot be reached for two minutes.
pub async fn logs(session: &mut Session<'_>, asked: &LogsAsked, follow: bool, mut see: impl FnMut(Line)) -> Result<()> {
    let project =
        session.facts.current_setting("COMPOSE_PROJECT").unwrap_or_else(|| session.resolved.compose_project.value.clone());
    let mut seen = Seen::default();
    let mut fresh = |seen: &mut Seen, line: Line| {
        if seen.is_news(&line) {
            see(line);
        }
    };
    let began = session.server().logs(&project, "look", asked, &mut |line| fresh(&mut seen, line)).await?;
    if !follow {
        return Ok(());
    }
    let mut since = began.unwrap_or_default();
    let mut before = String::new();
    let mut pause = Duration::from_millis(500);
    loop {
        let later = LogsAsked { tail: String::new(), since: since.clone(), until: String::new() };
        let mut newest = String::new();
        seen.begin();
        let followed = session
            .server()
            .logs(&project, "follow", &later, &mut |line| {
                newest.clone_from(&line.time);
                fresh(&mut seen, line);
            })
            .await;
        if !session.connection.is_lost() {
            followed?;
            // All containers are gone.
            return Err(Error::failed(format!("no container of {project} runs any more")));
        }
        // From where the last attempt began to be new: other containers' lines of that time may still have been on their way.
        if !newest.is_empty() {
            since = std::mem::replace(&mut before, newest);
            if since.is_empty() {
                since.clone_from(&later.since);
            }
            pause = Duration::from_millis(500);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(10));
        session.connection = Connection::again(&session.settings).await?;
    }
}

/// The last line of each container that was seen: what an attempt to read brings again is no news. Within one attempt each line is, also
/// one of the same time as the line before it.
#[derive(Debug, Default)]
struct Seen {
    last: BTreeMap<String, String>,
    before: BTreeMap<String, String>,
}

impl Seen {
    /// Another attempt begins.
    fn begin(&mut self) {
        self.before = self.last.clone();
    }

    fn is_news(&mut self, line: &Line) -> bool {
        if self.before.get(&line.container).is_some_and(|seen| *seen >= line.time) {
            return false;
        }
        self.last.insert(line.container.clone(), line.time.clone());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_news_once_and_two_of_one_moment_are_two() {
        let line = |container: &str, time: &str| Line { container: container.into(), time: time.into(), text: String::new() };
        let mut seen = Seen::default();
        assert!(seen.is_news(&line("web-1", "10")) && seen.is_news(&line("web-1", "10")) && seen.is_news(&line("db-1", "05")));
        seen.begin();
        assert!(!seen.is_news(&line("web-1", "10")) && seen.is_news(&line("web-1", "11")) && seen.is_news(&line("db-1", "06")));
        assert!(!seen.is_news(&line("db-1", "05")), "it came before");
    }
}
