//! What the screen shows, and what keys do.

use std::collections::VecDeque;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::server::Metrics;

/// So many looks are kept for the lines of a chart.
const KEPT: usize = 300;

/// What somebody asked for by a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// To go.
    Quit,
    /// The log of a service, or of all where the stack has none.
    Logs(Option<String>),
    /// To go back to the release before; it has been confirmed.
    RollBack,
}

/// One host, look after look.
#[derive(Debug, Default)]
pub struct Host {
    pub(super) name: String,
    pub(super) now: Option<Metrics>,
    /// Why the last look failed.
    pub(super) lost: Option<String>,
    /// Requests a second of all apps together.
    pub(super) requests: VecDeque<u64>,
    /// How busy the processors were, in percent.
    pub(super) cpu: VecDeque<u64>,
    /// The longest p95 of the slots that serve, in tenths of a millisecond.
    pub(super) slow: VecDeque<u64>,
}

/// All that is on the screen.
#[derive(Debug)]
pub struct State {
    pub(super) target: String,
    pub(super) hosts: Vec<Host>,
    pub(super) host: usize,
    pub(super) row: usize,
    pub(super) asks_to_roll_back: bool,
    pub(super) has_colour: bool,
}

impl State {
    /// A screen of these hosts, before anything is known of them.
    pub fn new(target: &str, hosts: Vec<String>, has_colour: bool) -> Self {
        let hosts = hosts.into_iter().map(|name| Host { name, ..Host::default() }).collect();
        Self { target: target.to_owned(), hosts, host: 0, row: 0, asks_to_roll_back: false, has_colour }
    }

    /// Takes a look at that host: its figures, or why there are none.
    pub fn take(&mut self, host: &str, looked: Result<Metrics, String>) {
        let Some(host) = self.hosts.iter_mut().find(|known| known.name == host) else { return };
        match looked {
            Ok(mut metrics) => {
                metrics.containers.sort_by(|one, other| one.service.cmp(&other.service));
                let slots = metrics.apps.iter().flat_map(|app| &app.slots);
                let slow = slots.filter(|slot| Some(&slot.release) == metrics.release.as_ref());
                let slow = slow.filter_map(|slot| slot.p95_ms).fold(0.0, f64::max);
                let requests: f64 = metrics.apps.iter().filter_map(|app| app.requests_per_second).sum();
                push(&mut host.requests, requests);
                push(&mut host.cpu, metrics.machine.cpu_ratio.unwrap_or(0.0) * 100.0);
                push(&mut host.slow, slow * 10.0);
                host.now = Some(metrics);
                host.lost = None;
            }
            Err(why) => host.lost = Some(why),
        }
    }

    pub(super) fn shown(&self) -> Option<&Host> {
        self.hosts.get(self.host)
    }

    fn rows(&self) -> usize {
        self.shown().and_then(|host| host.now.as_ref()).map_or(0, |metrics| metrics.containers.len())
    }

    /// Does what a key means, and says what cannot be done on the screen.
    pub fn press(&mut self, key: KeyEvent) -> Option<Act> {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Some(Act::Quit);
        }
        if std::mem::take(&mut self.asks_to_roll_back) {
            return (key.code == KeyCode::Char('y')).then_some(Act::RollBack);
        }
        let hosts = self.hosts.len().max(1);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Some(Act::Quit),
            KeyCode::Tab | KeyCode::Right => (self.host, self.row) = ((self.host + 1) % hosts, 0),
            KeyCode::BackTab | KeyCode::Left => (self.host, self.row) = ((self.host + hosts - 1) % hosts, 0),
            KeyCode::Down | KeyCode::Char('j') => self.row = (self.row + 1).min(self.rows().saturating_sub(1)),
            KeyCode::Up | KeyCode::Char('k') => self.row = self.row.saturating_sub(1),
            KeyCode::Char('l') => {
                let containers = self.shown().and_then(|host| host.now.as_ref()).map(|metrics| &metrics.containers);
                return Some(Act::Logs(containers.and_then(|all| all.get(self.row)).map(|one| service(&one.service).to_owned())));
            }
            KeyCode::Char('r') => self.asks_to_roll_back = true,
            _ => {}
        }
        None
    }
}

/// A service as the Compose file calls it, without its slot.
fn service(name: &str) -> &str {
    name.strip_suffix("-blue").or_else(|| name.strip_suffix("-green")).unwrap_or(name)
}

fn push(kept: &mut VecDeque<u64>, value: f64) {
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(if value.is_finite() && value > 0.0 { value.round() as u64 } else { 0 });
}
