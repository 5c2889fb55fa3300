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

#[path = "../tests/e2e/support/mod.rs"]
mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Site, sshd};

fn main() {
    // `cargo test` builds benches too and asks for nothing but that they run.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let site = Site::new("bench", "[rollout]\nobserve = \"0s\"\n");
    site.deployed();
    println!(
        "{:<52} {:>8} {:>8} {:>8}   seconds (medians)",
        "estiba against what a user would use instead", "min", "median", "max"
    );
    pair("status · ssh and docker compose ps", 9, || estiba(&site, &["status"]), || ssh("docker compose ls && docker ps"));
    pair(
        "deploy, nothing to do · ssh and docker compose up -d",
        9,
        || estiba(&site, &["deploy"]),
        || ssh(&compose(&site, "up -d")),
    );
    let mut number = 0;
    pair(
        "deploy of a new template · ssh: build, up, migrate",
        5,
        || {
            number += 1;
            site.append("templates/home.html", &format!("<!-- {number} -->\n"));
            estiba(&site, &["deploy"])
        },
        || ssh(&by_script(&site)),
    );
    backup(&site);
    let mut serving = false;
    pair(
        "rollback · ssh: up of the old image",
        5,
        || estiba(&site, &["rollback"]),
        || {
            serving = !serving;
            ssh(&compose(&site, &format!("up -d --force-recreate {}", if serving { "web-blue" } else { "web-green" })))
        },
    );
}

/// Was this pair asked for?
fn wanted(what: &str) -> bool {
    std::env::args().skip(1).filter(|word| !word.starts_with('-')).all(|word| what.contains(&word))
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
    pair(what, 5, ours, theirs);
    assert!(Command::new("docker").args(sql).arg("DROP TABLE big").status().unwrap().success());
}

/// Runs the two in turn and prints the ratio of their times.
fn pair(what: &str, runs: usize, mut ours: impl FnMut() -> Duration, mut theirs: impl FnMut() -> Duration) {
    if !wanted(what) {
        return;
    }
    ours();
    theirs();
    let mut ratios = Vec::new();
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let (a, b) = (ours().as_secs_f64(), theirs().as_secs_f64());
        ratios.push(a / b);
        our_times.push(a);
        their_times.push(b);
    }
    for list in [&mut ratios, &mut our_times, &mut their_times] {
        list.sort_by(f64::total_cmp);
    }
    let middle = runs / 2;
    println!(
        "{what:<52} {:>8.2} {:>8.2} {:>8.2}   {:.2} · {:.2}",
        ratios[0],
        ratios[middle],
        ratios[runs - 1],
        our_times[middle],
        their_times[middle]
    );
}

fn estiba(site: &Site, arguments: &[&str]) -> Duration {
    let started = Instant::now();
    let run = site.estiba(arguments);
    assert_eq!(run.code, 0, "{}", run.stderr);
    started.elapsed()
}

/// OpenSSH's own client, with a connection for the call, as a script or `DOCKER_HOST=ssh://` has it.
fn ssh(command: &str) -> Duration {
    let server = sshd();
    let started = Instant::now();
    let output = Command::new("ssh")
        .args(["-p", &server.port.to_string(), "-i"])
        .arg(server.folder.join("id_ed25519"))
        .args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
            "root@127.0.0.1",
            command,
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    started.elapsed()
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
