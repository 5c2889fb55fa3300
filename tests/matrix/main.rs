//! The fault matrix: whatever is killed whenever, the server ends on exactly the old or exactly the new release.
//!
//! A server in a container of its own, load on its site, one fault at one step of a deploy, then a look at
//! everything. `cargo test --release --test matrix` runs the smoke subset; after `--`:
//! `--all`, `--step NAME,…`, `--fault NAME,…`, `--jobs N` (servers at once), `--table FILE` (the Markdown
//! of docs/fault-matrix.md), `--keep` (leaves the server running) and `--results FILE`: each cell is a line there, and a
//! cell that held with this very binary is not run again, so that the whole can be run in parts.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program of its own, which sets up its world and stops where that is not so"
)]

mod cell;
mod checks;
mod client;
mod faults;
mod load;
#[expect(dead_code, reason = "the end-to-end tests also slow a connection down and count its bytes")]
mod proxy;
mod results;
#[expect(dead_code, reason = "the end-to-end tests also have newer engines")]
mod server;
mod table;

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use cell::{Cell, Limits};
use faults::Fault;
use results::Results;
use server::Server;

/// The steps of a deploy, to which a migration seems to be pending, so that there is a backup; one of the team's, in the new release's
/// container; and those of a restore.
fn steps() -> Vec<&'static str> {
    let mut steps = estiba::server::steps_of("deploy");
    let start = steps.iter().position(|step| *step == "start").expect("a deploy starts its release");
    steps.insert(start + 1, "team-step");
    BEFORE.into_iter().chain(steps).chain(RESTORE).collect()
}

/// What this machine does with the new image before the server hears of the run.
const BEFORE: [&str; 2] = ["test", "scan"];

/// The steps of `backup restore`.
const RESTORE: [&str; 2] = ["load", "swap"];

/// Is there such a cell? A restore has no new release whose container could be killed, and before there is a run nobody drives it.
fn exists(step: &str, fault: Fault) -> bool {
    !(RESTORE.contains(&step) && fault == Fault::KillNewContainer || BEFORE.contains(&step) && fault.is_of_a_run())
}

/// What every change is tried with.
const SMOKE: [(&str, Fault); 5] = [
    ("check", Fault::KillNewContainer),
    ("switch", Fault::RebootInAnotherOrder),
    ("start", Fault::KillEdge),
    ("commit", Fault::KillBoth),
    ("drain", Fault::SecondDeploy),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().position(|one| one == name).and_then(|at| arguments.get(at + 1)).cloned();
    let has = |name: &str| arguments.iter().any(|one| one == name);
    // What cargo test hands to every test program means nothing here.
    let (step, fault) = (value("--step"), value("--fault"));
    let wanted: Vec<&str> = step.iter().flat_map(|names| names.split(',')).collect();
    if let Some(step) = wanted.iter().find(|step| !steps().contains(step)) {
        println!("no step `{step}`: {}", steps().join(", "));
        return ExitCode::from(2);
    }
    let faults: Vec<&str> = fault.iter().flat_map(|names| names.split(',')).collect();
    if let Some(name) = faults.iter().find(|name| Fault::named(name).is_none()) {
        println!("no fault `{name}`: {}", Fault::ALL.map(Fault::name).join(", "));
        return ExitCode::from(2);
    }
    let all = has("--all") || step.is_some() || fault.is_some();
    let mut cells = Vec::new();
    for one_fault in Fault::ALL {
        for one_step in steps() {
            let asked =
                (wanted.is_empty() || wanted.contains(&one_step)) && (faults.is_empty() || faults.contains(&one_fault.name()));
            let smoke = SMOKE.contains(&(one_step, one_fault));
            if exists(one_step, one_fault) && ((all && asked) || (!all && smoke)) {
                cells.push((one_step, one_fault));
            }
        }
    }
    let jobs = value("--jobs").and_then(|jobs| jobs.parse().ok()).unwrap_or(1);
    let results = value("--results").map_or_else(Results::default, |path| Results::open(path.as_ref()));
    run(&cells, &results, value("--table").as_deref(), has("--keep"), jobs)
}

/// What all servers share.
struct Work<'a> {
    started: Instant,
    cells: &'a [(&'static str, Fault)],
    open: Mutex<VecDeque<(&'static str, Fault)>>,
    done: Mutex<Vec<Cell>>,
    results: &'a Results,
    table: Option<&'a str>,
    keep: bool,
    jobs: u32,
}

/// Runs the cells that have no result yet, on as many servers at once as there are jobs. Times are best looked at with one:
/// several servers share this machine.
fn run(cells: &[(&'static str, Fault)], results: &Results, table: Option<&str>, keep: bool, jobs: u32) -> ExitCode {
    let done: Vec<Cell> = results.held().into_iter().filter(|cell| cells.contains(&(cell.step, cell.fault))).collect();
    let has = |cell: &(&str, Fault)| done.iter().any(|one| (one.step, one.fault) == *cell);
    let open: VecDeque<_> = cells.iter().filter(|cell| !has(cell)).copied().collect();
    println!("{} cells, {} of them held before", cells.len(), done.len());
    let jobs = jobs.min(u32::try_from(open.len()).unwrap_or(jobs));
    let work =
        Work { started: Instant::now(), cells, open: Mutex::new(open), done: Mutex::new(done), results, table, keep, jobs };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| work.on_a_server());
        }
    });
    let done = work.done.into_inner().unwrap();
    println!("\n{}", table::render(&done));
    let failed = done.iter().filter(|cell| !cell.problems.is_empty()).count() + (cells.len() - done.len());
    println!("{} passed, {failed} failed", cells.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Work<'_> {
    /// One server, and cells on it for as long as some are open.
    fn on_a_server(&self) {
        let server = Server::start(server::Engine::Old, self.keep);
        println!("a server is up: {:.0} s", self.started.elapsed().as_secs_f64());
        let mut client = client::Client::new(&server);
        let first = client.deploy(&[]);
        assert_eq!(first.code, 0, "the first deploy:\n{}", first.stderr);
        server.exec("echo kept >/srv/shop/shared/media/kept.txt && chmod 0644 /srv/shop/shared/media/kept.txt");
        println!("its first deploy is done: {:.0} s", self.started.elapsed().as_secs_f64());
        let limits = Limits::measure(&server, &client, self.cells, self.jobs);
        println!("a restart alone takes: {limits}");
        loop {
            let Some((step, fault)) = self.open.lock().unwrap().pop_front() else { break };
            let cell = Cell::run(&server, &mut client, step, fault, &limits);
            println!("{cell} ({:.0} s)", self.started.elapsed().as_secs_f64());
            self.results.add(&cell);
            let broken = !cell.problems.is_empty();
            let mut done = self.done.lock().unwrap();
            done.push(cell);
            if let Some(path) = self.table {
                std::fs::write(path, table::render(&done)).unwrap();
            }
            drop(done);
            // A cell that left the server unusable says nothing of those after it.
            if broken && !client.heal(&server) {
                println!("the server cannot be used any more");
                break;
            }
        }
    }
}
