//! The three deploys of the demo.

use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use crate::config::resolve;
use crate::deploy::{Actor, Operation, Options, deploy};
use crate::error::{Error, Kind, Result};
use crate::process;
use crate::report::{Event, Outcome, OutcomeKind, Reporter};
use crate::text::Environment;

use super::site::Site;
use super::{Load, Sshd, Tally};

/// What the demo is asked for.
#[derive(Debug)]
pub struct Demo<'a> {
    /// Leave the site running in the end?
    pub keep: bool,
    /// The example's folder, where it is not the embedded one.
    pub example: Option<&'a Utf8Path>,
    /// The folder for temporary things.
    pub temporary: Utf8PathBuf,
    /// The environment.
    pub environment: &'a Environment,
    /// The clock.
    pub clock: fn() -> Timestamp,
}

/// One line of the table at the end.
struct Row {
    what: &'static str,
    outcome: Outcome,
    kind: Option<Kind>,
    expected: OutcomeKind,
    tally: Option<Tally>,
    serving: String,
    took: Duration,
}

/// Deploys a first release, a second one under load and a broken third one, and shows a table.
///
/// Fails when one of the three did not end as it should, or a request was lost that should not be.
pub async fn run(demo: Demo<'_>, reporter: &Reporter) -> Result<()> {
    let docker = process::run("docker", &["info", "--format", "{{.ServerVersion}}"], None).await?;
    if !docker.success {
        return Err(Error::failed(format!("no Docker Engine answers on this machine: {}", docker.stderr.trim()))
            .hint("`make demo` in estiba's repository sets one up on Debian and Ubuntu"));
    }
    let sshd = Sshd::start().await?;
    reporter.note(format!("an SSH server of this process listens on 127.0.0.1:{}, with keys made for it", sshd.port));
    let site = Site::create(&demo.temporary, demo.example, &sshd, demo.environment)?;
    reporter.note(format!("the example lies in {}/app and will answer on http://{}", site.folder, site.address));
    let result = releases(&demo, &site, reporter).await;
    if demo.keep {
        reporter.note(format!("kept: http://{}, {}, the containers of project {}", site.address, site.folder, site.name));
    } else {
        site.remove().await?;
        reporter.note("the demo's containers, volumes, images and folder are removed");
    }
    let rows = result?;
    reporter.tell(Event::Text(table(&rows)));
    reporter.tell(Event::Document(document(&rows)));
    match rows.iter().find(|row| !row.is_good()) {
        None => Ok(()),
        Some(row) => Err(Error::failed(format!("the demo did not go as it should: {}", row.what))),
    }
}

async fn releases(demo: &Demo<'_>, site: &Site, reporter: &Reporter) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    reporter.note("release 1: on an empty server");
    rows.push(one(demo, site, "release 1, empty server", OutcomeKind::Deployed, false, reporter).await?);
    if !rows[0].is_good() {
        return Ok(rows);
    }
    reporter.note("release 2: a new title, deployed while 8 clients ask for pages all the time");
    site.edit("templates/home.html", "<h1>Certificados</h1>", "<h1>Certificados, edición dos</h1>")?;
    rows.push(one(demo, site, "release 2, under load", OutcomeKind::Deployed, true, reporter).await?);
    reporter.note("release 3: it looks for its cache in the wrong place, so it is not healthy");
    site.edit("sitio/settings.py", "redis://cache:6379/0", "redis://nowhere:6379/0")?;
    site.edit("compose.yml", "REDIS_URL: redis://cache:6379/0", "REDIS_URL: redis://nowhere:6379/0")?;
    rows.push(one(demo, site, "release 3, broken, under load", OutcomeKind::RolledBack, true, reporter).await?);
    Ok(rows)
}

async fn one(
    demo: &Demo<'_>,
    site: &Site,
    what: &'static str,
    expected: OutcomeKind,
    under_load: bool,
    reporter: &Reporter,
) -> Result<Row> {
    let project = site.project()?;
    let resolved = resolve(&project, None)?;
    let actor = Actor::look(demo.environment, &project.folder, (demo.clock)()).await;
    let load = under_load.then(|| {
        Load {
            address: site.address,
            path: "/".into(),
            clients: 8,
            body: None,
            keep_alive: false,
            pause: Duration::from_millis(70),
            patience: Duration::from_secs(15),
        }
        .start()
    });
    let started = Instant::now();
    let ended = deploy(&Operation::new(&project, &resolved, Options::default(), actor, reporter)).await;
    let took = started.elapsed();
    let tally = match load {
        Some(load) => Some(load.stop().await),
        None => None,
    };
    let (outcome, kind) = ended?;
    reporter.tell(Event::Outcome(Box::new(outcome.clone())));
    let serving = match outcome.outcome {
        OutcomeKind::Deployed => outcome.release.clone(),
        _ => outcome.previous.clone(),
    };
    Ok(Row { what, outcome, kind, expected, tally, serving: serving.unwrap_or_else(|| "none".into()), took })
}

impl Row {
    fn is_good(&self) -> bool {
        self.outcome.outcome == self.expected && self.tally.as_ref().is_none_or(|tally| tally.failed == 0 && tally.requests > 0)
    }
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<30} {:<12} {:>8} {:>7} {:>8} {:>7}  {}\n",
        "", "outcome", "requests", "failed", "outage", "time", "release serving"
    );
    for row in rows {
        let (requests, failed, outage) = match &row.tally {
            Some(tally) => (tally.requests.to_string(), tally.failed.to_string(), format!("{:.1} s", tally.outage.as_secs_f64())),
            None => ("-".into(), "-".into(), "-".into()),
        };
        let outcome =
            serde_json::to_value(row.outcome.outcome).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
        text += &format!(
            "{:<30} {outcome:<12} {requests:>8} {failed:>7} {outage:>8} {:>5.1} s  {}\n",
            row.what,
            row.took.as_secs_f64(),
            row.serving
        );
        for failure in row.tally.iter().flat_map(|tally| tally.failures.iter().take(5)) {
            text += &format!("    {failure}\n");
        }
    }
    text
}

fn document(rows: &[Row]) -> serde_json::Value {
    let row = |row: &Row| {
        serde_json::json!({
            "what": row.what,
            "outcome": row.outcome.outcome,
            "exit": row.kind.map_or(0, Kind::code),
            "requests": row.tally.as_ref().map(|tally| tally.requests),
            "failed": row.tally.as_ref().map(|tally| tally.failed),
            "outage_ms": row.tally.as_ref().map(|tally| u64::try_from(tally.outage.as_millis()).unwrap_or(u64::MAX)),
            "duration_ms": u64::try_from(row.took.as_millis()).unwrap_or(u64::MAX),
            "serving": row.serving,
        })
    };
    serde_json::json!({"event": "demo", "deploys": rows.iter().map(row).collect::<Vec<_>>()})
}
