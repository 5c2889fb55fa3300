//! A project and its hosts, as a test wants them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::Utf8Path;
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::config::{Project, resolve};
use crate::demo::Sshd;
use crate::plan::Plan;
use crate::private;
use crate::report::{Event, Outcome, Reporter, Sink, plain_lines};
use crate::server::Facts;
use crate::ssh::Connection;
use crate::text::Environment;

use super::super::conclude::Ending;
use super::super::connect::Session;
use super::super::follow::follow;
use super::super::launch::{Launch, Launched, RunSettings, send_run};
use super::super::look::Look;
use super::super::operation::{Operation, Options};
use super::super::route::settings;
use super::super::signals::Signals;
use super::super::{Actor, all, each};
use super::host::Host;

pub(super) struct World {
    pub(super) project: Project,
    pub(super) hosts: Vec<Host>,
    pub(super) reporter: Reporter,
    pub(super) patience: Option<Duration>,
    pub(super) plan: Option<Plan>,
    pub(super) leave_at_commit: bool,
    told: Told,
    _sshd: Sshd,
    _folder: TempDir,
}

/// Keeps all that is told.
#[derive(Clone, Default)]
struct Told {
    events: Arc<Mutex<Vec<Event>>>,
    more: Arc<Notify>,
}

impl Sink for Told {
    fn tell(&mut self, event: &Event) {
        let event = if let Event::OnHost { event, .. } = event { (**event).clone() } else { event.clone() };
        self.events.lock().unwrap().push(event);
        self.more.notify_waiters();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test finds Docker Compose as the command does")]
fn environment(key: &str) -> Environment {
    let own = |name: &str| (name.to_owned(), std::env::var(name).unwrap_or_default());
    Environment::from([own("PATH"), own("HOME"), ("ESTIBA_SSH_KEY".into(), key.to_owned())])
}

pub(super) fn project(folder: &Utf8Path, host: &str, sshd: &Sshd) -> Project {
    std::fs::write(folder.join("compose.yml"), "services:\n  web:\n    build: .\n    expose: [\"8000\"]\n").unwrap();
    std::fs::write(folder.join("Dockerfile"), "FROM scratch\n").unwrap();
    let config = format!(
        "[project]\nname = \"shop\"\n[target.production]\nhosts = [\"{host}\"]\nhost-keys = [\"{}\"]\nroot = \"/srv/shop\"\n",
        sshd.fingerprint
    );
    std::fs::write(folder.join("deploy.toml"), config).unwrap();
    Project::open(&folder.join("deploy.toml"), environment(&sshd.client_key)).unwrap()
}

impl World {
    /// A project with that many hosts, each with the release r1.
    pub(super) async fn of(count: usize) -> Self {
        let (temporary, folder) = private::folder().unwrap();
        let sshd = Sshd::start().await.unwrap();
        let mut hosts = Vec::new();
        let mut last = None;
        for at in 0..count {
            let make = |port| {
                let project = project(&folder, &format!("me@127.0.0.1:{port}"), &sshd);
                let resolved = resolve(&project, None).unwrap();
                last = Some(project);
                resolved
            };
            hosts.push(Host::new(&folder, &format!("host{at}"), sshd.port, make).await);
        }
        let told = Told::default();
        Self {
            project: last.unwrap(),
            hosts,
            reporter: Reporter::new(Box::new(told.clone())),
            patience: None,
            plan: None,
            leave_at_commit: false,
            told,
            _sshd: sshd,
            _folder: temporary,
        }
    }

    pub(super) fn operation(&self) -> Operation<'_> {
        let actor = Actor {
            by: "me".into(),
            from: "here".into(),
            commit: String::new(),
            branch: String::new(),
            dirty: false,
            now: jiff::Timestamp::UNIX_EPOCH,
            approved_by: Ok(None),
        };
        let options = Options {
            patience: self.patience,
            plan: self.plan.clone(),
            leave_at_commit: self.leave_at_commit,
            ..Options::default()
        };
        Operation::new(&self.project, &self.hosts[0].resolved, options, actor, &self.reporter)
    }

    /// A session with a host of which that is known.
    pub(super) async fn session(&self, at: usize, facts: Facts) -> Session<'_> {
        let host = &self.hosts[at];
        let settings = settings(&self.project, &host.resolved, &host.resolved.target.hosts[0]).unwrap();
        let connection = Connection::open(&settings).await.unwrap();
        Session { project: &self.project, resolved: &host.resolved, settings, connection, facts, salt: String::new() }
    }

    /// Runs these steps on every host, and follows them.
    pub(super) async fn follow(&self, steps: &[&'static str], look: Option<&Look<'_>>, signals: &Signals) -> Ending {
        let operation = self.operation();
        // Where nobody looks and nobody waits, nobody gives a word.
        let nonce = if look.is_some() || self.hosts.len() > 1 { "word" } else { "" };
        let made = each(0..self.hosts.len(), async |at| {
            let facts = Facts::parse("estiba:facts\ncompose=2.35\ncurrent=r1\nestiba:end\n").unwrap();
            let session = self.session(at, facts).await;
            let run = RunSettings {
                run: format!("20260101T000000Z-deploy-{at}"),
                kind: "deploy",
                release: "r2".into(),
                nonce: nonce.into(),
                steps: steps.iter().map(|step| (*step).to_owned()).collect(),
                ..RunSettings::default()
            };
            send_run(&session, &run, BTreeMap::new(), &operation).await?;
            self.hosts[at].stub();
            let (image, previous) = (Some("sha256:1".into()), Some("r1".into()));
            let blank = Outcome { image, previous, ..operation.blank(Some("r2")) };
            Ok(Launch { session, settings: Some(run), blank })
        })
        .await;
        let hosts: Vec<String> = self.hosts.iter().map(|host| host.port.to_string()).collect();
        let launches = all(&hosts, "could not be made ready", made).unwrap();
        follow(Launched { launches, steps: Vec::new() }, look, &operation, signals).await.unwrap()
    }

    /// Waits until an event that is so has been told.
    pub(super) async fn until(&self, what: &str, is: impl Fn(&Event) -> bool) {
        let waiting = async {
            loop {
                let more = self.told.more.notified();
                if self.told.events.lock().unwrap().iter().any(&is) {
                    return;
                }
                more.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("never came: {what}"));
    }

    /// What a person was shown, as plain lines.
    pub(super) fn shown(&self, ending: &Ending) -> String {
        let mut events = self.told.events.lock().unwrap().clone();
        events.push(Event::Outcome(Box::new(ending.0.clone())));
        plain_lines(&events).join("\n")
    }

    /// The steps that began, in their order.
    pub(super) fn began(&self) -> Vec<String> {
        let events = self.told.events.lock().unwrap();
        let began = |event: &Event| if let Event::Began { step } = event { Some(step.clone()) } else { None };
        events.iter().filter_map(began).collect()
    }
}
