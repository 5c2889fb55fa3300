//! Back to the previous release, with its own files, environment and image.

use std::time::Duration;

use crate::support::{Site, docker, wait_for};

#[test]
fn a_rollback_brings_files_environment_and_image_back() {
    let site = Site::new("rollback", "[rollout]\nobserve = \"0s\"\nkeep-releases = 3\n");
    let first = site.deployed();
    site.edit("templates/home.html", "<h1>Certificados</h1>", "<h1>Edición dos</h1>");
    site.append("nginx/site.conf", "server { listen 8081; location / { return 204; } }\n");
    site.append(".env.production", "GREETING=hola\n");
    let second = site.deployed();
    assert!(site.get("/").1.contains("Edición dos"));

    // Back and forth, five times, also after a prune.
    docker(&["image", "prune", "-f"]);
    let app_variable = |name: &str| {
        let status = site.status();
        let container = format!("{}-web-{}-1", site.name, status["slot"].as_str().unwrap());
        docker(&["exec", &container, "sh", "-c", &format!("echo ${{{name}:-unset}}")]).trim().to_owned()
    };
    for turn in 0..5 {
        let outcome = site.estiba(&["rollback", "--json"]).expect(0, "rolled-back");
        let (to, title, greeting) =
            if turn % 2 == 0 { (&first, "<h1>Certificados</h1>", "unset") } else { (&second, "<h1>Edición dos</h1>", "hola") };
        assert_eq!(outcome["release"], to["release"]);
        assert_eq!(site.serving(), to["release"].as_str().unwrap());
        assert!(site.get("/").1.contains(title));
        assert_eq!(app_variable("GREETING"), greeting);
        let edge = std::fs::read_to_string(site.root.join("stack/nginx/site.conf")).unwrap();
        assert_eq!(edge.contains("8081"), turn % 2 == 1);
        assert_eq!(site.status()["image"], to["image"]);
    }

    // Two more releases push the first out; it is refused by name, and those that can be had are listed.
    for update in ["three", "four", "five"] {
        site.append("templates/home.html", &format!("<!-- {update} -->\n"));
        site.deployed();
    }
    let gone = first["release"].as_str().unwrap();
    let refused = site.estiba(&["rollback", "production", gone]);
    refused.says(1, &[gone, "releases to go back to: 20", "nothing was changed"]);
    site.estiba(&["rollback", gone]).says(1, &[gone]);
    assert!(site.lock_is_free());
}

#[test]
fn a_release_that_was_kept_warm_takes_over_by_a_switch() {
    let site = Site::new("warm", "[rollout]\nobserve = \"0s\"\nkeep-warm = \"15s\"\n");
    let first = site.deployed();
    site.edit("templates/home.html", "<h1>Certificados</h1>", "<h1>Edición dos</h1>");
    let run = site.estiba(&["deploy", "--json"]);
    assert!(run.stderr.contains("stays warm for 15 s"), "{}", run.stderr);
    run.expect(0, "deployed");
    let running = |slot: &str| {
        let service = format!("label=com.docker.compose.service=web-{slot}");
        let project = format!("label=com.docker.compose.project={}", site.name);
        !docker(&["ps", "-q", "--filter", &service, "--filter", &project]).trim().is_empty()
    };
    assert!(running("blue") && running("green"), "{:?}", site.containers());
    assert!(site.status()["warm"].as_str().unwrap().starts_with(first["release"].as_str().unwrap()));

    let outcome = site.estiba(&["rollback", "--json"]).expect(0, "rolled-back");
    let steps: Vec<&str> = outcome["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(steps, ["warm", "switch", "workers", "commit", "drain", "prune"], "{outcome}");
    assert_eq!(site.serving(), first["release"].as_str().unwrap());
    assert!(site.get("/").1.contains("<h1>Certificados</h1>"));
    assert!(running("blue") && !running("green"), "{:?}", site.containers());
    assert_eq!(site.status()["drift"].to_string(), "[]");
    assert!(site.status()["warm"].is_null());

    // What was left is started, and its time ends by itself, whoever is gone.
    let again = site.estiba(&["rollback", "--json"]).expect(0, "rolled-back");
    assert_eq!(again["steps"][0]["name"], "preflight", "{again}");
    site.append("templates/home.html", "<!-- three -->\n");
    site.deployed();
    let (serving, before) = (site.status()["slot"].to_string(), again["release"].as_str().unwrap().to_owned());
    let other = if serving.contains("blue") { "green" } else { "blue" };
    assert!(running(other) && site.status()["warm"].as_str().unwrap().starts_with(&before));
    wait_for("the end of the warm time", Duration::from_secs(60), || !running(other));
    assert!(site.status()["warm"].is_null() && site.lock_is_free());

    // One that has died meanwhile is no reason not to go back.
    site.append("templates/home.html", "<!-- four -->\n");
    site.deployed();
    docker(&["kill", &format!("{}-web-{}-1", site.name, serving.trim_matches('"'))]);
    let run = site.estiba(&["rollback", "--json"]);
    assert!(run.stderr.contains("was kept warm, but web of it answers"), "{}", run.stderr);
    let outcome = run.expect(0, "rolled-back");
    assert_eq!(outcome["steps"][0]["name"], "preflight", "{outcome}");
    assert_eq!(site.get("/").0, 200);
}
