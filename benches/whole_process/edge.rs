//! What the edge costs on the way to an app that answers at once.

use std::process::Command;

use crate::pairs::{Unit, row, wanted};
use crate::support::{Site, docker};

const COMPOSE: &str = "services:
  web:
    build: .
    expose: [\"8000\"]
  nginx:
    image: nginx:1.22
    volumes: [\"./hop.conf:/etc/nginx/conf.d/hop.conf:ro\"]
    depends_on: [web]
";

/// An app that is quicker than any: what is measured is the way to it.
const APP: &str = "server { listen 8000; access_log off; location / { default_type text/plain; return 200 \"ok\\n\"; } }\n";

/// Another hop to the same containers, as teams write it.
const HOP: &str = "server { listen 80; access_log off; resolver 127.0.0.11; set $app web-blue;
  location / { proxy_pass http://$app:8000; proxy_set_header Host $host; } }\n";

pub fn edge() {
    let rows =
        ["p50 of one client through the edge · without it", "p99 of the same", "16 clients through the edge · nginx as the hop"];
    if !rows.iter().any(|row| wanted(row)) {
        return;
    }
    let site = Site::empty("bench-edge");
    site.write("compose.yml", COMPOSE);
    site.write("Dockerfile", "FROM nginx:1.22\nCOPY app.conf /etc/nginx/conf.d/app.conf\n");
    site.write("app.conf", APP);
    site.write("hop.conf", HOP);
    site.deploy_toml("[rollout]\nobserve = \"0s\"\n[app]\nservice = \"web\"\nport = 8000\n");
    site.deployed();
    let address = |name: &str| {
        let container = format!("{}-{name}-1", site.name);
        let addresses = docker(&["inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", &container]);
        addresses.split_whitespace().next().unwrap().to_owned()
    };
    let edge = format!("http://{}:8000/", address("web"));
    let directly = format!("http://{}:8000/", address("web-blue"));
    let hop = format!("http://{}/", address("nginx"));
    let (mut p50, mut p99, mut many) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..9 {
        let (through, without) = (wrk(&edge, 1), wrk(&directly, 1));
        p50.push((through.p50, without.p50));
        p99.push((through.p99, without.p99));
        many.push((1000.0 / wrk(&edge, 16).rate, 1000.0 / wrk(&hop, 16).rate));
    }
    row(rows[0], Unit::Milliseconds, &p50);
    row(rows[1], Unit::Milliseconds, &p99);
    row(rows[2], Unit::Milliseconds, &many);
}

struct Measured {
    /// In milliseconds.
    p50: f64,
    p99: f64,
    /// Requests a second.
    rate: f64,
}

fn wrk(url: &str, connections: usize) -> Measured {
    let connections = format!("-c{connections}");
    let output = Command::new("wrk").args(["-t1", &connections, "-d2s", "--latency", url]).output().expect("wrk is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
    let after = |label: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(label)).unwrap_or_else(|| panic!("no {label}: {text}"));
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let milliseconds = |label: &str| {
        let said = after(label);
        let number = |unit: &str| said.strip_suffix(unit).and_then(|number| number.parse::<f64>().ok());
        number("us").map(|us| us / 1000.0).or_else(|| number("ms")).unwrap_or_else(|| number("s").unwrap() * 1000.0)
    };
    Measured { p50: milliseconds("50%"), p99: milliseconds("99%"), rate: after("Requests/sec:").parse().unwrap() }
}
