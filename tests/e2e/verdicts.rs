//! What public reports of other tools tell of: data lost, or a wrong verdict, behind a good exit code.

use std::time::Duration;

use crate::database::{ADD, DROP, dumps, migration, sql};
use crate::support::{Site, docker, wait_for};

const COUNT: &str = "SELECT count(*) FROM certificados_certificate";
const COLUMNS: &str = "SELECT string_agg(column_name, ' ' ORDER BY column_name) FROM information_schema.columns WHERE table_name = 'certificados_certificate'";

impl Site {
    fn issues(&self, count: usize) {
        for _ in 0..count {
            let url = format!("http://{}/certificados/", self.address);
            assert!(
                std::process::Command::new("curl").args(["-sf", "-d", "holder=first", &url]).output().unwrap().status.success()
            );
        }
    }

    fn entry_script(&self, lines: &str) {
        self.write("entry.sh", &format!("#!/bin/sh\n{lines}exec \"$@\"\n"));
        if !std::fs::read_to_string(self.app("Dockerfile")).unwrap().contains("ENTRYPOINT") {
            self.edit("Dockerfile", "EXPOSE", "ENTRYPOINT [\"sh\", \"/app/entry.sh\"]\nEXPOSE");
        }
    }

    /// What its newest backup says of the certificates' table, by the database's own program.
    fn newest_dump(&self) -> String {
        let dumps = dumps(self);
        let container = format!("{}-db-1", self.name);
        let file = format!("{container}:/tmp/newest.dump");
        docker(&["cp", dumps.last().unwrap().to_str().unwrap(), &file]);
        docker(&["exec", &container, "pg_restore", "-f", "-", "-t", "certificados_certificate", "/tmp/newest.dump"])
    }
}

#[test]
fn an_entry_script_that_migrates_does_so_behind_the_backup() {
    let site = Site::new(
        "entry",
        "[rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"15s\"\n[database]\nduring-migrations = \"read-only\"\n",
    );
    site.deployed();
    site.issues(5);
    // An entry script that says something, and needs nothing migrated.
    site.entry_script("echo looking at the database\n");
    let run = site.estiba(&["deploy", "--json", "-v"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("no migration is pending") && !run.stderr.contains("pending migration:"), "{}", run.stderr);
    assert!(std::fs::read_dir(site.root.join("backups")).map_or(0, Iterator::count) == 0, "no backup without a migration");

    // One that migrates: the backup does not have the column.
    site.entry_script("python manage.py migrate --noinput\n");
    migration(&site, "0002_note", "0001_initial", ADD);
    let run = site.estiba(&["deploy", "--json", "-v"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("pending migration: certificados.0002_note"), "{}", run.stderr);
    let dump = site.newest_dump();
    assert!(dump.contains("holder") && !dump.contains("note"), "{dump}");
    assert!(sql(&site, COLUMNS).contains("note"));

    // A release that drops a column and is never healthy: the column and its values are back.
    migration(&site, "0003_drop", "0002_note", DROP);
    site.edit("certificados/views.py", "status=200 if healthy else 503", "status=500");
    site.estiba(&["deploy", "--json"]).expect(3, "rolled-back");
    assert!(site.newest_dump().contains("holder"));
    assert_eq!(sql(&site, &format!("{COUNT} WHERE holder = 'first'")), "5");
    assert_eq!(site.get("/health/").0, 200);
    site.issues(1);
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_migration_that_only_the_entry_script_makes_has_its_backup() {
    let site = Site::new("entry-alone", "[rollout]\nobserve = \"0s\"\n[app]\nmigrate = \"\"\n");
    site.entry_script("python manage.py migrate --noinput\n");
    site.deployed();
    site.issues(3);
    migration(&site, "0002_note", "0001_initial", ADD);
    let run = site.estiba(&["deploy", "--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("the image has to migrate when it starts"), "{}", run.stderr);
    let dump = site.newest_dump();
    assert!(dump.contains("holder") && !dump.contains("note"), "{dump}");
    assert!(sql(&site, COLUMNS).contains("note"));
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_database_under_another_images_name_is_backed_up() {
    let site = Site::new("renamed", "[rollout]\nobserve = \"0s\"\n");
    docker(&["tag", "postgres:15", "team/storage:3"]);
    site.edit("compose.yml", "image: postgres:15", "image: team/storage:3\n    env_file: database.env");
    site.write("database.env", "LC_MESSAGES=C\n");
    site.deployed();
    site.issues(3);
    migration(&site, "0002_note", "0001_initial", ADD);
    // Its env file lies in another folder with each release, and says the same.
    site.deployed();
    assert!(site.newest_dump().contains("holder"));
    let listed = site.estiba(&["backup", "list", "--json"]).json();
    assert!(listed["rows"].as_u64().unwrap() >= 3, "{listed}");
    // What is in it counts, not how it comes in.
    site.edit("compose.yml", "\n    env_file: database.env", "");
    site.edit("compose.yml", "      POSTGRES_DB:", "      LC_MESSAGES: C\n      POSTGRES_DB:");
    site.deployed();
    site.edit("compose.yml", "LC_MESSAGES: C", "LC_MESSAGES: C.UTF-8");
    site.estiba(&["deploy", "--json"]).says(1, &["db would be replaced", "--allow-replace db"]);
}

#[test]
#[ignore = "a variant: make test-whole"]
fn what_waiting_does_not_mend_is_told_soon() {
    let site = Site::new("loops", "[rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"60s\"\n");
    site.deployed();
    let mut command = site.command(&["deploy", "--json"]);
    command.env("POSTGRES_PASSWORD", "another $ password");
    let run = Site::ended(command.spawn().unwrap());
    run.says(1, &["POSTGRES_PASSWORD of db has another value", "ALTER ROLE", "--allow-replace db"]);
    assert!(!run.stderr.contains("another $ password"));
    let kept = site.keep();
    site.edit(
        "compose.yml",
        "  nginx:\n",
        "  mail:\n    image: redis:7\n    restart: always\n    entrypoint: [\"sh\", \"-c\", \"echo no mail today; sleep 1; exit 7\"]\n  nginx:\n",
    );
    let run = site.estiba(&["deploy", "--json"]);
    run.says(3, &["mail", "does not stay up", "no mail today"]);
    assert_eq!(run.json()["failed_step"], "stack");
    kept.restore();

    site.edit("certificados/views.py", "\"local\")", "\"local\") ");
    site.edit("sitio/urls.py", "health/", "healthy/");
    let began = std::time::Instant::now();
    let run = site.estiba(&["deploy", "--json"]);
    run.says(3, &["/health/ of web answers 404, not 200", "set [health] path to one it has"]);
    assert!(began.elapsed().as_secs() < 50, "an answer that does not change is not waited for: {:?}", began.elapsed());
}

#[test]
#[ignore = "a variant: make test-whole"]
fn of_two_containers_each_is_looked_at_while_the_release_is_observed() {
    let site = Site::new("replicas", "[rollout]\nobserve = \"15s\"\n");
    site.edit("compose.yml", "    stop_grace_period: 30s\n", "    stop_grace_period: 30s\n    deploy: {replicas: 2}\n");
    site.edit("certificados/views.py", "status=200 if healthy else 503", "status=503 if os.path.exists('/tmp/sick') else 200");
    site.deployed();
    let old = site.serving();
    for number in ["1", "2"] {
        site.append("templates/home.html", "<!-- again -->\n");
        let deploy = site.spawn(&["deploy", "--json"]);
        let runs = site.root.join("runs");
        let slot = || ["blue", "green"].into_iter().find(|slot| Some(*slot) != site.status()["slot"].as_str());
        wait_for("observe", Duration::from_secs(90), || {
            std::fs::read_dir(&runs).unwrap().any(|run| {
                let run = run.unwrap().path();
                !run.join("outcome").exists()
                    && std::fs::read_to_string(run.join("steps")).unwrap_or_default().ends_with("began observe\n")
            })
        });
        docker(&["exec", &format!("{}-web-{}-{number}", site.name, slot().unwrap()), "touch", "/tmp/sick"]);
        Site::ended(deploy).expect(3, "rolled-back");
        assert_eq!(site.serving(), old);
        assert_eq!(site.get("/health/").0, 200);
    }
}

/// What somebody does to the old release's container while a deploy that will fail is under way.
#[test]
fn an_undo_ends_with_a_look_at_what_serves() {
    let site = Site::new("looks", "[rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"20s\"\n");
    site.deployed();
    let serving = site.serving();
    let container = format!("{}-web-blue-1", site.name);
    site.edit("certificados/views.py", "status=200 if healthy else 503", "status=500");
    let during_check = |arguments: &[&str]| {
        let runs = || std::fs::read_dir(site.root.join("runs")).unwrap().filter_map(Result::ok);
        let before = runs().count();
        let deploy = site.spawn(&["deploy", "--json"]);
        wait_for("the step check", Duration::from_secs(120), || {
            runs().count() > before
                && runs().any(|run| {
                    !run.path().join("outcome").exists()
                        && std::fs::read_to_string(run.path().join("steps")).is_ok_and(|steps| steps.contains("began check"))
                })
        });
        docker(&[arguments, &[&container]].concat());
        Site::ended(deploy)
    };
    // One that is gone is made again, as it was.
    let run = during_check(&["rm", "-f"]);
    run.says(3, &["web-blue has no container any more", "serves, as before"]);
    assert_eq!(site.serving(), serving);
    // One that answers nobody needs a person.
    let run = during_check(&["pause"]);
    run.says(4, &["some things differ: web does not answer any more"]);
    assert_eq!(run.json()["differs"], serde_json::json!(["web does not answer any more"]));
    assert!(run.json()["reason"].as_str().unwrap().contains("The run was undone, but some things differ"), "{}", run.stdout);
    docker(&["unpause", &container]);
    wait_for("the site", Duration::from_secs(20), || site.get("/health/").0 == 200);
    assert_eq!(site.serving(), serving);
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_front_page_that_people_do_not_see_is_no_deploy() {
    let site = Site::new("front", "[rollout]\nobserve = \"0s\"\n");
    // Its health path is good, and nobody has asked for the page: on an empty server, too.
    let good = site.keep();
    site.edit(
        "certificados/views.py",
        "    return render(request, \"home.html\"",
        "    raise RuntimeError(\"no page\")\n    return render(request, \"home.html\"",
    );
    let run = site.estiba(&["deploy", "--json"]);
    run.says(3, &["/health/ of web is healthy, but / answers 500", "accept = [500]"]);
    assert_eq!(run.json()["failed_step"], "check");
    good.restore();
    site.deployed();
    let serving = site.serving();

    // Its styles are not where the proxy looks for them.
    let good = site.keep();
    site.edit("nginx/site.conf", "alias /srv/staticfiles/", "alias /srv/nowhere/");
    site.estiba(&["deploy", "--json"]).says(3, &["no style sheet or script linked from / can be loaded", "site.css", "(404)"]);
    assert_eq!(site.serving(), serving);
    good.restore();

    // There is no such page any more; where that is meant, it is said.
    let good = site.keep();
    site.edit("sitio/urls.py", "path(\"\", views.home, name=\"home\"),", "");
    site.estiba(&["deploy", "--json"]).says(3, &["/ answered 200 before, and now 404", "accept = [404]"]);
    assert_eq!((site.get("/").0, site.serving()), (200, serving.clone()));
    site.append("deploy.toml", "[health]\naccept = [404]\n");
    site.deployed();
    assert_eq!(site.get("/").0, 404);
    good.restore();
    site.deployed();

    // It leads to where nobody listens.
    let good = site.keep();
    site.edit("nginx/site.conf", "proxy_pass http://web;", "return 301 https://$host$request_uri;");
    let serving = site.serving();
    site.estiba(&["deploy", "--json"]).says(3, &["/ leads to https://localhost/, where nobody answers", "the target's url"]);
    assert_eq!(site.serving(), serving);
    good.restore();
}
