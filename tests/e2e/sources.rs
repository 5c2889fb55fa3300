//! Images that are not built here: from an archive, and from a registry that wants a password.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Registry, Site, docker};

const QUICK: &str = "[rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"20s\"\n[app]\nservice = \"web\"\n";

fn build(site: &Site, tag: &str) {
    docker(&["build", "-q", "-t", tag, site.app("").to_str().unwrap()]);
}

#[test]
fn a_registry_is_asked_once_and_the_server_pulls_that_digest_with_a_login_that_does_not_stay() {
    let site = Site::empty("registry");
    let password = "registry-pass'word\"$x";
    let registry = Registry::start(&site, Some(password));
    let image = format!("{}/team/{}:main", registry.name, site.name);
    let site = Site::new(
        "registry",
        &format!("[image]\nreference = \"{image}\"\nusername = \"reader\"\npassword = \"${{TOKEN}}\"\n{QUICK}"),
    );
    build(&site, &image);
    registry.push(&site, &image, password);
    docker(&["image", "rm", &image]);
    // Nothing is built here.
    std::fs::remove_file(site.app("Dockerfile")).unwrap();
    let estiba = |arguments: &[&str], token: &str| Site::ended(site.command(arguments).env("TOKEN", token).spawn().unwrap());

    let refused = estiba(&["deploy", "--json"], "wrong");
    refused.says(1, &["asking the registry", "username and password", "nothing was changed"]);
    assert_eq!(site.containers(), Vec::<String>::new());

    let before = std::fs::read(home("/.docker/config.json")).unwrap_or_default();
    let first = estiba(&["deploy", "--json"], password);
    for text in [&first.stdout, &first.stderr] {
        assert!(!text.contains(password), "{text}");
    }
    first.expect(0, "deployed");
    assert_eq!(site.get("/health/").0, 200);
    assert_eq!(std::fs::read(home("/.docker/config.json")).unwrap_or_default(), before, "no login stays");
    let found = Command::new("grep").args(["-rlF", password]).arg(&site.root).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "the password lies on the server");
    estiba(&["deploy", "--json"], password).expect(0, "unchanged");
    let plan = estiba(&["plan", "--detailed-exitcode"], password);
    assert!(plan.code == 0 && plan.stdout.contains("no changes"), "{} {}", plan.stdout, plan.stderr);

    // The tag moves on: another image.
    let plan = site.folder.join("plan.json").display().to_string();
    site.append("templates/home.html", "<!-- pushed -->\n");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/django/Dockerfile"), site.app("Dockerfile")).unwrap();
    assert_eq!(estiba(&["plan", "--out", &plan], password).code, 0);
    build(&site, &image);
    registry.push(&site, &image, password);
    docker(&["image", "rm", &image]);
    assert_eq!(estiba(&["deploy", "--plan", &plan], password).code, 6, "the plan was made for another image");
    estiba(&["deploy", "--json"], password).expect(0, "deployed");
    assert!(site.get("/").1.contains("<!-- pushed -->"));
}

fn home(path: &str) -> String {
    format!("{}{path}", std::env::var("HOME").unwrap())
}

#[test]
#[ignore = "a variant: make test-whole"]
fn an_archive_is_sent_as_it_is_and_a_damaged_one_is_not() {
    let site = Site::new("archive", &format!("[image]\narchive = \"image.tar\"\n{QUICK}"));
    let missing = site.estiba(&["deploy", "--json"]);
    missing.says(2, &["the image archive image.tar does not exist", "deploy.toml:"]);

    let tag = format!("{}:archived", site.name);
    build(&site, &tag);
    docker(&["save", "-o", site.app("image.tar").to_str().unwrap(), &tag]);
    docker(&["image", "rm", &tag]);
    let good = std::fs::read(site.app("image.tar")).unwrap();
    let mut bytes = good.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(site.app("image.tar"), &bytes).unwrap();
    site.estiba(&["deploy", "--json"]).says(2, &["is damaged", "nothing was sent"]);
    std::fs::write(site.app("image.tar"), &bytes[..middle]).unwrap();
    site.estiba(&["deploy", "--json"]).says(2, &["cut short", "nothing was sent"]);
    assert!(!site.root.exists(), "the server was not touched");

    std::fs::write(site.app("image.tar"), &good).unwrap();
    site.estiba(&["deploy", "--json"]).expect(0, "deployed");
    assert_eq!(site.get("/health/").0, 200);
    site.estiba(&["deploy", "--json"]).expect(0, "unchanged");
    // Its layers are the same in whatever form it is written.
    let layers = |status: Value| {
        docker(&["image", "inspect", "-f", "{{.Architecture}} {{json .RootFS.Layers}}", status["image"].as_str().unwrap()])
    };
    let saved = layers(site.status());

    // The same image as others write it, and beside it one for another kind of machine.
    let (from, to) = (site.app("image.tar"), site.app("image.oci"));
    let copied = Command::new("skopeo")
        .args(["--insecure-policy", "copy", "-q"])
        .args([format!("docker-archive:{}", from.display()), format!("oci-archive:{}", to.display())])
        .output()
        .unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    std::fs::remove_file(from).unwrap();
    site.edit("deploy.toml", "image.tar", "image.oci");
    with_a_second_platform(&to);
    site.append(".env.production", "MORE=1\n");
    site.estiba(&["deploy", "--json"]).expect(0, "deployed");
    assert_eq!(site.get("/health/").0, 200);
    assert_eq!(layers(site.status()), saved);
}

/// Puts an image for s390x before the one in an OCI archive.
fn with_a_second_platform(archive: &std::path::Path) {
    let folder = archive.with_extension("layout");
    std::fs::create_dir_all(&folder).unwrap();
    let tar = |arguments: &[&str]| {
        let mut command = Command::new("tar");
        command.arg("-C").arg(&folder).args(arguments[..1].iter()).arg(archive).args(&arguments[1..]);
        assert!(command.status().unwrap().success());
    };
    tar(&["-xf"]);
    let read = |path: &str| -> Value { serde_json::from_slice(&std::fs::read(folder.join(path)).unwrap()).unwrap() };
    let blob = |described: &Value| read(&format!("blobs/{}", described["digest"].as_str().unwrap().replace(':', "/")));
    let write = |value: &Value| {
        let text = value.to_string();
        let digest = estiba::digest::sha256(text.as_bytes());
        std::fs::write(folder.join("blobs/sha256").join(&digest), &text).unwrap();
        json!({"mediaType": value["mediaType"], "digest": format!("sha256:{digest}"), "size": text.len()})
    };
    let mut index = read("index.json");
    let mut manifest = blob(&index["manifests"][0]);
    let mut config = blob(&manifest["config"]);
    config["architecture"] = json!("s390x");
    let kind = manifest["config"]["mediaType"].clone();
    manifest["config"] = write(&config);
    manifest["config"]["mediaType"] = kind;
    let described = write(&manifest);
    index["manifests"].as_array_mut().unwrap().insert(0, described);
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    tar(&["-cf", "."]);
    std::fs::remove_dir_all(folder).unwrap();
}
