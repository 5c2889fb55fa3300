//! `metrics` against the truth: what a client counted and measured by itself, and `docker stats`.

use std::process::Command;

use serde_json::Value;

use crate::support::{Site, docker};

/// Asks for that path so many times over one connection; how long each took, in milliseconds.
fn ask(site: &Site, path: &str, times: usize) -> Vec<f64> {
    let url = format!("http://{}{path}[1-{times}]", site.address);
    let output = Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{time_total}\n", &url]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut took: Vec<f64> = text.lines().map(|line| line.parse::<f64>().unwrap() * 1000.0).collect();
    assert_eq!(took.len(), times);
    took.sort_by(f64::total_cmp);
    took
}

fn metrics(site: &Site) -> Value {
    let run = site.estiba(&["metrics", "--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    run.json()
}

#[test]
fn requests_times_and_memory_are_what_others_count() {
    let site = Site::new("metrics", "[rollout]\nobserve = \"0s\"\n");
    site.deployed();
    let requests = |figures: &Value| figures["apps"][0]["requests_total"].as_f64().unwrap();
    let before = metrics(&site);
    let took = ask(&site, "/slow/?seconds=0.2&n=", 40);
    ask(&site, "/no-such-page/", 60);
    let after = metrics(&site);
    assert_eq!(requests(&after) - requests(&before), 100.0, "{after}");
    let slot = &after["apps"][0]["slots"][0];
    assert_eq!((&slot["slot"], &slot["release"]), (&site.slot().into(), &site.serving().into()), "{after}");
    let counted =
        slot["requests_total"].as_f64().unwrap() - before["apps"][0]["slots"][0]["requests_total"].as_f64().unwrap_or(0.0);
    assert_eq!(counted, 100.0, "{after}");
    // Forty of at least a hundred answers took 200 ms and more: the upper two quantiles are among them.
    let own = |share: f64| took[(((40.0 - (1.0 - share) * 100.0) as usize).max(1)) - 1];
    for (name, share) in [("p95_ms", 0.95), ("p99_ms", 0.99)] {
        let told = slot[name].as_f64().unwrap();
        // As much of the way in front of the edge as a busy machine makes of it.
        assert!((told - own(share)).abs() <= own(share) * 0.05 + 5.0, "{name}: {told}, not {}: {took:?}", own(share));
    }
    assert!(slot["p50_ms"].as_f64().unwrap() < 200.0, "{after}");

    let db = docker(&["ps", "-q", "--no-trunc", "--filter", &format!("name={}-db-1", site.name)]);
    let of = |figures: &Value, key: &str| {
        let containers = figures["containers"].as_array().unwrap();
        containers.iter().find(|one| db.starts_with(one["container"].as_str().unwrap())).unwrap()[key].as_f64().unwrap()
    };
    let stats = docker(&["stats", "--no-stream", "--format", "{{.MemUsage}}", db.trim()]);
    let own = stats.split("MiB").next().unwrap().trim().parse::<f64>().unwrap() * 1_048_576.0;
    assert!((of(&after, "memory_bytes") - own).abs() < own * 0.2, "{stats} {after}");
    assert!(after["database"]["bytes"].as_f64().unwrap() > 1e6 && after["cache"]["hits_total"].is_number(), "{after}");
    assert!(after["machine"]["disks"][0]["used_bytes"].as_f64().unwrap() > 0.0, "{after}");

    // Errors are counted where they are answered, and a new release begins anew.
    site.append("templates/home.html", "<!-- two -->\n");
    site.deployed();
    let fresh = metrics(&site);
    let slot =
        fresh["apps"][0]["slots"].as_array().unwrap().iter().find(|slot| slot["release"] == *site.serving()).unwrap().clone();
    assert!(slot["requests_total"].as_f64().unwrap() < 30.0, "{fresh}");
    // For people, and for Prometheus.
    let run = site.estiba(&["metrics"]);
    assert!(run.stdout.contains("REQUESTS") && run.stdout.contains("database"), "{}", run.stdout);
    let run = site.estiba(&["metrics", "--prometheus"]);
    let named = |line: &str| {
        line.starts_with("estiba_") && line.contains("{host=\"") && line.rsplit(' ').next().unwrap().parse::<f64>().is_ok()
    };
    assert!(run.stdout.lines().all(named) && run.stdout.lines().count() > 30, "{}", run.stdout);
    // No screen without a terminal.
    site.estiba(&["top"]).says(2, &["draws on a terminal", "estiba metrics"]);
}
