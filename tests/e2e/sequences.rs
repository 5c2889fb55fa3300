//! Whatever happens to a site, one deploy after another, what an outcome says is so, and no data is lost: stacks and faults by
//! chance, from a number, so that one that was found wanting can be had again.
//!
//! ESTIBA_SEEDS=100..300 tries others than the few that always run, ESTIBA_LENGTH=30 goes on for longer.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::database::{self, DROP, Writer, migration};
use crate::mariadb::MARIADB;
use crate::support::{Picture, Run, Site, docker, wait_for};

/// Seeds that always run.
const SEEDS: [u64; 1] = [7];
const LENGTH: usize = 4;
/// Those that once broke something, at the length that they did it with.
const BROKE: [u64; 2] = [1016, 2011];
const LONGER: usize = 7;

struct Chance(u64);

impl Chance {
    /// SplitMix64: neighbouring seeds have nothing in common.
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap() % below
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// The engines whose databases are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    PostgreSql,
    MariaDb,
}

impl Engine {
    fn sql(self, site: &Site, statement: &str) -> String {
        match self {
            Self::PostgreSql => database::sql(site, statement),
            Self::MariaDb => MARIADB.sql(site, statement),
        }
    }

    fn columns(self, site: &Site) -> String {
        match self {
            Self::PostgreSql => database::columns(site),
            Self::MariaDb => MARIADB.sql(
                site,
                "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY 1, 2",
            ),
        }
    }

    /// What a run left in the database, or that it takes no writes.
    fn left(self, site: &Site) -> String {
        match self {
            Self::PostgreSql => self.sql(site, "SELECT datname FROM pg_database WHERE datname LIKE 'estiba%' UNION ALL SELECT 'no writes' WHERE current_setting('default_transaction_read_only') = 'on'"),
            Self::MariaDb => self.sql(site, "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'estiba%'"),
        }
    }
}

struct Sequence {
    site: Site,
    engine: Engine,
    chance: Chance,
    /// What happened, for whoever reads that it failed.
    story: String,
    fence: &'static str,
    rows: Vec<u64>,
    uploads: usize,
    migrations: Vec<String>,
    releases: usize,
}

impl Sequence {
    /// A site like the example's, with a stack by chance.
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let engine = [Engine::PostgreSql, Engine::PostgreSql, Engine::MariaDb][chance.below(3)];
        // MySQL's family cannot refuse writes by itself.
        let fence = match engine {
            Engine::PostgreSql => chance.one(&["online", "read-only", "maintenance"]),
            Engine::MariaDb => chance.one(&["online", "maintenance"]),
        };
        // What others wrote during a migration cannot be known there, so that the copy needs the team's word.
        let restore = if engine == Engine::MariaDb { "restore = \"on-critical-failure\"\n" } else { "" };
        let strategy = chance.one(&["", "", "strategy = \"recreate\"\n"]);
        let site = Site::new(
            &format!("sequence-{seed}"),
            &format!(
                "[rollout]\nobserve = \"1s\"\n{strategy}[health]\ntimeout = \"6s\"\n[database]\nduring-migrations = \"{fence}\"\n{restore}"
            ),
        );
        if engine == Engine::MariaDb {
            MARIADB.moved_in(&site);
        }
        let mut story = format!("{engine:?}, fence {fence}, {strategy:?}");
        let entry = chance.one(&["", "echo begins\n", "python manage.py migrate --noinput\n"]);
        if !entry.is_empty() {
            site.write("entry.sh", &format!("#!/bin/sh\n{entry}exec \"$@\"\n"));
            site.edit("Dockerfile", "EXPOSE", "ENTRYPOINT [\"sh\", \"/app/entry.sh\"]\nEXPOSE");
        }
        let media = chance.one(&["./media", "${MEDIA_DIR:-./media}", "${PWD}/media", "media"]);
        for (there, mode) in [("/app/media", ""), ("/srv/media", ":ro")] {
            site.edit("compose.yml", &format!("./media:{there}{mode}"), &format!("{media}:{there}{mode}"));
        }
        if media == "media" {
            site.append("compose.yml", "  media:\n");
        }
        let is_volume = chance.below(2) == 1;
        if is_volume {
            for line in ["./staticfiles:/app/staticfiles", "./staticfiles:/srv/staticfiles:ro"] {
                site.edit("compose.yml", line, &line.replace("./", ""));
            }
            site.append("compose.yml", "  staticfiles:\n");
        }
        let _ = write!(story, ", entry {entry:?}, media {media}, static in a volume: {is_volume}");
        let more = [
            ("", ""),
            ("  crew:\n    <<: *app\n    command: python -c 'import time; time.sleep(1e6)'\n", "a worker"),
            ("  look:\n    <<: *app\n    restart: \"no\"\n    command: python manage.py check\n", "a job"),
        ][chance.below(3)];
        site.edit("compose.yml", "\n  db:\n", &format!("\n{}\n  db:\n", more.0));
        if strategy.is_empty() && chance.below(3) == 0 {
            site.edit("compose.yml", "    stop_grace_period: 30s\n", "    stop_grace_period: 30s\n    deploy: {replicas: 2}\n");
            story.push_str(", two containers");
        }
        let _ = writeln!(story, ", {}", more.1);
        Self {
            site,
            engine,
            chance,
            story,
            fence,
            rows: Vec::new(),
            uploads: 0,
            migrations: vec!["0001_initial".into()],
            releases: 0,
        }
    }

    fn picture(&self) -> Picture {
        Picture::of(&self.site, |site| self.engine.columns(site))
    }

    /// A release that can be told from others by its style sheet.
    fn changes(&mut self) {
        self.releases += 1;
        self.site.write("certificados/static/certificados/site.css", &format!("/* {} */\n", self.releases));
        self.site.append("templates/home.html", &format!("<!-- {} -->\n", self.releases));
    }

    fn adds_a_migration(&mut self, operations: &str) {
        let name = format!("{:04}_r{}_more", self.migrations.len() + 1, self.releases);
        migration(&self.site, &name, self.migrations.last().unwrap(), operations);
        self.migrations.push(name);
    }

    fn uploads(&mut self) {
        self.uploads += 1;
        let in_app = format!("{}-web-{}-1", self.site.name, self.site.slot());
        let write = format!("echo upload {0} >/app/media/{0}.txt", self.uploads);
        docker(&["exec", &in_app, "sh", "-c", &write]);
        let (key, value) = (format!("key{}", self.uploads), self.uploads.to_string());
        docker(&["exec", &format!("{}-cache-1", self.site.name), "redis-cli", "set", &key, &value]);
    }

    /// Waits until that step has begun in a run that was not there before.
    fn reaches(&self, step: &str, before: &[String]) -> Option<std::path::PathBuf> {
        let mut found = None;
        let began = std::time::Instant::now();
        while found.is_none() && began.elapsed() < Duration::from_secs(60) {
            found = runs(&self.site)
                .into_iter()
                .filter(|run| !before.contains(run))
                .map(|run| self.site.root.join("runs").join(run))
                .find(|run| {
                    let lines = std::fs::read_to_string(run.join("steps")).unwrap_or_default();
                    lines.contains(&format!("began {step}\n")) || run.join("outcome").exists()
                });
            std::thread::sleep(Duration::from_millis(10));
        }
        found
    }

    /// One thing that happens, and what holds after it.
    fn goes_on(&mut self) {
        let kept_migrations = self.migrations.clone();
        let kept_files = self.site.folder.join("before");
        let _ = std::fs::remove_dir_all(&kept_files);
        assert!(Command::new("cp").arg("-r").arg(self.site.app("")).arg(&kept_files).status().unwrap().success());
        self.uploads();
        let before = self.picture();
        let runs_before = runs(&self.site);
        let writer = Writer::start(&self.site);
        let what = self
            .chance
            .one(&["good", "migrates", "sick", "fails", "drops", "killed", "killed", "orphaned", "crashes", "rollback"]);
        let _ = write!(self.story, "{what}");
        self.changes();
        match what {
            "migrates" => {
                let column = format!(
                    "migrations.AddField('certificate', 'c{}', models.CharField(max_length=9, null=True))",
                    self.releases
                );
                self.adds_a_migration(&column);
            }
            "fails" => {
                let column = format!(
                    "migrations.AddField('certificate', 'c{}', models.CharField(max_length=9, null=True)), migrations.RunPython(fail)",
                    self.releases
                );
                self.adds_a_migration(&column);
            }
            "drops" => {
                // Without a fence what was written meanwhile and the column cannot both be had.
                if self.fence == "online" {
                    self.adds_a_migration("migrations.RunPython(lambda apps, schema: None)");
                } else {
                    self.adds_a_migration(DROP);
                }
                self.site.edit("certificados/views.py", "status=200 if healthy else 503", "status=503");
            }
            "sick" => self.site.edit("certificados/views.py", "status=200 if healthy else 503", "status=500"),
            _ => {}
        }
        let run = match what {
            "rollback" => self.site.estiba(&["rollback", "--json"]),
            "killed" | "orphaned" | "crashes" => {
                let deploy = self.site.spawn(&["deploy", "--json"]);
                let step = match what {
                    "crashes" => "check",
                    _ => self.chance.one(&[
                        "image", "edge", "static", "migrate", "start", "check", "switch", "observe", "commit", "drain", "prune",
                    ]),
                };
                let _ = write!(self.story, " at {step}");
                if let Some(run) = self.reaches(step, &runs_before).filter(|run| !run.join("outcome").exists()) {
                    self.strikes(what, &run);
                }
                Site::ended(deploy)
            }
            _ => self.site.estiba(&["deploy", "--json"]),
        };
        let outcome = run.stdout.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok()).unwrap_or_default();
        let _ = writeln!(self.story, ": {} {} {} {}", run.code, outcome["outcome"], outcome["reason"], outcome["differs"]);
        wait_for("the end of the run", Duration::from_secs(90), || {
            self.site.lock_is_free()
                && runs(&self.site).iter().all(|run| self.site.root.join("runs").join(run).join("outcome").exists())
        });
        let written = writer.stop();
        self.rows.extend(written.acknowledged);
        self.holds(&run, &outcome, &before);
        // What did not become the site's does not stay in the project.
        if outcome["outcome"] != "deployed" {
            self.migrations = kept_migrations;
            let _ = Command::new("cp").arg("-rT").arg(&kept_files).arg(self.site.app("")).status();
            for file in std::fs::read_dir(self.site.app("certificados/migrations")).unwrap().filter_map(Result::ok) {
                let name = file.file_name().into_string().unwrap();
                let known = self.migrations.iter().any(|known| name == format!("{known}.py"));
                if name.ends_with("_more.py") && !known {
                    std::fs::remove_file(file.path()).unwrap();
                }
            }
        }
    }

    fn strikes(&self, what: &str, run: &std::path::Path) {
        let pid = |file: &str| std::fs::read_to_string(run.join(file)).unwrap_or_default().trim().to_owned();
        let kill = |pids: &[String]| drop(Command::new("kill").arg("-KILL").args(pids).output());
        match what {
            "killed" => kill(&[pid("driver.pid")]),
            "orphaned" => kill(&[pid("driver.pid"), pid("supervisor.pid")]),
            _ => {
                let new = if self.site.slot() == "blue" { "green" } else { "blue" };
                let _ = Command::new("docker").args(["kill", &format!("{}-web-{new}-1", self.site.name)]).output();
            }
        }
    }

    /// What the outcome claims, held against what is.
    fn holds(&self, run: &Run, outcome: &Value, before: &Picture) {
        let site = &self.site;
        let told = || format!("{}\n{}\n{}", self.story, run.stdout, run.stderr);
        wait_for(&format!("the site, after\n{}", told()), Duration::from_secs(30), || site.get("/health/").0 == 200);
        let after = self.picture();
        let here: Vec<u64> =
            self.engine.sql(site, "SELECT id FROM certificados_certificate").lines().map(|row| row.parse().unwrap()).collect();
        let lost: Vec<&u64> = self.rows.iter().filter(|id| !here.contains(id)).collect();
        assert!(lost.is_empty(), "rows {lost:?} are lost\n{}", told());
        for number in 1..=self.uploads {
            assert!(after.uploads.contains_key(&format!("./{number}.txt")), "the upload {number} is lost\n{}", told());
            let kept = docker(&["exec", &format!("{}-cache-1", site.name), "redis-cli", "get", &format!("key{number}")]);
            assert_eq!(kept.trim(), number.to_string(), "what Redis kept is lost\n{}", told());
        }
        assert_eq!(after.answers, [200, 200, 200], "{}", told());
        assert_eq!(after.sheet, (200, Picture::own_sheet(site)), "the style sheet of another release\n{}", told());
        let differs = outcome["differs"].as_array().map_or(0, Vec::len);
        let went_on = after.release != before.release;
        match (run.code, outcome["outcome"].as_str().unwrap_or_default()) {
            (0, "deployed") => assert_eq!(outcome["release"], after.release.as_str(), "{}", told()),
            (0, "rolled-back") => assert!(went_on, "{}", told()),
            // There is nothing to go back to.
            (_, "") => assert!(after == *before && run.stderr.contains("previous"), "{}", told()),
            (1 | 3 | 4, _) => {
                assert!(!went_on, "not deployed, and another release serves\n{}", told());
                assert!(differs > 0 || after.schema == before.schema, "{} became {}\n{}", before.schema, after.schema, told());
                assert_eq!(after.sheet, before.sheet, "{}", told());
                assert!(run.code != 4 || differs > 0 || run.stderr.contains("could not be undone"), "{}", told());
            }
            other => panic!("{other:?}\n{}", told()),
        }
        assert_eq!(self.engine.left(site), "", "left in the database\n{}", told());
        let drift = site.status()["drift"].clone();
        assert_eq!(drift.as_array().unwrap().len(), 0, "{drift}\n{}", told());
        let ours = docker(&[
            "ps",
            "-aq",
            "--filter",
            &format!("label=com.docker.compose.project={}", site.name),
            "--filter",
            "label=com.docker.compose.oneoff=True",
        ]);
        assert!(ours.trim().is_empty(), "containers of steps are left: {ours}\n{}", told());
    }
}

fn runs(site: &Site) -> Vec<String> {
    let entries = std::fs::read_dir(site.root.join("runs")).map(|runs| runs.filter_map(Result::ok).collect::<Vec<_>>());
    let mut names: Vec<String> = entries.unwrap_or_default().iter().map(|run| run.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn whatever_happens_one_after_another_what_is_said_is_so_and_nothing_is_lost() {
    let seeds: Vec<u64> = match std::env::var("ESTIBA_SEEDS") {
        Ok(range) => {
            let (from, to) = range.split_once("..").unwrap();
            (from.parse().unwrap()..to.parse().unwrap()).collect()
        }
        Err(_) => SEEDS.to_vec(),
    };
    let length = std::env::var("ESTIBA_LENGTH").map_or(LENGTH, |length| length.parse().unwrap());
    all_hold(&seeds, length);
}

#[test]
#[ignore = "a variant: make test-whole"]
fn the_sequences_that_once_broke_something_hold() {
    all_hold(&BROKE, LONGER);
}

#[expect(clippy::print_stdout, reason = "whoever runs others reads what happened")]
fn all_hold(seeds: &[u64], length: usize) {
    for seed in seeds {
        let mut sequence = Sequence::new(*seed);
        sequence.site.deployed();
        for _ in 0..length {
            sequence.goes_on();
        }
        // Each seed's own story, for who reads the output.
        println!("seed {seed}: {}", sequence.story);
    }
}
