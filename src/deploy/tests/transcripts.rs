//! What docs/when-it-fails.md shows is what is printed.

use regex::Regex;

use crate::error::Kind;
use crate::plan::Plan;
use crate::report::{Event, plain_lines};
use crate::server::{Facts, steps_of};

use super::super::inspect::inspect;
use super::super::plan::plan_one;
use super::super::prepare::Prepared;
use super::super::signals::Signals;
use super::world::World;

/// The page must have this, but for times and ports.
fn documented(code: u8, shown: &str) {
    let plain = |text: &str| {
        let text = Regex::new(r"\d+\.\d s").unwrap().replace_all(text, "1.0 s").into_owned();
        Regex::new(r"127\.0\.0\.1:\d+").unwrap().replace_all(&text, "203.0.113.10").into_owned()
    };
    let page = include_str!("../../../docs/when-it-fails.md");
    let block = format!(
        "```console\n$ estiba deploy\n{}\n$ echo $?\n{code}\n```",
        plain(shown).replace(" r2", " 20261126T101500Z-4e1c0d2").replace(" r1", " 20261125T090200Z-75cb5bb")
    );
    assert!(plain(page).contains(&plain(&block)), "docs/when-it-fails.md has no\n{block}");
}

/// The steps of a deploy whose strategy is no canary.
fn without_canary() -> Vec<&'static str> {
    steps_of("deploy").into_iter().filter(|step| *step != "canary").collect()
}

async fn ended(world: &World) -> String {
    let (_stop, signals) = Signals::by_hand();
    let ending = world.follow(&without_canary(), None, &signals).await;
    documented(ending.1.map_or(0, Kind::code), &world.shown(&ending));
    // The journal has it before the file.
    world.hosts[0].until_it_has_ended().await;
    world.hosts[0].outcome()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_fails_is_shown_as_the_docs_have_it() {
    let world = World::of(1).await;
    world.hosts[0].fails("check", "/health of web answers 500, not 200, for 60 s (asked with Host: certificados.example; the target's url or [health] host sets it)");
    assert_eq!(ended(&world).await, "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_shown_as_the_docs_have_it() {
    let world = World::of(1).await;
    world.hosts[0].fails("preflight", "the disk under /srv/certificados is too full: 110 MB are free, this release needs 200 MB");
    assert_eq!(ended(&world).await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undo_that_fails_is_shown_as_the_docs_have_it() {
    let world = World::of(1).await;
    world.hosts[0].fails("observe", "web answered 61 of 200 real requests with an error; at most 0.01 of them are allowed");
    world.hosts[0].fails("switch.undo", "the edge of web rejected the command set map slot: no answer");
    assert_eq!(ended(&world).await, "4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_was_not_finished_is_shown_as_the_docs_have_it() {
    let world = World::of(1).await;
    world.hosts[0].fails("prune", "the database does not answer");
    assert_eq!(ended(&world).await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_release_that_does_not_stop_is_shown_as_the_docs_have_it() {
    let world = World::of(1).await;
    world.hosts[0].fails("drain", "the step exceeded its deadline of 240 s");
    assert_eq!(ended(&world).await, "4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_is_shown_as_the_docs_have_it() {
    let world = World::of(1).await;
    world.hosts[0].holds("start");
    let (stop, signals) = Signals::by_hand();
    let steps = steps_of("deploy");
    let stopping = async {
        world.until("start is at work", |event| matches!(event, Event::Began { step } if step == "start")).await;
        stop.send_modify(|count| *count += 1);
    };
    let (ending, ()) = tokio::join!(world.follow(&steps, None, &signals), stopping);
    documented(130, &world.shown(&ending));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_and_a_plan_that_is_past_are_shown_as_the_docs_have_them() {
    let mut world = World::of(1).await;
    let prepared = Prepared::render(&world.project, &world.hosts[0].resolved, &world.reporter).unwrap();
    let told = |more: &str| Facts::parse(&format!("estiba:facts\ncompose=2.35\n{more}estiba:end\n")).unwrap();
    let locked = told("lock=ana from laptop, deploy of 20261126T101200Z-9123c43, since 2026-11-26T10:12:03Z\n");
    let refused = inspect(vec![world.session(0, locked).await], &prepared, &world.operation()).await.err().unwrap();
    documented(5, &plain_lines(&[Event::Error(refused)]).join("\n"));
    let plan: Plan = plan_one(&world.session(0, told("").of_commit("r1")).await, &prepared).await.unwrap();
    world.plan = Some(Plan { digest: "6b1f0e6f2a9c4d77".into(), ..plan });
    let prepared = Prepared::render(&world.project, &world.hosts[0].resolved, &world.reporter).unwrap();
    let moved =
        inspect(vec![world.session(0, told("").of_commit("r7")).await], &prepared, &world.operation()).await.err().unwrap();
    documented(6, &plain_lines(&[Event::Error(moved)]).join("\n"));
}
