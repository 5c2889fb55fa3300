//! The proxy's folder: the team's files as templates, and the upstream file beside them.

use std::collections::BTreeMap;

use crate::config::{Resolved, Source};
use crate::error::{Error, Result};

use super::release::template_values;
use super::{Artefact, Files, template};

/// The port of the edge's own server, inside the stack's network only.
const EDGE_PORT: u16 = 8099;
/// The port of the fence's own server, inside the proxy's container only.
const FENCE_PORT: u16 = 8098;
const UPSTREAMS: &str = "estiba-upstreams.conf";

/// The files of `releases/<id>/edge/`.
pub(super) fn render(resolved: &Resolved, files: &Files) -> Result<BTreeMap<String, Artefact>> {
    let folder = &resolved.proxy.config.value;
    let app = &resolved.app.service.value;
    let mut edge = BTreeMap::new();
    for (below, input) in files.below(folder) {
        if below == UPSTREAMS {
            continue;
        }
        let artefact = if below.ends_with(".conf") {
            let name = format!("{folder}/{below}");
            let text = std::str::from_utf8(&input.bytes)
                .map_err(|_| Error::input(format!("{name} is not UTF-8")).hint("save the file as UTF-8"))?;
            let source = Source { name: &name, text };
            check(resolved, source)?;
            Artefact::text(template::render(source, &template_values(resolved))?)
        } else {
            Artefact { mode: input.mode, bytes: input.bytes.clone(), secret: input.is_secret() }
        };
        edge.insert(format!("edge/{below}"), artefact);
    }
    if !edge.keys().any(|name| name.ends_with(".conf")) {
        return Err(Error::input(format!("the proxy's folder {folder} has no *.conf file"))
            .hint(format!("a server block with `proxy_pass http://{app};` is the least it needs")));
    }
    let values =
        minijinja::context!(app => app, port => resolved.app.port.value, edge_port => EDGE_PORT, fence_port => FENCE_PORT);
    let source = Source { name: UPSTREAMS, text: include_str!("templates/estiba-upstreams.conf") };
    edge.insert(format!("edge/{UPSTREAMS}"), Artefact::text(template::render(source, &values)?));
    Ok(edge)
}

/// What would go past the slots, or clash with the upstream file.
fn check(resolved: &Resolved, source: Source<'_>) -> Result<()> {
    let app = &resolved.app.service.value;
    let mut at = 0;
    for line in source.text.split_inclusive('\n') {
        let code = line.split('#').next().unwrap_or("");
        let direct = format!("http://{app}:");
        if let Some(found) = code.find(&direct) {
            return Err(source
                .error(
                    at + found..at + found + direct.len(),
                    format!("this goes past the slots: `{app}` with a port is one container's name"),
                )
                .hint(format!("write http://{app}; estiba defines that upstream, port and all")));
        }
        let words: Vec<&str> = code.split_whitespace().collect();
        if words.first() == Some(&"upstream") && words.get(1).is_some_and(|name| name.trim_end_matches('{') == app) {
            return Err(source
                .error(at..at + code.trim_end().len(), format!("the upstream `{app}` is the one that estiba defines"))
                .hint(format!("take this block out; {UPSTREAMS} stands in its place")));
        }
        at += line.len();
    }
    Ok(())
}
