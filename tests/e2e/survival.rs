//! The client, the lock and the undo, when things are killed or fall silent. What is killed on the server itself is
//! the fault matrix's matter.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::proxy::Proxy;
use crate::support::{Site, sshd, wait_for};

fn send(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// Kills `pid`, which may have ended by itself since it was looked up: whoever sees the supervisor die ends the driver.
fn kill_if_alive(pid: u32) {
    let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).output().unwrap();
    assert!(killed.status.success() || !Path::new(&format!("/proc/{pid}")).exists(), "{killed:?}");
}

/// The newest run's folder on the server.
fn newest_run(site: &Site) -> std::path::PathBuf {
    let mut runs: Vec<_> = std::fs::read_dir(site.root.join("runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    runs.sort();
    runs.pop().unwrap()
}

fn journal(site: &Site) -> String {
    std::fs::read_to_string(newest_run(site).join("journal")).unwrap_or_default()
}

fn reaches(site: &Site, step: &str, before: usize) {
    wait_for(&format!("step {step}"), Duration::from_secs(90), || {
        std::fs::read_dir(site.root.join("runs")).is_ok_and(|runs| runs.count() > before)
            && journal(site).contains(&format!("\tbegan\t{step}\t"))
    });
}

fn runs(site: &Site) -> usize {
    std::fs::read_dir(site.root.join("runs")).map_or(0, Iterator::count)
}

/// A site with a first release, and a change to deploy.
fn ready(name: &str) -> Site {
    let site = Site::new(name, "[rollout]\nobserve = \"1s\"\n");
    site.deployed();
    site.edit("deploy.toml", "observe = \"1s\"", "observe = \"20s\"");
    site.append("templates/home.html", "<!-- a change -->\n");
    site
}

#[test]
fn abort_from_another_machine_stops_a_deploy_and_undoes_it() {
    let site = ready("abort");
    let before = (site.containers(), site.serving(), runs(&site));
    let deploy = site.spawn(&["deploy", "--json"]);
    reaches(&site, "observe", before.2);
    let asked = Instant::now();
    let abort = site.estiba(&["abort", "--json"]);
    assert!(abort.json()["run"].as_str().unwrap().contains("deploy"), "{}", abort.stdout);
    // Observing goes on for 20 s.
    wait_for("the undo", Duration::from_secs(10), || journal(&site).contains("\tundoing\t"));
    assert!(asked.elapsed() < Duration::from_secs(18), "{:?}", asked.elapsed());
    let outcome = Site::ended(deploy).expect(3, "rolled-back");
    assert!(outcome["reason"].as_str().unwrap().contains("stopped on request"), "{outcome}");
    assert_eq!((site.containers(), site.serving()), (before.0, before.1));
}

#[test]
fn a_signal_is_an_undo_and_a_second_one_leaves_it_to_the_server() {
    let site = ready("signal");
    let before = (site.containers(), site.serving(), runs(&site));
    let deploy = site.spawn(&["deploy", "--json"]);
    reaches(&site, "observe", before.2);
    send("-TERM", deploy.id());
    let outcome = Site::ended(deploy).expect(130, "interrupted");
    assert_eq!(outcome["previous"], before.1.as_str());
    assert_eq!(site.containers(), before.0);

    let deploy = site.spawn(&["deploy", "--json"]);
    reaches(&site, "observe", before.2 + 1);
    send("-INT", deploy.id());
    std::thread::sleep(Duration::from_millis(300));
    send("-TERM", deploy.id());
    let outcome = Site::ended(deploy).expect(130, "interrupted");
    let reason = outcome["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("undoes the run by itself") || reason.contains("stopped on request"), "{outcome}");
    wait_for("the server's own undo", Duration::from_secs(30), || {
        site.lock_is_free() && newest_run(&site).join("outcome").exists()
    });
    assert_eq!((site.containers(), site.serving()), (before.0, before.1));
    assert!(site.estiba(&["history", "--limit", "1"]).stdout.contains("stopped on request"));

    // Before the server has begun there is nothing to undo.
    site.append("Dockerfile", "RUN sleep 20\n");
    let deploy = site.spawn(&["deploy", "--json"]);
    std::thread::sleep(Duration::from_secs(3));
    send("-INT", deploy.id());
    let outcome = Site::ended(deploy).expect(130, "interrupted");
    assert!(outcome["reason"].as_str().unwrap().contains("before the server began"), "{outcome}");
}

#[test]
#[ignore = "a variant: make test-whole"]
fn after_a_minute_of_silence_every_line_is_shown_exactly_once() {
    let site = Site::new("silence", "[rollout]\nobserve = \"0s\"\n");
    site.deployed();
    site.edit("deploy.toml", "observe = \"0s\"", "observe = \"65s\"");
    let proxy = Proxy::start(sshd().port);
    site.edit("deploy.toml", &format!(":{}\"]", sshd().port), &format!(":{}\"]", proxy.port));
    // A migration that prints a line every tenth of a second, so that the silence falls among many.
    let migration = "import time\nfrom django.db import migrations\n\ndef up(apps, schema):\n    for n in range(60):\n        print('line', n, flush=True)\n        time.sleep(0.1)\n\n\
        class Migration(migrations.Migration):\n    dependencies = [('certificados', '0001_initial')]\n    operations = [migrations.RunPython(up, migrations.RunPython.noop)]\n";
    site.write("certificados/migrations/0002_lines.py", migration);
    let before = runs(&site);
    let deploy = site.spawn(&["deploy", "--json"]);
    wait_for("line 20", Duration::from_secs(60), || runs(&site) > before && journal(&site).contains("line 20"));
    proxy.fall_silent(true);
    // The minute of the promise itself: nothing happens at its end that could be waited for.
    std::thread::sleep(Duration::from_secs(60));
    proxy.fall_silent(false);
    let run = Site::ended(deploy);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let lines: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Line 0 stands behind the words with which Django begins.
    for number in 1..60 {
        let shown = lines.iter().filter(|line| line["event"] == "output" && line["line"] == format!("line {number}")).count();
        assert_eq!(shown, 1, "line {number}");
    }
    let steps: Vec<&Value> = lines.iter().filter(|line| line["event"] == "step-done").map(|line| &line["step"]).collect();
    let mut once = steps.clone();
    once.dedup();
    assert_eq!(steps, once);
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_stopped_holder_holds_the_lock_and_a_dead_one_does_not() {
    let site = ready("holder");
    let before = runs(&site);
    let deploy = site.spawn(&["deploy", "--json"]);
    reaches(&site, "observe", before);
    let pid = |name: &str| std::fs::read_to_string(newest_run(&site).join(name)).unwrap().trim().parse::<u32>().unwrap();
    let (driver, supervisor) = (pid("driver.pid"), pid("supervisor.pid"));
    send("-STOP", driver);
    assert!(!site.lock_is_free());
    let status = site.status();
    assert!(status["running"].as_str().unwrap().contains("stopped by a signal"), "{status}");
    // Both die. An orphan of theirs, the step that runs, must not hold the lock: it is free within a second, and
    // taken only by whoever ends the run.
    send("-KILL", supervisor);
    kill_if_alive(driver);
    let died = Instant::now();
    wait_for("the recovery", Duration::from_secs(10), || {
        site.lock_is_free()
            || std::fs::read_to_string(site.root.join("state/lock.holder")).is_ok_and(|holder| holder.contains("recovery"))
    });
    assert!(died.elapsed() < Duration::from_secs(40), "{:?}", died.elapsed());
    let outcome = Site::ended(deploy).expect(3, "rolled-back");
    assert!(outcome["reason"].as_str().unwrap().contains("process of the run died"), "{outcome}");
    wait_for("the lock", Duration::from_secs(5), || site.lock_is_free());
}

#[test]
#[ignore = "a variant: make test-whole"]
fn an_undo_run_twice_or_of_a_step_that_never_began_changes_nothing() {
    let site = ready("undo");
    let deploy = site.spawn(&["deploy", "--json"]);
    wait_for("observe", Duration::from_secs(90), || runs(&site) > 1 && journal(&site).contains("\tbegan\tobserve\t"));
    site.estiba(&["abort"]);
    Site::ended(deploy);
    let (containers, serving) = (site.containers(), site.serving());
    // A run that never began a step, of the release that serves.
    let scripts = std::fs::canonicalize(site.root.join("bin/current")).unwrap();
    let old = newest_run(&site);
    let fresh = site.root.join("runs/29991231T000000Z-never");
    std::fs::create_dir_all(fresh.join("state")).unwrap();
    let settings = std::fs::read_to_string(old.join("run.env")).unwrap();
    let release: String = settings.lines().find_map(|line| line.strip_prefix("RELEASE=")).unwrap().to_owned();
    std::fs::write(fresh.join("run.env"), settings.replace(&release, &serving)).unwrap();
    for step in estiba::server::steps_of("deploy") {
        for _ in 0..2 {
            let undo = Command::new("sh")
                .arg(scripts.join("run/step.sh"))
                .arg(&site.root)
                .args(["29991231T000000Z-never", step, "undo"])
                .status()
                .unwrap();
            assert!(undo.success(), "{step}");
            assert_eq!((site.containers(), site.serving()), (containers.clone(), serving.clone()), "{step}");
        }
    }
    std::fs::remove_dir_all(fresh).unwrap();
    assert_eq!(site.status()["drift"], serde_json::json!([]));
}

#[test]
fn a_site_that_looks_wrong_from_outside_is_undone_and_so_is_one_that_nobody_confirms() {
    let site = Site::new("confirm", "[rollout]\nobserve = \"1s\"\nconfirm-timeout = \"5s\"\n");
    let url = format!("root = \"{}\"\nurl = \"http://{}/\"\nurl-contains = \"Certificados\"", site.root.display(), site.address);
    site.edit("deploy.toml", &format!("root = \"{}\"", site.root.display()), &url);
    site.deployed();
    assert!(journal(&site).contains("the client confirms it"));
    let before = (site.containers(), site.serving());

    // Healthy for the server, wrong for a visitor.
    site.edit("templates/home.html", "<h1>Certificados</h1>", "<h1>Otra cosa</h1>");
    site.edit("templates/home.html", "<title>Certificados</title>", "<title>Otra cosa</title>");
    let run = site.estiba(&["deploy", "--json"]);
    run.says(3, &["answers without `Certificados`"]);
    assert_eq!(run.expect(3, "rolled-back")["failed_step"], "confirm");
    assert_eq!((site.containers(), site.serving()), before);

    // A url that nobody listens at.
    site.edit("templates/home.html", "<h1>Otra cosa</h1>", "<h1>Certificados</h1>");
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    site.edit("deploy.toml", &format!("url = \"http://{}/\"", site.address), &format!("url = \"http://{dead}/\""));
    assert_eq!(site.estiba(&["deploy", "--json"]).expect(3, "rolled-back")["failed_step"], "confirm");

    // A client that dies before it gives its word: the server waits, then undoes by itself.
    site.edit("deploy.toml", &format!("url = \"http://{dead}/\""), &format!("url = \"http://{}/\"", site.address));
    site.edit("deploy.toml", "observe = \"1s\"", "observe = \"3s\"");
    let count = runs(&site);
    let mut deploy = site.spawn(&["deploy"]);
    reaches(&site, "observe", count);
    deploy.kill().unwrap();
    deploy.wait().unwrap();
    wait_for("the undo", Duration::from_secs(30), || newest_run(&site).join("outcome").exists());
    assert!(journal(&site).contains("did not confirm the release within"), "{}", journal(&site));
    assert_eq!((site.containers(), site.serving()), before);
}
