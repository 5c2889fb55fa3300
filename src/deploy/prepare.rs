//! The first stage: the release is rendered, and what it is made of is looked up. No server is dialled.

use std::sync::Arc;

use crate::config::{Image, ImageSource, Origin, Project, Registered, Resolved};
use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::image::{self, Archive, Built, Context, LookedUp};
use crate::render::{Rendered, Renderer, render};
use crate::report::{Event, Reporter, StepReport};

use super::look::Look;
use super::operation::Operation;
use super::require;
use super::steps::deploy_steps;

/// The release that is to be deployed.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) prepared: Prepared<'a>,
    pub(super) id: String,
    /// The steps of its deploy.
    pub(super) steps: Vec<String>,
    /// What the client has done for it so far.
    pub(super) before: Vec<StepReport>,
    /// How it is looked at from outside, where the target has a url.
    pub(super) look: Option<Look<'a>>,
}

/// Makes the release of a deploy, and tells what is to be known of it.
pub(super) async fn prepare<'a>(operation: &Operation<'a>) -> Result<Candidate<'a>> {
    let Operation { project, resolved, reporter, options, .. } = operation;
    check_replaced(resolved, &options.allow_replace)?;
    let steps = deploy_steps(project, resolved)?;
    let mut prepared = Prepared::render(project, resolved, reporter)?;
    require::check(operation)?;
    prepared.look_up(resolved, reporter).await?;
    finish(operation, prepared, steps, Vec::new())
}

/// The candidate of what was rendered and looked up, told.
pub(super) fn finish<'a>(
    operation: &Operation<'a>,
    prepared: Prepared<'a>,
    steps: Vec<String>,
    before: Vec<StepReport>,
) -> Result<Candidate<'a>> {
    let Operation { resolved, reporter, actor, .. } = operation;
    for note in &prepared.rendered.notes {
        reporter.note(note);
    }
    if actor.dirty {
        reporter.tell(Event::Warning("the project has changes that are not committed; they are deployed too".into()));
    }
    let look = Look::of(&resolved.target, &resolved.health().accept.value, actor.now)?;
    let id = actor.release_id(&prepared.context_digest);
    Ok(Candidate { prepared, id, steps, before, look })
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

impl<'a> Prepared<'a> {
    /// Renders the release and looks through its build contexts. Every wrong input shows itself here.
    pub fn render(project: &Project, resolved: &'a Resolved, reporter: &Reporter) -> Result<Self> {
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
        Ok(Self { renderer, rendered, context_digest: common_digest(&images), images })
    }

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
                    image.digest = short(&sha256(built.layers.as_bytes()));
                    image.local = Some(built);
                }
            }
        }
        self.context_digest = common_digest(&self.images);
        Ok(())
    }
}

/// One digest of what all images are made of; that of the only one.
pub(super) fn common_digest(images: &[PreparedImage]) -> String {
    match images {
        [one] => one.digest.clone(),
        several => {
            let lines: String = several.iter().map(|image| format!("{} {}\n", image.variable, image.digest)).collect();
            short(&sha256(lines.as_bytes()))
        }
    }
}

/// A digest as it is shown beside others.
fn short(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(32).collect()
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
        ([], Some(registered)) => short(&sha256(registered.reference.as_bytes())),
        (several, _) => {
            let mut ids: Vec<&str> = several.iter().map(|archive| archive.id.as_str()).collect();
            ids.sort_unstable();
            short(&sha256(ids.concat().as_bytes()))
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

/// Only containers of the stack can be replaced, edges among them; what lives in the slots always is.
pub(super) fn check_replaced(resolved: &Resolved, allowed: &[String]) -> Result<()> {
    for service in allowed {
        let known = resolved.compose.service(service).is_some();
        if !known || resolved.in_slot(service) && !resolved.is_app(service) {
            let why = if known { "is replaced by every deploy" } else { "is no service of the Compose file" };
            let names: Vec<&str> = resolved.compose.services().map(|service| service.name).collect();
            return Err(Error::input(format!("--allow-replace {service}: `{service}` {why}"))
                .hint(format!("services: {}", names.join(", "))));
        }
    }
    Ok(())
}
