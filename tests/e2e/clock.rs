//! The clock jumps while a deploy is under way.

use std::time::{Duration, Instant};

use crate::support::{Site, sshd_with};

/// Preloaded, it lets a program see the time that a file names, which may change while the program runs; time since
/// boot stays true, as it does when a real clock is set.
fn libfaketime() -> String {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let library = folders.map(|folder| folder.join("faketime/libfaketime.so.1")).find(|path| path.exists());
    library.expect("libfaketime is installed").display().to_string()
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_clock_that_jumps_an_hour_either_way_during_a_deploy_changes_nothing() {
    let site = Site::new("clock", "");
    let clock = site.folder.join("clock");
    let set = |offset: &str| std::fs::write(&clock, format!("{offset}\n")).unwrap();
    let variables = [
        format!("LD_PRELOAD={}", libfaketime()),
        format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()),
        String::from("FAKETIME_NO_CACHE=1"),
        String::from("FAKETIME_DONT_FAKE_MONOTONIC=1"),
    ];
    set("+0");
    let server = sshd_with("sshd-clock", &variables.join(" "));
    site.deploy_toml_for(&server, "[rollout]\nobserve = \"4s\"\n");
    let key = std::fs::read_to_string(server.folder.join("id_ed25519")).unwrap();
    // The client's clock jumps with the server's.
    let deploy = || {
        let mut command = site.command(&["deploy", "--json"]);
        command.env("ESTIBA_SSH_KEY", &key).envs(variables.iter().map(|variable| variable.split_once('=').unwrap()));
        command.spawn().unwrap()
    };
    Site::ended(deploy()).expect(0, "deployed");

    for _ in 0..2 {
        site.append("templates/home.html", "<!-- a change -->\n");
        let began = Instant::now();
        let mut running = deploy();
        let mut offsets = ["+1h", "-1h", "+0"].into_iter().cycle();
        while running.try_wait().unwrap().is_none() {
            set(offsets.next().unwrap());
            std::thread::sleep(Duration::from_millis(700));
        }
        let outcome = Site::ended(running).expect(0, "deployed");
        // No wait was cut short, none was made longer.
        let steps = outcome["steps"].as_array().unwrap();
        let observed = steps.iter().find(|step| step["name"] == "observe").unwrap()["duration_ms"].as_u64().unwrap();
        assert!((4000..60_000).contains(&observed), "{outcome}");
        let told = Duration::from_millis(outcome["duration_ms"].as_u64().unwrap());
        assert!(told <= began.elapsed() && began.elapsed() < Duration::from_secs(900), "{outcome}");
        assert_eq!(site.serving(), outcome["release"].as_str().unwrap());
    }
    let history = std::fs::read_to_string(site.root.join("history.jsonl")).unwrap();
    assert_eq!(history.lines().count(), 3);
    let status = site.command(&["status", "--json"]).env("ESTIBA_SSH_KEY", &key).output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["release"], site.serving().as_str());
    assert_eq!(status["drift"], serde_json::json!([]));
}
