//! What each service is to a deploy: an app, a worker, a job, or a part of the stack. The order of decision is documented in
//! docs/services.md.

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::Service;
use crate::error::{Error, Result};

use super::super::resolved::{Decided, Image, Job};
use super::super::shape::ServiceKind;
use super::named;
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

/// Decides what each service is. What deploy.toml says goes before all else.
pub(super) fn decide(world: &World<'_>) -> Result<Kinds> {
    let World { project, compose, .. } = world;
    let config = &project.loaded.config;
    let mut kinds = Kinds::new();
    let mut put = |name: &str, kind: ServiceKind, why: &str| {
        kinds.entry(name.to_owned()).or_insert_with(|| Decided { kind, why: why.to_owned() });
    };
    for (name, section) in &config.services {
        let service = named(project, compose, name, &format!("[services.{name}]"))?;
        if let Some(kind) = section.kind {
            put(service.name, kind, "deploy.toml");
        }
    }
    if let Some(name) = &config.app.service {
        put(named(project, compose, name, "[app] service")?.name, ServiceKind::App, "deploy.toml");
    }
    for (name, section) in &config.apps {
        let name = section.service.as_deref().unwrap_or(name);
        put(named(project, compose, name, &format!("[apps.{name}]"))?.name, ServiceKind::App, "deploy.toml");
    }
    for section in config.apps.values().chain([&config.app]) {
        for name in section.workers.iter().flatten() {
            put(named(project, compose, name, "[app] workers")?.name, ServiceKind::Worker, "deploy.toml");
        }
    }
    let waited_for: BTreeSet<&str> = compose
        .services()
        .flat_map(|service| service.depends_on())
        .filter(|(_, condition)| *condition == "service_completed_successfully")
        .map(|(name, _)| name)
        .collect();
    let told = |kinds: &Kinds, name: &str| kinds.contains_key(name);
    for service in compose.services() {
        let name = service.name;
        if told(&kinds, name) {
            continue;
        }
        let ends = service.setting("restart").is_some_and(|restart| restart == "no") && service.ports().is_empty();
        let labelled = service.labels().keys().any(|label| label.starts_with("traefik.http."));
        let decided = if waited_for.contains(name) {
            Some((ServiceKind::Job, "others wait for its end"))
        } else if world.is_by_hand(&service) {
            Some((ServiceKind::Stack, "its image is a tool's that is run by hand: it is not started"))
        } else if world.is_data(&service) {
            Some((ServiceKind::Stack, "its image holds data"))
        } else if world.is_proxy(&service) {
            Some((ServiceKind::Stack, "its image is a proxy's"))
        } else if world.is_tool(&service) {
            Some((ServiceKind::Stack, "its image is a tool's"))
        } else if ends && compose.services().count() > 1 && !labelled && world.asked(name).is_empty() {
            Some((ServiceKind::Job, "it is not started again (`restart: \"no\"`) and has no port"))
        } else if world.prepares(&service) && compose.services().count() > 1 {
            Some((ServiceKind::Job, "it prepares something and ends"))
        } else {
            None
        };
        if let Some((kind, why)) = decided {
            kinds.insert(name.to_owned(), Decided { kind, why: why.to_owned() });
        }
    }
    let open: Vec<Service<'_>> = compose.services().filter(|service| !told(&kinds, service.name)).collect();
    let built: Vec<Service<'_>> = open.iter().filter(|service| service.build().is_some()).copied().collect();
    let has_app = kinds.values().any(|decided| decided.kind == ServiceKind::App);
    let mut put = |name: &str, kind: ServiceKind, why: &str| {
        kinds.entry(name.to_owned()).or_insert_with(|| Decided { kind, why: why.to_owned() });
    };
    for service in &built {
        let shares = compose.services().any(|other| other.name != service.name && same_image(service, &other));
        if world.works(service) {
            put(service.name, ServiceKind::Worker, "its command works through a queue");
        } else if world.answers(service) {
            put(service.name, ServiceKind::App, "it is built and answers requests");
        } else if !shares && has_web_name(service.name) {
            put(service.name, ServiceKind::App, "it is built, and its name says that it answers requests");
        }
    }
    let mut left: Vec<Service<'_>> = built.iter().filter(|service| !kinds.contains_key(service.name)).copied().collect();
    if !kinds.values().any(|decided| decided.kind == ServiceKind::App) {
        // Nothing says who answers: the only one, or the only one that runs its image's own command.
        let plain: Vec<Service<'_>> = left.iter().filter(|service| service.command_line().is_empty()).copied().collect();
        let candidates = if plain.len() == 1 || left.is_empty() { plain } else { left.clone() };
        match candidates.as_slice() {
            [one] => {
                kinds.insert(
                    one.name.to_owned(),
                    Decided { kind: ServiceKind::App, why: "it is the service that is built".into() },
                );
            }
            [] => images_alone(world, &open, &mut kinds)?,
            several => {
                let names: Vec<&str> = several.iter().map(|service| service.name).collect();
                return Err(compose
                    .error(names[0], names[0], &format!("which service is the app? {}", names.join(", ")))
                    .hint(format!("name it: [app] service = \"{}\"; for each of the others [services.NAME] kind = \"app\", \"worker\", \"job\" or \"stack\"", names[0])));
            }
        }
        left.retain(|service| !kinds.contains_key(service.name));
    } else if !has_app && built.is_empty() {
        images_alone(world, &open, &mut kinds)?;
    }
    for service in left {
        kinds.insert(
            service.name.to_owned(),
            Decided { kind: ServiceKind::Worker, why: "it is built, and nothing says that it answers requests".into() },
        );
    }
    // What runs an app's image under its name follows it.
    let apps: Vec<Service<'_>> = compose
        .services()
        .filter(|service| kinds.get(service.name).is_some_and(|decided| decided.kind == ServiceKind::App))
        .collect();
    for service in compose.services() {
        if kinds.contains_key(service.name) {
            continue;
        }
        let follows = apps.iter().any(|app| same_image(app, &service));
        let (kind, why) = if follows {
            (ServiceKind::Worker, "it runs the image of an app")
        } else {
            (ServiceKind::Stack, "it runs an image that is not the project's own")
        };
        kinds.insert(service.name.to_owned(), Decided { kind, why: why.into() });
    }
    Ok(kinds)
}

/// Nothing is built: the app is the image that answers requests and is nobody else's tool.
fn images_alone(world: &World<'_>, open: &[Service<'_>], kinds: &mut Kinds) -> Result<()> {
    if kinds.values().any(|decided| decided.kind == ServiceKind::App) {
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
    // Images of one owner are released together: what of them answers is an app each, what works through a queue follows.
    let owner =
        |service: &Service<'_>| service.image().and_then(|image| image.rsplit_once('/')).map(|(owner, _)| owner.to_owned());
    let common = distinct.first().and_then(owner);
    let of_one_owner = common.is_some() && distinct.iter().all(|service| owner(service) == common);
    if of_one_owner {
        for service in images.iter().filter(|service| owner(service) == common) {
            let (kind, why) = if world.works(service) {
                (ServiceKind::Worker, "its image is of the app's owner, and its command works through a queue")
            } else if distinct.iter().any(|app| app.name == service.name) || world.answers(service) || has_web_name(service.name)
            {
                (ServiceKind::App, "nothing is built, and it answers requests")
            } else {
                (ServiceKind::Worker, "its image is of the app's owner, and nothing says that it answers requests")
            };
            kinds.entry(service.name.to_owned()).or_insert_with(|| Decided { kind, why: why.into() });
        }
        return Ok(());
    }
    match distinct.as_slice() {
        [one] => {
            kinds.insert(
                one.name.to_owned(),
                Decided { kind: ServiceKind::App, why: "nothing is built, and it answers requests".into() },
            );
            Ok(())
        }
        [] => Err(Error::input(format!(
            "{}: no service looks like the app: none is built, and none has a port",
            world.compose.name
        ))
        .hint("name it: [app] service = \"…\"")),
        several => {
            let names: Vec<&str> = several.iter().map(|service| service.name).collect();
            Err(world
                .compose
                .error(names[0], names[0], &format!("which service is the app? {}", names.join(", ")))
                .hint(format!("name it: [app] service = \"{}\"", names[0])))
        }
    }
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
