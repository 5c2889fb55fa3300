//! Whole processes, each paired against what a user would use instead, in turn, as a ratio with its spread. Absolute
//! times are those of the machine and of the moment; the ratios are what counts.
//!
//! `make bench`, or `cargo bench --bench whole_process`; a word behind it (`-- backup`) runs those alone that have it in
//! their name.

#![expect(
    dead_code,
    unused_imports,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program of its own, which sets up its world with what the tests use and stops where that is not so"
)]

mod delay;
mod edge;
mod fleet;
mod images;
mod pairs;
#[path = "../../tests/matrix/proxy.rs"]
mod proxy;
mod scale;
#[path = "../../tests/matrix/server.rs"]
mod server;
#[path = "../../tests/e2e/support/mod.rs"]
mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pairs::{timed, wanted};
use support::{Site, Sshd, sshd};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--send") {
        return images::send(&arguments[1..]);
    }
    // `cargo test` builds benches too and asks for nothing but that they run.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    pairs::heading();
    timed("start (--version) · ssh -V", 21, || run("target/release/estiba", &["--version"]), || run("ssh", &["-V"]));
    edge::edge();
    images::bulk();
    images::one_line();
    images::never_pushed();
    fleet::fleet();
    fleet::round_trips();
    scale::scale();
    let site = Site::new("bench", "[rollout]\nobserve = \"0s\"\n");
    site.deployed();
    timed("status · ssh and docker compose ps", 9, || estiba(&site, &["status"]), || ssh("docker compose ls && docker ps"));
    timed(
        "plan, nothing to do · ssh and docker compose config",
        9,
        || estiba(&site, &["plan"]),
        || ssh(&compose(&site, "config -q")),
    );
    timed("deploy, nothing to do · ssh and true", 9, || estiba(&site, &["deploy"]), || ssh("true"));
    timed(
        "deploy, nothing to do · ssh and docker compose up -d",
        9,
        || estiba(&site, &["deploy"]),
        || ssh(&compose(&site, "up -d")),
    );
    far(&site);
    let mut number = 0;
    let mut change = || {
        number += 1;
        site.append("templates/home.html", &format!("<!-- {number} -->\n"));
    };
    timed(
        "deploy of a new template · ssh: build, up, migrate",
        5,
        || {
            change();
            estiba(&site, &["deploy"])
        },
        || ssh(&by_script(&site)),
    );
    support::remove_project(&format!("{}-script", site.name));
    backup(&site);
    let (by_hand, old_version) = ("rollback · ssh: up of the old image", "rollback · a deploy of the old version");
    let until_healthy = "rollback, until it has the traffic · ssh: up of the old image, until it is healthy";
    let unwatched = "rollback · a deploy of the old version with `observe = \"0s\"`";
    if wanted(by_hand) || wanted(until_healthy) || wanted(old_version) || wanted(unwatched) {
        // There is something to go back to, whatever else was asked for.
        change();
        estiba(&site, &["deploy"]);
    }
    let mut serving = false;
    for (what, wait) in [(by_hand, ""), (until_healthy, "--wait")] {
        timed(
            what,
            5,
            || if wait.is_empty() { estiba(&site, &["rollback"]) } else { until_traffic(&site) },
            || {
                serving = !serving;
                ssh(&compose(
                    &site,
                    &format!("up -d --no-deps --force-recreate {wait} web-{}", if serving { "blue" } else { "green" }),
                ))
            },
        );
    }
    let mut deploy = || {
        change();
        estiba(&site, &["deploy"])
    };
    timed(unwatched, 5, || estiba(&site, &["rollback"]), &mut deploy);
    warm(&site, &mut deploy);
    // As it is where nobody set anything: the new release is watched for 30 s.
    site.edit("deploy.toml", "observe = \"0s\"\n", "");
    timed(old_version, 3, || estiba(&site, &["rollback"]), &mut deploy);
}

/// A rollback, from the command's start until the release before has all traffic.
fn until_traffic(site: &Site) -> Duration {
    let map = site.root.join("edge/web/state/slot.map");
    let serving = || std::fs::read_to_string(&map).unwrap_or_default();
    let before = serving();
    let started = Instant::now();
    let mut rollback = site.spawn(&["rollback"]);
    while serving() == before || serving().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(2));
    }
    let took = started.elapsed();
    assert!(rollback.wait().unwrap().success());
    took
}

/// Back to a release that was kept warm, from the command's start until it has all traffic, against what Compose needs to start it.
fn warm(site: &Site, deploy: &mut impl FnMut() -> Duration) {
    let what = "rollback to a warm release, until it has the traffic · docker compose up -d of the old image";
    if !wanted(what) {
        return;
    }
    site.edit("deploy.toml", "observe = \"0s\"\n", "observe = \"0s\"\nkeep-warm = \"10m\"\n");
    timed(
        what,
        10,
        || {
            deploy();
            until_traffic(site)
        },
        || {
            let slot = site.status()["slot"].as_str().unwrap().to_owned();
            ssh(&compose(site, &format!("up -d --no-deps --force-recreate --wait web-{slot}")))
        },
    );
    site.edit("deploy.toml", "keep-warm = \"10m\"\n", "");
}

/// At 50 ms round trip: an unchanged deploy against 31 commands over one connection, which is what a deploy of Kamal's is; and
/// a deploy of a changed app against what Compose itself needs, on the server.
fn far(site: &Site) {
    let unchanged = "unchanged deploy at 50 ms · 31 commands over one ssh connection";
    let changed = "deploy of a changed app at 50 ms · docker compose up -d there, until it is healthy";
    if !wanted(unchanged) && !wanted(changed) {
        return;
    }
    let port = delay::start(sshd().port, Duration::from_millis(50));
    let near = format!("127.0.0.1:{}", sshd().port);
    site.edit("deploy.toml", &near, &format!("127.0.0.1:{port}"));
    let kamal = || {
        let started = Instant::now();
        let control = sshd().folder.join("control").display().to_string();
        let mut master = ssh_to(sshd(), port);
        assert!(master.args(["-M", "-S", &control, "-o", "ControlPersist=yes", "-f", "-N"]).status().unwrap().success());
        for _ in 0..31 {
            let mut one = ssh_to(sshd(), port);
            assert!(one.args(["-S", &control, "docker ps -q >/dev/null"]).status().unwrap().success());
        }
        let took = started.elapsed();
        let _ = ssh_to(sshd(), port).args(["-S", &control, "-O", "exit"]).stderr(Stdio::null()).status();
        took
    };
    timed(unchanged, 5, || estiba(site, &["deploy"]), kamal);
    let mut number = 0;
    timed(
        changed,
        5,
        || {
            number += 1;
            site.append("templates/home.html", &format!("<!-- far {number} -->\n"));
            // Without its build, which both have.
            let run = site.estiba(&["deploy", "--json"]);
            assert_eq!(run.code, 0, "{}", run.stderr);
            let outcome = run.json();
            let build = outcome["steps"].as_array().unwrap().iter().find(|step| step["name"] == "build").unwrap();
            Duration::from_millis(outcome["duration_ms"].as_u64().unwrap() - build["duration_ms"].as_u64().unwrap())
        },
        || {
            let slot = site.status()["slot"].as_str().unwrap().to_owned();
            let started = Instant::now();
            let health = format!("docker inspect -f '{{{{.State.Health.Status}}}}' {}-web-{slot}-1", site.name);
            let up = compose(site, &format!("up -d --no-deps --force-recreate web-{slot}"));
            let script = format!("{up} && until [ \"$({health})\" = healthy ]; do sleep 0.1; done");
            assert!(Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status().unwrap().success());
            started.elapsed()
        },
    );
    site.edit("deploy.toml", &format!("127.0.0.1:{port}"), &near);
}

fn run(program: &str, arguments: &[&str]) -> Duration {
    let started = Instant::now();
    assert!(Command::new(program).args(arguments).output().unwrap().status.success());
    started.elapsed()
}

/// The dump of a backup, without what makes it one that has been restored, against the bare program.
fn backup(site: &Site) {
    let what = "the dump of a backup, 200 MB · pg_dump -Fc";
    if !wanted(what) {
        return;
    }
    let database = format!("{}-db-1", site.name);
    let fill = "CREATE TABLE big AS SELECT i, md5(i::text) || repeat(md5((i * 7)::text), 3) AS text FROM generate_series(1, 1500000) AS i";
    let sql = ["exec", &database, "psql", "-q", "-U", "certificados_user", "-d", "certificados_prod", "-c"];
    assert!(Command::new("docker").args(sql).arg(fill).status().unwrap().success());
    let plain = site.folder.join("plain.dump");
    let ours = || {
        estiba(site, &["backup", "create"]);
        let listed = site.estiba(&["backup", "list", "--json"]).json();
        Duration::from_millis(listed["dump_ms"].as_u64().unwrap())
    };
    let theirs = || {
        let started = Instant::now();
        let script = format!("docker exec {database} pg_dump -Fc -U certificados_user certificados_prod >{}", plain.display());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
        started.elapsed()
    };
    timed(what, 5, ours, theirs);
    assert!(Command::new("docker").args(sql).arg("DROP TABLE big").status().unwrap().success());
}

fn estiba(site: &Site, arguments: &[&str]) -> Duration {
    let started = Instant::now();
    let run = site.estiba(arguments);
    assert_eq!(run.code, 0, "{}", run.stderr);
    started.elapsed()
}

/// OpenSSH's own client, with a connection for the call, as a script or `DOCKER_HOST=ssh://` has it.
fn ssh(command: &str) -> Duration {
    let started = Instant::now();
    let output = ssh_to(sshd(), sshd().port).arg(command).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    started.elapsed()
}

/// The client on its way to that server, through this port.
fn ssh_to(server: &Sshd, port: u16) -> Command {
    let mut command = Command::new("ssh");
    command.args(["-p", &port.to_string(), "-i"]).arg(server.folder.join("id_ed25519"));
    command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]);
    command.arg("root@127.0.0.1");
    command
}

fn compose(site: &Site, arguments: &str) -> String {
    let release = format!("{}/current", site.root.display());
    format!(
        "docker compose -p {} --project-directory {release}/files --env-file {release}/files/.env.production --env-file {release}/estiba.env \
         -f {release}/files/stack.yml -f {release}/files/slot-blue.yml -f {release}/files/slot-green.yml {arguments}",
        site.name
    )
}

/// What a team's update script does, on a stack of its own: build, up, migrate.
fn by_script(site: &Site) -> String {
    let app = site.app("").display().to_string();
    let name = format!("{}-script", site.name);
    format!(
        "cd {app} && printf 'DJANGO_SECRET_KEY=x\\nPOSTGRES_DB=d\\nPOSTGRES_USER=u\\nPOSTGRES_PASSWORD=p\\nHTTP_PORT=127.0.0.1:0\\n' >.env.bench \
         && cp .env.bench .env && mkdir -p media staticfiles && echo '# '$(date +%N) >>manage.py && docker build -q -t certificados . >/dev/null \
         && docker compose -p {name} up -d --no-build --wait db cache web && docker compose -p {name} exec -T web python manage.py migrate --noinput \
         && docker compose -p {name} exec -T -u 0 web python manage.py collectstatic --noinput; code=$?; rm -f .env .env.bench; exit $code"
    )
}
