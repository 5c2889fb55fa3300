//! What a team has its releases prove: its own steps, smoke requests, tests, a scan, and what a target requires.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{Site, docker, wait_for};

const QUICK: &str = "[rollout]\nobserve = \"0s\"\n";

/// Where the steps of a test write down that they ran.
fn told(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn the_teams_own_steps_run_in_their_places_and_are_undone_with_the_rest() {
    let site = Site::new("steps", "");
    let said = site.folder.join("said");
    let at = said.display();
    let steps = format!(
        "{QUICK}[[step]]\nname = \"warm-cache\"\nafter = \"start\"\nrun = \"python manage.py check\"\n\
         [[step]]\nname = \"note\"\nafter = \"start\"\non = \"server\"\nrun = \"sh -c 'echo server $ESTIBA_RELEASE $ESTIBA_SLOT >>{at}'\"\nundo = \"sh -c 'echo server undone >>{at}'\"\n\
         [[step]]\nname = \"tell-us\"\nbefore = \"switch\"\non = \"client\"\nrun = \"sh -c 'echo client $ESTIBA_RELEASE >>{at}'\"\nundo = \"sh -c 'echo client undone >>{at}'\"\n"
    );
    site.deploy_toml(&steps);
    let plan = site.estiba(&["plan"]).stdout;
    assert!(plan.contains("start, warm-cache, note, check, lift, tell-us: undone"), "{plan}");
    site.estiba(&["config", "check"]).says(0, &["good"]);
    assert_eq!(told(&said), [""; 0], "a look runs nothing");
    let outcome = site.deployed();
    let names: Vec<&str> = outcome["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["name"].as_str().unwrap())
        .filter(|name| *name != "build")
        .collect();
    let place = |name: &str| names.iter().position(|known| *known == name).unwrap_or_else(|| panic!("no {name} in {names:?}"));
    assert!(place("start") < place("warm-cache") && place("warm-cache") < place("note") && place("note") < place("check"));
    assert!(place("lift") < place("tell-us") && place("tell-us") < place("switch"));
    let release = site.serving();
    assert_eq!(told(&said), [format!("server {release} blue"), format!("client {release}")]);

    // What comes after them fails, and they are undone in reverse.
    let good = site.keep();
    site.append("deploy.toml", "[[step]]\nname = \"last-word\"\nafter = \"tell-us\"\nrun = \"sh -c 'echo no room; exit 7'\"\n");
    let run = site.estiba(&["deploy", "--json"]);
    assert!(run.stderr.contains("no room"), "{}", run.stderr);
    let outcome = run.expect(3, "rolled-back");
    assert_eq!(outcome["failed_step"], "last-word", "{outcome}");
    assert!(outcome["reason"].as_str().unwrap().contains("the team's step last-word failed"), "{outcome}");
    assert_eq!(told(&said)[4..], ["client undone", "server undone"]);
    assert_eq!(site.serving(), release);
    good.restore();

    // One that hangs has its time.
    site.append(
        "deploy.toml",
        "[[step]]\nname = \"last-word\"\nafter = \"tell-us\"\non = \"server\"\nrun = \"sleep 600\"\ntimeout = \"2s\"\n",
    );
    let outcome = site.estiba(&["deploy", "--json"]).expect(3, "rolled-back");
    assert!(outcome["reason"].as_str().unwrap().contains("exceeded its deadline of 2 s"), "{outcome}");
    good.restore();

    // An undo that fails needs a person, who is told which.
    site.append("deploy.toml", "[[step]]\nname = \"last-word\"\nafter = \"tell-us\"\non = \"server\"\nrun = \"false\"\nundo = \"sh -c 'echo stuck; exit 9'\"\n");
    let run = site.estiba(&["deploy", "--json"]);
    assert!(
        run.stderr.contains("the undo of the team's step last-word failed") && run.stderr.contains("stuck"),
        "{}",
        run.stderr
    );
    let outcome = run.expect(4, "failed");
    assert_eq!(outcome["failed_step"], "last-word", "{outcome}");
    assert_eq!(site.serving(), release);
}

#[test]
fn what_the_team_asks_for_is_answered_before_anybody_sees_the_release() {
    let secret = "Bearer smoke-token-92";
    let smoke = format!(
        "{QUICK}[[smoke]]\npath = \"/health/\"\ncontains = \"\\\"database\\\": \\\"ok\\\"\"\njson = {{ \"/database\" = \"ok\" }}\nmax-ms = 20000\n\
         [[smoke]]\npath = \"/certificados/\"\nmethod = \"POST\"\nbody = \"holder=smoke\"\nexpect-status = 201\n\
         headers = {{ Authorization = \"${{SMOKE_TOKEN}}\", Content-Type = \"application/x-www-form-urlencoded\" }}\n"
    );
    let site = Site::new("smoke", &smoke);
    let deploy = || Site::ended(site.command(&["deploy", "--json", "-v"]).env("SMOKE_TOKEN", secret).spawn().unwrap());
    let first = deploy();
    assert!(first.stderr.contains("2 smoke requests were answered as they should be"), "{}", first.stderr);
    first.expect(0, "deployed");
    let serving = site.serving();
    let (images, containers) = (docker(&["image", "ls", "-q", &site.name]), site.containers());

    site.edit("certificados/views.py", "status=201)", "status=202)");
    let run = deploy();
    assert!(!run.stderr.contains("smoke-token-92") && !run.stdout.contains("smoke-token-92"), "{}", run.stderr);
    let outcome = run.expect(1, "refused");
    assert_eq!(outcome["failed_step"], "check", "{outcome}");
    assert!(
        outcome["reason"].as_str().unwrap().contains("the smoke request POST /certificados/ answers 202, not 201"),
        "{outcome}"
    );
    assert_eq!(site.serving(), serving);
    assert_eq!((docker(&["image", "ls", "-q", &site.name]), site.containers()), (images, containers));

    // What the answer's body holds counts, too.
    site.edit("certificados/views.py", "status=202)", "status=201)");
    site.edit("deploy.toml", "\"/database\" = \"ok\"", "\"/database\" = \"ok\", \"/release\" = 7");
    let outcome = deploy().expect(1, "refused");
    let reason = outcome["reason"].as_str().unwrap();
    assert!(reason.contains("the smoke request GET /health/ answers 200, and at /release of its body is \"20"), "{outcome}");
    assert!(reason.contains(", not 7"), "{outcome}");
    let path = site.root.join("releases").join(&serving).join("smoke");
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_release_is_held_against_the_one_that_serves_under_load() {
    let load = "[load]\npaths = [\"/certificados/\", \"/\"]\nrequests-per-second = 12\nduration = \"5s\"\nmax-error-rate = 0.02\nmax-p95-ratio = 3\n";
    let site = Site::new("load", &format!("{QUICK}{load}"));
    let first = site.estiba(&["deploy", "--json"]);
    assert!(first.stderr.contains("load check of web: 60 requests to the new release, 0 answered"), "{}", first.stderr);
    first.expect(0, "deployed");
    site.append("templates/home.html", "<!-- next -->\n");
    let sound = site.estiba(&["deploy", "--json"]);
    assert!(sound.stderr.contains("; 60 to the one that serves, 0 with an error"), "{}", sound.stderr);
    sound.expect(0, "deployed");
    let (serving, images, containers) = (site.serving(), docker(&["image", "ls", "-q", &site.name]), site.containers());
    let good = site.keep();
    for (lines, why) in [
        ("    time.sleep(0.6)\n", "the load check found the new release slower than the one that serves"),
        (
            "    import random\n    if random.random() < 0.4:\n        raise RuntimeError\n",
            "the load check found too many errors",
        ),
    ] {
        site.edit(
            "certificados/views.py",
            "    if request.method == \"GET\":\n",
            &format!("{lines}    if request.method == \"GET\":\n"),
        );
        let outcome = site.estiba(&["deploy", "--json"]).expect(1, "refused");
        assert_eq!(outcome["failed_step"], "check", "{outcome}");
        assert!(outcome["reason"].as_str().unwrap().contains(why), "{outcome}");
        assert_eq!(site.serving(), serving);
        assert_eq!((docker(&["image", "ls", "-q", &site.name]), site.containers()), (images.clone(), containers.clone()));
        good.restore();
    }
}

#[test]
fn a_new_image_is_tested_and_scanned_before_it_is_sent() {
    let site = Site::new("tested", "");
    site.write(
        "compose.test.yml",
        "services:\n  web:\n    build: .\n    command: sh -c 'echo tests ran; cat results.xml 2>/dev/null >/tmp/junit.xml; test ! -e broken'\n    environment: { DJANGO_SECRET_KEY: test }\n    depends_on: [cache]\n  cache:\n    image: redis:7\n",
    );
    let scanner = site.app("scanner.sh");
    let script =
        "#!/bin/sh\ncase $1 in *estiba-build) ;; *) exit 9 ;; esac\necho looking >&2\ncat \"$(dirname \"$0\")/report.json\"\n";
    site.write("scanner.sh", script);
    std::fs::set_permissions(&scanner, std::fs::Permissions::from_mode(0o755)).unwrap();
    let report = |results: &str| format!("{{\"version\": \"2.1.0\", \"runs\": [{{\"results\": [{results}]}}]}}");
    site.write("report.json", &report(""));
    let settings = format!(
        "{QUICK}[stack]\ntest-compose = \"compose.test.yml\"\n[test]\njunit = \"../tmp/junit.xml\"\n[scan]\ncommand = \"{} {{image}}\"\naccept = [{{ id = \"CVE-1\", reason = \"not reached\", until = \"2999-12-31\" }}, {{ id = \"CVE-2\", reason = \"old\", until = \"2020-01-01\" }}]\n",
        scanner.display()
    );
    site.deploy_toml(&settings);
    site.write(".dockerignore", "report.json\nscanner.sh\ndeploy.toml\n");
    let left = || {
        let of =
            |what: &[&str]| docker(what).lines().filter(|line| line.contains("-test-")).map(str::to_owned).collect::<Vec<_>>();
        [
            of(&["ps", "-a", "--format", "{{.Names}}"]),
            of(&["network", "ls", "--format", "{{.Name}}"]),
            of(&["volume", "ls", "--format", "{{.Name}}"]),
            of(&["image", "ls", "--format", "{{.Repository}}"]),
        ]
        .concat()
        .into_iter()
        .filter(|name| name.starts_with(&site.name))
        .collect::<Vec<_>>()
    };
    let run = site.estiba(&["deploy", "--json", "-v"]);
    assert!(run.stderr.contains("tests ran"), "{}", run.stderr);
    let outcome = run.expect(0, "deployed");
    let names: Vec<&str> =
        outcome["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).take(4).collect();
    assert_eq!(names, ["build", "test", "scan", "send"]);
    assert_eq!(left(), [""; 0]);
    let (serving, containers) = (site.serving(), site.containers());

    // A test that fails.
    site.write("broken", "");
    site.write(
        "results.xml",
        "<testsuite><testcase classname=\"shop\" name=\"test_a\"/><testcase classname=\"shop\" name=\"test_b\"><failure message=\"1 != 2\"/></testcase></testsuite>",
    );
    let run = site.estiba(&["deploy", "--json"]);
    assert!(run.stderr.contains("test: 2 tests, 1 failed, 0 skipped"), "{}", run.stderr);
    let found = run.stdout.lines().find(|line| line.contains("\"found\"")).unwrap_or_default();
    assert!(found.contains("{\"name\":\"shop.test_b\",\"text\":\"1 != 2\"}"), "{}", run.stdout);
    let outcome = run.expect(1, "failed");
    assert_eq!(outcome["failed_step"], "test", "{outcome}");
    assert!(outcome["reason"].as_str().unwrap().contains("1 of 2 failed: shop.test_b"), "{outcome}");
    assert_eq!(left(), [""; 0]);
    // The client is killed while they run.
    site.edit("compose.test.yml", "test ! -e broken", "sleep 600");
    let mut child = site.spawn(&["deploy", "--json"]);
    wait_for("the tests", Duration::from_secs(60), || left().iter().any(|name| name.ends_with("-tests")));
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("the clean-up", Duration::from_secs(30), || left().is_empty());
    std::fs::remove_file(site.app("broken")).unwrap();
    site.edit("compose.test.yml", "sleep 600", "true");

    // Findings: one is accepted, one was, one is a warning, one is new.
    let result =
        |id: &str, level: &str| format!("{{\"ruleId\": \"{id}\", \"level\": \"{level}\", \"message\": {{\"text\": \"bad\"}}}}");
    site.append("templates/home.html", "<!-- next -->\n");
    site.write(
        "report.json",
        &report(&[result("CVE-1", "error"), result("CVE-2", "error"), result("CVE-3", "warning")].join(",")),
    );
    let run = site.estiba(&["deploy", "--json"]);
    let outcome = run.expect(1, "failed");
    assert_eq!(outcome["failed_step"], "scan", "{outcome}");
    assert!(outcome["reason"].as_str().unwrap().contains("1 finding that is not accepted: CVE-2"), "{outcome}");
    assert_eq!((site.serving(), site.containers()), (serving, containers));
    site.write("report.json", &report(&[result("CVE-1", "error"), result("CVE-3", "warning")].join(",")));
    let run = site.estiba(&["deploy", "--json"]);
    let new = "scan: 2 findings, 1 not accepted, 2 that the release that serves does not have";
    assert!(run.stderr.contains(new), "{}", run.stderr);
    run.expect(0, "deployed");

    // What the release that serves has is not new; a plan that builds tells it, too.
    site.append("templates/home.html", "<!-- third -->\n");
    site.write("report.json", &report(&[result("CVE-3", "warning"), result("CVE-4", "warning")].join(",")));
    let plan = site.estiba(&["plan", "--build", "--json"]);
    let found = plan.stdout.lines().find(|line| line.contains("\"found\"")).unwrap_or_default();
    assert!(
        found.contains("{\"name\":\"CVE-4\",\"text\":\"bad (new)\"},{\"name\":\"CVE-3\",\"text\":\"bad\"}"),
        "{}",
        plan.stdout
    );
    site.write("report.json", &report(&result("CVE-5", "error")));
    let plan = site.estiba(&["plan", "--build"]).stdout;
    assert!(plan.contains("a deploy would be refused: the scan of the image has 1 finding"), "{plan}");
}

#[test]
fn a_target_takes_what_it_requires_and_what_was_promoted() {
    let site = Site::new("required", "");
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(site.app("")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let text = std::fs::read_to_string(site.app("deploy.toml")).unwrap();
    let staging = text[text.find("hosts").unwrap()..]
        .replace(&*site.root.to_string_lossy(), &site.folder.join("staging").to_string_lossy());
    site.append(
        "deploy.toml",
        &format!(
            "require = {{ branch = \"main\", clean = true, promoted-from = \"staging\", max-age = \"1h\" }}\n\n[target.staging]\ncompose-project = \"{}-staging\"\nenv-file = \".env.staging\"\n{staging}\n{QUICK}",
            site.name
        ),
    );
    let env = std::fs::read_to_string(site.app(".env.production")).unwrap();
    site.write(".env.staging", &env.replace("${HTTP_PORT:-80}", &crate::support::free_address().to_string()));
    git(&["init", "-q", "-b", "feature"]);
    git(&["add", "-A"]);
    git(&["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "first"]);
    site.append("templates/home.html", "<!-- uncommitted -->\n");
    site.estiba(&["deploy", "production"]).says(
        1,
        &[
            "production is not deployed to: this is feature, and it takes main only; and the project has changes",
            "from staging alone",
        ],
    );
    site.estiba(&["promote", "staging", "production"]).says(1, &["this is feature"]);
    git(&["checkout", "-q", "."]);
    git(&["branch", "-qm", "main"]);
    site.estiba(&["promote", "staging", "production"]).says(1, &["staging serves no release"]);
    site.estiba(&["deploy", "staging", "--json"]).expect(0, "deployed");
    let since = site.folder.join("staging/state/since");
    let kept = std::fs::read(&since).unwrap();
    std::fs::write(&since, "2020-01-01T00:00:00Z\n").unwrap();
    site.estiba(&["promote", "staging", "production"]).says(1, &["max-age"]);
    std::fs::write(&since, kept).unwrap();
    let outcome = site.estiba(&["promote", "staging", "production", "--json"]).expect(0, "deployed");
    let names: Vec<&str> = outcome["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert!(!names.contains(&"build"), "{names:?}");
    let differs = site.estiba(&["plan", "production", "--against", "staging"]).stdout;
    assert!(differs.contains("production differs from staging") && differs.contains("~ HTTP_PORT"), "{differs}");
    assert!(!differs.contains("image ESTIBA_IMAGE") && !differs.contains("commit"), "{differs}");
    let image = |project: &str| docker(&["inspect", "-f", "{{.Image}}", &format!("{project}-web-blue-1")]);
    assert_eq!(image(&site.name), image(&format!("{}-staging", site.name)));

    // What staging was only rolled back to has not proven itself.
    site.append("templates/home.html", "<!-- second -->\n");
    git(&["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qam", "second"]);
    site.estiba(&["deploy", "staging", "--json"]).expect(0, "deployed");
    site.estiba(&["rollback", "staging", "--json"]).expect(0, "rolled-back");
    site.estiba(&["promote", "staging", "production"]).says(1, &["git checkout"]);
    git(&["checkout", "-q", "-B", "main", "HEAD~1"]);
    site.estiba(&["promote", "staging", "production"]).says(1, &["because somebody rolled back to it"]);

    // Somebody decides otherwise, and that is kept.
    let run = site.estiba(&["deploy", "production", "--json", "--force", "--override", "the site is down"]);
    run.expect(0, "deployed");
    let history = std::fs::read_to_string(site.root.join("history.jsonl")).unwrap();
    assert!(history.lines().last().unwrap().contains("\"override\":\"the site is down\""), "{history}");
    crate::support::remove_project(&format!("{}-staging", site.name));
}
