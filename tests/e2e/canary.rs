//! A canary: a share of the visitors gets the new release, and what it answers decides.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Site, Steady, wait_for};

const SETTINGS: &str =
    "[rollout]\nstrategy = \"canary\"\nsteps = [20, 50]\nstep-duration = \"8s\"\nmin-requests = 30\nobserve = \"1s\"\n";

/// How many new visitors a paused canary gets. Their share is promised to two points, which is five times what chance makes of it.
const VISITORS: usize = 10_000;

/// Its view of the certificates begins with these lines.
fn certificates_begin_with(site: &Site, lines: &str) {
    site.edit(
        "certificados/views.py",
        "    if request.method == \"GET\":\n",
        &format!("{lines}    if request.method == \"GET\":\n"),
    );
}

#[test]
fn a_canary_goes_on_with_a_good_release_and_ends_a_bad_one() {
    let site = Site::new("canary", SETTINGS);
    site.deployed();
    let good = site.keep();

    // Nobody has to gain from a sound release: none of its requests fails.
    let load = Steady::start(&site);
    site.append("templates/home.html", "<!-- good -->\n");
    let deployed = site.estiba(&["deploy", "--json"]);
    assert!(deployed.stderr.contains("canary at 20 %") && deployed.stderr.contains("canary at 50 %"), "{}", deployed.stderr);
    let outcome = deployed.expect(0, "deployed");
    let took = outcome["steps"].as_array().unwrap().iter().find(|step| step["name"] == "canary").unwrap()["duration_ms"].as_u64();
    assert!(took.unwrap() >= 16_000, "{outcome}");
    let tally = load.stop();
    assert_eq!(tally.failed, 0, "{:#?}", tally.failures);
    let serving = site.serving();

    // A fifth of its requests fails.
    certificates_begin_with(&site, "    import random\n    if random.random() < 0.2:\n        raise RuntimeError\n");
    let load = Steady::start(&site);
    let began = Instant::now();
    let run = site.estiba(&["deploy", "--json"]);
    let seconds = began.elapsed().as_secs_f64();
    let tally = load.stop();
    let outcome = run.expect(3, "rolled-back");
    assert_eq!(outcome["failed_step"], "canary", "{outcome}");
    assert!(outcome["reason"].as_str().unwrap().contains("fails more than the one before"), "{outcome}");
    assert_eq!(site.serving(), serving);
    // A fifth of those that came to it, which were a fifth of all in the canary's own time.
    let rate = tally.requests as f64 / seconds;
    assert!(tally.failed > 0 && tally.failed as f64 <= 0.2 * 1.2 * (rate * 16.0), "{} of {}", tally.failed, tally.requests);
    good.restore();

    // Three times as slow and more.
    certificates_begin_with(&site, "    time.sleep(0.4)\n");
    let load = Steady::start(&site);
    let outcome = site.estiba(&["deploy", "--json"]).expect(3, "rolled-back");
    let tally = load.stop();
    assert_eq!(tally.failed, 0, "{:#?}", tally.failures);
    assert!(outcome["reason"].as_str().unwrap().contains("slower than the one before"), "{outcome}");
    assert_eq!(site.serving(), serving);
    let state = |file: &str| std::fs::read_to_string(site.root.join("edge/web/state").join(file)).unwrap();
    assert!(state("canary.map").contains("slot none") && state("share.map") == "share 0\n");
}

#[test]
fn without_requests_nothing_is_decided_and_anybody_may_order_a_canary() {
    let site = Site::new("canary-alone", &SETTINGS.replace("8s", "2s"));
    site.deployed();
    let serving = site.serving();
    site.append("templates/home.html", "<!-- next -->\n");
    let outcome = site.estiba(&["deploy", "--json"]).expect(3, "rolled-back");
    assert!(outcome["reason"].as_str().unwrap().contains("the canary is inconclusive at 20 %"), "{outcome}");
    assert_eq!(site.serving(), serving);
    site.estiba(&["pause"]).says(1, &["no canary runs"]);

    // The server's own requests decide, where deploy.toml says so; and a metric that is out of its bounds.
    let good = site.keep();
    site.edit(
        "deploy.toml",
        "observe = \"1s\"\n",
        "observe = \"1s\"\ninconclusive = \"synthetic\"\n[[smoke]]\npath = \"/certificados/\"\n",
    );
    let depth = site.folder.join("depth");
    let metric = format!("[[metric]]\nname = \"depth\"\nrun = \"cat {}/{{slot}}\"\nmax = 4\nevery = \"1s\"\n", depth.display());
    site.append("deploy.toml", &metric);
    std::fs::create_dir(&depth).unwrap();
    std::fs::write(depth.join("green"), "7.5\n").unwrap();
    let outcome = site.estiba(&["deploy", "--json"]).expect(3, "rolled-back");
    let reason = outcome["reason"].as_str().unwrap();
    assert!(reason.contains("the metric depth is 7.5, 3 times in a row out of its bounds (at most 4)"), "{outcome}");
    std::fs::write(depth.join("green"), "4\n").unwrap();
    let run = site.estiba(&["deploy", "--json"]);
    assert!(run.stderr.contains("; depth 4"), "{}", run.stderr);
    let seen = run.stdout.lines().filter(|line| line.contains("\"event\":\"slots\""));
    let shares: BTreeSet<u64> =
        seen.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["share"].as_u64().unwrap()).collect();
    assert_eq!(shares, BTreeSet::from([20, 50, 100]));
    run.expect(0, "deployed");
    // One that fails the requests that it is asked is found by them.
    let synthetic = site.serving();
    certificates_begin_with(
        &site,
        "    import random\n    born = globals().setdefault('BORN', time.monotonic())\n    if time.monotonic() > born + 8 and random.random() < 0.6:\n        raise RuntimeError\n",
    );
    std::fs::write(depth.join("blue"), "0\n").unwrap();
    let outcome = site.estiba(&["deploy", "--json"]).expect(3, "rolled-back");
    assert!(outcome["reason"].as_str().unwrap().contains("fails more than the one before"), "{outcome}");
    assert_eq!(site.serving(), synthetic);
    good.restore();
    site.append("templates/home.html", "<!-- again -->\n");
    let serving = synthetic;

    site.edit("deploy.toml", "observe = \"1s\"\n", "observe = \"1s\"\ninconclusive = \"wait\"\n");
    let child = site.spawn(&["deploy", "--json"]);
    let share = || std::fs::read_to_string(site.root.join("edge/web/state/share.map")).unwrap_or_default();
    wait_for("the canary", Duration::from_secs(60), || share() == "share 2000\n");

    wait_for("its first answer", Duration::from_secs(10), || release(&site, &["-b", "estiba_lot=0"]) != serving);

    // A visitor keeps the release that the lot gave, and may choose.
    let mut seen: [BTreeSet<String>; 2] = Default::default();
    for _ in 0..20 {
        for (lot, seen) in ["1999", "2000"].iter().zip(&mut seen) {
            seen.insert(release(&site, &["-b", &format!("estiba_lot={lot}")]));
        }
    }
    assert!(seen[0].len() == 1 && seen[1].len() == 1 && seen[0] != seen[1], "{seen:?}");
    assert_eq!(release(&site, &["-H", "X-Estiba-Try: old"]), serving);
    assert_ne!(release(&site, &["-H", "X-Estiba-Try: new"]), serving);
    assert_eq!(release(&site, &["-b", "estiba_try=old"]), serving);

    site.estiba(&["pause"]).says(0, &["at 20 %, is paused"]);
    // A cookie for everybody who has none; a fifth gets the new one. One client asks for all, over the same connection.
    let asked = format!("http://{}/health/?[1-{VISITORS}]", site.address);
    let output = Command::new("curl").args(["-s", "-o", "/dev/null", "-D", "-", &asked]).output().unwrap();
    let headers = String::from_utf8_lossy(&output.stdout).to_ascii_lowercase();
    let lots = headers.lines().filter_map(|line| line.strip_prefix("set-cookie: estiba_lot="));
    let lots: Vec<u32> = lots.map(|rest| rest.split(';').next().unwrap().parse().unwrap()).collect();
    assert_eq!(lots.len(), VISITORS);
    let chosen = lots.iter().filter(|lot| **lot < 2000).count();
    assert!(chosen.abs_diff(VISITORS / 5) <= VISITORS / 50, "{chosen} of {VISITORS}");

    site.estiba(&["promote-step"]).says(0, &["at 20 %, goes on to its next step"]);
    wait_for("the next step", Duration::from_secs(1), || share() == "share 5000\n");
    site.estiba(&["pause"]).says(0, &["at 50 %, is paused"]);
    site.estiba(&["resume"]).says(0, &["at 50 %, goes on"]);
    site.estiba(&["promote-step"]).says(0, &["goes on to its next step"]);
    let run = Site::ended(child);
    assert!(run.stderr.contains("the step of 20 % was ended by hand"), "{}", run.stderr);
    run.expect(0, "deployed");
    assert_ne!(site.serving(), serving);
}

/// The release that answers a request with these options.
fn release(site: &Site, options: &[&str]) -> String {
    let url = format!("http://{}/health/", site.address);
    let output = Command::new("curl").arg("-s").args(options).arg(url).output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["release"].as_str().unwrap().to_owned()
}

/// What one deploy under fifty requests a second came to: its outcome, the reason, and how many requests failed of how many in a second.
fn under_steady_load(site: &Site) -> (String, String, u64, f64) {
    let load = Steady::start(site);
    let began = Instant::now();
    let run = site.estiba(&["deploy", "--json"]);
    let seconds = began.elapsed().as_secs_f64();
    let tally = load.stop();
    let outcome = run.json();
    let text = |name: &str| outcome[name].as_str().unwrap_or_default().to_owned();
    (text("outcome"), text("reason"), tally.failed, tally.requests as f64 / seconds)
}

/// The promised rates, by runs: that of false alarms, and how surely a bad release is caught.
#[test]
#[ignore = "half an hour of canaries: make test-whole"]
fn bad_releases_are_caught_every_time_and_good_ones_never() {
    let site = Site::new("canary-power", SETTINGS);
    certificates_begin_with(&site, "    time.sleep(0.05)\n");
    site.deployed();
    let good = site.keep();
    let mut wrong = Vec::new();
    let mut tried = |name: &str, runs: usize, change: &dyn Fn(usize), right: &dyn Fn(&str, &str, u64, f64) -> bool| {
        for number in 0..runs {
            good.restore();
            change(number);
            let (outcome, reason, failed, rate) = under_steady_load(&site);
            if !right(&outcome, &reason, failed, rate) {
                wrong.push(format!("{name} {number}: {outcome}, {failed} failed at {rate:.0} a second: {reason}"));
            }
        }
    };
    let caught = |outcome: &str, reason: &str, why: &str| outcome == "rolled-back" && reason.contains(why);
    tried(
        "sound",
        20,
        &|number| site.append("templates/home.html", &format!("<!-- {number} -->\n")),
        &|outcome, _, failed, _| outcome == "deployed" && failed == 0,
    );
    let fails_at = |share: &str| format!("    import random\n    if random.random() < {share}:\n        raise RuntimeError\n");
    // No more than a fifth of the requests of one step came to it.
    tried("fails a fifth", 10, &|_| certificates_begin_with(&site, &fails_at("0.2")), &|outcome, reason, failed, rate| {
        caught(outcome, reason, "fails more than the one before") && failed as f64 <= 0.2 * 8.0 * rate * 1.2
    });
    tried("is slow", 10, &|_| certificates_begin_with(&site, "    time.sleep(0.1)\n"), &|outcome, reason, failed, _| {
        caught(outcome, reason, "slower than the one before") && failed == 0
    });
    let noisy = |number| {
        let sleep = format!("time.sleep(__import__('random').uniform(0.04, 0.06))  # {number}");
        site.edit("certificados/views.py", "time.sleep(0.05)", &sleep);
    };
    tried("is noisy", 10, &noisy, &|outcome, _, failed, _| outcome == "deployed" && failed == 0);
    // In a step that goes on until it is decided.
    let seldom = |_| {
        site.edit("deploy.toml", "step-duration = \"8s\"\n", "step-duration = \"90s\"\n");
        certificates_begin_with(&site, &fails_at("0.05"));
    };
    tried("fails a twentieth", 10, &seldom, &|outcome, reason, failed, rate| {
        caught(outcome, reason, "fails more than the one before") && failed as f64 <= 0.2 * 90.0 * rate * 1.2
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}
