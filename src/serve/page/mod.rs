//! A page for people who would rather look: what runs, what was deployed, figures over time, and the journal of each run. It changes
//! nothing, needs a token, and has no scripts: what an app prints is never more than text.

mod chart;
mod door;
pub(super) mod seen;
mod view;
mod words;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::process;

use super::shared::Shared;
use super::work::bring_page as bring;

use seen::{Page, Sample};

pub(super) use door::answer;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(15);
/// So many looks are kept: six hours.
const KEPT: usize = 1440;
/// So many runs are shown.
const RUNS: &str = "50";
/// A journal that is longer is shown from its end.
const LONGEST: usize = 400_000;

/// Looks again and again, until the service stops; after a deploy at what the branch has by then.
pub(super) async fn watch(shared: Arc<Shared>) {
    let Some(page) = &shared.page else { return };
    loop {
        if page.is_stale() {
            match bring(&shared).await {
                Ok(()) => page.set_stale(false),
                Err(error) => shared.reporter.note(format!("the page looks from what it had: {}", error.text())),
            }
        }
        look(&shared, page).await;
        tokio::time::sleep(EVERY).await;
    }
}

async fn look(shared: &Shared, page: &Page) {
    let (status, history, metrics) = tokio::join!(
        ask(shared, &["status", "--json"]),
        ask(shared, &["history", "--json", "--limit", RUNS]),
        ask(shared, &["metrics", "--json"]),
    );
    let at = (page.now)();
    let (status, wrong) = documents(status);
    let (history, _) = documents(history);
    let (metrics, _) = documents(metrics);
    let mut seen = page.seen();
    seen.at = Some(at);
    seen.wrong = wrong;
    if !status.is_empty() {
        seen.status = status;
    }
    // Of a fleet none is told at once.
    if !history.is_empty() {
        seen.history = history;
    }
    if let Some(sample) = sample(at, &metrics) {
        if seen.samples.len() == KEPT {
            seen.samples.pop_front();
        }
        seen.samples.push_back(sample);
    }
}

/// What was asked for, and what went wrong: a command tells both among its lines of JSON.
fn documents(told: Result<String, String>) -> (Vec<Value>, Option<String>) {
    let lines = match told {
        Ok(lines) => lines,
        Err(why) => return (Vec::new(), Some(why)),
    };
    let all = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(Value::is_object);
    let (events, documents): (Vec<Value>, Vec<Value>) = all.partition(|one| one.get("event").is_some());
    let wrong = events.iter().find(|event| event["event"] == "error").and_then(|event| event["message"].as_str());
    (documents, wrong.map(str::to_owned))
}

/// The figures of all hosts as one.
fn sample(at: Timestamp, hosts: &[Value]) -> Option<Sample> {
    if !hosts.iter().any(|host| host["machine"].is_object()) {
        return None;
    }
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let mut sample = Sample { at, requests: 0.0, errors: 0.0, p95: 0.0, cpu: 0.0, memory: 0.0 };
    let mut errors = 0.0;
    for host in hosts {
        let machine = &host["machine"];
        sample.cpu = sample.cpu.max(number(&machine["cpu_ratio"]) * 100.0);
        let all = number(&machine["memory_bytes"]);
        if all > 0.0 {
            sample.memory = sample.memory.max((1.0 - number(&machine["memory_available_bytes"]) / all) * 100.0);
        }
        for app in host["apps"].as_array().into_iter().flatten() {
            let rate = number(&app["requests_per_second"]);
            sample.requests += rate;
            errors += rate * number(&app["error_ratio"]);
            let slots = app["slots"].as_array().into_iter().flatten().filter(|slot| slot["release"] == host["release"]);
            sample.p95 = slots.map(|slot| number(&slot["p95_ms"])).fold(sample.p95, f64::max);
        }
    }
    if sample.requests > 0.0 {
        sample.errors = errors / sample.requests * 100.0;
    }
    Some(sample)
}

/// What this program prints when it is asked for that, in the checkout of the branch; why it failed.
async fn ask(shared: &Shared, words: &[&str]) -> Result<String, String> {
    let settings = &shared.settings;
    let folder = settings.folder.join("page");
    if !folder.exists() {
        return Err("the repository has not been fetched yet".into());
    }
    let config = folder.join(&settings.config);
    let mut arguments: Vec<&str> = words[..1].to_vec();
    arguments.extend(settings.target.as_deref());
    arguments.extend(["--config", config.as_str()]);
    arguments.extend(&words[1..]);
    let (mut out, mut error) = (String::new(), Vec::new());
    let told = process::again(&arguments, &folder, &settings.environment, |said| match said {
        process::Said::Out(line) => out += &(line + "\n"),
        process::Said::Err(line) if error.len() < 20 => error.push(line),
        process::Said::Err(_) => {}
    })
    .await;
    match told {
        Err(failed) => Err(failed.text()),
        Ok(()) if out.is_empty() => Err(error.join("\n")),
        Ok(()) => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_is_no_host_and_an_odd_line_is_none() {
        let told = "1\n[]\nnoise\n{\"host\":\"a\"}\n{\"event\":\"error\",\"message\":\"b is away\"}\n";
        let (documents, wrong) = documents(Ok(told.into()));
        assert_eq!((documents, wrong.as_deref()), (vec![json!({ "host": "a" })], Some("b is away")));
    }

    #[test]
    fn the_figures_of_several_hosts_are_one_sample() {
        let host = |rate: f64, errors: f64, p95: f64, cpu: f64| {
            json!({ "release": "r2", "machine": { "cpu_ratio": cpu, "memory_bytes": 100.0, "memory_available_bytes": 25.0 }, "apps": [{
                "requests_per_second": rate, "error_ratio": errors,
                "slots": [{ "release": "r1", "p95_ms": 999.0 }, { "release": "r2", "p95_ms": p95 }],
            }]})
        };
        let at = Timestamp::from_second(0).unwrap();
        let one = sample(at, &[host(30.0, 0.0, 12.0, 0.5), host(10.0, 0.2, 40.0, 0.25)]).unwrap();
        assert_eq!(one, Sample { at, requests: 40.0, errors: 5.0, p95: 40.0, cpu: 50.0, memory: 75.0 });
        assert_eq!(sample(at, &[]), None);
        assert_eq!(sample(at, &[json!({ "event": "error" })]), None);
    }
}
