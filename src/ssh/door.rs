//! Whether a server lets this machine in just now. Firewalls (`ufw limit`) and sshd (`MaxStartups`, `PerSourcePenalties`) count
//! connections, and turn those away that come too soon.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What all connections to a server know of its door.
#[derive(Debug, Clone, Default)]
pub struct Door(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    opened: AtomicU32,
    refused: AtomicU32,
}

/// A little longer than the half minute over which firewalls count: attempts that are refused count too, so that only a pause helps.
const LONG: Duration = Duration::from_secs(31);
const SHORT: Duration = Duration::from_secs(8);

impl Door {
    pub(super) fn opened(&self) {
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        self.0.refused.store(0, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Has it let this process in before?
    pub(super) fn has_opened(&self) -> bool {
        self.0.opened.load(Ordering::Relaxed) > 0
    }

    /// How long to wait before the next attempt. A server that starts again is back within seconds, so the first pauses are short;
    /// every fourth one after that is longer than a firewall counts.
    pub fn pause(&self) -> Duration {
        match self.0.refused.load(Ordering::Relaxed) {
            few @ 0..=5 => Duration::from_millis(200 << few),
            more if (more - 6) % 4 == 1 => LONG,
            _ => SHORT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_once_in_a_while_outlast_a_firewall() {
        let door = Door::default();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            pauses.push(door.pause());
            door.refused();
        }
        assert!(pauses[..6].iter().sum::<Duration>() < Duration::from_secs(13), "{pauses:?}");
        assert_eq!(pauses.iter().filter(|pause| **pause > Duration::from_secs(30)).count(), 2, "{pauses:?}");
        door.opened();
        assert_eq!(door.pause(), Duration::from_millis(200));
        assert!(door.has_opened());
    }
}
