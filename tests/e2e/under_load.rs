//! Updates under load lose no request.

use crate::support::{Mixed, Site};

fn assert_none_failed(tallies: &[estiba::demo::Tally; 3]) {
    for (kind, tally) in ["fresh connections", "keep-alive", "3 s requests"].iter().zip(tallies) {
        assert_eq!(tally.failed, 0, "{kind}: {} of {} failed: {:#?}", tally.failed, tally.requests, tally.failures);
    }
}

#[test]
fn updates_in_a_row_under_load_lose_no_request() {
    let site = Site::new("load", "[rollout]\nobserve = \"1s\"\n");
    site.deployed();
    let load = Mixed::start(&site);
    // ESTIBA_UPDATES=10 makes as many as the promise says.
    let updates = std::env::var("ESTIBA_UPDATES").map_or(5, |updates| updates.parse().unwrap());
    for update in 1..=updates {
        site.append("templates/home.html", &format!("<!-- {update} -->\n"));
        site.deployed();
    }
    load.until(5_000);
    let tallies = load.stop();
    assert!(tallies[0].requests >= 5_000 && tallies[1].requests >= 5_000 && tallies[2].requests >= 20);
    assert_none_failed(&tallies);
}
