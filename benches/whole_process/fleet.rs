//! Many servers in this process against one of them, each 20 ms away.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::delay;
use super::pairs::{timed, wanted};
use super::support::{Scripted, Site};

const ROUND_TRIP: Duration = Duration::from_millis(20);

pub fn fleet() {
    for count in [50, 200, 1000] {
        let what = format!("deploy to {count} servers, 20 ms each · to one of them");
        if !wanted(&what) {
            continue;
        }
        let site = Site::new("bench-fleet", "");
        let image = Scripted::archive(&site.app("image.tar"));
        let mut servers = Scripted::start(count, &image, None);
        servers.ports = servers.ports.iter().map(|port| delay::start(*port, ROUND_TRIP)).collect();
        let (all, one) = (servers.deploy_toml(&site.name, count), servers.deploy_toml(&site.name, 1));
        let memory = AtomicU64::new(0);
        timed(
            &what,
            if count == 1000 { 3 } else { 7 },
            || {
                site.write("deploy.toml", &all);
                deploy(&site, &memory)
            },
            || {
                site.write("deploy.toml", &one);
                deploy(&site, &AtomicU64::new(0))
            },
        );
        println!(
            "| memory of the process that deploys to {count}, at most | | | | {} MB |",
            memory.load(Ordering::Relaxed) / 1000
        );
    }
}

/// How often a deploy with nothing to ship goes there and back: by how much longer it takes over a longer way.
pub fn round_trips() {
    let what = "round trips of a deploy with nothing to ship";
    if !wanted(what) {
        return;
    }
    let site = Site::new("bench-trips", "");
    let image = Scripted::archive(&site.app("image.tar"));
    let mut servers = Scripted::start(1, &image, None);
    let near = servers.ports[0];
    let mut took = |round_trip: u64| {
        servers.ports = vec![delay::start(near, Duration::from_millis(round_trip))];
        site.write("deploy.toml", &servers.deploy_toml(&site.name, 1));
        let mut times: Vec<Duration> = (0..7).map(|_| deploy(&site, &AtomicU64::new(0))).collect();
        times.sort();
        times[3].as_secs_f64()
    };
    let trips = (took(200) - took(0)) / 0.2;
    println!("| {what}, from TCP connect to outcome | | {trips:.1} | | |");
}

fn deploy(site: &Site, memory: &AtomicU64) -> Duration {
    let started = Instant::now();
    let child = site.spawn(&["deploy", "--json"]);
    let status = format!("/proc/{}/status", child.id());
    // It grows only, so that the last look tells the most that it had.
    let watching = std::thread::spawn(move || {
        let mut most = 0;
        while let Some(now) = std::fs::read_to_string(&status).ok().as_deref().and_then(peak) {
            most = now;
            std::thread::sleep(Duration::from_millis(5));
        }
        most
    });
    let run = Site::ended(child);
    let took = started.elapsed();
    assert_eq!(run.code, 0, "{}", run.stderr);
    memory.fetch_max(watching.join().unwrap(), Ordering::Relaxed);
    took
}

/// The most memory that a process has had, in KiB.
fn peak(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}
