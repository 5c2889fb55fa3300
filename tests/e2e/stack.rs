//! What a deploy must not do to the stack around the app, and the strategy for an app that cannot run twice.

use crate::support::{Site, docker};

/// What a site has on its server: releases, images by their names, containers.
fn left(site: &Site) -> [Vec<String>; 3] {
    let releases = std::fs::read_dir(site.root.join("releases")).unwrap();
    let releases = releases.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let images = docker(&["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]);
    let images = images.lines().filter(|line| line.contains(&site.name)).map(str::to_owned);
    let mut left = [releases.collect(), images.collect(), site.containers()];
    left.iter_mut().for_each(|kind: &mut Vec<String>| kind.sort());
    left
}

#[test]
fn a_stack_that_is_another_roots_or_would_be_torn_down_is_left_alone() {
    let site = Site::new("owner", "[rollout]\nobserve = \"0s\"\n");
    site.deployed();
    let before = site.containers();
    let kept = site.keep();

    // A changed network would have Compose stop every container.
    site.append("compose.yml", "networks:\n  default:\n    labels:\n      team: site\n");
    let run = site.estiba(&["deploy", "--json"]);
    run.says(1, &["changes networks:default"]);
    assert_eq!(site.containers(), before);
    kept.restore();

    // Another root, the same Compose project: it would take this stack for its own.
    let other = site.root.display().to_string();
    site.edit("deploy.toml", &format!("root = \"{other}\""), &format!("root = \"{other}-other\""));
    let run = site.estiba(&["deploy", "--json"]);
    run.says(1, &["belongs to another root"]);
    assert_eq!(site.containers(), before);
    kept.restore();

    // Another project in this root: it would make a second, empty stack.
    site.edit("deploy.toml", &format!("name = \"{}\"", site.name), &format!("name = \"{}x\"", site.name));
    site.estiba(&["deploy", "--json"]).says(1, &["belongs to the Compose project"]);
    assert_eq!(site.containers(), before);
    kept.restore();

    // A stopped database is seen, and started by the next deploy.
    docker(&["stop", "-t", "2", &format!("{}-db-1", site.name)]);
    assert!(site.status()["drift"][0].as_str().unwrap().contains("the container of db is exited"), "{}", site.status());
    site.deployed();
    assert_eq!(site.status()["drift"], serde_json::json!([]));

    // A changed service of the stack is refused by name until it is meant; a release that fails after it gives the
    // service back as it was; a rollback leaves it, and the next deploy of the same is no change.
    site.edit(
        "compose.yml",
        "image: redis:7\n",
        "image: redis:7\n    command: redis-server --protected-mode no --maxmemory 32mb\n",
    );
    // Nor does what was refused leave anything behind, of an image that was built and sent for it alone.
    let before = left(&site);
    site.append("gunicorn.conf.py", "# another image\n");
    site.estiba(&["deploy"]).says(1, &["--allow-replace cache"]);
    assert_eq!(left(&site), before);
    site.estiba(&["deploy", "--allow-replace", "kache"]).says(2, &["no service"]);
    let memory = || docker(&["exec", &format!("{}-cache-1", site.name), "redis-cli", "config", "get", "maxmemory"]);
    site.append("gunicorn.conf.py", "import sys\nsys.exit(9)\n");
    site.estiba(&["deploy", "--json", "--allow-replace", "cache"]).expect(3, "rolled-back");
    assert!(!memory().contains("33554432"), "{}", memory());
    assert_eq!(site.get("/health/").0, 200);
    site.edit("gunicorn.conf.py", "import sys\nsys.exit(9)\n", "");
    site.estiba(&["deploy", "--json", "--allow-replace", "cache"]).expect(0, "deployed");
    assert!(memory().contains("33554432"), "{}", memory());
    let back = site.estiba(&["rollback", "--json"]);
    assert!(back.stderr.contains("cache stays as it is"), "{}", back.stderr);
    back.expect(0, "rolled-back");
    assert!(memory().contains("33554432"), "{}", memory());
    site.deployed();
}

#[test]
#[ignore = "a variant: make test-whole"]
fn an_app_that_cannot_run_twice_never_does() {
    let site = Site::new("recreate", "[rollout]\nobserve = \"1s\"\nstrategy = \"recreate\"\n[health]\ntimeout = \"5s\"\n");
    site.deployed();
    let first = site.serving();
    site.append("templates/home.html", "<!-- two -->\n");
    let second = site.deployed();
    assert_eq!(site.serving(), second["release"].as_str().unwrap());
    assert_ne!(site.serving(), first);
    site.edit("certificados/views.py", "status=200 if healthy else 503", "status=500");
    site.estiba(&["deploy", "--json"]).expect(3, "rolled-back");
    assert_eq!(site.serving(), second["release"].as_str().unwrap());
    let slots = |line: &&String| line.contains("-web-blue-") || line.contains("-web-green-");
    assert_eq!(site.containers().iter().filter(slots).count(), 1);
    assert_eq!(site.status()["drift"], serde_json::json!([]));
}
