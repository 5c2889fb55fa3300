//! What each service is to a deploy: an app, a worker, a job, or a part of the stack. The order of decision is documented in
//! docs/services.md.

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::Service;
use crate::error::{Error, Result};

use super::super::resolved::{Decided, Image, Job};
use super::super::shape::ServiceKind;
use super::common::named;
use super::world::World;

/// Do two services run the same image of the project's own?
pub(super) fn same_image(one: &Service<'_>, other: &Service<'_>) -> bool {
    match (one.build(), other.build()) {
        (Some(one), Some(other)) => one == other,
        // Built by one, run by its name by the other.
        (Some(_), None) | (None, Some(_)) | (None, None) => one.image().is_some() && one.image() == other.image(),
    }
}

type Kinds = BTreeMap<String, Decided>;

fn decided(kind: ServiceKind, why: &str) -> Decided {
    Decided { kind, why: why.to_owned() }
}

fn has_app(kinds: &Kinds) -> bool {
    kinds.values().any(|decided| decided.kind == ServiceKind::App)
}

/// Decides what each service is. What deploy.toml says goes before all else.
pub(super) fn decide(world: &World<'_>) -> Result<Kinds> {
    let mut kinds = Kinds::new();
    as_told(world, &mut kinds)?;
    by_their_own(world, &mut kinds);
    those_that_are_built(world, &mut kinds)?;
    those_that_are_left(world, &mut kinds);
    Ok(kinds)
}

/// Those that deploy.toml names.
fn as_told(world: &World<'_>, kinds: &mut Kinds) -> Result<()> {
    let World { project, compose, .. } = world;
    let config = &project.loaded.config;
    let mut put = |name: &str, kind: ServiceKind| {
        kinds.entry(name.to_owned()).or_insert_with(|| decided(kind, "deploy.toml"));
    };
    for (name, section) in &config.services {
        let service = named(project, compose, name, &format!("[services.{name}]"))?;
        if let Some(kind) = section.kind {
            put(service.name, kind);
        }
    }
    if let Some(name) = &config.app.service {
        put(named(project, compose, name, "[app] service")?.name, ServiceKind::App);
    }
    for (name, section) in &config.apps {
        let name = section.service.as_deref().unwrap_or(name);
        put(named(project, compose, name, &format!("[apps.{name}]"))?.name, ServiceKind::App);
    }
    for section in config.apps.values().chain([&config.app]) {
        for name in section.workers.iter().flatten() {
            put(named(project, compose, name, "[app] workers")?.name, ServiceKind::Worker);
        }
    }
    Ok(())
}

/// Those that say themselves what they are: by who waits for them, by their image, by how they end.
fn by_their_own(world: &World<'_>, kinds: &mut Kinds) {
    let compose = world.compose;
    let waited_for: BTreeSet<&str> = compose
        .services()
        .flat_map(|service| service.depends_on())
        .filter(|(_, condition)| *condition == "service_completed_successfully")
        .map(|(name, _)| name)
        .collect();
    let alone = compose.services().count() == 1;
    for service in compose.services() {
        let name = service.name;
        if kinds.contains_key(name) {
            continue;
        }
        let ends = service.setting("restart").is_some_and(|restart| restart == "no") && service.ports().is_empty();
        let labelled = service.labels().keys().any(|label| label.starts_with("traefik.http."));
        let (kind, why) = if waited_for.contains(name) {
            (ServiceKind::Job, "others wait for its end")
        } else if world.is_by_hand(&service) {
            (ServiceKind::Stack, "its image is a tool run by hand: it is not started")
        } else if world.is_data(&service) {
            (ServiceKind::Stack, "its image holds data")
        } else if world.is_proxy(&service) {
            (ServiceKind::Stack, "its image is a proxy's")
        } else if world.is_tool(&service) {
            (ServiceKind::Stack, "its image is a tool's")
        } else if ends && !alone && !labelled && world.asked(name).is_empty() {
            (ServiceKind::Job, "it is not started again (`restart: \"no\"`) and has no port")
        } else if world.prepares(&service) && !alone {
            (ServiceKind::Job, "it prepares something and ends")
        } else {
            continue;
        };
        kinds.insert(name.to_owned(), decided(kind, why));
    }
}

/// Those that are built; where none says that it answers, the app is looked for among what is left.
fn those_that_are_built(world: &World<'_>, kinds: &mut Kinds) -> Result<()> {
    let compose = world.compose;
    let open: Vec<Service<'_>> = compose.services().filter(|service| !kinds.contains_key(service.name)).collect();
    let built: Vec<Service<'_>> = open.iter().filter(|service| service.build().is_some()).copied().collect();
    let had_app = has_app(kinds);
    for service in &built {
        let shares = compose.services().any(|other| other.name != service.name && same_image(service, &other));
        let (kind, why) = if world.works(service) {
            (ServiceKind::Worker, "its command works through a queue")
        } else if world.answers(service) {
            (ServiceKind::App, "it is built and answers requests")
        } else if !shares && has_web_name(service.name) {
            (ServiceKind::App, "it is built, and its name says that it answers requests")
        } else {
            continue;
        };
        kinds.insert(service.name.to_owned(), decided(kind, why));
    }
    let mut left: Vec<Service<'_>> = built.iter().filter(|service| !kinds.contains_key(service.name)).copied().collect();
    if !has_app(kinds) {
        // Nothing says who answers: the only one, or the only one that runs its image's own command.
        let plain: Vec<Service<'_>> = left.iter().filter(|service| service.command_line().is_empty()).copied().collect();
        let candidates = if plain.len() == 1 || left.is_empty() { plain } else { left.clone() };
        match candidates.as_slice() {
            [one] => drop(kinds.insert(one.name.to_owned(), decided(ServiceKind::App, "it is the service that is built"))),
            [] => images_alone(world, &open, kinds)?,
            several => return Err(several_apps(world, several, true)),
        }
        left.retain(|service| !kinds.contains_key(service.name));
    } else if !had_app && built.is_empty() {
        images_alone(world, &open, kinds)?;
    }
    for service in left {
        let why = "it is built, and nothing says that it answers requests";
        kinds.insert(service.name.to_owned(), decided(ServiceKind::Worker, why));
    }
    Ok(())
}

/// What runs an app's image under its name follows it; everything else is the stack.
fn those_that_are_left(world: &World<'_>, kinds: &mut Kinds) {
    let compose = world.compose;
    let is_app = |service: &Service<'_>| kinds.get(service.name).is_some_and(|decided| decided.kind == ServiceKind::App);
    let apps: Vec<Service<'_>> = compose.services().filter(is_app).collect();
    for service in compose.services() {
        let follows = apps.iter().any(|app| same_image(app, &service));
        kinds.entry(service.name.to_owned()).or_insert_with(|| match follows {
            true => decided(ServiceKind::Worker, "it runs the image of an app"),
            false => decided(ServiceKind::Stack, "it runs an image that is not the project's own"),
        });
    }
}

/// Which of these is the app cannot be told.
fn several_apps(world: &World<'_>, several: &[Service<'_>], built: bool) -> Error {
    let names: Vec<&str> = several.iter().map(|service| service.name).collect();
    let error = world.compose.error(names[0], names[0], &format!("which service is the app? {}", names.join(", ")));
    let others = "; for each of the others [services.NAME] kind = \"app\", \"worker\", \"job\" or \"stack\"";
    error.hint(format!("name it: [app] service = \"{}\"{}", names[0], if built { others } else { "" }))
}

/// Nothing is built: the app is the image that answers requests and is nobody else's tool.
fn images_alone(world: &World<'_>, open: &[Service<'_>], kinds: &mut Kinds) -> Result<()> {
    if has_app(kinds) {
        return Ok(());
    }
    let images: Vec<Service<'_>> = open.iter().filter(|service| service.build().is_none()).copied().collect();
    let working = |service: &&Service<'_>| !world.works(service);
    let answering: Vec<Service<'_>> = images.iter().filter(working).filter(|service| world.answers(service)).copied().collect();
    let asked: Vec<Service<'_>> = answering.iter().filter(|service| world.is_asked_for(service)).copied().collect();
    let named: Vec<Service<'_>> = answering.iter().filter(|service| has_web_name(service.name)).copied().collect();
    let candidates = [&asked, &named, &answering, &images]
        .into_iter()
        .find(|candidates| candidates.len() == 1)
        .or_else(|| [&asked, &answering, &images].into_iter().find(|candidates| !candidates.is_empty()));
    // The services of one image are one app.
    let mut distinct: Vec<Service<'_>> = Vec::new();
    for service in candidates.into_iter().flatten() {
        if !distinct.iter().any(|known| same_image(known, service)) {
            distinct.push(*service);
        }
    }
    if of_one_owner(world, &images, &distinct, kinds) {
        return Ok(());
    }
    match distinct.as_slice() {
        [one] => {
            kinds.insert(one.name.to_owned(), decided(ServiceKind::App, "nothing is built, and it answers requests"));
            Ok(())
        }
        [] => Err(Error::input(format!(
            "{}: no service looks like the app: none is built, and none has a port",
            world.compose.name
        ))
        .hint("name it: [app] service = \"…\"")),
        several => Err(several_apps(world, several, false)),
    }
}

/// Images of one owner are released together: what of them answers is an app each, what works through a queue follows. Are these
/// such?
fn of_one_owner(world: &World<'_>, images: &[Service<'_>], apps: &[Service<'_>], kinds: &mut Kinds) -> bool {
    let owner =
        |service: &Service<'_>| service.image().and_then(|image| image.rsplit_once('/')).map(|(owner, _)| owner.to_owned());
    let common = apps.first().and_then(owner);
    if common.is_none() || apps.iter().any(|service| owner(service) != common) {
        return false;
    }
    for service in images.iter().filter(|service| owner(service) == common) {
        let (kind, why) = if world.works(service) {
            (ServiceKind::Worker, "its image is of the app's owner, and its command works through a queue")
        } else if apps.iter().any(|app| app.name == service.name) || world.answers(service) || has_web_name(service.name) {
            (ServiceKind::App, "nothing is built, and it answers requests")
        } else {
            (ServiceKind::Worker, "its image is of the app's owner, and nothing says that it answers requests")
        };
        kinds.entry(service.name.to_owned()).or_insert_with(|| decided(kind, why));
    }
    true
}

fn has_web_name(name: &str) -> bool {
    ["web", "front", "back", "api", "app", "server", "ui", "site", "www", "django", "flask", "client", "dashboard", "admin"]
        .iter()
        .any(|word| name.split(['-', '_', '.']).any(|part| part.starts_with(word)))
}

/// The jobs, in the order in which they wait for one another.
pub(super) fn jobs(world: &World<'_>, kinds: &Kinds, images: &[Image]) -> Vec<Job> {
    let is = |name: &str, kind: ServiceKind| kinds.get(name).is_some_and(|decided| decided.kind == kind);
    let mut open: Vec<Service<'_>> = world.compose.services().filter(|service| is(service.name, ServiceKind::Job)).collect();
    let mut jobs: Vec<Job> = Vec::new();
    while !open.is_empty() {
        let names: Vec<&str> = open.iter().map(|service| service.name).collect();
        let free = open.iter().position(|service| !service.needs().iter().any(|need| names.contains(need))).unwrap_or(0);
        let service = open.remove(free);
        let image = images.iter().find(|image| image.services.iter().any(|known| known == service.name));
        let in_slot = image.is_some_and(|image| {
            image.services.iter().any(|known| is(known, ServiceKind::App) || is(known, ServiceKind::Worker))
        });
        jobs.push(Job { service: service.name.to_owned(), in_slot, migrates: in_slot && migrates(&service.command_line()) });
    }
    jobs
}

/// Does the command move a database's schema?
fn migrates(command: &str) -> bool {
    [
        "manage.py migrate",
        "alembic upgrade",
        "flask db upgrade",
        "db:migrate",
        "prisma migrate deploy",
        "django-admin migrate",
        "artisan migrate",
    ]
    .iter()
    .any(|known| command.contains(known))
}
