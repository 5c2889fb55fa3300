//! stack.yml: everything but the apps and what follows them, which live in the slots; and in the place of each app its edge.

use std::collections::BTreeSet;

use yaml_serde::{Mapping, Value};

use crate::compose::Service;
use crate::config::{BackupService, Resolved, ServiceKind};
use crate::error::{Error, Result};

use super::edge;
use super::paths::{Layout, section_files};

const HEADER: &str = "# Rendered by estiba from the team's Compose files: the services that do not change with a release.\n";

/// Which services of the stack start when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// Those that wait for nothing but one another.
    pub(super) services: Vec<String>,
    /// The jobs, in their order.
    pub(super) jobs: Vec<String>,
    /// Those that wait for a job.
    pub(super) after_jobs: Vec<String>,
    /// Those that wait for an app: on an empty server they start when one serves.
    pub(super) after_apps: Vec<String>,
}

/// The order in which the stack starts.
pub(super) fn order(resolved: &Resolved) -> Order {
    let in_stack = |service: &Service<'_>| !resolved.in_slot(service.name);
    let reaches = |start: &str, wanted: &dyn Fn(&str) -> bool| {
        let mut open = vec![start.to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(name) = open.pop() {
            for need in resolved.compose.service(&name).map(|service| service.needs()).unwrap_or_default() {
                if wanted(need) {
                    return true;
                }
                if seen.insert(need.to_owned()) {
                    open.push(need.to_owned());
                }
            }
        }
        false
    };
    let is_job = |name: &str| resolved.kind(name) == ServiceKind::Job;
    let mut order = Order {
        jobs: resolved.jobs.iter().filter(|job| !job.in_slot).map(|job| job.service.clone()).collect(),
        ..Order::default()
    };
    for service in resolved.compose.services().filter(in_stack).filter(|service| !is_job(service.name)) {
        let name = service.name.to_owned();
        if resolved.by_hand.contains(&name) {
            continue;
        }
        if reaches(service.name, &|need| resolved.in_slot(need) && !is_job(need)) {
            order.after_apps.push(name);
        } else if reaches(service.name, &|need| order.jobs.iter().any(|job| job == need)) {
            order.after_jobs.push(name);
        } else {
            order.services.push(name);
        }
    }
    if resolved.backup.is_wanted() {
        order.services.push(BackupService::SERVICE.to_owned());
    }
    order
}

/// The apps in the order in which they wait for one another.
pub(super) fn app_order(resolved: &Resolved) -> Vec<String> {
    let mut open: Vec<&str> = resolved.apps.iter().map(|app| app.service.as_str()).collect();
    let mut ordered: Vec<String> = Vec::new();
    while !open.is_empty() {
        let free = open.iter().position(|name| {
            let needs = resolved.compose.service(name).map(|service| service.needs()).unwrap_or_default();
            !needs.iter().any(|need| open.contains(need) && need != name)
        });
        ordered.push(open.remove(free.unwrap_or(0)).to_owned());
    }
    ordered
}

/// What is taken off or shortened everywhere: settings that only a laptop needs, and long forms that older Compose does not read.
fn common(map: &mut Mapping) {
    for key in ["profiles", "develop", "build"] {
        map.shift_remove(key);
    }
    if let Some(Value::Mapping(depends)) = map.get_mut("depends_on") {
        for (_, value) in depends.iter_mut() {
            if let Some(value) = value.as_mapping_mut()
                && value.get("required").and_then(Value::as_bool) == Some(true)
            {
                value.shift_remove("required");
            }
        }
    }
    if let Some(Value::Mapping(networks)) = map.get_mut("networks") {
        for (_, network) in networks.iter_mut() {
            if network.as_mapping().is_some_and(Mapping::is_empty) {
                *network = Value::Null;
            }
        }
    }
}

/// A service that runs an image of the project's own runs the very one that was sent.
fn own_image(resolved: &Resolved, name: &str, map: &mut Mapping) {
    if let Some(image) = resolved.image_of(name) {
        map.insert("image".into(), format!("${{{}}}", image.variable).into());
        map.insert("pull_policy".into(), "never".into());
    } else if map.get("pull_policy").and_then(Value::as_str) == Some("build") {
        map.shift_remove("pull_policy");
    }
}

/// The service as it is on the server: its image, and its mounts and files where they lie there.
pub(super) fn placed(resolved: &Resolved, layout: &Layout<'_>, service: Service<'_>, in_slot: bool) -> Mapping {
    let mut map = service.map.clone();
    common(&mut map);
    own_image(resolved, service.name, &mut map);
    match layout.volumes(service, in_slot) {
        Some(volumes) => drop(map.insert("volumes".into(), volumes)),
        None => drop(map.shift_remove("volumes")),
    }
    if let Some(env_file) = layout.env_file(service) {
        map.insert("env_file".into(), env_file);
    }
    if let Some(label_file) = layout.label_file(service) {
        map.insert("label_file".into(), label_file);
    }
    map
}

/// The backup service: the server's own scripts in a container that may speak to the Engine, as the user who deploys.
/// It sees the server's processes, so that a run of its own is a run like any other: one lock, one journal, one undo.
/// Its image has a name of this server's own, which the step `image` gives it: what a tag of a registry comes to mean later is not run.
fn backup_service(resolved: &Resolved) -> Mapping {
    let root = &resolved.target.root.value;
    let text = |lines: &[&str]| Value::Sequence(lines.iter().map(|line| Value::from(*line)).collect());
    let entries: [(&str, Value); 13] = [
        ("image", format!("estiba-backup:{}", resolved.compose_project.value).into()),
        ("entrypoint", text(&["sh", &format!("{root}/bin/current/schedule.sh"), root])),
        ("command", text(&[])),
        ("user", "${ESTIBA_USER:-0:0}".into()),
        ("group_add", text(&["${ESTIBA_DOCKER_GROUP:-0}"])),
        ("environment", text(&["HOME=/tmp", "DOCKER_HOST=unix:///var/run/docker.sock"])),
        ("volumes", text(&[&format!("{root}:{root}"), "${ESTIBA_DOCKER_SOCKET:-/var/run/docker.sock}:/var/run/docker.sock"])),
        ("pid", "host".into()),
        ("network_mode", "host".into()),
        ("read_only", true.into()),
        ("tmpfs", text(&["/tmp"])),
        ("security_opt", text(&["no-new-privileges:true"])),
        ("restart", "unless-stopped".into()),
    ];
    let mut map: Mapping = entries.into_iter().map(|(key, value)| (Value::from(key), value)).collect();
    map.insert("cap_drop".into(), text(&["ALL"]));
    // An Engine that maps users refuses the host's processes else.
    map.insert("userns_mode".into(), "host".into());
    map
}

/// Renders stack.yml.
pub(super) fn render(resolved: &Resolved, layout: &Layout<'_>) -> Result<String> {
    let source = resolved.compose.source();
    let mut root = Mapping::new();
    root.insert("services".into(), services(resolved, layout)?.into());
    root.extend(sections(resolved, layout)?);
    let mut networks = root.get("networks").and_then(Value::as_mapping).cloned().unwrap_or_default();
    if networks.contains_key(edge::NETWORK) {
        return Err(source
            .error_near(edge::NETWORK, format!("`{}` is the name of the network between the edges and the slots", edge::NETWORK))
            .hint("give the network of the Compose file another name"));
    }
    networks.insert(edge::NETWORK.into(), Mapping::from_iter([(Value::from("internal"), Value::from(true))]).into());
    root.insert("networks".into(), networks.into());
    let text = yaml_serde::to_string(&root).map_err(|error| source.error_near("services", error.to_string()))?;
    Ok(format!("{HEADER}{text}"))
}

/// What stands beside the services: networks, volumes, secrets, configs and models.
pub(super) fn sections(resolved: &Resolved, layout: &Layout<'_>) -> Result<Mapping> {
    let mut root = Mapping::new();
    let project = &resolved.compose_project.value;
    for (key, value) in &resolved.compose.root {
        let Some(key) = key.as_str().filter(|key| ["networks", "volumes", "secrets", "configs", "models"].contains(key)) else {
            continue;
        };
        let mut section = value.as_mapping().cloned().unwrap_or_default();
        for (name, entry) in section.iter_mut() {
            let Some(name) = name.as_str() else { continue };
            without_generated_name(entry, project, name);
            if key == "volumes" {
                volume(resolved, layout, name, entry);
            }
        }
        if key == "secrets" || key == "configs" {
            files(resolved, layout, key, &mut section);
        }
        if key == "networks" {
            host_network(resolved, &section)?;
        }
        root.insert(key.into(), section.into());
    }
    Ok(root)
}

/// Compose writes the name that it makes of the project's into what it reads: that one is left to the server's Compose.
fn without_generated_name(entry: &mut Value, project: &str, name: &str) {
    let Some(map) = entry.as_mapping_mut() else { return };
    if map.get("name").and_then(Value::as_str) == Some(&format!("{project}_{name}")) {
        map.shift_remove("name");
    }
    if map.is_empty() {
        *entry = Value::Null;
    }
}

/// A volume that is a folder of the project is one that outlives releases.
fn volume(resolved: &Resolved, layout: &Layout<'_>, name: &str, entry: &mut Value) {
    let filled = resolved.compose.filled_section("volumes").and_then(|section| section.get(name));
    let device = |entry: &Value| entry.get("driver_opts").and_then(|options| options.get("device")?.as_str().map(str::to_owned));
    let Some(device) = filled.and_then(device).or_else(|| device(entry)) else { return };
    if let Some(place) = layout.device(&device)
        && let Some(options) = entry.get_mut("driver_opts").and_then(Value::as_mapping_mut)
    {
        options.insert("device".into(), place.into());
    }
}

fn services(resolved: &Resolved, layout: &Layout<'_>) -> Result<Mapping> {
    let mut services = Mapping::new();
    let mut errors = Vec::new();
    for service in resolved.compose.services() {
        let name = service.name;
        if let Some(app) = resolved.apps.iter().find(|app| app.service == name) {
            services.insert(name.into(), edge::service(resolved, app, service)?.into());
            continue;
        }
        if resolved.in_slot(name) {
            continue;
        }
        let mut map = placed(resolved, layout, service, false);
        for key in ["network_mode", "ipc", "pid"] {
            let other =
                service.setting(key).and_then(|mode| mode.strip_prefix("service:")).filter(|other| resolved.in_slot(other));
            if let Some(other) = other {
                errors.push(
                    resolved
                        .compose
                        .error(
                            name,
                            key,
                            &format!(
                                "service `{name}` is tied to `{other}` by `{key}`, and `{other}` changes with every release"
                            ),
                        )
                        .hint(format!("[services.{name}] kind = \"worker\" has it change over with `{other}`")),
                );
            }
        }
        volumes_from(resolved, layout, &mut map);
        without_slot_services(resolved, &mut map);
        services.insert(name.into(), map.into());
    }
    Error::all(errors)?;
    if resolved.backup.is_wanted() {
        services.insert(BackupService::SERVICE.into(), backup_service(resolved).into());
    }
    Ok(services)
}

/// `volumes_from` an app means the mounts that the app has: a slot comes and goes.
fn volumes_from(resolved: &Resolved, layout: &Layout<'_>, map: &mut Mapping) {
    let Some(Value::Sequence(from)) = map.get("volumes_from").cloned() else { return };
    let mut kept = Vec::new();
    let mut mounts = Vec::new();
    for entry in from {
        let text = entry.as_str().unwrap_or_default().to_owned();
        let (name, mode) = text.split_once(':').unwrap_or((text.as_str(), ""));
        match resolved.compose.service(name).filter(|_| resolved.in_slot(name)) {
            Some(service) => {
                let placed = layout.volumes(service, false).and_then(|value| value.as_sequence().cloned()).unwrap_or_default();
                mounts.extend(placed.into_iter().map(|mut mount| {
                    if let (true, Some(mount)) = (mode == "ro", mount.as_mapping_mut()) {
                        mount.insert("read_only".into(), true.into());
                    }
                    mount
                }));
            }
            None => kept.push(entry),
        }
    }
    if kept.is_empty() {
        map.shift_remove("volumes_from");
    } else {
        map.insert("volumes_from".into(), kept.into());
    }
    if !mounts.is_empty() {
        let mut own = map.get("volumes").and_then(Value::as_sequence).cloned().unwrap_or_default();
        own.extend(mounts);
        map.insert("volumes".into(), own.into());
    }
}

/// A service of the stack waits for an app by its edge, which is there before any release: the order of steps sees to the rest.
/// For workers and jobs of the slots it cannot wait.
fn without_slot_services(resolved: &Resolved, map: &mut Mapping) {
    let goes = |name: &str| resolved.in_slot(name) && !resolved.is_app(name);
    let mut empty = false;
    if let Some(Value::Mapping(depends)) = map.get_mut("depends_on") {
        depends.retain(|name, _| !name.as_str().is_some_and(goes));
        for (name, value) in depends.iter_mut() {
            if name.as_str().is_some_and(|name| resolved.is_app(name)) {
                *value = Mapping::from_iter([(Value::from("condition"), Value::from("service_started"))]).into();
            }
        }
        empty = depends.is_empty();
    }
    if empty {
        map.shift_remove("depends_on");
    }
    if let Some(Value::Sequence(links)) = map.get_mut("links") {
        links.retain(|item| !item.as_str().is_some_and(|link| goes(link.split(':').next().unwrap_or(link))));
    }
}

/// The files of secrets and configs that services of the stack use lie with the stack's own.
fn files(resolved: &Resolved, layout: &Layout<'_>, key: &str, section: &mut Mapping) {
    for (name, path) in section_files(&resolved.compose, key) {
        let uses = |service: &Service<'_>| {
            let list = service.map.get(key).and_then(Value::as_sequence);
            list.is_some_and(|list| list.iter().any(|entry| entry.get("source").and_then(Value::as_str) == Some(&name)))
        };
        let users: Vec<Service<'_>> =
            resolved.compose.services().filter(|service| !resolved.in_slot(service.name)).filter(uses).collect();
        if users.is_empty() {
            // The slots have it under a name of their own.
            section.shift_remove(&name);
            continue;
        }
        for user in users {
            let place = layout.section_file(user.name, &path, false);
            if let Some(entry) = section.get_mut(&name).and_then(Value::as_mapping_mut) {
                entry.insert("file".into(), place.into());
            }
        }
    }
}

fn host_network(resolved: &Resolved, networks: &Mapping) -> Result<()> {
    let filled = resolved.compose.filled_section("networks").unwrap_or(networks);
    let default = filled.get("default").and_then(Value::as_mapping);
    if default.and_then(|default| default.get("name")?.as_str()) == Some("host") {
        return Err(resolved
            .compose
            .source()
            .error_near("networks:", "the default network is the host's: two slots of one app cannot share its ports")
            .hint("use a bridge network, Compose's default"));
    }
    Ok(())
}
