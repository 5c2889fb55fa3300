//! Who is told of what, by the servers themselves, by the client, and by nobody twice.

use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::Value;

use crate::support::{Answers, PASSWORD, Recorder, Run, Site, docker, wait_for};

/// deploy.toml's end for these tests: quick, and with somebody to tell.
fn alerts(more: &str) -> String {
    format!("[rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"5s\"\n[alerts]\n{more}")
}

fn slack(recorder: &Recorder) -> String {
    format!("http://127.0.0.1:{}/services/T0/B0/a-secret-path", recorder.port)
}

/// Deploys with the address of Slack in the environment, where it belongs.
fn deploy(site: &Site, address: &str) -> Run {
    let mut command = site.command(&["deploy", "--json"]);
    let run = Site::ended(command.env("SLACK_WEBHOOK_URL", address).spawn().unwrap());
    for text in [&run.stdout, &run.stderr] {
        assert!(!text.contains("a-secret-path"), "the address was shown:\n{text}");
    }
    run
}

fn text_of(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    body["text"].as_str().unwrap().to_owned()
}

/// Breaks the app: it starts, and answers nothing good.
fn break_app(site: &Site) {
    site.edit(
        "certificados/views.py",
        "def health",
        "def health(request):\n    raise RuntimeError('broken on purpose')\n\n\ndef healthy",
    );
}

fn states(outcome: &Value) -> Vec<(String, String)> {
    let alerts = outcome["alerts"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    alerts.iter().map(|told| (text(&told["channel"]), text(&told["state"]))).collect()
}

#[test]
fn every_channel_is_told_once_of_what_was_asked_for() {
    let (chat, hook, post) = (Recorder::http(Answers::Well), Recorder::http(Answers::Well), Recorder::smtp());
    let more = format!(
        "slack = \"${{SLACK_WEBHOOK_URL}}\"\non = [\"deployed\", \"rolled-back\", \"recovered\", \"failed\"]\n\
         webhook = {{ url = \"http://127.0.0.1:{}/\", body = \"{{title}}: {{text}}\", content-type = \"text/plain\" }}\n\
         email = {{ to = [\"ops@example.com\", \"dev@example.com\"], smtp = \"smtp://127.0.0.1:{}\" }}\n",
        hook.port, post.port
    );
    let site = Site::new("alerts", &alerts(&more));
    let outcome = deploy(&site, &slack(&chat)).expect(0, "deployed");
    let first = outcome["release"].as_str().unwrap().to_owned();
    let sent = |name: &str| (name.to_owned(), "sent".to_owned());
    let all_have = |count: usize| {
        wait_for("all channels", Duration::from_secs(20), || {
            [chat.got().len(), hook.got().len(), post.got().len()].iter().all(|got| *got >= count)
        });
    };
    // Of what took longer than a second, on a busy machine, nothing is known yet.
    assert!(states(&outcome).iter().all(|told| [sent("email"), sent("slack"), sent("webhook")].contains(told)), "{outcome}");
    all_have(1);
    let title = format!("{} production: release {first} is deployed", site.name);
    assert!(text_of(&chat.got()[0]).starts_with(&format!("{title}\n")), "{:?}", chat.got());
    assert!(hook.got()[0].starts_with(&format!("{title}: {title}\n")), "{:?}", hook.got());
    let mail = post.got().remove(0);
    for words in ["MAIL FROM:<ops@example.com>", "RCPT TO:<dev@example.com>", &format!("Subject: {title}\r\n")] {
        assert!(mail.contains(words), "no `{words}` in {mail}");
    }
    let (_, body) = mail.split_once("\r\n\r\n").unwrap();
    let body = base64::engine::general_purpose::STANDARD.decode(body.replace("\r\n", "")).unwrap();
    assert!(String::from_utf8(body).unwrap().contains(&format!("Release {first} serves. Asked for by")), "{mail}");

    // Nothing to do is no news.
    let outcome = deploy(&site, &slack(&chat)).expect(0, "unchanged");
    assert_eq!(states(&outcome), []);
    // One that fails is told with its step, its reason and its last lines, and the one that comes good afterwards as such.
    let kept = site.keep();
    break_app(&site);
    let outcome = deploy(&site, &slack(&chat)).expect(3, "rolled-back");
    all_have(2);
    let text = text_of(&chat.got()[1]);
    let step = outcome["failed_step"].as_str().unwrap();
    for words in [
        &format!("failed at {step} and was undone"),
        outcome["reason"].as_str().unwrap(),
        &format!("Release {first} serves"),
        "\n&gt; ",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    kept.restore();
    site.append("templates/home.html", "<!-- good again -->\n");
    deploy(&site, &slack(&chat)).expect(0, "deployed");
    all_have(3);
    assert!(text_of(&chat.got()[2]).contains("is deployed; the deploy before it had failed"), "{:?}", chat.got());
    assert_eq!((chat.got().len(), hook.got().len(), post.got().len()), (3, 3, 3));
    for text in chat.got().iter().chain(&hook.got()).chain(&post.got()) {
        assert!(!text.contains(PASSWORD) && !text.contains("a-long-secret-key"), "a secret was told: {text}");
    }
    // What the server keeps of it is its owner's alone.
    let find = |words: &[&str]| {
        let output = std::process::Command::new("find").arg(&site.root).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(find(&["-name", "*.curl", "-perm", "/077"]), "");
    assert!(!find(&["-name", "*.curl"]).is_empty());
}

#[test]
fn who_does_not_take_an_alert_changes_nothing_about_the_deploy() {
    let more = "slack = \"${SLACK_WEBHOOK_URL}\"\non = [\"deployed\"]\n";
    let site = Site::new("alerts-away", &alerts(more));
    let good = Recorder::http(Answers::Well);
    deploy(&site, &slack(&good)).expect(0, "deployed");
    let lap = |address: &str, words: &str| {
        site.append("templates/home.html", &format!("<!-- {words} -->\n"));
        let began = Instant::now();
        let outcome = deploy(&site, address).expect(0, "deployed");
        (began.elapsed(), outcome)
    };
    let (usual, _) = lap(&slack(&good), "as usual");
    for answers in [Answers::Garbage, Answers::Never] {
        let away = Recorder::http(answers);
        let (took, outcome) = lap(&slack(&away), &format!("{answers:?}"));
        assert!(states(&outcome).iter().all(|(_, state)| state == "trying"), "{outcome}");
        // A second and a half are promised; the rest is for a machine that does other work.
        assert!(took < usual * 2 + Duration::from_secs(2), "{answers:?}: {took:?}, not {usual:?}");
    }
    // An error is tried again, and comes then.
    let late = Recorder::http(Answers::BadlyAtFirst(1));
    let (_, outcome) = lap(&slack(&late), "late");
    assert!(states(&outcome).iter().all(|(_, state)| state == "trying"), "{outcome}");
    wait_for("the second try", Duration::from_secs(30), || late.got().len() == 2);
    // Nobody there, or somebody who sends on: the server goes on trying, and that is said.
    let nobody = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() };
    let elsewhere = Recorder::http(Answers::Elsewhere);
    for address in [format!("http://127.0.0.1:{nobody}/a-secret-path"), slack(&elsewhere)] {
        site.append("templates/home.html", "<!-- again -->\n");
        let run = deploy(&site, &address);
        // Of what took longer than a second, on a busy machine, nothing is known yet.
        if states(&run.json()).is_empty() {
            continue;
        }
        assert_eq!(states(&run.json()), [("slack".to_owned(), "trying".to_owned())], "{}", run.stderr);
        let said = ["the alert by slack is not sent: ", "the server goes on trying"];
        assert!(said.iter().all(|words| run.stderr.contains(words)), "{}", run.stderr);
    }
    assert!(!site.root.join("state/alerts-lost").exists());
}

#[test]
fn a_dead_client_and_a_server_that_never_began_are_told_of_once() {
    let chat = Recorder::http(Answers::Well);
    let site =
        Site::new("alerts-dead", &alerts("slack = \"${SLACK_WEBHOOK_URL}\"\non = [\"rolled-back\", \"refused\", \"failed\"]\n"));
    deploy(&site, &slack(&chat)).expect(0, "deployed");
    let kept = site.keep();
    break_app(&site);
    let mut command = site.command(&["deploy", "--json"]);
    let mut child = command.env("SLACK_WEBHOOK_URL", slack(&chat)).spawn().unwrap();
    // The folder of a run is sent first. Killed before the server is told to begin, the client has begun nothing.
    let begun = || {
        let runs = std::fs::read_dir(site.root.join("runs")).unwrap();
        runs.filter(|run| run.as_ref().unwrap().path().join("begun").exists()).count()
    };
    wait_for("the server to begin", Duration::from_secs(60), || begun() == 2);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("the server to tell of it", Duration::from_secs(60), || !chat.got().is_empty());
    assert!(text_of(&chat.got()[0]).contains("and was undone"), "{:?}", chat.got());
    kept.restore();

    // Before the server is told to begin, the client tells people: of an image that cannot be built, say.
    site.append("Dockerfile", "RUN false\n");
    let run = deploy(&site, &slack(&chat));
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert_eq!(chat.got().len(), 2, "{:?}", chat.got());
    assert!(text_of(&chat.got()[1]).starts_with(&format!("{} production: the deploy failed", site.name)), "{:?}", chat.got());
    // A wrong deploy.toml is told where it was written, and looks need no address.
    site.append("deploy.toml", "nonsense = 1\n");
    assert_eq!(deploy(&site, &slack(&chat)).code, 2);
    kept.restore();
    assert_eq!(site.estiba(&["status"]).code, 0);
    assert_eq!(chat.got().len(), 2, "{:?}", chat.got());
}

#[test]
fn a_deploy_and_one_that_is_undone_arrive_as_traces_and_logs() {
    let collector = Recorder::http(Answers::Well);
    let site = Site::new("traces", "[rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"5s\"\n");
    let deployed = |code: i32, outcome: &str| {
        let mut command = site.command(&["deploy", "--json"]);
        let address = format!("http://127.0.0.1:{}", collector.port);
        Site::ended(command.env("OTEL_EXPORTER_OTLP_ENDPOINT", address).spawn().unwrap()).expect(code, outcome)
    };
    let outcomes = [deployed(0, "deployed"), {
        break_app(&site);
        deployed(3, "rolled-back")
    }];
    let got: Vec<Value> = collector.got().iter().map(|sent| serde_json::from_str(sent).unwrap()).collect();
    let of = |kind: &str| got.iter().filter(|sent| sent[kind].is_array()).cloned().collect::<Vec<_>>();
    let (traces, logs) = (of("resourceSpans"), of("resourceLogs"));
    assert_eq!((got.len(), traces.len(), logs.len()), (4, 2, 2));
    for ((sent, logs), outcome) in traces.iter().zip(&logs).zip(&outcomes) {
        let spans = sent["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
        let (root, steps) = spans.split_first().unwrap();
        let names = |value: &Value| value["name"].as_str().unwrap().to_owned();
        assert_eq!(
            steps.iter().map(names).collect::<Vec<_>>(),
            outcome["steps"].as_array().unwrap().iter().map(names).collect::<Vec<_>>()
        );
        // What it told is a part of the trace: each of the server's steps began within it, and the failure has its own gravity.
        let records = logs["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap();
        assert!(records.iter().all(|record| record["traceId"] == root["traceId"] && record["spanId"] == root["spanId"]));
        let told = |severity: &str, words: &str| {
            let such = |record: &&Value| {
                record["severityText"] == severity && record["body"]["stringValue"].as_str().unwrap().contains(words)
            };
            records.iter().find(such).unwrap_or_else(|| panic!("no {severity} `{words}` in {records:#?}")).clone()
        };
        let nanos = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
        let began = nanos(&told("INFO", "step-began check")["timeUnixNano"]);
        assert!((nanos(&root["startTimeUnixNano"])..nanos(&root["endTimeUnixNano"])).contains(&began));
        if outcome["outcome"] == "rolled-back" {
            told("ERROR", "check: ");
        }
        let at = |span: &Value, key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap() / 1_000_000;
        for (span, step) in steps.iter().zip(outcome["steps"].as_array().unwrap()) {
            assert_eq!(span["traceId"], root["traceId"]);
            assert_eq!(span["parentSpanId"], root["spanId"]);
            assert_eq!(
                at(span, "endTimeUnixNano") - at(span, "startTimeUnixNano"),
                step["duration_ms"].as_u64().unwrap(),
                "{span}"
            );
            assert!(at(span, "startTimeUnixNano") >= at(root, "startTimeUnixNano"));
        }
        // The journal's own times: from the beginning of the first step there to that of each other.
        let run = std::fs::read_dir(site.root.join("runs")).unwrap().map(|run| run.unwrap().path()).max().unwrap();
        if outcome["outcome"] != "rolled-back" {
            continue;
        }
        let journal = std::fs::read_to_string(run.join("journal")).unwrap();
        let began: Vec<(String, u64)> = journal
            .lines()
            .map(|line| line.split('\t').collect::<Vec<_>>())
            .filter(|fields| fields[1] == "began")
            .map(|fields| (fields[2].to_owned(), fields[0].parse::<u64>().unwrap() * 10))
            .collect();
        let span = |name: &str| steps.iter().find(|span| span["name"] == name).unwrap();
        for (name, journal_at) in &began {
            let told = at(span(name), "startTimeUnixNano") - at(span(&began[0].0), "startTimeUnixNano");
            assert!(told.abs_diff(journal_at - began[0].1) <= 10, "{name}: {told}");
        }
    }
}

#[test]
fn between_deploys_the_server_tells_of_what_breaks_and_of_its_end() {
    let chat = Recorder::http(Answers::Well);
    let more = "slack = \"${SLACK_WEBHOOK_URL}\"\non = []\n[watch]\nevery = \"5s\"\n";
    let site = Site::new("alerts-watch", &alerts(more));
    deploy(&site, &slack(&chat)).expect(0, "deployed");
    assert_eq!(site.status()["watch"], "nothing is wrong");
    let told = |words: &str| chat.got().iter().filter(|body| text_of(body).contains(words)).count();
    let until_told = |words: &str| wait_for(words, Duration::from_secs(60), || told(words) > 0);
    let containers = site.containers();
    let web = containers.iter().find(|name| name.contains("-web-blue-")).unwrap().split(' ').nth(1).unwrap();
    docker(&["pause", web]);
    until_told("web answers /health/ with");
    assert_ne!(site.status()["watch"], "nothing is wrong");
    docker(&["unpause", web]);
    until_told("over: web answers /health/ with");
    docker(&["stop", "-t", "1", &format!("{}-cache-1", site.name)]);
    until_told("cache is exited");
    docker(&["start", &format!("{}-cache-1", site.name)]);
    until_told("over: cache is exited");
    wait_for("all to be well", Duration::from_secs(60), || site.status()["watch"] == "nothing is wrong");
    // Each once, and its end once.
    let mut all = chat.got();
    all.sort();
    let count = all.len();
    all.dedup();
    assert!(all.len() == count && count.is_multiple_of(2) && told("cache is exited") == 2, "{:?}", chat.got());
    // Without [watch] the server stops looking, and without [alerts] nothing is left.
    let text = std::fs::read_to_string(site.app("deploy.toml")).unwrap();
    site.write("deploy.toml", text.split("[alerts]").next().unwrap());
    deploy(&site, &slack(&chat)).expect(0, "deployed");
    assert!(site.status()["watch"].is_null());
    let is_watched = || {
        let mut flock = std::process::Command::new("flock");
        !flock.args(["-n", "-s"]).arg(site.root.join("state/watch.lock")).arg("true").status().unwrap().success()
    };
    wait_for("the watch to end", Duration::from_secs(60), || !is_watched());
}
