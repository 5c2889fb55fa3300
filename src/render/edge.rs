//! The edge: estiba's own small proxy, HAProxy, in front of an app, under the app's own service name.
//!
//! Everything that a deploy orders (which slot serves, fences, who stands in) is data that its socket changes at run time, so
//! that nothing here changes with a release: a new configuration is a new container.

use std::fmt::Write as _;

use yaml_serde::{Mapping, Value};

use crate::compose::Service;
use crate::config::{AppService, Protocol, Resolved};
use crate::digest::sha256;
use crate::error::Result;

/// The slots that an edge knows; `legacy` is what ran before estiba.
const SLOTS: [&str; 3] = ["blue", "green", "legacy"];
/// The most containers of a slot that an edge knows.
pub(super) const MOST_REPLICAS: u64 = 16;
/// The network that each slot shares with the edges alone.
pub(super) const NETWORK: &str = "estiba";
/// The folder of an edge in its container.
const FOLDER: &str = "/estiba";
/// What the edge does beside passing on: requests wait, or are answered in the app's place.
pub(super) const SCRIPT: &str = include_str!("templates/edge.lua");

/// The name that a slot has on the edges' network, and nobody else on the whole server.
pub(super) fn slot_name(resolved: &Resolved, service: &str, slot: &str) -> String {
    format!("{service}-{slot}.{}.estiba", resolved.compose_project.value)
}

/// haproxy.cfg, in words that HAProxy 2.4 to 3.x have in common.
pub(super) fn configuration(resolved: &Resolved, app: &AppService) -> String {
    let mut text = format!(
        include_str!("templates/haproxy.cfg"),
        app = app.service,
        folder = FOLDER,
        trusted = resolved.edge.trusted_proxies.join(" "),
    );
    let mut ports: Vec<(u16, u16, Protocol)> =
        app.ports.value.iter().map(|port| (port.number, port.number, port.protocol)).collect();
    // What asks the app by its name alone asks port 80.
    let first = app.port();
    if first.protocol == Protocol::Http && !ports.iter().any(|(bound, _, _)| *bound == 80) {
        ports.push((80, first.number, first.protocol));
    }
    for (bound, port, protocol) in &ports {
        frontend(&mut text, *bound, *port, *protocol);
    }
    if app.ports.value.iter().any(|port| port.protocol != Protocol::Tcp) {
        text.push_str("\nbackend times\n    stick-table type integer size 200k expire 2h store gpc0\n");
        for slot in SLOTS {
            let _ = write!(text, "\nbackend times_{slot}\n    stick-table type integer size 20k expire 24d store gpc0,gpc1\n");
        }
    }
    if first.protocol != Protocol::Tcp {
        test_frontend(&mut text, first.number);
    }
    for port in &app.ports.value {
        for slot in SLOTS {
            backend(&mut text, resolved, app, slot, port.number, port.protocol);
        }
        let _ = write!(text, "\nbackend none_{}\n", port.number);
        if port.protocol == Protocol::Tcp {
            text += "    mode tcp\n    tcp-request content reject\n";
        } else {
            text += "    http-request return status 503 content-type text/plain string \"No release serves yet.\\n\"\n";
        }
    }
    text
}

const SLOT: &str = "str(slot),map(/estiba/state/slot.map,none)";
const FENCE: &str = "str(fence),map(/estiba/state/fence.map,off)";

fn frontend(text: &mut String, bound: u16, port: u16, protocol: Protocol) {
    let proto = if protocol == Protocol::H2c { " proto h2" } else { "" };
    let _ = write!(text, "\nfrontend port_{bound}\n    bind :{bound}{proto}\n");
    if protocol == Protocol::Tcp {
        text.push_str("    mode tcp\n");
        // A script may wait no longer than this.
        text.push_str("    tcp-request inspect-delay 20s\n");
        let _ = writeln!(text, "    tcp-request content reject unless {{ {FENCE} -m str off }}");
        let _ = writeln!(text, "    tcp-request content lua.await {port} unless {{ var(proc.found_{port}) -m bool }}");
    } else {
        text.push_str("    http-request set-var(txn.arrived) date(0,us)\n");
        text.push_str("    # X-Forwarded headers are believed of those in front, and of nobody else.\n");
        let _ = writeln!(text, "    acl trusted src -f {FOLDER}/state/trusted.lst");
        for (header, value) in
            [("X-Forwarded-For", "%[src]"), ("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "%[req.hdr(host)]")]
        {
            let _ = writeln!(text, "    http-request set-header {header} {value} unless trusted");
        }
        text.push_str("    http-request del-header Forwarded unless trusted\n");
        text.push_str("    http-request disable-l7-retry unless { method GET HEAD }\n");
        let _ = writeln!(text, "    http-request lua.park if {{ {FENCE} -m str park }}");
        let _ = writeln!(text, "    http-request lua.await {port} unless {{ var(proc.found_{port}) -m bool }}");
        let _ = writeln!(text, "    http-request use-service lua.fenced if {{ {FENCE} -m str maintenance }}");
        let _ = writeln!(
            text,
            "    http-request use-service lua.fenced if {{ {FENCE} -m str read-only }} !{{ method GET HEAD OPTIONS }}"
        );
        canary(text, port);
    }
    serve(text, port);
}

/// While a canary runs, each visitor draws a lot from 0 to 9,999, which a cookie keeps or the address tells; those below the share get
/// the new release. How long each answer took is counted in steps of 0.1 ms, those of the new release above 1,000,000,000.
fn canary(text: &mut String, port: u16) {
    let new = "{ var(txn.side) -m str new }";
    let shared = "{ var(txn.side) -m found }";
    let lines = [
        "http-request set-var(txn.canary) str(slot),map(/estiba/state/canary.map,none)",
        "acl canary var(txn.canary) -m str blue green",
        "acl by_address str(by),map(/estiba/state/canary.map,cookie) -m str address",
        "acl forwarded req.hdr_ip(x-forwarded-for,-1) -m found",
        "http-request set-var(txn.share) str(share),map_str_int(/estiba/state/share.map,0) if canary",
        "http-request set-var(txn.client) src if canary by_address",
        "http-request set-var(txn.client) req.hdr_ip(x-forwarded-for,-1) if canary by_address trusted forwarded",
        "http-request set-var(txn.lot) var(txn.client),xxh32,mod(10000) if canary by_address",
        "http-request set-var(txn.kept) req.cook(estiba_lot) if canary !by_address { req.cook(estiba_lot) -m reg ^[0-9]{1,4}$ }",
        "http-request set-var(txn.lot) var(txn.kept) if canary { var(txn.kept) -m found }",
        "http-request set-var(txn.lot) rand(10000) if canary !{ var(txn.lot) -m found }",
        "http-request set-var(txn.side) str(old) if canary",
        "http-request set-var(txn.side) str(new) if canary { var(txn.lot),sub(txn.share) lt 0 }",
        "http-request set-var(txn.side) str(new) if canary { req.hdr(x-estiba-try) -m str new }",
        "http-request set-var(txn.side) str(new) if canary { req.cook(estiba_try) -m str new }",
        "http-request set-var(txn.side) str(old) if canary { req.hdr(x-estiba-try) -m str old }",
        "http-request set-var(txn.side) str(old) if canary { req.cook(estiba_try) -m str old }",
        "http-request set-var(txn.began) date(0,us) if canary",
    ];
    text.push_str("    # A canary: a share of the visitors gets the new release.\n");
    for line in lines {
        let _ = writeln!(text, "    {line}");
    }
    for line in [
        format!("set-var(txn.took) date(0,us),sub(txn.began),div(100) if {shared}"),
        format!("set-var(txn.took) var(txn.took),add(1000000000) if {new}"),
        format!("track-sc1 var(txn.took) table times if {shared}"),
        format!("sc-inc-gpc0(1) if {shared}"),
    ] {
        let _ = writeln!(text, "    http-response {line}");
    }
    let _ = writeln!(
        text,
        "    http-response add-header Set-Cookie \"estiba_lot=%[var(txn.lot)]; Path=/; HttpOnly; SameSite=Lax\" if {shared} !by_address !{{ var(txn.kept) -m found }}"
    );
    let _ = writeln!(text, "    use_backend %[var(txn.canary)]_{port} if {new}");
}

/// How long each answer of this slot took is counted, since its release was started: in steps of 0.1 ms, above 100 ms of 1 ms, above a
/// second of 10 ms. Beside it, how many of them were errors. What the server's scripts ask is not counted.
fn times(text: &mut String, slot: &str) {
    let counted = "{ var(txn.arrived) -m found }";
    for line in [
        format!("set-var(txn.time) date(0,us),sub(txn.arrived),div(100) if {counted}"),
        format!("set-var(txn.time) var(txn.time),div(10),mul(10) if {counted} {{ var(txn.time) -m int gt 1000 }}"),
        format!("set-var(txn.time) var(txn.time),div(100),mul(100) if {counted} {{ var(txn.time) -m int gt 10000 }}"),
        format!("track-sc0 var(txn.time) table times_{slot} if {counted}"),
        format!("sc-inc-gpc0(0) if {counted}"),
        format!("sc-inc-gpc1(0) if {counted} {{ status ge 500 }}"),
    ] {
        let _ = writeln!(text, "    http-response {line}");
    }
}

/// The slot that serves.
fn serve(text: &mut String, port: u16) {
    let _ = writeln!(text, "    use_backend %[{SLOT}]_{port}");
}

/// Where the server's scripts ask a slot, or one container of it, before anybody is sent there.
fn test_frontend(text: &mut String, port: u16) {
    let _ = write!(text, "\nfrontend test\n    bind unix@{FOLDER}/run/test.sock mode 600\n");
    for word in ["slot", "server"] {
        let _ = writeln!(text, "    http-request set-var(txn.estiba_{word}) req.hdr(x-estiba-{word})");
        let _ = writeln!(text, "    http-request del-header x-estiba-{word}");
    }
    let _ =
        writeln!(text, "    use_backend %[var(txn.estiba_slot)]_{port} if {{ var(txn.estiba_slot) -m str {} }}", SLOTS.join(" "));
    serve(text, port);
}

fn backend(text: &mut String, resolved: &Resolved, app: &AppService, slot: &str, port: u16, protocol: Protocol) {
    let proto = if protocol == Protocol::H2c { " proto h2" } else { "" };
    let _ = write!(text, "\nbackend {slot}_{port}\n");
    if protocol == Protocol::Tcp {
        text.push_str("    mode tcp\n");
    } else {
        for server in 1..=MOST_REPLICAS {
            let _ = writeln!(text, "    use-server s{server} if {{ var(txn.estiba_server) -m str {server} }}");
        }
    }
    if protocol != Protocol::Tcp {
        // While a release is observed, whoever looks sees which one answers.
        let release = format!("str({slot}),map(/estiba/state/release.map,none)");
        // A look at a slot is never answered by what stands in for it.
        let _ = writeln!(
            text,
            "    http-response return status 503 if {{ var(txn.estiba_slot) -m found }} {{ srv_id gt {MOST_REPLICAS} }}"
        );
        let _ = writeln!(text, "    http-response set-header X-Estiba-Release %[{release}] if !{{ {release} -m str none }}");
    }
    if protocol != Protocol::Tcp {
        times(text, slot);
    }
    let check = "check inter 500ms fall 3 rise 1 observe layer4 error-limit 3 on-error mark-down";
    let find = "resolvers docker resolve-prefer ipv4 init-addr none";
    let name = slot_name(resolved, &app.service, slot);
    let _ = writeln!(text, "    server-template s 1-{MOST_REPLICAS} {name}:{port} {check} {find}{proto}");
    // The other slot's containers stand in where none of this one takes connections, while a deploy has them do so.
    let other = match slot {
        "blue" => "green",
        _ => "blue",
    };
    let name = slot_name(resolved, &app.service, other);
    let _ = writeln!(text, "    server-template b 1-{MOST_REPLICAS} {name}:{port} backup disabled {check} {find}{proto}");
}

/// What the container of an edge has, whatever the team's service is like: no right that it does not need, bounded memory and logs.
fn own_settings(root: &str, name: &str) -> Mapping {
    let text = |lines: &[&str]| Value::Sequence(lines.iter().map(|line| Value::from(*line)).collect());
    let mut map = Mapping::new();
    map.insert("image".into(), "${ESTIBA_EDGE_IMAGE}".into());
    map.insert("pull_policy".into(), "never".into());
    map.insert("entrypoint".into(), text(&["haproxy", "-db", "-f", &format!("{FOLDER}/haproxy.cfg")]));
    map.insert("command".into(), text(&[]));
    map.insert("user".into(), "${ESTIBA_USER:-0:0}".into());
    map.insert("restart".into(), "unless-stopped".into());
    map.insert("stop_signal".into(), "SIGTERM".into());
    map.insert("stop_grace_period".into(), "2s".into());
    map.insert("read_only".into(), true.into());
    map.insert("cap_drop".into(), text(&["ALL"]));
    map.insert("security_opt".into(), text(&["no-new-privileges:true"]));
    map.insert(
        "sysctls".into(),
        Mapping::from_iter([(Value::from("net.ipv4.ip_unprivileged_port_start"), Value::from("0"))]).into(),
    );
    let limits = Mapping::from_iter([(Value::from("soft"), Value::from(16384)), (Value::from("hard"), Value::from(16384))]);
    map.insert("ulimits".into(), Mapping::from_iter([(Value::from("nofile"), Value::from(limits))]).into());
    let options =
        Mapping::from_iter([(Value::from("max-size"), Value::from("10m")), (Value::from("max-file"), Value::from("2"))]);
    let logging =
        Mapping::from_iter([(Value::from("driver"), Value::from("json-file")), (Value::from("options"), options.into())]);
    map.insert("logging".into(), logging.into());
    // It reads its orders and writes nothing but its sockets.
    let mount = |below: &str, read_only: bool| {
        Value::from(Mapping::from_iter([
            (Value::from("type"), Value::from("bind")),
            ("source".into(), format!("{root}/edge/{name}{below}").into()),
            ("target".into(), format!("{FOLDER}{below}").into()),
            ("read_only".into(), read_only.into()),
        ]))
    };
    map.insert("volumes".into(), vec![mount("", true), mount("/run", false)].into());
    map
}

/// The service of the stack that is the edge: of the team's own service only what tells others how to find it.
pub(super) fn service(resolved: &Resolved, app: &AppService, service: Service<'_>) -> Result<Mapping> {
    let name = service.name;
    let mut map = own_settings(&resolved.target.root.value, name);
    for key in ["container_name", "hostname", "domainname", "ports"] {
        if let Some(value) = service.map.get(key) {
            map.insert(key.into(), value.clone());
        }
    }
    let mut expose: Vec<Value> = service.map.get("expose").and_then(Value::as_sequence).cloned().unwrap_or_default();
    for port in &app.ports.value {
        let number = port.number.to_string();
        if !expose.iter().any(|known| known.as_str() == Some(&number)) {
            expose.push(number.into());
        }
    }
    map.insert("expose".into(), expose.into());
    let mut networks = service.map.get("networks").and_then(Value::as_mapping).cloned().unwrap_or_default();
    networks.insert(NETWORK.into(), Value::Null);
    map.insert("networks".into(), networks.into());
    let mut labels: Mapping = written_labels(service)
        .into_iter()
        .filter(|(label, _)| is_discovery(resolved, label))
        .map(|(label, value)| (Value::from(label), value))
        .collect();
    labels.insert("estiba.edge".into(), name.into());
    labels.insert("estiba.edge.configuration".into(), sha256(configuration(resolved, app).as_bytes())[..16].into());
    map.insert("labels".into(), labels.into());
    let environment = discovery_environment(resolved, service);
    if !environment.is_empty() {
        map.insert("environment".into(), environment.into());
    }
    Ok(map)
}

/// The labels as written, by their names.
fn written_labels(service: Service<'_>) -> Vec<(String, Value)> {
    let labels = service.map.get("labels").and_then(Value::as_mapping);
    labels.into_iter().flatten().filter_map(|(label, value)| Some((label.as_str()?.to_owned(), value.clone()))).collect()
}

/// Does this label tell a proxy how to find the app?
pub(super) fn is_discovery(resolved: &Resolved, label: &str) -> bool {
    let known = ["traefik.", "caddy", "com.github.nginx-proxy.", "com.github.jrcs.letsencrypt_nginx_proxy_companion."];
    known.iter().any(|known| label.starts_with(known))
        || resolved.edge.labels.iter().any(|known| label.starts_with(known.as_str()))
}

/// Does this variable tell a proxy how to find the app?
pub(super) fn is_discovery_variable(name: &str) -> bool {
    [
        "VIRTUAL_HOST",
        "VIRTUAL_PORT",
        "VIRTUAL_PATH",
        "VIRTUAL_DEST",
        "VIRTUAL_PROTO",
        "VIRTUAL_NETWORK",
        "VIRTUAL_HOST_MULTIPORTS",
        "NETWORK_ACCESS",
        "HTTPS_METHOD",
        "CERT_NAME",
        "ACME_CA_URI",
    ]
    .contains(&name)
        || name.starts_with("LETSENCRYPT_")
}

/// The variables by which a proxy finds the app, from the service's own environment and from the target's env file.
pub(super) fn discovery_environment(resolved: &Resolved, service: Service<'_>) -> Mapping {
    let written = service.map.get("environment").and_then(Value::as_mapping);
    let mut found: Mapping = written
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.as_str().is_some_and(is_discovery_variable))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if service.env_files().iter().any(|(path, _)| super::paths::is_env_file(resolved, path)) {
        for (name, _) in resolved.env.values.iter().filter(|(name, _)| is_discovery_variable(name)) {
            if !found.contains_key(name.as_str()) {
                found.insert(name.as_str().into(), format!("${{{name}}}").into());
            }
        }
    }
    found
}
