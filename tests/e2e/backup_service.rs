//! The backup service of the stack: what is due is made, copied away, tried, and told when it failed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Site, docker, wait_for};

const REPOSITORY_PASSWORD: &str = "a password of the \"repository\" $x";

/// Something was due two minutes ago, and the service comes up now.
fn due(site: &Site) {
    docker(&["stop", "-t", "3", &service(site)]);
    let minute = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 60;
    std::fs::write(site.root.join("state/schedule.minute"), format!("{}\n", minute - 2)).unwrap();
    docker(&["start", &service(site)]);
}

fn service(site: &Site) -> String {
    format!("{}-estiba-backup-1", site.name)
}

/// The history's entries of that kind.
fn history(site: &Site, kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(site.root.join("history.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|entry| entry["kind"] == kind).collect()
}

fn restic(site: &Site, repository: &Path, arguments: &[&str]) -> String {
    let at = repository.display();
    let volume = format!("{at}:{at}");
    let all = [
        &["run", "--rm", "-v", &volume, "-e", "RESTIC_PASSWORD", "restic/restic:0.17.3", "--no-cache", "-r"],
        &[repository.to_str().unwrap()][..],
        arguments,
    ]
    .concat();
    let output = Command::new("docker").args(&all).env("RESTIC_PASSWORD", REPOSITORY_PASSWORD).output().unwrap();
    assert!(output.status.success(), "{}: {}", site.name, String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn deploy(site: &Site) -> crate::support::Run {
    let child = site.command(&["deploy", "--json"]).env("RESTIC_PASSWORD", REPOSITORY_PASSWORD).spawn().unwrap();
    Site::ended(child)
}

fn status(site: &Site) -> Value {
    let child = site.command(&["status", "--json"]).env("RESTIC_PASSWORD", REPOSITORY_PASSWORD).spawn().unwrap();
    Site::ended(child).json()
}

#[test]
#[ignore = "a variant: make test-whole"]
fn what_is_due_is_backed_up_copied_away_and_tried_and_a_failure_is_told() {
    let site = Site::new("service", "");
    let repository = site.folder.join("elsewhere");
    site.deploy_toml(&format!(
        "[rollout]\nobserve = \"0s\"\n[database]\nkeep-backups = 2\n[backup]\nschedule = \"* * * * *\"\ndrill = \"* * * * *\"\n\
         alert = \"sh -c 'cat >>/app/media/news'\"\noffsite = \"{}\"\noffsite-environment = {{ RESTIC_PASSWORD = \"${{RESTIC_PASSWORD}}\" }}\n",
        repository.display()
    ));
    // The disk of the copies is not mounted: nothing is written in its place.
    deploy(&site).expect(0, "deployed");
    due(&site);
    let news = site.root.join("shared/media/news");
    wait_for("the alert", Duration::from_secs(60), || std::fs::read_to_string(&news).is_ok_and(|text| text.contains("drill")));
    let told = std::fs::read_to_string(&news).unwrap();
    assert!(told.contains("the scheduled backup failed at offsite: the off-site folder"), "{told}");
    let now = status(&site);
    assert!(now["backup_failed"].as_str().unwrap().contains("is its disk mounted?"), "{now}");
    assert!(now["drill"].as_str().unwrap().starts_with("failed"), "{now}");
    assert_eq!(now["drift"], serde_json::json!([]), "{now}");

    std::fs::create_dir(&repository).unwrap();
    let before = (history(&site, "backup").len(), history(&site, "drill").len());
    due(&site);
    wait_for("a backup and a drill", Duration::from_secs(60), || {
        history(&site, "backup").len() > before.0 && history(&site, "drill").len() > before.1
    });
    let made = history(&site, "backup").pop().unwrap();
    assert_eq!((&made["outcome"], &made["by"]), (&"done".into(), &"the backup service".into()), "{made}");
    let now = status(&site);
    assert!(now["backup_failed"].is_null() && now["drill"].as_str().unwrap().starts_with("passed"), "{now}");
    let id = now["backup"].as_str().unwrap();
    let listed = restic(&site, &repository, &["ls", "latest"]);
    assert!(listed.contains(&format!("/backups/{id}.dump")), "{listed}");
    let journal = |kind: &str| {
        let run = history(&site, kind).pop().unwrap()["run"].as_str().unwrap().to_owned();
        std::fs::read_to_string(site.root.join("runs").join(run).join("journal")).unwrap()
    };
    assert!(journal("drill").contains("from the off-site repository, was restored"), "{}", journal("drill"));

    // A copy that is not whole any more is found by the next drill.
    let packs = Command::new("sh")
        .arg("-c")
        .arg(format!("find {}/data -type f | while read -r f; do chmod u+w $f; printf x | dd of=$f bs=1 seek=40 conv=notrunc 2>/dev/null; done", repository.display()))
        .status();
    assert!(packs.unwrap().success());
    std::fs::write(&news, "").unwrap();
    site.edit("deploy.toml", "schedule = \"* * * * *\"\n", "");
    deploy(&site).expect(0, "deployed");
    due(&site);
    wait_for("the alert", Duration::from_secs(60), || std::fs::read_to_string(&news).is_ok_and(|text| text.contains("drill")));
    assert!(
        history(&site, "drill").pop().unwrap()["reason"]
            .as_str()
            .unwrap()
            .contains("cannot be read from the off-site repository")
    );
    for text in [journal("backup"), journal("drill"), std::fs::read_to_string(&news).unwrap()] {
        assert!(!text.contains(REPOSITORY_PASSWORD), "a secret was written down:\n{text}");
    }
}

#[test]
fn a_backup_whose_container_is_killed_leaves_nothing_and_the_next_is_whole() {
    let site = Site::new("service-killed", "[rollout]\nobserve = \"0s\"\n[backup]\nschedule = \"* * * * *\"\n");
    site.deployed();
    let database = format!("{}-db-1", site.name);
    let psql = |statement: &str| {
        docker(&["exec", &database, "psql", "-U", "certificados_user", "-d", "certificados_prod", "-Atc", statement])
    };
    // The dump waits for a table.
    let mut lock = Command::new("docker")
        .args(["exec", &database, "psql", "-U", "certificados_user", "-d", "certificados_prod", "-c"])
        .arg("BEGIN; LOCK TABLE certificados_certificate IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)")
        .spawn()
        .unwrap();
    due(&site);
    let dumping = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'estiba%' AND wait_event_type = 'Lock'";
    wait_for("the dump to begin", Duration::from_secs(60), || psql(dumping).trim() != "0");
    docker(&["kill", &service(&site)]);
    psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()");
    let _ = lock.wait();
    docker(&["start", &service(&site)]);
    wait_for("a whole backup", Duration::from_secs(90), || {
        history(&site, "backup").last().is_some_and(|entry| entry["outcome"] == "done")
    });
    assert_ne!(history(&site, "backup")[0]["outcome"], "done");
    assert_eq!(psql("SELECT count(*) FROM pg_database WHERE datname LIKE 'estiba%'").trim(), "0");
    let names: Vec<String> = std::fs::read_dir(site.root.join("backups"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| !name.starts_with('.')) && names.iter().any(|name| name.ends_with(".dump")), "{names:?}");
    wait_for("a free lock", Duration::from_secs(10), || site.lock_is_free());
}
