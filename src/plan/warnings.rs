//! What may go wrong with a deploy, as the server stands now.

use crate::server::{Fact, Facts, Status};

/// Room that a release needs beside its image: files, containers and logs, in KiB.
pub const SPARE_KB: u64 = 200 * 1024;

/// A line for each thing that somebody should look at before the deploy.
pub fn warnings(facts: &Facts, image_changes: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    let size = facts.get(Fact::CurrentImageSize).and_then(|size| size.parse::<u64>().ok()).unwrap_or(0);
    // The new image is taken to be as large as the one that serves.
    let needed = SPARE_KB + if image_changes { size / 1024 } else { 0 };
    if let Some(free) = facts.free_kb().filter(|free| *free < needed) {
        warnings.push(format!(
            "the server's disk has {} MB free, and a release needs up to {} MB: the deploy may be refused",
            free / 1024,
            needed / 1024
        ));
    }
    if let Some(holder) = facts.lock() {
        warnings.push(format!("another run holds the lock: {holder}"));
    } else if let Some(run) = facts.open_runs.first() {
        warnings.push(format!("{run} was interrupted; a deploy ends it first"));
    }
    warnings.extend(Status::of("", facts).backup_failed.map(|why| format!("the last backup failed: {why}")));
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_may_not_take_the_release_is_told_before_it_is_tried() {
        let facts = |free: u64| {
            Facts::parse(&format!(
                "estiba:facts\ncurrent=r1\ncurrent_image_size=314572800\nfree_kb={free}\ndocker_free_kb=9000000\nestiba:end\n"
            ))
            .unwrap()
        };
        assert_eq!(warnings(&facts(600 * 1024), true), Vec::<String>::new());
        assert_eq!(
            warnings(&facts(400 * 1024), true),
            ["the server's disk has 400 MB free, and a release needs up to 500 MB: the deploy may be refused"]
        );
        assert_eq!(warnings(&facts(400 * 1024), false), Vec::<String>::new());
    }
}
