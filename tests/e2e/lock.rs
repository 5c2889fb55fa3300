//! One run at a time.

use std::time::Duration;

use crate::support::{Site, wait_for};

#[test]
fn the_second_of_two_deploys_gives_up_or_waits_its_turn() {
    let site = Site::new("lock", "[rollout]\nobserve = \"6s\"\n");
    let first = site.spawn(&["deploy", "--json"]);
    wait_for("the first deploy's lock", Duration::from_secs(60), || {
        site.root.join("state/lock.holder").exists() && !site.lock_is_free()
    });
    let second = site.estiba(&["deploy"]);
    second.says(5, &["estibador", "deploy of", "since 20", "--wait-lock"]);
    let status = site.status();
    assert!(status["running"].as_str().unwrap().contains("deploy of"), "{status}");

    let third = site.spawn(&["deploy", "--json", "--wait-lock", "2m"]);
    let first = Site::ended(first).expect(0, "deployed");
    // It waited, and by then there was nothing left to do.
    let third = Site::ended(third).expect(0, "unchanged");
    assert_eq!(third["release"], first["release"]);
    assert!(site.lock_is_free());
}
