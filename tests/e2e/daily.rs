//! What an operator does between deploys: commands in containers, logs, restarts, numbers of containers, maintenance, the end.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{PASSWORD, Site, Steady, docker, in_a_terminal, wait_for, with_input};

const WORKER: &str = "services:\n  worker:\n    <<: *app\n    init: true\n    command: [\"sleep\", \"infinity\"]\n";

fn site(name: &str) -> Site {
    let site = Site::new(name, "[app]\nworkers = [\"worker\"]\n[health]\ntimeout = \"15s\"\n[rollout]\nobserve = \"0s\"\n");
    site.edit("compose.yml", "services:\n", WORKER);
    site.write("maintenance.html", "<h1>Volvemos enseguida</h1>\n");
    site
}

#[test]
fn commands_run_in_containers_of_the_release_that_serves() {
    let site = site("handles");
    let release = site.deployed()["release"].as_str().unwrap().to_owned();

    // In the slot that serves, with what is piped in, and with the command's own exit status.
    let run = site.estiba(&["exec", "web", "--", "sh", "-c", "echo $ESTIBA_SLOT \"$0\" >&2; exit 7", "a 'b'"]);
    assert_eq!((run.code, run.stderr.trim()), (7, "blue a 'b'"));
    let output =
        with_input(site.command(&["exec", "production", "db", "--", "sh", "-c", "tr a-z A-Z; echo $POSTGRES_DB"]), "hola\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "HOLA\ncertificados_prod\n");
    let much = "a line of sixty-four letters, more or less, again and again; \n".repeat(300_000);
    assert_eq!(with_input(site.command(&["exec", "web", "--", "cat"]), &much).stdout.len(), much.len());
    site.estiba(&["exec", "nothing", "--", "true"]).says(2, &["has no service `nothing`", "its services: web, worker"]);

    // In a container of its own, which goes; the app's own tools work in it.
    let run = site.estiba(&["run", "--", "python", "manage.py", "shell", "-c", "import os; print(os.environ['ESTIBA_RELEASE'])"]);
    assert_eq!((run.code, run.stdout.trim()), (0, release.as_str()), "{}", run.stderr);
    let run = site.estiba(&["run", "worker", "--", "sh", "-c", "exit 3"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(!docker(&["ps", "-a", "--format", "{{.Names}}"]).contains("by-hand"));

    // A terminal here is one there.
    let command = site.command(&[
        "exec",
        "web",
        "--",
        "sh",
        "-c",
        "test -t 0 && test -t 1 && while [ \"$(stty size)\" = '0 0' ]; do sleep 0.1; done; stty size",
    ]);
    let output = in_a_terminal(&command, 33, 111);
    assert!(String::from_utf8_lossy(&output.stdout).contains("33 111"), "{output:?}");

    let ps = site.estiba(&["ps"]).stdout;
    assert!(ps.lines().any(|line| line.starts_with("web (edge)")) && ps.contains(&release), "{ps}");
    let keys = site.estiba(&["env", "list"]).stdout;
    assert!(keys.lines().any(|key| key == "POSTGRES_PASSWORD") && !keys.contains('='), "{keys}");
    site.append(".env.production", "GREETING=hola\n");
    assert_eq!(site.estiba(&["env", "diff"]).stdout, "+ GREETING\n");
    let run = site.estiba(&["logs", "--run", &release]);
    assert!(run.stdout.contains("the edges serve") && run.code == 0, "{}", run.stdout);

    // A bundle for whoever helps, without secrets.
    let path = site.folder.join("bundle.tar.gz");
    site.estiba(&["logs", "export", "--out", path.to_str().unwrap()]).says(0, &["read it before you hand it on"]);
    let tar = |way: &str| {
        let output = Command::new("tar").arg(way).arg(&path).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (names, all) = (tar("-tzf"), tar("-xzOf"));
    for name in
        ["/server.txt", "/logs.txt", "/history.jsonl", "/status.json", "/doctor.json", "/release/files/stack.yml", "/runs/"]
    {
        assert!(names.contains(name), "no {name} in {names}");
    }
    assert!(all.contains("ready to accept") && all.contains("\"drift\"") && !all.contains(PASSWORD), "{names}");

    // Logs of all, picked; and going on through a deploy, each line once.
    let run = site.estiba(&["logs", "--service", "db", "--grep", "ready to accept"]);
    assert!(run.stdout.lines().count() >= 1 && run.stdout.lines().all(|line| line.contains("db-1")), "{}", run.stdout);
    let run = site.estiba(&["logs", "--json", "--tail", "all"]);
    let times: Vec<String> =
        run.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["time"].to_string()).collect();
    assert!(times.len() > 10 && times.is_sorted(), "{}", run.stdout);
    let path = site.folder.join("followed");
    let mut following = site.command(&["logs", "-f", "--json"]).stdout(std::fs::File::create(&path).unwrap()).spawn().unwrap();
    let followed = || std::fs::read_to_string(&path).unwrap();
    wait_for("the logs", Duration::from_secs(20), || followed().contains("web-blue-1"));
    site.deployed();
    wait_for("the new slot's logs", Duration::from_secs(20), || followed().contains("web-green-1"));
    let written = "docker exec \"$1\" sh -c 'for i in $(seq 300); do echo line $i. >/proc/1/fd/1; done'";
    let container = format!("{}-web-green-1", site.name);
    assert!(Command::new("sh").args(["-c", written, "sh", &container]).status().unwrap().success());
    wait_for("all lines", Duration::from_secs(20), || followed().contains("line 300."));
    following.kill().unwrap();
    following.wait().unwrap();
    let lines: Vec<String> = followed()
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()?["line"].as_str().map(str::to_owned))
        .filter(|line| line.starts_with("line "))
        .collect();
    let all: Vec<String> = (1..=300).map(|number| format!("line {number}.")).collect();
    assert_eq!(lines, all);
}

#[test]
fn restarts_numbers_and_maintenance_fail_no_request() {
    let site = site("orders");
    site.deployed();
    let container = format!("{}-web-blue-1", site.name);
    let started = || docker(&["inspect", "-f", "{{.State.StartedAt}}", &container]);
    let before = started();
    let load = Steady::start(&site);
    site.estiba(&["restart", "web", "--json"]).expect(0, "done");
    assert_ne!(started(), before);
    site.estiba(&["scale", "web=3", "--json"]).expect(0, "done");
    let count = || site.containers().iter().filter(|name| name.contains("-web-blue-")).count();
    assert_eq!(count(), 3, "{:?}", site.containers());
    site.estiba(&["scale", "web=1", "--json"]).expect(0, "done");
    assert_eq!(count(), 1);
    site.estiba(&["restart", "--json"]).expect(0, "done");
    let tally = load.stop();
    assert_eq!(tally.failed, 0, "{:#?}", tally.failures);
    site.estiba(&["restart", "nothing"]).says(2, &["has no service `nothing`"]);
    let outcome = site.estiba(&["scale", "db=2", "--json"]).expect(1, "refused");
    assert!(outcome["reason"].as_str().unwrap().contains("db writes to what it mounts"), "{outcome}");
    site.estiba(&["scale", "web=0"]).says(2, &["web=3; 1 to 16"]);

    // Closed, through a deploy, and open again.
    site.estiba(&["maintenance", "on", "--json"]).expect(0, "done");
    assert_eq!(site.get("/"), (503, "<h1>Volvemos enseguida</h1>\n".into()));
    assert!(site.status()["maintenance"].is_string());
    site.append("templates/home.html", "<!-- next -->\n");
    let run = site.estiba(&["deploy", "--json"]);
    assert!(run.stderr.contains("maintenance is on"), "{}", run.stderr);
    run.expect(0, "deployed");
    assert_eq!(site.get("/").0, 503);
    site.estiba(&["maintenance", "off", "--json"]).expect(0, "done");
    assert!(site.get("/").1.contains("<!-- next -->"));

    // A restart after which the app does not answer is told, and nobody waits for ever.
    docker(&["exec", "--user", "0", &format!("{}-web-green-1", site.name), "sh", "-c", "mv manage.py manage.not; mv sitio away"]);
    let outcome = site.estiba(&["restart", "web", "--json"]).expect(4, "failed");
    assert!(outcome["reason"].as_str().unwrap().contains("after its restart, /health/ of web answers"), "{outcome}");
    let fence = std::fs::read_to_string(site.root.join("edge/web/state/fence.map")).unwrap();
    assert_eq!(fence, "fence off\n");
    site.estiba(&["deploy", "--force", "--json"]).expect(0, "deployed");

    // Down, and up again with what the database holds.
    let query = [
        "exec",
        "db",
        "--",
        "sh",
        "-c",
        "psql -U $POSTGRES_USER $POSTGRES_DB -tAc 'SELECT count(*) FROM certificados_certificate'",
    ];
    let posted = Command::new("curl")
        .args(["-s", "-d", "holder=kept", &format!("http://{}/certificados/", site.address)])
        .output()
        .unwrap();
    assert!(posted.status.success());
    let rows = site.estiba(&query).stdout;
    assert!(rows.trim().parse::<u32>().unwrap() > 0, "{rows}");
    site.estiba(&["down"]).says(2, &["nobody has agreed"]);
    site.estiba(&["down", "--yes", "--json"]).expect(0, "done");
    assert_eq!(site.containers(), [""; 0]);
    site.estiba(&["deploy", "--json"]).expect(0, "deployed");
    assert_eq!(site.get("/health/").0, 200);
    assert_eq!(site.estiba(&query).stdout, rows);
}

/// A program that an operator calls on the server.
fn on_server(site: &Site, name: &str, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(site.root.join("bin").join(name)).args(arguments).current_dir("/").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn an_operator_on_the_server_updates_by_the_same_transaction() {
    let site = site("operator");
    let first = site.deployed()["release"].as_str().unwrap().to_owned();
    let app = site.app("");
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(arguments)
            .current_dir(&app)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "-A"]);
    git(&["commit", "-qm", "first"]);
    site.edit("templates/home.html", "<h1>Certificados</h1>", "<h1>Desde el servidor</h1>");
    git(&["commit", "-qam", "second"]);
    site.edit("sitio/settings.py", "import os", "raise RuntimeError\nimport os");
    git(&["commit", "-qam", "broken"]);

    // From a revision, under load; nothing is lost when the terminal that started it is.
    let load = Steady::start(&site);
    let folder = app.to_str().unwrap();
    let (code, said) = on_server(&site, "estiba-update", &["--build", folder, "HEAD~1"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("✓ migrate") && said.contains("✓ drain"), "{said}");
    let second = site.serving();
    assert!(second != first && site.get("/").1.contains("Desde el servidor"));
    let (code, said) = on_server(&site, "estiba-update", &["--build", folder, "HEAD"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("RuntimeError") && said.contains("✗ "), "{said}");
    assert_eq!(site.serving(), second);
    let (code, said) = on_server(&site, "estiba-rollback", &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(site.serving(), first);
    let tally = load.stop();
    assert_eq!(tally.failed, 0, "{:#?}", tally.failures);

    let (code, said) = on_server(&site, "estiba-status", &[]);
    assert!(code == 0 && said.contains(&first) && said.contains("web-blue"), "{said}");
    assert!(on_server(&site, "estiba-logs", &["--tail", "5", "db"]).1.contains("db-1"));
    assert_eq!(on_server(&site, "estiba-update", &["--build", folder, "nothing"]).0, 2);
    assert_eq!(on_server(&site, "estiba-update", &[]).0, 2);
    assert_eq!(on_server(&site, "estiba-rollback", &["nothing"]).0, 1);

    // One that was kept warm and has died is started.
    std::fs::write(site.root.join("state/warm"), format!("{second} green 4102444800 none\n")).unwrap();
    let (code, said) = on_server(&site, "estiba-rollback", &[&second]);
    assert!(code == 0 && said.contains("is started instead"), "{said}");
    let (code, said) = on_server(&site, "estiba-rollback", &[&first]);
    assert_eq!(code, 0, "{said}");

    // Its driver dies: the run is undone by itself, and the client sees all of it in the history.
    let script = format!("exec {}/bin/estiba-update --build {folder} HEAD~1", site.root.display());
    let run = || std::fs::read_dir(site.root.join("runs")).unwrap().map(|one| one.unwrap().path()).max().unwrap();
    let before = run();
    let mut update = Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).spawn().unwrap();
    wait_for("the start", Duration::from_secs(60), || {
        run() != before && std::fs::read_to_string(run().join("steps")).is_ok_and(|steps| steps.contains("began start"))
    });
    let pid = std::fs::read_to_string(run().join("driver.pid")).unwrap();
    assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
    assert_eq!(update.wait().unwrap().code(), Some(3));
    assert_eq!(site.serving(), first);
    let history = site.estiba(&["history", "--json"]).stdout;
    let kinds: Vec<String> = history
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|run| format!("{} {}", run["kind"].as_str().unwrap(), run["exit"]))
        .collect();
    assert_eq!(kinds, ["deploy 3", "rollback 0", "rollback 0", "rollback 1", "rollback 0", "deploy 3", "deploy 0", "deploy 0"]);
    site.edit("sitio/settings.py", "raise RuntimeError\n", "");
    site.deployed();
    assert!(site.get("/").1.contains("Desde el servidor") && site.lock_is_free());
}
