//! A target that was resolved, rendered and connected to.

use std::sync::Arc;

use crate::config::{Image, ImageSource, Origin, Project, Registered, Resolved};
use crate::error::{Error, Kind, Result};
use crate::image::{self, Archive, Built, Context, LookedUp};
use crate::render::{Rendered, Renderer, digest, render};
use crate::report::{Event, Reporter};
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
    /// Its images, in the order of the resolved configuration: the first app's first.
    pub images: Vec<PreparedImage>,
    /// What all the images are made of, as a digest.
    pub context_digest: String,
}

/// An image of a release, before it is built, asked for or sent.
#[derive(Debug)]
pub struct PreparedImage {
    /// The variable of the rendered files that it stands in.
    pub variable: String,
    /// Its name on the servers, without a tag.
    pub name: String,
    /// How it gets to the servers.
    pub source: ImageSource,
    /// The build context.
    pub context: Context,
    /// What it is made of, as a digest: of its build context, of the archive's image, of what the registry has.
    pub digest: String,
    /// The image, where it lies in an archive: one for each platform that it is there for.
    pub archives: Vec<Arc<Archive>>,
    /// Where it lies in a registry: which one, and who may read it.
    pub registered: Option<Registered>,
    /// Its name there by digest, once that has been asked for.
    pub reference: Option<String>,
    /// What that image runs on, where the registry tells.
    pub platforms: Vec<String>,
    /// The image as the local Engine has it, where no registry answered and its name was only a convention's.
    pub local: Option<Built>,
}

impl Prepared<'_> {
    /// The first app's build context.
    pub fn context(&self) -> &Context {
        &self.images[0].context
    }

    /// Asks the registries which images they are, where they lie in one. Once: all that follows is about these very images.
    pub async fn look_up(&mut self, resolved: &Resolved, reporter: &Reporter) -> Result<()> {
        for (image, known) in self.images.iter_mut().zip(&resolved.images) {
            let (Some(registered), None, None) = (&image.registered, &image.reference, &image.local) else { continue };
            match image::look_up(registered).await {
                Ok(LookedUp { reference, platforms }) => {
                    let by_digest = reference.rsplit('@').next().unwrap_or_default();
                    image.digest = short(by_digest);
                    image.reference = Some(reference);
                    image.platforms = platforms;
                }
                Err(error) => {
                    // Where only the Compose file names it, an image that is here will do.
                    let by_convention = matches!(known.source.origin, Origin::Found(_)) && registered.login.is_none();
                    let built = if by_convention { image::inspect(&registered.reference).await.ok() } else { None };
                    let Some(built) = built else { return Err(error) };
                    reporter.tell(Event::Warning(format!(
                        "the registry does not answer for {} ({}): the image that this machine has under that name is sent",
                        registered.reference,
                        error.message.lines().next().unwrap_or_default()
                    )));
                    image.digest = short(&digest(built.layers.as_bytes()));
                    image.local = Some(built);
                }
            }
        }
        self.context_digest = common_digest(&self.images);
        Ok(())
    }
}

/// One digest of what all images are made of; that of the only one.
fn common_digest(images: &[PreparedImage]) -> String {
    match images {
        [one] => one.digest.clone(),
        several => {
            let lines: String = several.iter().map(|image| format!("{} {}\n", image.variable, image.digest)).collect();
            short(&digest(lines.as_bytes()))
        }
    }
}

/// A digest as it is shown beside others.
fn short(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(32).collect()
}

/// Renders the release and looks through its build contexts. Every wrong input shows itself here.
pub fn prepare<'a>(project: &Project, resolved: &'a Resolved, reporter: &Reporter) -> Result<Prepared<'a>> {
    reporter.hide(&resolved.env.secrets);
    let renderer = Renderer::open(project, resolved)?;
    let rendered = render(&renderer)?;
    reporter.hide(&rendered.secrets);
    let mut images = Vec::new();
    for image in &resolved.images {
        if let Some((_, password)) = image.registered.as_ref().and_then(|image| image.login.as_ref()) {
            reporter.hide(std::slice::from_ref(password));
        }
        images.push(prepare_image(project, resolved, image)?);
    }
    Ok(Prepared { renderer, rendered, context_digest: common_digest(&images), images })
}

fn prepare_image(project: &Project, resolved: &Resolved, image: &Image) -> Result<PreparedImage> {
    let context = Context::open(project, resolved, image)?;
    let archives = match &image.archive {
        Some(path) => Archive::open(&project.path(path))?,
        None => Vec::new(),
    };
    archives.iter().try_for_each(Archive::verify)?;
    let image_digest = match (archives.as_slice(), &image.registered) {
        ([archive], _) => short(&archive.id),
        ([], None) => context.digest()?,
        ([], Some(registered)) => short(&digest(registered.reference.as_bytes())),
        (several, _) => {
            let mut ids: Vec<&str> = several.iter().map(|archive| archive.id.as_str()).collect();
            ids.sort_unstable();
            short(&digest(ids.concat().as_bytes()))
        }
    };
    Ok(PreparedImage {
        variable: image.variable.clone(),
        name: image.name.value.clone(),
        source: image.source.value,
        context,
        digest: image_digest,
        archives: archives.into_iter().map(Arc::new).collect(),
        registered: image.registered.clone(),
        reference: None,
        platforms: Vec::new(),
        local: None,
    })
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
