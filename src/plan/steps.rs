//! The steps of a run, in their order. Each is a file of remote-scripts/steps/.

/// What a deploy is.
pub const DEPLOY: [&str; 18] = [
    "preflight",
    "image",
    "stack",
    "pending",
    "fence",
    "backup",
    "migrate",
    "static",
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
pub const ROLLBACK: [&str; 10] =
    ["preflight", "image", "static", "start", "check", "switch", "workers", "commit", "drain", "prune"];
