//! A first deploy on an empty root, the shortest deploy.toml, nothing to do, and each kind of key.

use crate::support::Site;

#[test]
fn the_shortest_deploy_toml_brings_up_the_whole_stack() {
    let site = Site::new("first", "[rollout]\nobserve = \"2s\"\n");
    let outcome = site.deployed();
    let release = outcome["release"].as_str().unwrap();
    assert_eq!(site.serving(), release);
    assert_eq!(site.get("/").0, 200);
    assert_eq!(site.get("/static/certificados/site.css").0, 200);

    let status = site.status();
    assert_eq!(status["release"], release);
    assert_eq!(status["slot"], "blue");
    assert_eq!(status["image"], outcome["image"]);
    assert_eq!(status["by"], "estibador");
    assert!(status["since"].as_str().unwrap().starts_with("20"));
    assert_eq!(status["drift"], serde_json::json!([]));
    assert!(status["running"].is_null() && status["previous"].is_null());

    // A secret with every character that quoting gets wrong is what the database was made with.
    let names = site.containers();
    assert_eq!(names.len(), 5, "the app, its edge and the stack: {names:?}");

    // Nothing to do changes nothing.
    let before = std::fs::read_dir(site.root.join("releases")).unwrap().count();
    let unchanged = site.estiba(&["deploy", "--json"]).expect(0, "unchanged");
    assert_eq!(unchanged["release"], release);
    assert_eq!(site.containers(), names);
    assert_eq!(std::fs::read_dir(site.root.join("releases")).unwrap().count(), before);

    // The plan sees what changed, and never a value.
    let plan = site.estiba(&["plan", "--json", "--detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    site.append("nginx/site.conf", "# one more line\n");
    site.append(".env.production", "GREETING=hola-secreto\n");
    let plan = site.estiba(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 10, "{}", plan.stderr);
    assert!(plan.stdout.contains("+# one more line") && plan.stdout.contains("+ GREETING"), "{}", plan.stdout);
    assert!(!plan.stdout.contains("hola-secreto"), "{}", plan.stdout);

    // No secret in anything that is kept to be read.
    let text = std::fs::read_to_string(site.root.join("history.jsonl")).unwrap();
    assert!(text.contains("\"outcome\":\"deployed\"") && !text.contains("secret-key-of-this"), "{text}");
}

/// As Flower does, which asks for a worker of Celery before it opens its port.
#[test]
fn an_app_that_waits_for_a_worker_comes_up_on_an_empty_server() {
    let site = Site::new("waits", "[rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"20s\"\n");
    let services = "\n  crew:\n    <<: *app\n    command: celery -c 'touch /app/media/ready; sleep 1000000'\n    entrypoint: [\"sh\", \"-c\", \"touch /app/media/ready; sleep 1000000\"]\n\
          \n  flower:\n    <<: *app\n    expose: [\"9000\"]\n    command: sh -c 'until [ -e /app/media/ready ]; do sleep 0.2; done; exec python -m http.server 9000'\n";
    site.edit("compose.yml", "\n  db:\n", &format!("\n{services}\n  db:\n"));
    site.append(
        "deploy.toml",
        "[app]\nservice = \"web\"\n[services.flower]\nkind = \"app\"\n[services.crew]\nkind = \"worker\"\n",
    );
    site.deployed();
    assert!(site.containers().iter().any(|name| name.contains("crew-blue")) && site.status()["drift"] == serde_json::json!([]));
    // One that fails leaves none of them.
    let failing = Site::new("waits-fails", "[health]\ntimeout = \"5s\"\n");
    failing.edit("compose.yml", "\n  db:\n", &format!("\n{services}\n  db:\n"));
    failing.append(
        "deploy.toml",
        "[app]\nservice = \"web\"\n[services.flower]\nkind = \"app\"\n[services.crew]\nkind = \"worker\"\n",
    );
    failing.edit("certificados/views.py", "status=200 if healthy else 503", "status=500");
    failing.estiba(&["deploy", "--json"]).expect(3, "rolled-back");
    assert_eq!(failing.containers(), Vec::<String>::new());
}

#[test]
fn ecdsa_and_rsa_keys_are_let_in_and_a_wrong_host_key_is_refused() {
    let mut site = Site::new("keys", "");
    for key in ["id_ecdsa", "id_rsa"] {
        site.key = key;
        let run = site.estiba(&["status", "--json"]);
        assert_eq!(run.code, 0, "{key}: {}", run.stderr);
        assert!(run.json()["release"].is_null());
    }
    // A folder that is somebody else's could have anything put into it.
    std::fs::create_dir_all(&site.root).unwrap();
    std::os::unix::fs::chown(&site.root, Some(65534), None).unwrap();
    for command in ["status", "deploy"] {
        site.estiba(&[command]).says(1, &["belongs to nobody"]);
    }
    std::os::unix::fs::chown(&site.root, Some(0), None).unwrap();
    let fingerprint = crate::support::sshd().fingerprint.clone();
    site.edit("deploy.toml", &fingerprint, "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let run = site.estiba(&["deploy"]);
    run.says(1, &["the host key is not the one that is pinned", "expected SHA256:AAAA", &format!("got {fingerprint}")]);
}
