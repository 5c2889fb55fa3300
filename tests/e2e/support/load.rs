use std::time::{Duration, Instant};

use estiba::demo::{Load, Running, Tally};
use tokio::runtime::Runtime;

use super::Site;

/// The load of the promise: 8 clients with a connection for each request, 8 that POST on kept connections, and 2 whose
/// requests take 3 s. None sends a request twice.
pub struct Mixed {
    runtime: Runtime,
    fresh: Running,
    kept: Running,
    slow: Running,
}

impl Mixed {
    pub fn start(site: &Site) -> Self {
        let runtime = Runtime::new().unwrap();
        let load = |path: &str, clients, keep_alive: bool| Load {
            address: site.address,
            path: path.into(),
            clients,
            body: keep_alive.then(|| "holder=somebody".into()),
            keep_alive,
            pause: Duration::from_millis(10),
            patience: Duration::from_secs(30),
        };
        let _inside = runtime.enter();
        let fresh = load("/certificados/", 8, false).start();
        let kept = load("/certificados/", 8, true).start();
        let slow = load("/slow/?seconds=3", 2, false).start();
        drop(_inside);
        Self { runtime, fresh, kept, slow }
    }

    /// Waits until each of the two kinds of client has had that many answers.
    pub fn until(&self, requests: u64) {
        wait_for("requests", Duration::from_secs(120), || self.fresh.requests() >= requests && self.kept.requests() >= requests);
    }

    /// Counts: without keep-alive, with it, slow ones.
    pub fn stop(self) -> [Tally; 3] {
        let Self { runtime, fresh, kept, slow } = self;
        runtime.block_on(async { [fresh.stop().await, kept.stop().await, slow.stop().await] })
    }
}

/// Some fifty requests a second by clients that keep their connections and send nothing twice.
pub struct Steady {
    runtime: Runtime,
    running: Running,
}

impl Steady {
    pub fn start(site: &Site) -> Self {
        let runtime = Runtime::new().unwrap();
        let load = Load {
            address: site.address,
            path: "/certificados/".into(),
            clients: 8,
            body: None,
            keep_alive: true,
            pause: Duration::from_millis(140),
            patience: Duration::from_secs(30),
        };
        let inside = runtime.enter();
        let running = load.start();
        drop(inside);
        Self { runtime, running }
    }

    pub fn stop(self) -> Tally {
        self.runtime.block_on(self.running.stop())
    }
}

/// Waits for a condition.
#[track_caller]
pub fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    // On a machine that does other work, or little of any, all takes longer.
    let limit = limit * 4;
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
