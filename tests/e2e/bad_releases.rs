//! Releases that are wrong in every way end as promised, and the next good one goes through.

use std::process::Command;
use std::time::Duration;

use estiba::demo::{Load, Tally};
use serde_json::Value;

use crate::database::columns;
use crate::support::{Kept, Picture, Run, Site};

const SETTINGS: &str = "[rollout]\nobserve = \"8s\"\nmin-requests = 20\n\n[health]\ntimeout = \"5s\"\n";

/// What a bad release must come to.
struct Expected<'a> {
    code: i32,
    step: Option<&'a str>,
    says: &'a [&'a str],
}

struct Bad<'a> {
    site: &'a Site,
    kept: Kept<'a>,
    runtime: tokio::runtime::Runtime,
}

impl Bad<'_> {
    /// Deploys the broken project under load and looks at what stands afterwards. Returns the run and the load.
    #[track_caller]
    fn deploy(&self, what: &str, expected: &Expected<'_>) -> (Run, Tally) {
        let before = self.site.containers();
        let picture = Picture::of(self.site, columns);
        let load = self.runtime.block_on(async {
            Load {
                address: self.site.address,
                path: "/certificados/".into(),
                clients: 4,
                body: None,
                keep_alive: false,
                pause: Duration::from_millis(100),
                patience: Duration::from_secs(20),
            }
            .start()
        });
        let run = self.site.estiba(&["deploy", "--json"]);
        let tally = self.runtime.block_on(load.stop());
        assert_eq!(run.code, expected.code, "{what}: {}", run.stderr);
        for words in expected.says {
            assert!(run.stderr.contains(words), "{what}: no `{words}` in\n{}", run.stderr);
        }
        if let Some(step) = expected.step {
            let outcome: Value = run.json();
            assert_eq!(outcome["failed_step"], step, "{what}: {}", run.stderr);
            assert!(!outcome["reason"].as_str().unwrap().is_empty(), "{what}");
        }
        assert_eq!(self.site.containers(), before, "{what}: the old containers were touched");
        assert_eq!(Picture::of(self.site, columns), picture, "{what}");
        assert!(self.site.lock_is_free(), "{what}: the lock is held");
        assert_eq!(self.site.status()["drift"], serde_json::json!([]), "{what}");
        (run, tally)
    }
}

/// A site that serves a good release.
fn ready(name: &str) -> Site {
    let site = Site::new(name, SETTINGS);
    site.deployed();
    site
}

impl<'a> Bad<'a> {
    fn new(site: &'a Site) -> Self {
        Self { site, kept: site.keep(), runtime: tokio::runtime::Runtime::new().unwrap() }
    }

    /// The broken project ends as expected without a request that failed, and the project is good again.
    #[track_caller]
    fn ends(&self, what: &str, expected: &Expected<'_>) {
        let (_, tally) = self.deploy(what, expected);
        assert_eq!(tally.failed, 0, "{what}: {:#?}", tally.failures);
        self.kept.restore();
    }

    /// The next good release goes through.
    #[track_caller]
    fn then_a_good_one(&self) {
        self.kept.restore();
        self.site.append("templates/home.html", "<!-- good -->\n");
        self.site.edit("deploy.toml", "observe = \"8s\"", "observe = \"1s\"");
        self.site.deployed();
    }
}

#[test]
fn a_release_that_is_wrong_before_it_runs_ends_as_promised() {
    let site = ready("early");
    let bad = Bad::new(&site);

    site.append("Dockerfile", "RUN echo about to fail && exit 7\n");
    bad.ends("no build", &Expected { code: 1, step: Some("build"), says: &["about to fail", "nothing on the server changed"] });

    site.append("Dockerfile", "COPY no-such-file /x\n");
    bad.ends("missing file", &Expected { code: 2, step: None, says: &["no-such-file", "Dockerfile:"] });

    site.append(".env.production", "NEW=${NOT_SET_ANYWHERE}\n");
    bad.ends("undefined in the env file", &Expected { code: 2, step: None, says: &["NOT_SET_ANYWHERE", ".env.production:"] });

    site.edit("compose.yml", "REDIS_URL: redis", "OTHER: ${NOT_SET_EITHER}\n    REDIS_URL: redis");
    bad.ends("undefined in the Compose file", &Expected { code: 2, step: None, says: &["NOT_SET_EITHER", "compose.yml:"] });

    let migration = "from django.db import migrations\n\ndef up(apps, schema):\n    raise RuntimeError('no such thing')\n\n\
        class Migration(migrations.Migration):\n    dependencies = [('certificados', '0001_initial')]\n    operations = [migrations.RunPython(up)]\n";
    site.write("certificados/migrations/0002_bad.py", migration);
    bad.ends("migration raises", &Expected { code: 3, step: Some("migrate"), says: &["RuntimeError: no such thing"] });

    site.append("nginx/site.conf", "this is not nginx;\n");
    bad.ends("nginx config", &Expected { code: 3, step: Some("stack"), says: &["unknown directive \"this\"", "site.conf:"] });
    bad.then_a_good_one();
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_release_that_does_not_come_up_ends_as_promised() {
    let site = ready("down");
    let bad = Bad::new(&site);

    site.append("gunicorn.conf.py", "import sys\nprint('cannot go on like this', flush=True)\nsys.exit(9)\n");
    bad.ends("exits at start", &Expected { code: 3, step: Some("check"), says: &["cannot go on like this", "exit status"] });

    site.edit("certificados/views.py", "status=200 if healthy else 503", "status=500");
    bad.ends("health 500", &Expected { code: 3, step: Some("check"), says: &["/health/ of web answers 500, not 200"] });

    site.edit("certificados/views.py", "checks = {}", "time.sleep(60)");
    bad.ends("health hangs", &Expected { code: 3, step: Some("check"), says: &["/health/", "no answer within 5 s"] });

    site.edit("gunicorn.conf.py", "0.0.0.0:8000", "0.0.0.0:8123");
    bad.ends("other port", &Expected { code: 3, step: Some("check"), says: &["port 8000", "listens on 8123"] });
    bad.then_a_good_one();
}

#[test]
fn a_release_that_fails_after_the_switch_ends_as_promised() {
    let site = ready("late");
    let bad = Bad::new(&site);

    // Some seconds after the switch, within observe: PID 1 of the container dies, and the old slot stands in.
    let dies = "\nimport signal, sys, threading\nif 'gunicorn' in sys.argv[0]:\n    \
        threading.Timer(6, lambda: os.kill(os.getppid(), signal.SIGTERM)).start()\n";
    site.append("certificados/views.py", dies);
    let expected = Expected { code: 3, step: Some("observe"), says: &["after the switch"] };
    bad.ends("dies after the switch", &expected);

    // Every fifth real request is answered with an error, while the health path stays good.
    site.edit("certificados/views.py", "def certificates(request):", "def certificates(request):\n    if time.time_ns() // 1000 % 5 == 0:\n        raise RuntimeError('one in five')\n    return certificates_(request)\n\n\n@csrf_exempt\ndef certificates_(request):");
    let expected = Expected { code: 3, step: Some("observe"), says: &["real requests with an error"] };
    let (run, tally) = bad.deploy("one in five", &expected);
    assert!(tally.failures.iter().all(|failure| failure.contains("status 500")), "{:#?}\n{}", tally.failures, run.stderr);
    assert!(tally.failed > 0 && tally.failed < tally.requests / 2, "{} of {}", tally.failed, tally.requests);
    bad.then_a_good_one();
}

#[test]
fn a_disk_too_full_for_the_release_is_refused_before_anything_changes() {
    let site = Site::new("full", "[image]\nsource = \"server\"\n");
    std::fs::create_dir_all(&site.root).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=40m,mode=0755", "tmpfs"]).arg(&site.root).status().unwrap();
    assert!(mounted.success(), "mounting a small disk");
    let run = site.estiba(&["deploy", "--json"]);
    assert!(Command::new("umount").arg("-l").arg(&site.root).status().unwrap().success());
    let outcome = run.expect(1, "refused");
    assert!(outcome["reason"].as_str().unwrap().contains("too full"), "{outcome}");
    assert_eq!(site.containers(), Vec::<String>::new());
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_build_on_the_server_respects_the_dockerignore_and_fails_as_a_local_one() {
    let site = Site::new("server", "[image]\nsource = \"server\"\n\n[rollout]\nobserve = \"0s\"\n");
    site.write("media/big.bin", "not for the image");
    site.deployed();
    let container = format!("{}-web-blue-1", site.name);
    let listed = crate::support::docker(&["exec", &container, "ls", "-a", "/app", "/app/media"]);
    assert!(!listed.contains("big.bin") && !listed.contains(".env.production") && listed.contains("manage.py"), "{listed}");
    let unchanged = site.estiba(&["deploy", "--json"]);
    unchanged.expect(0, "unchanged");

    // What it has of the last build is not sent again, and is looked at before it is built from.
    site.append("templates/home.html", "<!-- one -->\n");
    site.estiba(&["deploy", "--json"]).says(0, &["build context: 1 files sent"]);
    std::fs::write(site.root.join("state/context/manage.py"), "somebody else's").unwrap();
    site.append("templates/home.html", "<!-- two -->\n");
    site.estiba(&["deploy", "--json"]).says(1, &["is damaged; deploy again"]);
    let whole = site.estiba(&["deploy", "--json"]);
    whole.says(0, &["build context: "]);
    assert!(!whole.stderr.contains("build context: 1 files"), "{}", whole.stderr);
    assert!(site.get("/").1.contains("<!-- two -->"));

    site.append("Dockerfile", "RUN echo on the server && exit 7\n");
    let run = site.estiba(&["deploy", "--json"]);
    run.says(1, &["on the server", "docker build failed"]);
    run.expect(1, "failed");
    assert_eq!(site.get("/health/").0, 200);
}
