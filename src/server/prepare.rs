//! What `setup` and `doctor` ask of a server.

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::text::printable;

use super::first_answer::no_answer;
use super::protocol::{Entry, marker};
use super::{Scripts, Server};

/// Whom and what a server is prepared for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepare {
    /// The user who deploys.
    pub user: String,
    /// The Compose project.
    pub project: String,
    /// The project and the target, as lines and files on the server are named.
    pub name: String,
}

/// How it stands with one thing that a server needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemState {
    /// It is as it should be.
    Done,
    /// `setup` does it.
    Todo,
    /// A person may want to do it.
    Advice,
    /// It cannot be had.
    Cannot,
}

/// One thing that a server needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: ItemState,
    /// What is there, or what would be done.
    pub text: String,
}

/// What a server has and lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The name of its system.
    pub system: String,
    /// Each thing, in the order in which it is done.
    pub items: Vec<Item>,
}

/// Something that is wrong with a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What kind of thing.
    pub kind: String,
    /// The server's own words.
    pub detail: String,
}

impl Server<'_> {
    fn prepare(&self, verb: &str, who: &Prepare, more: &[&str]) -> String {
        let scripts = Scripts::digest();
        let words = [verb, self.root(), &who.user, &who.project, &scripts, &who.name];
        Self::inline(Entry::Prepare, &[&words, more].concat())
    }

    /// What the server has and lacks, with this gate and these lines of keys in mind.
    pub async fn look_at_preparation(&self, who: &Prepare, gate: &str, keys: &[String]) -> Result<Prepared> {
        let input = format!("{}\n{}\n", crate::digest::sha256(gate.as_bytes()), keys.join("\n"));
        let output = self.connection().run(&self.prepare("look", who, &[]), input).await?;
        let text = output.text();
        if !text.lines().any(|line| line == marker::END) {
            let cut = || Error::failed(format!("{}: the look at what the server has was cut short", self.connection().address()));
            return Err(no_answer(self.connection().address(), &output, marker::SYSTEM).unwrap_or_else(cut));
        }
        let mut prepared = Prepared::default();
        for line in text.lines() {
            if let Some(system) = marker::behind(marker::SYSTEM, line) {
                prepared.system = printable(system);
            }
            prepared.items.extend(marker::behind(marker::ITEM, line).and_then(item));
        }
        Ok(prepared)
    }

    /// Does one of these, with its input. What the server said where that failed.
    pub async fn do_preparation(&self, who: &Prepare, item: &str, input: mpsc::Receiver<Bytes>) -> Result<()> {
        let output = self.pipe(&self.prepare("do", who, &[item]), input, |_| {}).await?;
        if output.status == Some(0) {
            return Ok(());
        }
        let said = format!("{}\n{}", output.text(), output.complaint());
        let lines: Vec<String> = said.lines().filter(|line| !line.trim().is_empty()).map(printable).collect();
        let last = lines[lines.len().saturating_sub(8)..].join("\n  ");
        Err(Error::failed(format!("{}: `{item}` failed on the server", self.connection().address()))
            .hint(format!("it said: {last}"))
            .hint("what was done before stays; once the cause is mended, `estiba setup` goes on from here"))
    }

    /// Takes back what `setup` made.
    pub async fn remove_preparation(&self, who: &Prepare) -> Result<()> {
        let output = self.look(&self.prepare("remove", who, &[])).await?;
        if output.text().lines().any(|line| line == marker::END) {
            return Ok(());
        }
        Err(Error::failed(format!("{}: not all could be taken back: {}", self.connection().address(), output.complaint())))
    }

    /// What is wrong with the server, and its time in seconds since 1970.
    pub async fn examine(&self, project: &str, ports: &[u16]) -> Result<(Vec<Found>, Option<i64>)> {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let arguments: Vec<&str> = [self.root(), project].into_iter().chain(ports.iter().map(String::as_str)).collect();
        let output = self.look(&Self::inline(Entry::Doctor, &arguments)).await?;
        let text = output.text();
        if !text.lines().any(|line| line == marker::END) {
            let cut = || Error::failed(format!("{}: the examination was cut short", self.connection().address()));
            return Err(no_answer(self.connection().address(), &output, marker::CLOCK).unwrap_or_else(cut));
        }
        let found = |line: &str| {
            let (kind, detail) = marker::behind(marker::FINDING, line)?.split_once(' ')?;
            Some(Found { kind: printable(kind), detail: printable(detail) })
        };
        let clock = text.lines().find_map(|line| marker::behind(marker::CLOCK, line)?.parse().ok());
        Ok((text.lines().filter_map(found).collect(), clock))
    }

    /// Mends what was found, where that is safe.
    pub async fn mend_finding(&self, kind: &str) -> Result<()> {
        let output = self.look(&Self::inline(Entry::Mend, &[self.root(), kind])).await?;
        match output.status {
            Some(0) => Ok(()),
            _ => {
                Err(Error::failed(format!("{}: {kind} could not be mended: {}", self.connection().address(), output.complaint())))
            }
        }
    }
}

fn item(words: &str) -> Option<Item> {
    let mut words = words.splitn(3, ' ');
    let (name, state, text) = (words.next()?, words.next()?, words.next()?);
    let state = match state {
        "done" => ItemState::Done,
        "todo" => ItemState::Todo,
        "advice" => ItemState::Advice,
        _ => ItemState::Cannot,
    };
    Some(Item { name: printable(name), state, text: printable(text) })
}
