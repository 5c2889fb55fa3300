//! The database around a deploy, with a writer at work on the site that keeps a list of what was acknowledged.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use estiba::demo::Load;

use crate::support::{Run, Site, docker, wait_for};

const TWO: &str = "0002_a";

/// A migration file's name and text.
pub fn migration(site: &Site, name: &str, after: &str, operations: &str) {
    let text = format!(
        "from django.db import migrations, models\n\n\ndef fail(apps, schema):\n    raise RuntimeError('this one is broken')\n\n\n\
         class Migration(migrations.Migration):\n    dependencies = [('certificados', '{after}')]\n    operations = [{operations}]\n"
    );
    site.write(&format!("certificados/migrations/{name}.py"), &text);
}

pub const ADD: &str = "migrations.AddField('certificate', 'note', models.CharField(max_length=20, null=True))";
pub const FAIL: &str = "migrations.RunPython(fail, migrations.RunPython.noop)";
pub const DROP: &str = "migrations.RemoveField('certificate', 'holder')";

/// Posts one row after another and keeps the numbers of those that were acknowledged.
pub struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Written>,
}

#[derive(Default)]
pub struct Written {
    pub acknowledged: Vec<u64>,
    refused: usize,
    failed: Vec<String>,
}

impl Writer {
    pub fn start(site: &Site) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, url) = (stop.clone(), format!("http://{}/certificados/", site.address));
        let thread = std::thread::spawn(move || {
            let mut written = Written::default();
            while !stopped.load(Ordering::Relaxed) {
                let output =
                    Command::new("curl").args(["-s", "-i", "--max-time", "20", "-d", "holder=writer", &url]).output().unwrap();
                let answer = String::from_utf8_lossy(&output.stdout).into_owned();
                let id = answer.split("\"id\": ").nth(1).and_then(|rest| rest.trim_end_matches(['}', '\n', '\r']).parse().ok());
                match id {
                    Some(id) if answer.starts_with("HTTP/1.1 201") => written.acknowledged.push(id),
                    _ if answer.to_ascii_lowercase().contains("retry-after: 30") => written.refused += 1,
                    _ => written.failed.push(answer.lines().next().unwrap_or("no answer").to_owned()),
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            written
        });
        Self { stop, thread }
    }

    pub fn stop(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

pub fn sql(site: &Site, statement: &str) -> String {
    let container = format!("{}-db-1", site.name);
    docker(&["exec", &container, "psql", "-U", "certificados_user", "-d", "certificados_prod", "-Atc", statement])
        .trim()
        .to_owned()
}

/// The columns of the app's tables.
pub fn columns(site: &Site) -> String {
    sql(site, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2")
}

fn databases(site: &Site) -> Vec<String> {
    sql(site, "SELECT datname FROM pg_database WHERE datname LIKE '%estiba%' OR datname LIKE '%replaced%' ORDER BY 1")
        .lines()
        .map(str::to_owned)
        .collect()
}

fn lost(site: &Site, written: &Written) -> usize {
    let rows: Vec<u64> = sql(site, "SELECT id FROM certificados_certificate").lines().map(|row| row.parse().unwrap()).collect();
    written.acknowledged.iter().filter(|id| !rows.contains(id)).count()
}

/// Nothing of a run is left: no fence, no copy, no half of a backup.
#[track_caller]
fn nothing_is_left(site: &Site) {
    assert_eq!(sql(site, "SHOW default_transaction_read_only"), "off");
    assert!(!databases(site).iter().any(|name| name.starts_with("estiba")), "{:?}", databases(site));
    assert!(std::fs::read_dir(site.root.join("backups")).unwrap().all(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        !name.starts_with('.') && !name.ends_with(".new")
    }));
    let (status, body) = site.get("/certificados/");
    assert_eq!(status, 200, "{body}");
    assert_eq!(std::fs::read_to_string(site.root.join("edge/web/state/fence.map")).unwrap(), "fence off\n");
}

pub fn dumps(site: &Site) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(site.root.join("backups"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "dump"))
        .collect();
    found.sort();
    found
}

fn ready(name: &str, database: &str) -> Site {
    let site = Site::new(name, &format!("[rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"8s\"\n[database]\n{database}"));
    site.deployed();
    for _ in 0..5 {
        assert!(
            Command::new("curl")
                .args(["-sf", "-d", "holder=first", &format!("http://{}/certificados/", site.address)])
                .output()
                .unwrap()
                .status
                .success()
        );
    }
    site
}

#[test]
fn a_backup_is_made_verified_pulled_and_refused_when_a_byte_is_another() {
    let site = ready("backup", "keep-backups = 2\n");
    // A setting whose text, taken as a statement, would be run by the database's superuser when the copy is made.
    sql(&site, "CREATE ROLE low");
    sql(
        &site,
        "SELECT set_config('search_path', 'public, a;ALTER/**/ROLE/**/low/**/SUPERUSER', false); ALTER DATABASE certificados_prod SET search_path FROM CURRENT",
    );
    let made = site.estiba(&["backup", "create", "--json"]).expect(0, "done");
    assert_eq!(made["steps"][0]["name"], "backup");
    assert_eq!(sql(&site, "SELECT rolsuper FROM pg_roles WHERE rolname = 'low'"), "f");
    nothing_is_left(&site);
    let listed = site.estiba(&["backup", "list", "--json"]).json();
    assert!(listed["rows"].as_u64().unwrap() > 5, "{listed}");
    assert_eq!(listed["release"], site.serving().as_str());
    let id = listed["id"].as_str().unwrap().to_owned();
    let verified = site.estiba(&["backup", "verify", &id]);
    verified.says(0, &["is whole"]);

    let out = site.folder.join("pulled");
    let pulled = site.estiba(&["backup", "pull", &id, "--out", out.to_str().unwrap(), "--json"]).json();
    assert_eq!(std::fs::read(pulled["file"].as_str().unwrap()).unwrap(), std::fs::read(&dumps(&site)[0]).unwrap());

    // One byte, a cut, no checksum.
    let dump = dumps(&site)[0].clone();
    let whole = std::fs::read(&dump).unwrap();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for broken in [flipped, whole[..whole.len() - 100].to_vec()] {
        std::fs::write(&dump, broken).unwrap();
        site.estiba(&["backup", "verify", &id]).says(1, &["SHA-256"]);
        site.estiba(&["backup", "restore", "production", &id, "--yes"]).says(1, &["SHA-256"]);
        site.estiba(&["backup", "pull", &id, "--out", out.to_str().unwrap()]).says(1, &["SHA-256"]);
    }
    std::fs::write(&dump, whole).unwrap();
    std::fs::rename(dump.with_extension("dump.sha256"), site.folder.join("away")).unwrap();
    site.estiba(&["backup", "verify", &id]).says(1, &["no checksum"]);
    site.estiba(&["backup", "restore", "production", &id, "--yes"]).says(1, &["no checksum"]);
    nothing_is_left(&site);

    // The newest are kept.
    for _ in 0..3 {
        site.estiba(&["backup", "create", "--json"]).expect(0, "done");
    }
    assert_eq!(dumps(&site).len(), 2);
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_dump_that_fails_leaves_nothing_under_a_final_name_and_stops_the_deploy() {
    let site = ready("dump", "");
    migration(&site, TWO, "0001_initial", ADD);
    let before = (site.containers(), site.serving());
    let container = format!("{}-db-1", site.name);
    let stops = |run: Run, words: &[&str]| {
        run.says(3, words);
        assert_eq!(run.json()["failed_step"], "backup", "{}", run.stderr);
        assert_eq!(dumps(&site).len(), 0);
        assert_eq!((site.containers(), site.serving()), before);
        nothing_is_left(&site);
    };
    // A dump program that breaks off half-way.
    docker(&[
        "exec",
        &container,
        "sh",
        "-c",
        "p=$(command -v pg_dump); mv $p $p.true; printf '#!/bin/sh\\n%s.true \"$@\" | head -c 2000\\necho broken >&2; exit 3\\n' $p >$p; chmod 755 $p",
    ]);
    stops(site.estiba(&["deploy", "--json"]), &["the dump failed: broken"]);
    // The disk fills up while it is written.
    let backups = site.root.join("backups");
    let fake = |end: &str| {
        let script = format!("p=$(command -v pg_dump); printf '#!/bin/sh\\n%s.true \"$@\"; {end}\\n' $p >$p; chmod 755 $p");
        docker(&["exec", &container, "sh", "-c", &script]);
    };
    fake("head -c 300000000 /dev/zero");
    assert!(Command::new("mount").args(["-t", "tmpfs", "-o", "size=90m", "tmpfs"]).arg(&backups).status().unwrap().success());
    let run = site.estiba(&["backup", "create", "--json"]);
    let left = std::fs::read_dir(&backups).unwrap().count();
    assert!(Command::new("umount").arg(&backups).status().unwrap().success());
    run.says(1, &["no space left on device", "serves, as before"]);
    assert_eq!(left, 0);
    // The database dies half-way.
    fake("kill -QUIT 1; sleep 5");
    site.estiba(&["backup", "create", "--json"]).says(1, &["the dump failed"]);
    assert_eq!(dumps(&site).len(), 0);
    wait_for("the database to be back", Duration::from_secs(60), || site.get("/health/").0 == 200);
    docker(&["exec", &container, "sh", "-c", "p=$(command -v pg_dump); mv $p.true $p"]);
    // A password that is not right any more.
    let postgres = |script: &str| docker(&["exec", &container, "sh", "-c", script]);
    postgres(
        "psql -q -U certificados_user -d postgres -c \"ALTER USER certificados_user PASSWORD 'another'\"; cp $PGDATA/pg_hba.conf /tmp/hba; \
         sed -i 's/^local.*/local all all scram-sha-256/' $PGDATA/pg_hba.conf; kill -HUP 1",
    );
    wait_for("the database to ask for a password", Duration::from_secs(10), || {
        let asked = ["exec", &container, "psql", "-w", "-U", "certificados_user", "-d", "postgres", "-c", "SELECT 1"];
        !Command::new("docker").args(asked).output().unwrap().status.success()
    });
    site.estiba(&["backup", "create", "--json"]).says(1, &["password authentication failed", "serves, as before"]);
    assert_eq!(dumps(&site).len(), 0);
    // The container is gone.
    docker(&["stop", &container]);
    site.estiba(&["backup", "create", "--json"]).says(1, &["has no running container"]);
    assert_eq!(dumps(&site).len(), 0);
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_failed_migration_under_a_fence_leaves_the_data_as_it_was() {
    for fence in ["read-only", "maintenance"] {
        let site = ready(&format!("fence-{fence}"), &format!("during-migrations = \"{fence}\"\n"));
        let columns = "SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_name = 'certificados_certificate'";
        let before = (sql(&site, columns), site.serving());
        migration(&site, TWO, "0001_initial", ADD);
        migration(&site, "0003_b", TWO, FAIL);
        migration(&site, "0004_c", "0003_b", ADD);
        let writer = Writer::start(&site);
        wait_for("rows", Duration::from_secs(20), || sql(&site, "SELECT count(*) > 8 FROM certificados_certificate") == "t");
        let run = site.estiba(&["deploy", "--json"]);
        run.says(3, &["this one is broken"]);
        assert_eq!(run.json()["failed_step"], "migrate");
        let written = writer.stop();
        assert!(written.refused > 0, "{fence}: {:?}", written.failed);
        assert_eq!(lost(&site, &written), 0);
        assert_eq!((sql(&site, columns), site.serving()), before);
        assert_eq!(sql(&site, "SELECT count(*) FROM django_migrations WHERE app = 'certificados'"), "1");
        nothing_is_left(&site);
        assert_eq!(databases(&site).len(), 1, "{:?}", databases(&site));
    }
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_failed_migration_online_loses_no_row() {
    let site = ready("online", "");
    migration(&site, TWO, "0001_initial", ADD);
    migration(&site, "0003_b", TWO, FAIL);
    migration(&site, "0004_c", "0003_b", ADD);
    let old = site.serving();
    let writer = Writer::start(&site);
    let run = site.estiba(&["deploy", "--json"]);
    run.says(3, &["the old release is healthy on it", "some things differ: the schema"]);
    assert_eq!(run.json()["differs"].as_array().unwrap().len(), 1);
    let written = writer.stop();
    assert!(written.acknowledged.len() > 5 && written.failed.is_empty() && written.refused == 0, "{:?}", written.failed);
    assert_eq!(lost(&site, &written), 0);
    assert_eq!(site.serving(), old);
    nothing_is_left(&site);
}

#[test]
#[ignore = "a variant: make test-whole"]
fn what_the_fence_refuses_is_no_error_of_the_new_release() {
    let site = ready("blamed", "during-migrations = \"read-only\"\n");
    site.edit("deploy.toml", "observe = \"0s\"", "observe = \"2s\"\nmin-requests = 20");
    migration(&site, TWO, "0001_initial", ADD);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let posts = runtime.block_on(async {
        Load {
            address: site.address,
            path: "/certificados/".into(),
            clients: 8,
            body: Some("holder=somebody".into()),
            keep_alive: true,
            pause: Duration::ZERO,
            patience: Duration::from_secs(20),
        }
        .start()
    });
    let deployed = site.estiba(&["deploy", "--json"]);
    let tally = runtime.block_on(posts.stop());
    deployed.says(0, &["the fence is lifted"]);
    assert!(tally.failed > 20, "the fence has refused {} of {}", tally.failed, tally.requests);
    nothing_is_left(&site);
}

/// Asks the database ten times, and does something else for a while in between, as a request does.
fn visit(container: &str) -> std::process::Output {
    let mut visitor = Command::new("docker")
        .args(["exec", "-i", container, "psql", "-U", "certificados_user", "-d", "certificados_prod", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let queries = "SELECT count(*) FROM certificados_certificate;\n\\! sleep 0.2\n".repeat(10);
    visitor.stdin.take().unwrap().write_all(queries.as_bytes()).unwrap();
    visitor.wait_with_output().unwrap()
}

#[test]
fn a_request_between_two_of_its_queries_is_not_cut_by_the_fence() {
    let site = ready("between", "during-migrations = \"read-only\"\n");
    migration(&site, TWO, "0001_initial", ADD);
    let stop = Arc::new(AtomicBool::new(false));
    let visitors: Vec<_> = (0..3)
        .map(|_| {
            let (stop, container) = (stop.clone(), format!("{}-db-1", site.name));
            std::thread::spawn(move || {
                let mut visits = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    visits.push(visit(&container));
                }
                visits
            })
        })
        .collect();
    let deployed = site.estiba(&["deploy", "--json"]);
    stop.store(true, Ordering::Relaxed);
    let visits: Vec<_> = visitors.into_iter().flat_map(|visitor| visitor.join().unwrap()).collect();
    deployed.says(0, &["the fence is lifted"]);
    let cut: Vec<_> = visits.iter().map(|visit| String::from_utf8_lossy(&visit.stderr)).filter(|said| !said.is_empty()).collect();
    assert!(cut.is_empty(), "{} of {} were cut: {}", cut.len(), visits.len(), cut[0]);
    assert!(visits.len() > 5, "{} visits", visits.len());
    nothing_is_left(&site);
}

/// A health path that reads the column, in the old release, and a new one that drops it and is never healthy.
fn drops_a_column(site: &Site) {
    site.edit(
        "certificados/views.py",
        "cursor.execute(\"SELECT 1\")",
        "cursor.execute(\"SELECT holder FROM certificados_certificate LIMIT 1\")",
    );
    site.deployed();
    migration(site, TWO, "0001_initial", DROP);
    site.edit("certificados/views.py", "status=200 if healthy else 503", "status=503");
}

#[test]
fn a_column_that_was_dropped_is_back_under_a_fence_when_the_new_release_fails() {
    let site = ready("dropped", "during-migrations = \"read-only\"\n");
    drops_a_column(&site);
    let old = site.serving();
    let writer = Writer::start(&site);
    wait_for("rows", Duration::from_secs(20), || sql(&site, "SELECT count(*) > 8 FROM certificados_certificate") == "t");
    let run = site.estiba(&["deploy", "--json"]);
    run.says(3, &["as it was before the migration", "serves, as before"]);
    assert_eq!(run.json()["failed_step"], "check");
    let written = writer.stop();
    assert_eq!(lost(&site, &written), 0);
    assert_eq!(site.serving(), old);
    nothing_is_left(&site);
}

#[test]
#[ignore = "a variant: make test-whole"]
fn online_a_dropped_column_is_not_restored_over_newer_writes() {
    let site = ready("person", "");
    drops_a_column(&site);
    let run = site.estiba(&["deploy", "--json"]);
    run.says(4, &["estiba backup restore", "estiba deploy", "Transactions since the backup"]);
    let backup = dumps(&site).pop().unwrap().file_stem().unwrap().to_str().unwrap().to_owned();
    assert!(run.stderr.contains(&format!("backup restore {backup}")), "{}", run.stderr);
    assert!(site.lock_is_free());
    assert!(!databases(&site).iter().any(|name| name.starts_with("estiba")), "{:?}", databases(&site));

    // Without the target's name nothing happens; with it, the old release is healthy again.
    site.estiba(&["backup", "restore", &backup]).says(2, &["--yes"]);
    site.estiba(&["backup", "restore", "--yes", &backup, "--json"]).expect(0, "done");
    wait_for("the old release", Duration::from_secs(15), || site.get("/health/").0 == 200);
    assert_eq!(databases(&site).len(), 1);
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_migration_that_waits_for_a_lock_gives_up_and_does_not_hold_the_site_up() {
    let site = ready("lock-timeout", "");
    migration(&site, TWO, "0001_initial", ADD);
    let container = format!("{}-db-1", site.name);
    // A reader that holds the table for a minute.
    let mut holder = Command::new("docker")
        .args(["exec", &container, "psql", "-U", "certificados_user", "-d", "certificados_prod", "-c"])
        .arg("BEGIN; SELECT count(*) FROM certificados_certificate; SELECT pg_sleep(60)")
        .spawn()
        .unwrap();
    wait_for("the lock", Duration::from_secs(10), || {
        sql(
            &site,
            "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname = 'certificados_certificate'",
        ) != "0"
    });
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, address) = (stop.clone(), site.address);
    let reader = std::thread::spawn(move || {
        let mut times = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            let began = Instant::now();
            let url = format!("http://{address}/certificados/");
            assert!(Command::new("curl").args(["-sf", "--max-time", "30", "-o", "/dev/null", &url]).status().unwrap().success());
            times.push(began.elapsed());
        }
        times
    });
    let run = site.estiba(&["deploy", "--json"]);
    stop.store(true, Ordering::Relaxed);
    let mut times = reader.join().unwrap();
    let _ = holder.kill();
    let _ = holder.wait();
    run.says(3, &["lock timeout"]);
    times.sort();
    let p99 = times[times.len() * 99 / 100];
    // Behind the holder of the lock they would wait for a minute.
    assert!(p99 < Duration::from_secs(15), "p99 {p99:?} of {}", times.len());
    nothing_is_left(&site);
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_backup_is_restored_into_another_target_and_masked_before_the_app_sees_it() {
    let (production, staging) = (ready("from", ""), ready("into", ""));
    sql(&production, "INSERT INTO certificados_certificate (holder, document, issued_at) VALUES ('Ana Real Name', '', now())");
    production.estiba(&["backup", "create", "--json"]).expect(0, "done");
    let id = production.estiba(&["backup", "list", "--json"]).json()["id"].as_str().unwrap().to_owned();
    let out = production.folder.join("out");
    production.estiba(&["backup", "pull", &id, "--out", out.to_str().unwrap()]).says(0, &["checked by its SHA-256"]);
    let dump = out.join(format!("{id}.dump"));

    // A masking file that is wrong changes nothing.
    staging.write("mask.sql", "UPDATE certificados_certificate SET holder = 'x'; SELECT 1/0;");
    let before = sql(&staging, "SELECT count(*) FROM certificados_certificate");
    let restore = |more: &[&str]| {
        let fixed = ["backup", "restore", "--json", "--mask", "mask.sql", "production", dump.to_str().unwrap()];
        staging.estiba(&[&fixed[..], more].concat())
    };
    restore(&[]).says(2, &["--yes"]);
    let run = restore(&["--yes"]);
    run.says(1, &["the masking file failed", "division by zero"]);
    assert_eq!(sql(&staging, "SELECT count(*) FROM certificados_certificate"), before);
    nothing_is_left(&staging);

    // No request sees a name that is not masked, and the change-over is short.
    staging.write("mask.sql", "UPDATE certificados_certificate SET holder = 'masked ' || id;");
    let writer = Writer::start(&staging);
    let run = restore(&["--yes"]);
    run.says(0, &["swapped in"]);
    run.expect(0, "done");
    let written = writer.stop();
    assert!(written.failed.len() < 20, "{:?}", written.failed);
    assert_eq!(sql(&staging, "SELECT count(*) FROM certificados_certificate WHERE holder LIKE 'Ana%'"), "0");
    assert_ne!(sql(&staging, "SELECT count(*) FROM certificados_certificate WHERE holder LIKE 'masked%'"), "0");
    nothing_is_left(&staging);
    // What was there before is kept, with what was written meanwhile.
    assert_eq!(databases(&staging).len(), 1);

    // From the server of a target by name, which here is the same.
    production.estiba(&["backup", "restore", "production", &id, "--from", "production", "--yes", "--json"]).expect(0, "done");
    assert_eq!(sql(&production, "SELECT count(*) FROM certificados_certificate WHERE holder LIKE 'Ana%'"), "1");
    assert!(production.status()["backup"].as_str().unwrap().starts_with("20"), "{}", production.status());
}

#[test]
fn whatever_dies_around_the_migration_the_fence_is_lifted_and_no_row_is_lost() {
    let site = ready("killed", "during-migrations = \"read-only\"\n");
    let old = site.serving();
    migration(&site, TWO, "0001_initial", ADD);
    let writer = Writer::start(&site);
    for step in ["fence", "backup", "migrate", "lift"] {
        let runs = || std::fs::read_dir(site.root.join("runs")).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        let before = runs();
        let deploy = site.spawn(&["deploy", "--json"]);
        let mut run = PathBuf::new();
        wait_for(step, Duration::from_secs(60), || {
            runs().into_iter().any(|one| {
                let began = std::fs::read_to_string(one.join("journal"))
                    .is_ok_and(|journal| journal.contains(&format!("\tbegan\t{step}\t")));
                run.clone_from(&one);
                began && !before.contains(&one)
            })
        });
        let pid = |name: &str| std::fs::read_to_string(run.join(name)).unwrap().trim().to_owned();
        let _ = Command::new("kill").args(["-KILL", &pid("supervisor.pid"), &pid("driver.pid")]).output().unwrap();
        let ended = Site::ended(deploy);
        ended.says(3, &[]);
        assert_eq!(site.serving(), old, "{step}");
        nothing_is_left(&site);
        // From `lift` on others may write, so the schema stays, on which the old release is healthy.
        let applied = sql(&site, "SELECT count(*) FROM django_migrations WHERE app = 'certificados'");
        assert!(applied == "1" || step == "lift", "{step}: {applied}");
    }
    let written = writer.stop();
    assert!(written.acknowledged.len() > 5, "{:?}", written.failed);
    assert_eq!(lost(&site, &written), 0);
    site.deployed();
    nothing_is_left(&site);
}
