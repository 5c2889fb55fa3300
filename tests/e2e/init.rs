//! A Django site without a stack becomes one that deploys.

use std::process::Command;

use crate::support::{Site, sshd};

#[test]
fn a_site_without_a_stack_gets_one_that_works_and_no_file_of_its_own_is_touched() {
    let site = Site::empty("init");
    let example = format!("{}/examples/django", env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir_all(site.app("")).unwrap();
    for part in ["manage.py", "requirements.txt", "certificados", "sitio", "templates"] {
        assert!(Command::new("cp").arg("-r").arg(format!("{example}/{part}")).arg(site.app(part)).status().unwrap().success());
    }
    site.write(
        "Dockerfile",
        &std::fs::read_to_string(format!("{example}/Dockerfile")).unwrap().replace("# The site", "# My site"),
    );

    let made = site.estiba(&["init", "--name", &site.name]);
    made.says(0, &["+ compose.yml", "+ .github/workflows/deploy.yml", "= Dockerfile exists", "DJANGO_SECRET_KEY"]);
    assert!(std::fs::read_to_string(site.app("Dockerfile")).unwrap().contains("# My site"));

    // What stands for the servers is refused by its place, before anything is dialled.
    site.estiba(&["deploy", "production"]).says(2, &["deploy.toml:", "host-keys"]);
    let server = sshd();
    let text = std::fs::read_to_string(site.app("deploy.toml")).unwrap();
    let text = text
        .replace("deploy@203.0.113.10", &format!("root@127.0.0.1:{}", server.port))
        .replace("[\"SHA256:replace-me\"]", &format!("[\"{}\"]", server.fingerprint))
        .replace("[target.production]\n", &format!("[target.production]\nroot = \"{}\"\n", site.root.display()));
    site.write("deploy.toml", &format!("{text}[rollout]\nobserve = \"0s\"\n"));
    site.estiba(&["config", "check"]).says(0, &["target production: good", "target staging: good"]);
    site.estiba(&["deploy", "production", "--json"]).expect(0, "deployed");
    assert_eq!(site.get("/health/").0, 200);

    let again = site.estiba(&["init", "--name", &site.name]);
    again.says(0, &["= deploy.toml exists", "secrets SSH_KEY, DJANGO_SECRET_KEY, POSTGRES_PASSWORD"]);
    assert!(!again.stderr.contains("+ "), "{}", again.stderr);

    // Nothing to deploy: nothing is written.
    std::fs::create_dir_all(site.app("empty")).unwrap();
    site.estiba(&["init", "--config", "empty/deploy.toml"]).says(2, &["neither a Compose file nor a Django site"]);
    assert_eq!(std::fs::read_dir(site.app("empty")).unwrap().count(), 0);
}
