//! Connections to the hosts of a target, each with a first look at what the server has.

use std::collections::BTreeMap;

use crate::config::{Project, Resolved};
use crate::error::{Error, Kind, Result};
use crate::random;
use crate::report::Reporter;
use crate::server::{Fact, Facts, Server};
use crate::ssh::{Connection, Settings};

use super::hosts::{all, each};
use super::route::{settings, settings_of_a_person};

/// Everything about one host of a target, up to and including the first look at it.
#[derive(Debug)]
pub struct Session<'a> {
    /// The project.
    pub project: &'a Project,
    /// Its resolved configuration.
    pub resolved: &'a Resolved,
    /// How to get to the host.
    pub settings: Settings,
    /// The connection for commands.
    pub connection: Connection,
    /// What the first look told.
    pub facts: Facts,
    /// The salt of the environment's digests.
    pub salt: String,
}

impl<'a> Session<'a> {
    /// Connects to the target's hosts and takes the first look. None is dialled before what is needed for all was checked;
    /// where one cannot be reached, there is no session at all.
    pub async fn open_all(project: &'a Project, resolved: &'a Resolved) -> Result<Vec<Self>> {
        let hosts = &resolved.target.hosts;
        let settings = hosts.iter().map(|host| settings(project, resolved, host)).collect::<Result<Vec<Settings>>>()?;
        all(
            hosts,
            "could not be reached or read; nothing was changed on any of them",
            each(settings, |settings| Self::open(project, resolved, settings)).await,
        )
    }

    /// The same, host by host: one that cannot be reached is its own error.
    pub async fn open_each(project: &'a Project, resolved: &'a Resolved) -> Vec<Result<Self>> {
        each(
            &resolved.target.hosts,
            |host| async move { Self::open(project, resolved, settings(project, resolved, host)?).await },
        )
        .await
    }

    /// The session of the only host; several are an input error.
    pub async fn open_only(project: &'a Project, resolved: &'a Resolved) -> Result<Self> {
        Self::open(project, resolved, settings(project, resolved, only(resolved)?)?).await
    }

    /// The session of the first host.
    pub async fn open_first(project: &'a Project, resolved: &'a Resolved) -> Result<Self> {
        let Some(host) = resolved.target.hosts.first() else { return Err(Error::input("the target has no host")) };
        Self::open(project, resolved, settings(project, resolved, host)?).await
    }

    /// The session of the only host with a person's own keys: for what no restricted key may do.
    pub async fn open_as_a_person(project: &'a Project, resolved: &'a Resolved) -> Result<Self> {
        Self::open(project, resolved, settings_of_a_person(project, resolved, only(resolved)?)?).await
    }

    async fn open(project: &'a Project, resolved: &'a Resolved, settings: Settings) -> Result<Self> {
        let connection = Connection::open(&settings).await?;
        let salt = random::hex(16);
        let facts = Server::new(&connection, &resolved.target.root.value).facts(resolved, &salt).await?;
        Ok(Self { project, resolved, settings, connection, facts, salt })
    }

    /// The host, as it is shown.
    pub fn host(&self) -> String {
        self.settings.address().to_string()
    }

    /// What happens on this host is told as such, where the target has several.
    pub fn reporter(&self, reporter: &Reporter) -> Reporter {
        if self.resolved.target.hosts.len() > 1 { reporter.of_host(&self.host()) } else { reporter.clone() }
    }

    /// The server behind the connection.
    pub fn server(&self) -> Server<'_> {
        Server::new(&self.connection, &self.resolved.target.root.value)
    }

    /// Makes the connection for commands anew, where it was lost.
    pub async fn mend(&mut self) -> Result<()> {
        if self.connection.is_lost() {
            self.connection = Connection::again(&self.settings).await?;
        }
        Ok(())
    }

    /// Sees to it that the server has the scripts of this version.
    pub async fn bring_scripts(&self) -> Result<()> {
        match self.facts.get(Fact::Scripts) {
            Some(_) => Ok(()),
            None => self.server().send(&format!("scripts-{}", random::hex(8)), true, BTreeMap::new()).await,
        }
    }

    /// Looks again.
    pub async fn refresh(&mut self) -> Result<()> {
        self.facts = self.server().facts(self.resolved, &self.salt).await?;
        Ok(())
    }

    /// The error for a lock that somebody else holds.
    pub fn locked(&self, holder: &str) -> Error {
        Error::new(
            Kind::Locked,
            format!("another run holds the lock of {}: {holder}; nothing was changed", self.resolved.target.name),
        )
        .hint("--wait-lock 10m waits for its end")
    }
}

/// The target's only host.
fn only(resolved: &Resolved) -> Result<&str> {
    let target = &resolved.target;
    match target.hosts.as_slice() {
        [host] => Ok(host),
        hosts => Err(Error::input(format!("target `{}` has {} hosts, but this command needs one", target.name, hosts.len()))
            .hint(format!("name it: --host {}", hosts.first().map_or("HOST", String::as_str)))),
    }
}
