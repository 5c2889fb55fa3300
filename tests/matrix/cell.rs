//! One cell: one fault at one step.

use std::fmt;
use std::process::Child;
use std::time::{Duration, Instant};

use super::checks::{State, databases, forget_replaced, left_in_the_database, lost_rows, told};
use super::client::{Client, ended};
use super::faults::Fault;
use super::load::Traffic;
use super::server::Server;

/// How a settled server may be reached: at most this long after the fault, the observe time included; for each server that
/// this machine has.
const SETTLED: Duration = Duration::from_secs(32);
/// How soon a workflow's step that is cancelled has written its outputs and its summary.
const TELLS: Duration = Duration::from_secs(7);
/// A connection to the address of a container that is gone hangs as long as the kernel asks who has that address.
const ADDRESS_GONE: Duration = Duration::from_secs(3);
/// From an Engine that answers to the site's containers that do.
const CONTAINERS_START: Duration = Duration::from_millis(1500);

#[derive(Debug)]
pub struct Cell {
    pub step: &'static str,
    pub fault: Fault,
    /// `old` or `new`.
    pub ends_on: &'static str,
    pub settled: Duration,
    pub requests: u64,
    pub failed: u64,
    pub outage: Duration,
    pub problems: Vec<String>,
}

/// How long the site is gone when a part restarts and no deploy is under way.
#[derive(Debug, Default)]
pub struct Limits {
    /// The servers that share this machine.
    servers: u32,
    database: Duration,
    edge: Duration,
    app: Duration,
    engine: Duration,
    reboot: Duration,
    other_order: Duration,
    container: Duration,
}

impl Limits {
    /// Measures those that the cells need.
    pub fn measure(server: &Server, client: &Client, cells: &[(&'static str, Fault)], servers: u32) -> Self {
        let outage = |fault: Fault| {
            if !cells.iter().any(|(_, one)| *one == fault) {
                return Duration::ZERO;
            }
            let traffic = Traffic::start(server.http_port);
            let mut nobody = std::process::Command::new("true").spawn().unwrap();
            fault.strike(server, client, &mut nobody);
            let _ = nobody.wait();
            fault.relent(server, client);
            // An Engine that was killed leaves containers down that are `restart: unless-stopped`, and starts none that
            // was killed by hand: somebody does, and the proxy looks their addresses up again.
            if matches!(fault, Fault::RestartEngine | Fault::KillNewContainer) {
                server.try_exec("/usr/bin/docker start $(/usr/bin/docker ps -aq)");
                server.try_exec("/usr/bin/docker exec shop-nginx-1 nginx -s reload");
            }
            wait_until("the site after a restart", Duration::from_secs(60), || site_answers(server));
            std::thread::sleep(Duration::from_millis(500));
            traffic.stop().0.outage
        };
        Self {
            servers,
            database: outage(Fault::StopDatabase),
            edge: outage(Fault::KillEdge),
            app: outage(Fault::KillApp),
            engine: outage(Fault::RestartEngine),
            reboot: outage(Fault::Reboot),
            other_order: outage(Fault::RebootInAnotherOrder),
            container: outage(Fault::KillNewContainer),
        }
    }

    fn of(&self, step: &str, fault: Fault) -> Duration {
        match fault {
            Fault::KillNewContainer if alone(step, fault) => self.container,
            Fault::StopDatabase => self.database,
            Fault::KillEdge => self.edge,
            Fault::KillApp => self.app,
            Fault::RestartEngine => self.engine,
            Fault::Reboot => self.reboot,
            Fault::RebootInAnotherOrder => self.other_order,
            _ => Duration::ZERO,
        }
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: &Duration| format!("{:.1} s", time.as_secs_f64());
        write!(
            f,
            "database {}, edge {}, app {}, engine {}, machine {}, in another order {}, the app's container {}",
            seconds(&self.database),
            seconds(&self.edge),
            seconds(&self.app),
            seconds(&self.engine),
            seconds(&self.reboot),
            seconds(&self.other_order),
            seconds(&self.container)
        )
    }
}

/// What a workflow's step that was cancelled fails to tell, or tells too late: GitHub ends it ten seconds after the
/// first signal.
fn cancelled(client: &Client, step: &mut Child, struck: Instant, on_client: bool) -> Option<String> {
    try_wait(TELLS, || step.try_wait().is_ok_and(|ended| ended.is_some()));
    let took = struck.elapsed();
    // Before there is a run it has no steps.
    let wanted = if on_client { "stopped before the server began; nothing that serves was touched" } else { "| step |" };
    match client.told_the_workflow() {
        Some((outputs, summary)) if took <= TELLS && outputs.contains("outcome") && summary.contains(wanted) => None,
        told => Some(format!("{:.1} s after the signal the step has told {told:?}", took.as_secs_f64())),
    }
}

/// How long after that moment the server was told to begin the run.
fn heard(server: &Server, run: &str, struck: Instant) -> Duration {
    let begun = server.file("shop/runs").join(run).join("begun").metadata().and_then(|file| file.modified());
    let ago = begun.ok().and_then(|begun| begun.elapsed().ok()).unwrap_or_default();
    struck.elapsed().saturating_sub(ago)
}

/// Is what is killed the only container that serves? The old release has been stopped by then.
fn alone(step: &str, fault: Fault) -> bool {
    step == "prune" && fault == Fault::KillNewContainer
}

impl Cell {
    pub fn run(server: &Server, client: &mut Client, step: &'static str, fault: Fault, limits: &Limits) -> Self {
        let mut problems = Vec::new();
        let before = State::look(server);
        problems.extend(before.problems().into_iter().map(|problem| format!("before: {problem}")));
        let restores = super::RESTORE.contains(&step);
        client.set_fence(["fence", "lift"].contains(&step));
        client.set_job(step == "jobs");
        client.set_canary(step == "canary");
        client.set_team_step(step == "team-step");
        client.set_proof(step);
        let on_client = super::BEFORE.contains(&step);
        client.change();
        let backup = if restores { client.newest_backup() } else { String::new() };
        let traffic = Traffic::start(server.http_port);
        if on_client {
            client.hold();
        } else {
            server.hold(step);
        }
        let arguments: &[&str] =
            if restores { &["backup", "restore", &backup, "--yes", "--json"] } else { &["deploy", "--json"] };
        let in_workflow = fault == Fault::InterruptClient;
        let mut deploy = if in_workflow { client.spawn_in_workflow(arguments) } else { client.spawn(arguments) };
        let reached = try_wait(Duration::from_secs(60), || if on_client { client.is_held() } else { server.is_held() });
        if !reached {
            problems.push(format!("step {step} was never reached"));
        }
        let mut run = server.newest_run();
        let mut struck = Instant::now();
        let second = fault.strike(server, client, &mut deploy);
        // A disk takes its time to fill up, and is full only then.
        if fault == Fault::FillDisk {
            struck = Instant::now();
        }
        fault.relent(server, client);
        let back = struck.elapsed();
        if in_workflow {
            problems.extend(cancelled(client, &mut deploy, struck, on_client));
        }
        // Before the first has the lock, either may get it.
        let first_come = on_client && fault == Fault::SecondDeploy;
        if let Some(second) = second.filter(|second| second.code != 5 && !first_come) {
            problems.push(format!("the second deploy ended with {}: {}", second.code, second.stderr));
        }
        if on_client {
            // The server has nothing of it yet, and may get it.
            try_wait(Duration::from_secs(90), || deploy.try_wait().is_ok_and(|ended| ended.is_some()));
            run = server.newest_run();
        }
        if !try_wait(Duration::from_secs(90), || server.is_settled(&run)) {
            problems.push("the server did not settle within 90 s".into());
        }
        let settled = struck.elapsed();
        if settled > SETTLED * limits.servers && !on_client {
            problems.push(format!("settled after {:.1} s", settled.as_secs_f64()));
        }
        let emptied = Instant::now();
        if fault == Fault::FillDisk {
            server.empty_disk();
            // A database that the full disk has ended comes back when its Engine tries the next time, which waits longer each
            // time.
            server.wait_for_database();
        }
        let room = emptied.elapsed();
        if !try_wait(Duration::from_secs(30), || site_answers(server)) {
            problems.push("the site does not answer".into());
        }
        let (tally, written) = traffic.stop();
        if !try_wait(Duration::from_secs(40), || deploy.try_wait().is_ok_and(|ended| ended.is_some())) {
            problems.push("the client did not end".into());
            let _ = deploy.kill();
        }
        let client_run = ended(deploy);
        let state = State::look(server);
        problems.extend(state.problems());
        if state.schema != before.schema {
            problems.push("the schema is another".into());
        }
        let may_be_unfinished = fault.stops_writes() && ["drain", "prune"].contains(&step);
        problems.extend(told(server, client, &run, &state, may_be_unfinished));
        let replaced = databases(server).iter().any(|name| name.contains("_replaced_"));
        let is_new = if restores { replaced } else { state.current != before.current };
        // A full disk keeps PostgreSQL from taking a copy away; the next backup does.
        let left = left_in_the_database(server);
        if !left.is_empty() && fault != Fault::FillDisk {
            problems.push(format!("left in the database: {left:?}"));
        }
        if !matches!(fault, Fault::KillClient) && (client_run.code == 0) != is_new && !first_come {
            problems
                .push(format!("the client said {} ({}), the server is on {}", client_run.code, client_run.stderr, state.current));
        }
        let lost = lost_rows(server, &written.acknowledged);
        if lost > 0 {
            problems.push(format!("{lost} acknowledged rows are lost"));
        }
        let failed = tally.failed + written.failed.len() as u64;
        // When a restored database takes its place, connections are cut: less than five seconds.
        let changes_over = restores && tally.outage < Duration::from_secs(5);
        let may_fail = fault.stops_writes() || changes_over || alone(step, fault);
        let wrong = [(tally.failed, may_fail), (written.failed.len() as u64, may_fail)];
        if wrong.iter().any(|(count, allowed)| *count > 0 && !allowed) {
            let samples: Vec<&String> = tally.failures.iter().chain(&written.failed).take(3).collect();
            problems.push(format!("{failed} requests failed: {samples:?}"));
        }
        // What the part itself took in this very cell: it varies more than the two seconds that may come on top.
        let own = match fault {
            Fault::StopDatabase => back + ADDRESS_GONE,
            Fault::RestartEngine | Fault::Reboot | Fault::RebootInAnotherOrder => back + CONTAINERS_START,
            _ => Duration::ZERO,
        };
        // Two seconds are promised; the other two are for a machine that does other work than it did when the part alone was timed.
        let allowed = limits.of(step, fault).max(own) + Duration::from_secs(2) + Duration::from_secs(2) * limits.servers;
        let allowed = if fault == Fault::FillDisk { settled + room + allowed } else { allowed };
        // Nobody is there to start what an Engine that was killed does not, until the server has heard of the run.
        let allowed = if on_client && fault == Fault::RestartEngine { allowed + heard(server, &run, struck) } else { allowed };
        if (fault.stops_writes() || alone(step, fault)) && tally.outage > allowed {
            problems.push(format!("outage {:.1} s, more than {:.1} s", tally.outage.as_secs_f64(), allowed.as_secs_f64()));
        }
        forget_replaced(server);
        client.set_fence(false);
        client.set_job(false);
        client.set_canary(false);
        client.set_team_step(false);
        client.set_proof("");
        client.change();
        // Its migration and its observation are those of the next cell, whose deploy comes at once.
        client.set_short(true);
        let next = client.deploy(&[]);
        client.set_short(false);
        if next.code != 0 {
            problems.push(format!("the next deploy failed ({}): {}", next.code, next.stderr));
        }
        if !problems.is_empty() {
            let journal = server.try_exec(&format!(
                "cat /srv/shop/runs/{run}/journal | grep -v '	out	' | tail -n 60; cat /srv/shop/runs/{run}/stray"
            ));
            problems.push(format!("journal of {run}:\n{}", String::from_utf8_lossy(&journal.stdout)));
        }
        Self {
            step,
            fault,
            ends_on: if is_new { "new" } else { "old" },
            settled,
            requests: tally.requests + written.acknowledged.len() as u64,
            failed,
            outage: tally.outage,
            problems,
        }
    }
}

impl Cell {
    pub fn stops_the_only_one(&self) -> bool {
        alone(self.step, self.fault)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.problems.is_empty() { "ok  " } else { "FAIL" };
        write!(
            f,
            "{sign} {} at {}: ends on {}, settled in {:.1} s, {} of {} requests failed, outage {:.1} s",
            self.fault.name(),
            self.step,
            self.ends_on,
            self.settled.as_secs_f64(),
            self.failed,
            self.requests,
            self.outage.as_secs_f64()
        )?;
        for problem in &self.problems {
            write!(f, "\n     {problem}")?;
        }
        Ok(())
    }
}

fn site_answers(server: &Server) -> bool {
    server
        .try_exec("[ \"$(curl -s -o /dev/null -w '%{http_code}' --max-time 3 http://127.0.0.1/health/)\" = 200 ]")
        .status
        .success()
}

fn try_wait(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !condition() {
        if started.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    true
}

fn wait_until(what: &str, limit: Duration, condition: impl FnMut() -> bool) {
    assert!(try_wait(limit, condition), "{what}: not within {limit:?}");
}
