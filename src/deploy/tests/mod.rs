//! Runs that are followed, reconnected to, stopped and confirmed: with the server's real driver, over SSH within this process, and
//! with steps that do what a test says. Neither root nor Docker is needed.

mod door;
mod host;
mod transcripts;
mod world;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::error::Kind;
use crate::plan::Plan;
use crate::report::{Event, OutcomeKind, StepStatus};
use crate::server::Facts;

use super::conclude::Ending;
use super::inspect::inspect;
use super::look::Look;
use super::plan::plan_one;
use super::prepare::Prepared;
use super::signals::Signals;

use world::World;

/// The steps of these runs; `confirm` waits for the client's word.
const STEPS: [&str; 6] = ["preflight", "start", "check", "switch", "commit", "prune"];
const CONFIRMED: [&str; 7] = ["preflight", "start", "check", "observe", "confirm", "commit", "prune"];

/// Follows a run to its end, with nobody who stops it.
async fn followed(world: &World, steps: &'static [&'static str], look: Option<&Look<'_>>) -> Ending {
    let (_stop, signals) = Signals::by_hand();
    world.follow(steps, look, &signals).await
}

fn steps(ending: &Ending) -> Vec<(&str, StepStatus)> {
    ending.0.steps.iter().map(|step| (step.name.as_str(), step.status)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_followed_to_its_end() {
    let world = World::of(1).await;
    let ending = followed(&world, &STEPS, None).await;
    assert_eq!((ending.0.outcome, ending.1), (OutcomeKind::Deployed, None));
    assert_eq!(steps(&ending), STEPS.map(|step| (step, StepStatus::Done)));
    assert_eq!(world.began(), STEPS);
    assert_eq!(world.hosts[0].current(), "r2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_fails_is_told_and_what_began_is_undone() {
    let world = World::of(1).await;
    world.hosts[0].fails("switch", "switch said no");
    let ending = followed(&world, &STEPS, None).await;
    assert_eq!((ending.0.outcome, ending.1), (OutcomeKind::RolledBack, Some(Kind::Undone)));
    assert_eq!(ending.0.failed_step.as_deref(), Some("switch"));
    assert_eq!(ending.0.reason.as_deref(), Some("switch said no"));
    let (undone, failed) = (StepStatus::Undone, StepStatus::Failed);
    assert_eq!(steps(&ending), [("preflight", undone), ("start", undone), ("check", undone), ("switch", failed)]);
    assert_eq!(world.hosts[0].current(), "r1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_behind_the_commit_that_fails_is_unfinished() {
    let world = World::of(1).await;
    world.hosts[0].fails("prune", "prune said no");
    let ending = followed(&world, &STEPS, None).await;
    assert_eq!((ending.0.outcome, ending.1), (OutcomeKind::Deployed, None));
    assert_eq!(ending.0.unfinished, ["prune"]);
    assert!(ending.0.reason.as_deref().is_some_and(|why| why.contains("prune said no")), "{:?}", ending.0.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_need_not_wait_leaves_at_the_commit_and_the_server_finishes() {
    let mut world = World::of(1).await;
    world.leave_at_commit = true;
    let host = &world.hosts[0];
    host.holds("prune");
    let ending = followed(&world, &STEPS, None).await;
    assert_eq!((ending.0.outcome, ending.1), (OutcomeKind::Deployed, None));
    assert_eq!(ending.0.unfinished, ["drain"]);
    assert!(ending.0.reason.as_deref().is_some_and(|why| why.contains("the server goes on")), "{:?}", ending.0.reason);
    assert_eq!((host.outcome().as_str(), host.current().as_str()), ("", "r2"));
    host.goes_on("prune");
    host.until_it_has_ended().await;
    assert_eq!(host.outcome(), "0");

    // One that fails before the commit is followed to the end of its undo.
    let mut world = World::of(1).await;
    world.leave_at_commit = true;
    world.hosts[0].fails("switch", "switch said no");
    let ending = followed(&world, &STEPS, None).await;
    assert_eq!((ending.0.outcome, ending.1), (OutcomeKind::RolledBack, Some(Kind::Undone)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_is_made_again_and_nothing_is_told_twice() {
    let world = World::of(1).await;
    let host = &world.hosts[0];
    host.holds("check");
    let cutting = async {
        world.until("check is at work", |event| matches!(event, Event::Began { step } if step == "check")).await;
        host.cut();
        world.until("the loss is told", |event| matches!(event, Event::Warning(text) if text.contains("was lost"))).await;
        host.until_it_is_dialled().await;
        host.cut();
        host.until_it_is_dialled().await;
        host.goes_on("check");
    };
    let (ending, ()) = tokio::join!(followed(&world, &STEPS, None), cutting);
    assert_eq!((ending.0.outcome, ending.1), (OutcomeKind::Deployed, None));
    assert_eq!(world.began(), STEPS);
    assert_eq!(steps(&ending).len(), STEPS.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_signal_has_the_server_undo_and_is_followed_to_the_end_of_that() {
    let world = World::of(1).await;
    world.hosts[0].holds("switch");
    let (stop, signals) = Signals::by_hand();
    let stopping = async {
        world.until("switch is at work", |event| matches!(event, Event::Began { step } if step == "switch")).await;
        stop.send_modify(|count| *count += 1);
    };
    let (ending, ()) = tokio::join!(world.follow(&STEPS, None, &signals), stopping);
    assert_eq!((ending.0.outcome, ending.1), (OutcomeKind::Interrupted, Some(Kind::Interrupted)));
    assert!(ending.0.reason.as_deref().is_some_and(|why| why.contains("stopped on request")), "{:?}", ending.0.reason);
    assert_eq!(world.hosts[0].current(), "r1");
    world.hosts[0].until_it_has_ended().await;
    assert_eq!(world.hosts[0].outcome(), "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_signal_leaves_the_undo_to_the_server() {
    let world = World::of(1).await;
    let host = &world.hosts[0];
    host.holds("switch");
    host.holds("start.undo");
    let (stop, signals) = Signals::by_hand();
    let stopping = async {
        world.until("switch is at work", |event| matches!(event, Event::Began { step } if step == "switch")).await;
        stop.send_modify(|count| *count += 1);
        world.until("start is being undone", |event| matches!(event, Event::Undoing { step } if step == "start")).await;
        stop.send_modify(|count| *count += 1);
    };
    let (ending, ()) = tokio::join!(world.follow(&STEPS, None, &signals), stopping);
    assert_eq!((ending.0.outcome, ending.1), (OutcomeKind::Interrupted, Some(Kind::Interrupted)));
    assert!(ending.0.reason.as_deref().is_some_and(|why| why.contains("undoes the run by itself")), "{:?}", ending.0.reason);
    assert_eq!(host.outcome(), "");
    host.goes_on("start.undo");
    host.until_it_has_ended().await;
    assert_eq!((host.outcome().as_str(), host.current().as_str()), ("3", "r1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_workflow_the_client_goes_when_its_time_is_over() {
    let mut world = World::of(1).await;
    world.patience = Some(Duration::from_millis(300));
    let host = &world.hosts[0];
    host.holds("switch");
    host.holds("start.undo");
    let (stop, signals) = Signals::by_hand();
    let stopping = async {
        world.until("switch is at work", |event| matches!(event, Event::Began { step } if step == "switch")).await;
        stop.send_modify(|count| *count += 1);
    };
    let (ending, ()) = tokio::join!(world.follow(&STEPS, None, &signals), stopping);
    assert_eq!((ending.0.outcome, ending.1), (OutcomeKind::Interrupted, Some(Kind::Interrupted)));
    assert_eq!(host.outcome(), "");
    host.goes_on("start.undo");
    host.until_it_has_ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_is_confirmed_when_all_of_it_is_there() {
    let world = World::of(3).await;
    let ending = followed(&world, &CONFIRMED, None).await;
    assert_eq!((ending.0.outcome, ending.1), (OutcomeKind::Deployed, None), "{:?}", ending.0.reason);
    assert!(world.hosts.iter().all(|host| host.current() == "r2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_host_of_a_fleet_that_fails_takes_none_of_the_others_with_it() {
    let world = World::of(3).await;
    world.hosts[1].fails("check", "check said no");
    let ending = followed(&world, &CONFIRMED, None).await;
    assert_eq!((ending.0.outcome, ending.1), (OutcomeKind::RolledBack, Some(Kind::Undone)));
    assert_eq!(ending.0.failed_step.as_deref(), Some("check"));
    assert!(ending.0.reason.as_deref().is_some_and(|why| why.contains("check said no")), "{:?}", ending.0.reason);
    assert!(world.hosts.iter().all(|host| host.current() == "r1"));
}

/// A site that answers so, and names that release.
async fn site(status: &'static str, release: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked).await;
            let answer =
                format!("HTTP/1.1 {status}\r\nX-Estiba-Release: {release}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}/")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_seen_from_outside_is_the_word_on_a_run() {
    for (status, release, says) in [
        ("200 OK", "r2", None),
        // A site without a front page, which deploy.toml says.
        ("404 Not Found", "r2", None),
        ("500 Internal Server Error", "r2", Some("answers 500")),
        ("200 OK", "r1", Some("is answered by release r1, not r2")),
    ] {
        let mut world = World::of(1).await;
        world.hosts[0].resolved.target.url = Some(site(status, release).await);
        let target = world.hosts[0].resolved.target.clone();
        let look = Look::of(&target, &[404], jiff::Timestamp::UNIX_EPOCH).unwrap();
        let ending = followed(&world, &CONFIRMED, look.as_ref()).await;
        match says {
            None => assert_eq!((ending.0.outcome, ending.1), (OutcomeKind::Deployed, None), "{:?}", ending.0.reason),
            Some(says) => {
                assert_eq!((ending.0.failed_step.as_deref(), ending.1), (Some("confirm"), Some(Kind::Undone)));
                assert!(ending.0.reason.as_deref().is_some_and(|why| why.contains(says)), "{:?}", ending.0.reason);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_the_server_is_past_is_refused() {
    let mut world = World::of(1).await;
    let mut told = Facts::parse("estiba:facts\ncompose=2.35\nestiba:end\n").unwrap();
    let prepared = Prepared::render(&world.project, &world.hosts[0].resolved, &world.reporter).unwrap();
    let plan: Plan = plan_one(&world.session(0, told.clone()).await, &prepared).await.unwrap();
    world.plan = Some(plan);
    let prepared = Prepared::render(&world.project, &world.hosts[0].resolved, &world.reporter).unwrap();
    let same = inspect(vec![world.session(0, told.clone()).await], &prepared, &world.operation()).await.unwrap();
    assert_eq!((same.to_do.len(), same.unchanged.len()), (1, 0));
    told = told.of_commit("r7");
    let refused = inspect(vec![world.session(0, told).await], &prepared, &world.operation()).await.err().unwrap();
    assert_eq!(refused.kind, Kind::Moved);
    assert!(refused.message.contains("the server serves r7, not nothing"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_somebody_holds_is_told_with_who_it_is() {
    let world = World::of(1).await;
    let told = Facts::parse("estiba:facts\ncompose=2.35\nlock=ana from laptop, deploy of r9\nestiba:end\n").unwrap();
    let prepared = Prepared::render(&world.project, &world.hosts[0].resolved, &world.reporter).unwrap();
    let refused = inspect(vec![world.session(0, told).await], &prepared, &world.operation()).await.err().unwrap();
    assert_eq!(refused.kind, Kind::Locked);
    assert!(refused.message.contains("ana from laptop"), "{refused}");
}
