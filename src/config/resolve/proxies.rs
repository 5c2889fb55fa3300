//! The team's own proxies and the edge: how they take over changed files, and what they are set to.

use std::collections::BTreeMap;

use crate::error::Result;

use super::super::Seconds;
use super::super::resolved::{Decided, Edge, Origin, Reload, Setting};
use super::common::{check_line, named};
use super::world::World;

/// How the proxies that everybody has take over changed files.
const KNOWN: [(&str, &str, &str); 7] = [
    ("exporter", "", "-"),
    ("nginx", "nginx -t", "nginx -s reload"),
    ("caddy", "caddy validate --config /etc/caddy/Caddyfile", "caddy reload --force --config /etc/caddy/Caddyfile"),
    ("traefik", "", ""),
    ("haproxy", "haproxy -c -f /usr/local/etc/haproxy/haproxy.cfg", "kill -USR2 1"),
    ("prometheus", "promtool check config /etc/prometheus/prometheus.yml", "kill -HUP 1"),
    ("alertmanager", "amtool check-config /etc/alertmanager/alertmanager.yml", "kill -HUP 1"),
];

/// The services of the stack that take over changed files without being replaced.
pub(super) fn reloads(world: &World<'_>, kinds: &BTreeMap<String, Decided>) -> Result<BTreeMap<String, Setting<Reload>>> {
    let mut reloads = BTreeMap::new();
    for service in world.compose.services() {
        if kinds.get(service.name).is_none_or(|decided| decided.kind != super::super::ServiceKind::Stack) {
            continue;
        }
        let known = KNOWN.iter().find(|(image, _, _)| world.runs(&service, &[image])).filter(|(_, _, run)| *run != "-");
        if let Some((image, test, run)) = known {
            let reload = Reload { test: (*test).to_owned(), run: (*run).to_owned() };
            reloads
                .insert(service.name.to_owned(), Setting { value: reload, origin: Origin::Found(format!("known for {image}")) });
        }
    }
    for (name, section) in &world.project.loaded.config.stack.reload {
        let service = named(world.project, world.compose, name, &format!("[stack.reload.{name}]"))?;
        let test = section.test.clone().unwrap_or_default();
        check_line(world.project, &format!("[stack.reload.{name}] test"), &test)?;
        check_line(world.project, &format!("[stack.reload.{name}] run"), &section.run)?;
        let reload = Reload { test, run: section.run.clone() };
        reloads.insert(service.name.to_owned(), Setting { value: reload, origin: Origin::File });
    }
    Ok(reloads)
}

/// `[edge]` with its defaults.
pub(super) fn edge(world: &World<'_>) -> Result<Edge> {
    let config = &world.project.loaded.config;
    let section = &config.edge;
    if let Some(service) = &config.proxy.service {
        named(world.project, world.compose, service, "[proxy] service")?;
    }
    let exists = |path: &str| world.project.path(world.base.join(path)).is_file();
    let maintenance = Setting::or_found(section.maintenance.clone().map(Some), || {
        let mut places = vec![String::from("maintenance.html")];
        for proxy in world.proxies() {
            let mounts = world.compose.service(&proxy).map(|service| service.mounts()).unwrap_or_default();
            places.extend(mounts.into_iter().filter_map(|mount| Some(format!("{}/maintenance.html", mount.relative_source()?))));
        }
        Ok(match places.into_iter().find(|place| exists(place)) {
            Some(place) => (Some(place), "a maintenance.html of the project".into()),
            None => (None, "there is no maintenance.html".into()),
        })
    })?;
    if let Some(path) = maintenance.value.as_deref().filter(|path| !exists(path)) {
        let source = world.project.loaded.source();
        return Err(source
            .error_near(path, format!("the maintenance page {path} does not exist"))
            .hint("[edge] maintenance is a file from the Compose file's folder"));
    }
    if let Some(path) = maintenance.value.as_deref().filter(|path| !world.project.holds(&world.base.join(path))) {
        let error = world.project.leads_out(format_args!("the maintenance page {path}"));
        let named = section.maintenance.is_some();
        return Err(if named { world.project.loaded.source().place(error, path) } else { error });
    }
    Ok(Edge {
        image: Setting::or_default(section.image.clone(), "haproxy:lts".into()),
        drain_timeout: Setting::or_default(section.drain_timeout.or(config.proxy.drain_timeout), Seconds(60)),
        labels: section.labels.clone().unwrap_or_default(),
        trusted_proxies: section.trusted_proxies.clone().unwrap_or_default(),
        maintenance,
    })
}
