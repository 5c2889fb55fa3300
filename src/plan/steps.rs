//! The steps of a run, in their order. Each is a file of remote-scripts/steps/.

/// What a deploy is.
pub const DEPLOY: [&str; 20] = [
    "preflight",
    "image",
    "edge",
    "stack",
    "pending",
    "fence",
    "backup",
    "migrate",
    "static",
    "jobs",
    "start",
    "check",
    "lift",
    "switch",
    "workers",
    "observe",
    "confirm",
    "commit",
    "drain",
    "prune",
];

/// What a rollback is: the release has proven itself before, and its schema has been left behind.
pub const ROLLBACK: [&str; 12] =
    ["preflight", "image", "edge", "stack", "static", "start", "check", "switch", "workers", "commit", "drain", "prune"];

/// What the way back to plain Compose is.
pub const EJECT: [&str; 2] = ["plain", "leave"];

/// What a failure in each of these steps leads to: steps that follow one another and share it stand together.
pub fn consequences(steps: &[String]) -> Vec<(Vec<&str>, &'static str)> {
    let mut told: Vec<(Vec<&str>, &'static str)> = Vec::new();
    for step in steps {
        let what = consequence(step);
        match told.last_mut().filter(|(_, known)| *known == what) {
            Some((together, _)) => together.push(step),
            None => told.push((vec![step], what)),
        }
    }
    told
}

fn consequence(step: &str) -> &'static str {
    match step {
        "preflight" | "image" => "refused: nothing has changed",
        "edge" | "stack" | "pending" | "fence" | "backup" => "undone; the release before serves all the while",
        "migrate" => "undone, the data as [database] restore says; the release before serves all the while",
        "static" | "jobs" | "start" | "check" | "lift" => {
            "undone, a migration too where it must be; the release before serves all the while"
        }
        "switch" | "workers" | "observe" | "confirm" => "the edge goes back to the release before, which still runs; then undone",
        _ => "finished, not undone: the new release serves",
    }
}
