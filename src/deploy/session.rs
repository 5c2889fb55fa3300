//! A target that was resolved, rendered and connected to.

use std::sync::Arc;

use crate::config::{Project, Resolved};
use crate::error::{Error, Kind, Result};
use crate::image::{self, Archive, Context, LookedUp};
use crate::render::{Rendered, Renderer, digest, render};
use crate::report::Reporter;
use crate::server::{Facts, Server};
use crate::ssh::{Address, Connection, HostKeys, Identity, Settings};

use super::Who;
use super::fleet::{all, each};

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

/// A release that was rendered, before anything was dialled.
#[derive(Debug)]
pub struct Prepared<'a> {
    /// What it was rendered from.
    pub renderer: Renderer<'a>,
    /// What it was rendered to.
    pub rendered: Rendered,
    /// The build context.
    pub context: Context,
    /// What the image is made of, as a digest: of its build context, of the archive's image, of what the registry has.
    pub context_digest: String,
    /// The image, where it lies in an archive: one for each platform that it is there for.
    pub archives: Vec<Arc<Archive>>,
    /// The image, where it lies in a registry: its name by digest, once it has been asked for.
    pub reference: Option<String>,
    /// What that image runs on, where the registry tells.
    pub platforms: Vec<String>,
}

impl Prepared<'_> {
    /// Asks the registry which image it is, where it lies in one. Once: all that follows is about this very image.
    pub async fn look_up(&mut self, resolved: &Resolved) -> Result<()> {
        if let (Some(registered), None) = (&resolved.image.registered, &self.reference) {
            let LookedUp { reference, platforms } = image::look_up(registered).await?;
            self.platforms = platforms;
            self.context_digest = short(reference.rsplit_once('@').map_or(reference.as_str(), |(_, digest)| digest));
            self.reference = Some(reference);
        }
        Ok(())
    }
}

/// A digest as it is shown beside others.
fn short(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(32).collect()
}

/// Renders the release and looks through its build context. Every wrong input shows itself here.
pub fn prepare<'a>(project: &Project, resolved: &'a Resolved, reporter: &Reporter) -> Result<Prepared<'a>> {
    let renderer = Renderer::open(project, resolved)?;
    reporter.hide(&renderer.env.secrets);
    let rendered = render(&renderer)?;
    reporter.hide(&rendered.secrets);
    let context = Context::open(project, resolved, &renderer.env.environment())?;
    if let Some((_, password)) = resolved.image.registered.as_ref().and_then(|image| image.login.as_ref()) {
        reporter.hide(std::slice::from_ref(password));
    }
    let archives = match &resolved.image.archive {
        Some(path) => Archive::open(&project.path(path))?,
        None => Vec::new(),
    };
    archives.iter().try_for_each(Archive::verify)?;
    let context_digest = match (archives.as_slice(), &resolved.image.registered) {
        ([archive], _) => short(&archive.id),
        ([], None) => context.digest()?,
        ([], Some(registered)) => short(&digest(registered.reference.as_bytes())),
        (several, _) => {
            let mut ids: Vec<&str> = several.iter().map(|archive| archive.id.as_str()).collect();
            ids.sort_unstable();
            short(&digest(ids.concat().as_bytes()))
        }
    };
    let archives = archives.into_iter().map(Arc::new).collect();
    Ok(Prepared { renderer, rendered, context, context_digest, archives, reference: None, platforms: Vec::new() })
}

impl<'a> Session<'a> {
    /// Connects to the target's hosts and takes the first look. None is dialled before what is needed for all was checked;
    /// where one cannot be reached, there is no session at all.
    pub async fn open_all(project: &'a Project, resolved: &'a Resolved, who: &Who) -> Result<Vec<Self>> {
        let hosts = &resolved.target.hosts;
        let settings = hosts.iter().map(|host| settings(project, resolved, host)).collect::<Result<Vec<Settings>>>()?;
        all(
            hosts,
            "could not be looked at; nothing was changed on any",
            each(settings, |settings| Self::open(project, resolved, settings, who)).await,
        )
    }

    /// The same, host by host: one that cannot be reached is its own error.
    pub async fn open_each(project: &'a Project, resolved: &'a Resolved, who: &Who) -> Vec<Result<Self>> {
        each(&resolved.target.hosts, |host| async move {
            Self::open(project, resolved, settings(project, resolved, host)?, who).await
        })
        .await
    }

    /// The session of the only host; several are an input error.
    pub async fn open_only(project: &'a Project, resolved: &'a Resolved, who: &Who) -> Result<Self> {
        let target = &resolved.target;
        match target.hosts.as_slice() {
            [host] => Self::open(project, resolved, settings(project, resolved, host)?, who).await,
            hosts => Err(Error::input(format!("target `{}` has {} hosts, and this is about one", target.name, hosts.len()))
                .hint(format!("name it: --host {}", hosts.first().map_or("HOST", String::as_str)))),
        }
    }

    async fn open(project: &'a Project, resolved: &'a Resolved, settings: Settings, who: &Who) -> Result<Self> {
        let connection = Connection::open(&settings).await?;
        let salt = who.nonce();
        let facts = Server::new(&connection, &resolved.target.root.value).facts(resolved, &salt).await?;
        Ok(Self { project, resolved, settings, connection, facts, salt })
    }

    /// The host, as it is shown.
    pub fn host(&self) -> String {
        self.settings.address.to_string()
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

/// How to get to a host: address, host keys and identity, all checked before anything is dialled.
fn settings(project: &Project, resolved: &Resolved, host: &str) -> Result<Settings> {
    let target = &resolved.target;
    let environment = &project.environment;
    let get = |name: &str| environment.get(name).map(String::as_str);
    let home = get("HOME");
    Ok(Settings {
        address: Address::parse(host)?,
        host_keys: check_host_keys(project, resolved)?,
        identity: Identity::choose(
            get("ESTIBA_SSH_KEY"),
            target.identity.as_deref(),
            get("SSH_AUTH_SOCK"),
            home,
            get("ESTIBA_SSH_PASSPHRASE"),
        )?,
    })
}

/// Reads the target's host keys; a wrong one is an input error with its place.
pub fn check_host_keys(project: &Project, resolved: &Resolved) -> Result<HostKeys> {
    let home = project.environment.get("HOME").map(String::as_str);
    HostKeys::read(&resolved.target.host_keys.value, &project.folder, home).map_err(|error| {
        let source = project.loaded.source();
        let section = format!("[target.{}]", resolved.target.name);
        let place = if source.text.contains("host-keys") { "host-keys" } else { section.as_str() };
        let placed = source.error_near(place, &error.message);
        error.hints.into_iter().fold(placed, Error::hint).or_hint("host-keys pins the server; see docs/deploying.md")
    })
}
