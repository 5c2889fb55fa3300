//! What breaks between deploys is told by Prometheus and Alertmanager, and by the server's own watch.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::init::{bare, container, put_server};
use crate::support::{Answers, Recorder, Run, Site, docker, free_address, wait_for};

const DOMAIN: &str = "shop.example";
const SECRET_KEY: &str = "a-long-secret-key-of-this-test-a-long-secret-key-of-this-test";

fn sh(script: &str) {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A disk of its own at that place.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Self {
        let image = at.with_extension("disk");
        sh(&format!(
            "mkdir -p {at} && truncate -s 1000M {image} && mkfs.ext4 -q -m 0 {image} && mount -o loop {image} {at} && rm {image}",
            at = at.display(),
            image = image.display()
        ));
        Self(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        if let Some(folder) = self.0.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

struct Watched {
    site: Site,
    slack: Recorder,
    mail: Recorder,
    own: Recorder,
    https: u16,
    prometheus: u16,
    alertmanager: u16,
}

impl Watched {
    fn estiba(&self, arguments: &[&str]) -> Run {
        let mut command = self.site.command(arguments);
        command
            .env("DJANGO_SECRET_KEY", SECRET_KEY)
            .env("HTTPS_PORT", format!("127.0.0.1:{}", self.https))
            .env("SLACK_WEBHOOK_URL", format!("http://{}:{}/a-secret-path", bridge(), self.slack.port))
            .env("ALERT_URL", format!("http://127.0.0.1:{}/", self.own.port))
            .env("EMAIL_HOST", bridge())
            .env("EMAIL_PORT", self.mail.port.to_string())
            .env("ALERT_EMAIL", "ops@shop.example")
            .env("EMAIL_FROM", "estiba@shop.example");
        Site::ended(command.spawn().unwrap())
    }

    /// How often each of the three recorders has got those words: of Alertmanager's Slack, its email, and the server's own watch.
    fn counts(&self, theirs: &str, own: &str) -> [usize; 3] {
        let of = |recorder: &Recorder, words: &str| recorder.got().iter().filter(|text| text.contains(words)).count();
        [of(&self.slack, &format!("\"title\":\"{theirs}")), of(&self.mail, &format!("Subject: {theirs}")), of(&self.own, own)]
    }

    /// Something is broken, told, mended, and told to be over: once each, by all three.
    fn is_told(&self, break_it: impl FnOnce(), theirs: &str, own: &str, mend_it: impl FnOnce()) {
        let over = (format!("over: {theirs}"), format!("production: over: {own}"));
        let now = || [self.counts(theirs, &format!("production: {own}")), self.counts(&over.0, &over.1)];
        let before = now();
        let until = |at: usize| {
            let all = || now()[at].iter().zip(before[at]).all(|(count, before)| *count > before);
            wait_for(&format!("word of: {own} ({at})"), Duration::from_secs(90), all);
        };
        break_it();
        until(0);
        mend_it();
        until(1);
        assert_eq!(now(), before.map(|counts| counts.map(|count| count + 1)), "{theirs}: {:?}", self.slack.got());
    }

    fn certificate(&self, days: u32) {
        let folder = self.site.root.join("shared/certificates");
        sh(&format!(
            "mkdir -p {folder} && openssl req -x509 -newkey rsa:2048 -nodes -days {days} -subj '/CN=estiba stand-in' -addext subjectAltName=DNS:{DOMAIN} \
             -keyout {folder}/privkey.new -out {folder}/fullchain.new 2>/dev/null && mv {folder}/privkey.new {folder}/privkey.pem && mv {folder}/fullchain.new {folder}/fullchain.pem",
            folder = folder.display()
        ));
        // The watch asks for a good one every ten minutes.
        let _ = std::fs::remove_file(self.site.root.join("state/watch/state/certificate.next"));
    }
}

/// The address of this machine that containers reach: the first of the bridge's network, which not every Engine tells.
fn bridge() -> String {
    let network = docker(&["network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Subnet}}"]);
    let (address, _) = network.trim().split_once('/').unwrap();
    format!("{}.1", address.rsplit_once('.').unwrap().0)
}

/// The same rules, in the time of a test.
fn hasten(site: &Site) {
    sh(&format!(
        "cd {} && sed -i 's/interval: 15s/interval: 2s/' monitoring/prometheus/prometheus.yml && \
         sed -i 's/    for: .*/    for: 2s/; s/  for: .*/  for: 2s/' monitoring/prometheus/rules.yml && \
         sed -i 's/group_wait: .*/group_wait: 1s/; s/group_interval: .*/group_interval: 2s/' monitoring/alertmanager/alertmanager.yml && \
         printf '      tls_config: {{insecure_skip_verify: true}}\n' >>monitoring/blackbox/blackbox.yml",
        site.app("").display()
    ));
}

/// Prometheus' own tests of rules, with series that somebody wrote, in no time.
fn each_alert_has_its_time(site: &Site, rules: &str) {
    let folder = site.folder.join("rules");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("rules.yml"), rules).unwrap();
    let tests = include_str!("monitoring_rules.yml");
    std::fs::write(folder.join("tests.yml"), tests).unwrap();
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let untested: Vec<&str> = alerts.filter(|alert| !tests.contains(&format!("alertname: {alert}"))).collect();
    assert!(untested.is_empty(), "no test of {untested:?}");
    let image = docker(&["inspect", "-f", "{{.Image}}", &container(site, "prometheus")]);
    let there = format!("{}:/rules:ro", folder.display());
    docker(&[
        "run",
        "--rm",
        "-v",
        &there,
        "-w",
        "/rules",
        "--entrypoint",
        "promtool",
        image.trim(),
        "test",
        "rules",
        "tests.yml",
    ]);
}

#[test]
fn what_breaks_between_deploys_is_told_once_and_so_is_its_end() {
    let _disk;
    let site = bare("monitoring");
    _disk = Disk::mount(&site.root);
    let port = || free_address().port();
    let watched = Watched {
        slack: Recorder::http_on(&bridge(), Answers::Well),
        mail: Recorder::smtp_on(&bridge()),
        own: Recorder::http(Answers::Well),
        https: port(),
        prometheus: port(),
        alertmanager: port(),
        site,
    };
    let site = &watched.site;
    let made = watched.estiba(&["init", "--name", &site.name, "--domain", DOMAIN, "--tls", "files", "--with", "monitoring"]);
    made.says(0, &["+ compose.monitoring.yml", "alertmanager, ", "SLACK_WEBHOOK_URL, or ALERT_EMAIL"]);
    put_server(site, &format!("https://127.0.0.1:{}/", watched.https));
    let rules = std::fs::read_to_string(site.app("monitoring/prometheus/rules.yml")).unwrap();
    hasten(site);
    site.write("compose.net.yml", &format!("services:\n  nginx:\n    networks:\n      default:\n        aliases: [{DOMAIN}]\n"));
    site.edit("deploy.toml", "\"compose.monitoring.yml\"]", "\"compose.monitoring.yml\", \"compose.net.yml\"]");
    site.edit("deploy.toml", "tell = false ", "every = \"5s\"\ntell = true ");
    site.edit("deploy.toml", "slack = \"${SLACK_WEBHOOK_URL:-}\"", "webhook = { url = \"${ALERT_URL:-}\" }");
    let more = format!("EMAIL_USE_TLS=false\nPROMETHEUS_PORT={}\nALERTMANAGER_PORT={}", watched.prometheus, watched.alertmanager);
    site.edit(".env.production", "ALERT_EMAIL=", &format!("{more}\nALERT_EMAIL="));
    watched.certificate(90);
    watched.estiba(&["deploy", "production"]).says(0, &["deployed: production serves"]);
    watched.estiba(&["backup", "create", "production"]).says(0, &[]);

    // What was written is what Prometheus' own checkers take.
    let inside = |service: &str, command: &[&str]| docker(&[&["exec", &container(site, service)], command].concat());
    let checked = inside("prometheus", &["promtool", "check", "rules", "/etc/prometheus/rules.yml"]);
    assert!(checked.contains("rules found"), "{checked}");
    inside("prometheus", &["promtool", "check", "config", "/etc/prometheus/prometheus.yml"]);
    each_alert_has_its_time(site, &rules);
    inside("alertmanager", &["sh", "/etc/alertmanager/start.sh", "check"]);
    // All of them give figures, and the site's own are there.
    let asked = |query: &str| {
        let url = format!("http://127.0.0.1:{}/api/v1/query", watched.prometheus);
        let query = format!("query={query}");
        let output = Command::new("curl").args(["-s", "-G", &url, "--data-urlencode", &query]).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_default()["data"]["result"].clone()
    };
    for query in
        ["estiba_slot_latency_seconds_count > 0", "estiba_release_info", "pg_up == 1", "redis_up == 1", "probe_success == 1"]
    {
        wait_for(query, Duration::from_secs(60), || asked(query)[0]["value"][1].is_string());
    }
    wait_for("every exporter", Duration::from_secs(30), || asked("count(up == 1)")[0]["value"][1] == "6");
    let alerts = || watched.slack.got().len() + watched.mail.got().len() + watched.own.got().len();
    assert_eq!(alerts(), 0, "{:?} {:?}", watched.slack.got(), watched.own.got());

    let web = container(site, "web-blue");
    let down = format!("https://{DOMAIN}/health/ does not answer");
    watched.is_told(|| drop(docker(&["pause", &web])), &down, "web answers /health/ with", || drop(docker(&["unpause", &web])));
    let database = container(site, "db");
    watched.is_told(
        || drop(docker(&["stop", "-t", "5", &database])),
        "the database takes no connections",
        "db is exited",
        || drop(docker(&["start", &database])),
    );
    let filler = site.root.join("filler");
    let full = format!("the disk of {} is used to", site.root.display());
    watched.is_told(
        || sh(&format!("fallocate -l 850M {}", filler.display())),
        &full,
        &full,
        || std::fs::remove_file(&filler).unwrap(),
    );
    let ends = format!("the certificate of https://{DOMAIN}/health/ ends in");
    watched.is_told(|| watched.certificate(5), &ends, "the certificate of https://127.0.0.1:", || watched.certificate(90));
    let dumps = format!("{}/backups/*.dump", site.root.display());
    watched.is_told(
        || sh(&format!("touch -d '2 days ago' {dumps}")),
        "the newest backup is",
        "the newest backup is older than 26 hours",
        || sh(&format!("touch {dumps}")),
    );
    let all = [watched.slack.got(), watched.mail.got(), watched.own.got()].concat();
    assert!(all.iter().all(|text| !text.contains(SECRET_KEY) && !text.contains("a-secret-path")), "{all:?}");
}
