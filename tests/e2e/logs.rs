//! Much of what containers say, followed through a deploy.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::{Site, wait_for};

const LINES: usize = 120_000;

/// Two thousand lines a second for a minute, each with its number and its time, once a file is there.
const CHATTER: &str = r#"
import os, sys, time
while not os.path.exists('/go/go'):
    print('still waiting', flush=True)
    time.sleep(0.05)
begun = time.time()
for number in range(LINES):
    if number % 20 == 0:
        sys.stdout.flush()
        time.sleep(max(0, begun + number / 2000 - time.time()))
    print(f'chatter {number} {time.time():.4f} and as many words as a line of a log often has')
sys.stdout.flush()
time.sleep(3600)
"#;

#[test]
#[ignore = "a minute of logs: make test-whole"]
fn every_line_of_three_busy_containers_arrives_once_and_soon_through_a_deploy() {
    let site = Site::new("logs", "[rollout]\nobserve = \"1s\"\n");
    let go = site.folder.join("go");
    std::fs::create_dir(&go).unwrap();
    std::fs::write(go.join("chatter.py"), CHATTER.replace("LINES", &LINES.to_string())).unwrap();
    let service = |name: &str| {
        format!(
            "  {name}:\n    image: python:3.11-slim\n    init: true\n    command: [\"python\", \"/go/chatter.py\"]\n    volumes: [\"{}:/go\"]\n",
            go.display()
        )
    };
    let services: String = ["one", "two", "three"].map(service).concat();
    site.edit("compose.yml", "services:\n", &format!("services:\n{services}"));
    site.deployed();

    let mut following = site.spawn(&["logs", "-f", "--json", "--tail", "0"]);
    let id = following.id();
    let lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let heard = Arc::new(Mutex::new(BTreeSet::new()));
    let told = heard.clone();
    let reading = std::thread::spawn(move || {
        let mut seen: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut lags = Vec::new();
        for line in lines {
            let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
            let text = line.to_string();
            let service = line["service"].as_str().unwrap_or_default().to_owned();
            if text.contains("still waiting") {
                told.lock().unwrap().insert(service.clone());
            }
            let Some(told) = text.split("chatter ").nth(1) else { continue };
            let mut words = told.split(' ');
            let number: usize = words.next().unwrap().parse().unwrap();
            lags.push(now - words.next().unwrap().parse::<f64>().unwrap());
            let numbers = seen.entry(service).or_default();
            numbers.push(number);
            if seen.len() == 3 && seen.values().all(|numbers| numbers.last() == Some(&(LINES - 1))) {
                break;
            }
        }
        (seen, lags)
    });
    wait_for("the logs of all three", Duration::from_secs(20), || heard.lock().unwrap().len() == 3);
    std::fs::write(go.join("go"), "").unwrap();
    site.append("templates/home.html", "<!-- next -->\n");
    site.deployed();
    wait_for("all lines", Duration::from_secs(60), || reading.is_finished());
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    following.kill().unwrap();
    following.wait().unwrap();

    let (seen, mut lags) = reading.join().unwrap();
    for (service, numbers) in &seen {
        assert!(numbers.iter().copied().eq(0..LINES), "{service}: {} of {LINES} lines, or not in order", numbers.len());
    }
    lags.sort_by(f64::total_cmp);
    let p95 = lags[lags.len() * 95 / 100];
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().split_whitespace().next().unwrap();
    let megabytes = peak.parse::<u64>().unwrap() / 1000;
    assert!(p95 < 0.5 && megabytes < 64, "{p95:.2} s behind at p95, {megabytes} MB");
}
