//! The images of the project's own: those that are built, and the apps' where nothing is.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use yaml_serde::Value;

use crate::compose::{Build, Service};
use crate::error::{Error, Result};

use super::super::resolved::{AppService, Decided, Image, Origin, Registered, Setting};
use super::super::shape::{ImageSource, ServiceKind, TargetSection};
use super::kinds::same_image;
use super::world::World;

/// The first app's image first, then those of the other apps and workers, then those of the stack.
pub(super) fn resolve(
    world: &World<'_>,
    target: &TargetSection,
    kinds: &BTreeMap<String, Decided>,
    apps: &[AppService],
) -> Result<Vec<Image>> {
    let in_slot = |service: &Service<'_>| {
        kinds.get(service.name).is_some_and(|decided| matches!(decided.kind, ServiceKind::App | ServiceKind::Worker))
    };
    let place = |service: &Service<'_>| apps.iter().position(|app| app.service == service.name).unwrap_or(usize::MAX);
    let mut owners: Vec<Service<'_>> =
        world.compose.services().filter(|service| service.build().is_some() || in_slot(service)).collect();
    owners.sort_by_key(|service| (place(service), !in_slot(service)));
    let mut images: Vec<Image> = Vec::new();
    let mut first_of: Vec<Service<'_>> = Vec::new();
    let mut errors = Vec::new();
    for service in &owners {
        match first_of.iter().position(|first| same_image(first, service)) {
            Some(at) => images[at].services.push(service.name.to_owned()),
            None => match one(world, target, service, images.is_empty()) {
                Ok(mut image) => {
                    image.variable = variable(service.name, &images);
                    images.push(image);
                    first_of.push(*service);
                }
                Err(error) => errors.push(error),
            },
        }
    }
    Error::all(errors)?;
    let on_server: Vec<&Image> = images.iter().filter(|image| image.source.value == ImageSource::Server).collect();
    if let [_, second, ..] = on_server.as_slice() {
        let source = world.project.loaded.source();
        return Err(source
            .error_near("source", format!("`{}` is built too, but the server builds only one image", second.services[0]))
            .hint("source = \"build\", or build the others elsewhere and name them by `image`"));
    }
    let plain = |image: &&Image| image.inline.is_none() && image.build.is_empty();
    if let Some(image) = on_server.into_iter().find(|image| !plain(image)) {
        let keys: Vec<&str> = image.build.keys().filter_map(Value::as_str).collect();
        let source = world.project.loaded.source();
        return Err(source
            .error_near(
                "source",
                format!(
                    "`{}` has build settings that a build on the server does not take: {} {}",
                    image.services[0],
                    keys.join(", "),
                    if image.inline.is_some() { "dockerfile_inline" } else { "" }
                ),
            )
            .hint("source = \"build\""));
    }
    // A service of the stack that runs what another builds.
    for service in world.compose.services().filter(|service| !owners.iter().any(|owner| owner.name == service.name)) {
        if let Some(at) = first_of.iter().position(|first| first.build().is_some() && same_image(first, &service)) {
            images[at].services.push(service.name.to_owned());
        }
    }
    Ok(images)
}

/// The name of the variable that the image stands in: the first one's is ESTIBA_IMAGE.
fn variable(service: &str, images: &[Image]) -> String {
    if images.is_empty() {
        return "ESTIBA_IMAGE".into();
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let mut name: String = format!("ESTIBA_IMAGE_{}", service.chars().map(plain).collect::<String>());
    while images.iter().any(|image| image.variable == name) {
        name.push('_');
    }
    name
}

/// The image of one service; `[image]` is about the first.
fn one(world: &World<'_>, target: &TargetSection, service: &Service<'_>, is_first: bool) -> Result<Image> {
    let project = world.project;
    let empty = super::super::shape::ImageSection::default();
    let section = if is_first { &project.loaded.config.image } else { &empty };
    let build = service.build();
    let by_image = build.is_none() && section.context.is_none();
    let context = Setting::or_found(section.context.as_ref().map(Utf8PathBuf::from), || match &build {
        Some(build) => Ok((joined(&world.base, &build.context), format!("the build of `{}`", service.name))),
        None => Ok((world.base.clone(), "the Compose file's folder".into())),
    })?;
    let dockerfile = Setting::or_found(section.dockerfile.clone(), || {
        Ok(match build.as_ref().and_then(|build| build.dockerfile.clone()) {
            Some(dockerfile) => (dockerfile, format!("the build of `{}`", service.name)),
            None => ("Dockerfile".into(), "Docker's own default".into()),
        })
    })?;
    let source = Setting::or_found(section.source, || {
        Ok(match (&section.reference, &section.archive) {
            (Some(_), _) => (ImageSource::Registry, "there is a `reference`".into()),
            (None, Some(_)) => (ImageSource::Archive, "there is an `archive`".into()),
            (None, None) if by_image => (ImageSource::Registry, format!("`{}` has an image and no build", service.name)),
            (None, None) if !is_first => match project.loaded.config.image.source {
                Some(ImageSource::Server) => (ImageSource::Server, "as the first image".into()),
                _ => (ImageSource::default(), "the default".into()),
            },
            (None, None) => (ImageSource::default(), "the default".into()),
        })
    })?;
    let reference = section.reference.clone().or_else(|| service.image().filter(|_| by_image).map(str::to_owned));
    check_source(world, service.name, section, source.value, reference.as_deref())?;
    let builds = matches!(source.value, ImageSource::Build | ImageSource::Server);
    if builds {
        check_build(world, service, build.as_ref(), &context, &dockerfile)?;
    }
    Ok(Image {
        variable: String::new(),
        services: vec![service.name.to_owned()],
        name: name(world, target, service, section.name.clone(), is_first)?,
        registered: reference
            .filter(|_| source.value == ImageSource::Registry)
            .map(|reference| Registered { reference, login: section.username.clone().zip(section.password.clone()) }),
        archive: section.archive.as_ref().map(Utf8PathBuf::from),
        copied: match world.stage(service.name) {
            Some(stage) if stage.copies_stages => vec![".".into()],
            Some(stage) => {
                stage.copied.iter().map(|path| path.trim_start_matches("./").trim_end_matches(['/', '*']).to_owned()).collect()
            }
            None => Vec::new(),
        },
        build_target: build.as_ref().and_then(|build| build.target.clone()),
        inline: build.as_ref().and_then(|build| build.inline.clone()),
        arguments: build.as_ref().map(|build| build.arguments.clone()).unwrap_or_default(),
        build: build.map(|build| build.more).unwrap_or_default(),
        source,
        context,
        dockerfile,
    })
}

fn joined(base: &Utf8Path, path: &str) -> Utf8PathBuf {
    match (base.as_str(), path) {
        ("", "") => Utf8PathBuf::from("."),
        ("", path) => path.into(),
        (_, "") => base.to_owned(),
        (_, path) => base.join(path),
    }
}

fn name(
    world: &World<'_>,
    target: &TargetSection,
    service: &Service<'_>,
    named: Option<String>,
    is_first: bool,
) -> Result<Setting<String>> {
    let config = &world.project.loaded.config;
    Setting::or_found(named, || {
        let (base, how) = match &target.compose_project {
            Some(name) => (name.clone(), "the target's compose-project"),
            None => (config.project.name.clone(), "the project's name"),
        };
        if is_first {
            return Ok((base, how.into()));
        }
        let plain: String = service.name.to_ascii_lowercase().chars().map(|c| if c == '.' { '-' } else { c }).collect();
        Ok((format!("{base}-{}", plain.trim_matches(['-', '_'])), format!("{how} and the service's")))
    })
}

/// Settings of a build that are passed on, or mean nothing to the image that is sent.
const PASSED_ON: [&str; 17] = [
    "additional_contexts",
    "cache_from",
    "cache_to",
    "extra_hosts",
    "isolation",
    "labels",
    "network",
    "no_cache",
    "platforms",
    "provenance",
    "pull",
    "sbom",
    "secrets",
    "shm_size",
    "ssh",
    "tags",
    "ulimits",
];

fn check_build(
    world: &World<'_>,
    service: &Service<'_>,
    build: Option<&Build>,
    context: &Setting<Utf8PathBuf>,
    dockerfile: &Setting<String>,
) -> Result<()> {
    let project = world.project;
    let name = service.name;
    let written = build.map(|build| build.context.as_str()).unwrap_or_default();
    let wrong = |needle: &str, message: String| world.compose.error(name, needle, &message);
    if written.contains("://") || written.starts_with("git@") || written.contains(".git#") {
        return Err(wrong(
            written,
            format!("service `{name}` is built from an address, {written}, which is not in the repository"),
        )
        .hint("keep the sources in the repository, or name a built image by `image`"));
    }
    let full = project.path(&context.value);
    if !full.is_dir() {
        let error = match context.origin {
            Origin::File => {
                project.loaded.source().error_near(context.value.as_str(), format!("the build context {full} is not a folder"))
            }
            _ => wrong(written, format!("service `{name}`: the build context {full} is not a folder")),
        };
        return Err(error.hint("`build` names a folder, from the Compose file's own"));
    }
    let outside = |setting: &Origin, needle: &str, what: String| {
        let error = project.leads_out(format_args!("service `{name}`: {what}"));
        Err(match setting {
            Origin::File => project.loaded.source().place(error, needle),
            _ => Error { place: wrong(needle, String::new()).place, ..error },
        })
    };
    if !project.contains(&full) {
        let needle = if context.origin == Origin::File { context.value.as_str() } else { written };
        return outside(&context.origin, needle, format!("the build context {full}"));
    }
    let path = full.join(&dockerfile.value);
    if build.is_none_or(|build| build.inline.is_none()) && !path.is_file() {
        return Err(wrong("build", format!("service `{name}`: there is no Dockerfile at {path}"))
            .hint("name it: build: { dockerfile: … }, or [image] dockerfile = \"…\""));
    }
    if path.is_file() && !project.contains(&path) {
        return outside(&dockerfile.origin, &dockerfile.value, format!("the Dockerfile {path}"));
    }
    build.map_or(Ok(()), |build| check_build_settings(world, name, build))
}

/// Refuses settings of a build that are not passed on to it.
fn check_build_settings(world: &World<'_>, name: &str, build: &Build) -> Result<()> {
    let wrong = |needle: &str, message: String| world.compose.error(name, needle, &message);
    let mut errors = Vec::new();
    for (key, value) in &build.more {
        let key = key.as_str().unwrap_or_default();
        if !PASSED_ON.contains(&key) && !value.is_null() {
            errors.push(
                wrong(key, format!("service `{name}`: `build.{key}` is not supported"))
                    .hint("take it out, or build the image elsewhere and name it by `image`"),
            );
        }
    }
    let several = build.more.get("platforms").and_then(Value::as_sequence).is_some_and(|platforms| platforms.len() > 1);
    if several {
        errors.push(
            wrong("platforms", format!("service `{name}`: `build.platforms` lists several, but only the server's is built"))
                .hint("remove `platforms`: the server's is the default"),
        );
    }
    Error::all(errors)
}

/// What a source needs is there, and what belongs to another one is not.
fn check_source(
    world: &World<'_>,
    service: &str,
    section: &super::super::shape::ImageSection,
    source: ImageSource,
    reference: Option<&str>,
) -> Result<()> {
    let file = world.project.loaded.source();
    let named = [
        ("reference", section.reference.as_ref(), ImageSource::Registry),
        ("username", section.username.as_ref(), ImageSource::Registry),
        ("password", section.password.as_ref(), ImageSource::Registry),
        ("archive", section.archive.as_ref(), ImageSource::Archive),
    ];
    let word = |source: ImageSource| serde_json::to_value(source).ok().and_then(|name| name.as_str().map(str::to_owned));
    let shown = word(source).unwrap_or_default();
    for (key, value, belongs) in named {
        if value.is_some() && belongs != source {
            let theirs = word(belongs).unwrap_or_default();
            return Err(file
                .error_near(&format!("{key} "), format!("[image] {key} needs source = \"{theirs}\", but the source is {shown}"))
                .hint("an image comes from one place: remove the other key"));
        }
    }
    let missing = |key: &str| {
        Err(file.error_near("[image]", format!("[image] source = \"{shown}\" needs {key}")).hint(format!("{key} = \"…\"")))
    };
    match source {
        ImageSource::Registry => {
            let Some(reference) = reference else { return missing("reference") };
            if section.username.is_some() != section.password.is_some() {
                return missing(if section.username.is_some() { "password" } else { "username" });
            }
            let registered = Registered { reference: reference.to_owned(), login: None };
            registered.parse().map(drop).map_err(|error| {
                let placed = match section.reference {
                    Some(_) => file.error_near(reference, error.message),
                    None => world.compose.error(service, reference, &error.message),
                };
                placed.hint("as `registry.example.com/team/app:tag`, in lower case")
            })
        }
        ImageSource::Archive => {
            let Some(archive) = &section.archive else { return missing("archive") };
            if !world.project.path(archive).is_file() {
                return Err(file
                    .error_near(archive, format!("the image archive {archive} does not exist"))
                    .hint("docker save -o FILE IMAGE, or docker buildx build --output type=oci,dest=FILE"));
            }
            Ok(())
        }
        ImageSource::Build | ImageSource::Server => Ok(()),
    }
}
