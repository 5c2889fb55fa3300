//! `remote-scripts/`, embedded in the binary, under a folder named by their digest.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::artefact::Artefact;
use crate::digest::sha256;

macro_rules! scripts {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../remote-scripts/", $path)))),*]
    };
}

const FILES: &[(&str, &str)] = scripts![
    "abort.sh",
    "boot.sh",
    "recover.sh",
    "schedule.sh",
    "scheduled.sh",
    "ask/applied.sh",
    "ask/backups.sh",
    "ask/bundle.sh",
    "ask/cat.sh",
    "ask/compare.sh",
    "ask/doctor.sh",
    "ask/facts.sh",
    "ask/images.sh",
    "ask/logs.sh",
    "ask/metrics.sh",
    "ask/save.sh",
    "inside/static-publish.sh",
    "inside/volume-back.sh",
    "inside/volume-exchange.sh",
    "inside/volume-keep.sh",
    "lib/alerts.sh",
    "lib/apps.sh",
    "lib/common.sh",
    "lib/compose.sh",
    "lib/database.sh",
    "lib/database/mysql.sh",
    "lib/database/postgres.sh",
    "lib/edge.sh",
    "lib/history.sh",
    "lib/http.sh",
    "lib/journal.sh",
    "lib/json.sh",
    "lib/judge.sh",
    "lib/loadtest.sh",
    "lib/lock.sh",
    "lib/metric.sh",
    "lib/offsite.sh",
    "lib/operator.sh",
    "lib/picture.sh",
    "lib/proxies.sh",
    "lib/recovery.sh",
    "lib/schedule.sh",
    "lib/settings.sh",
    "lib/site.sh",
    "lib/smoke.sh",
    "lib/static.sh",
    "lib/team.sh",
    "lib/volumes.sh",
    "lib/warm.sh",
    "lib/watch.sh",
    "operator/logs.sh",
    "operator/rollback.sh",
    "operator/status.sh",
    "operator/update.sh",
    "receive/backup.sh",
    "receive/context.sh",
    "receive/files.sh",
    "receive/image.sh",
    "run/alerts.sh",
    "run/canary.sh",
    "run/confirm.sh",
    "run/cool.sh",
    "run/edges.sh",
    "run/follow.sh",
    "run/guard.sh",
    "run/start.sh",
    "run/step.sh",
    "run/supervise.sh",
    "run/transaction.sh",
    "run/watch.sh",
    "run/watchdog.sh",
    "run/word.sh",
    "setup/gate.sh",
    "setup/mend.sh",
    "setup/prepare.sh",
    "steps/backup.sh",
    "steps/canary.sh",
    "steps/check.sh",
    "steps/commit.sh",
    "steps/confirm.sh",
    "steps/down.sh",
    "steps/drain.sh",
    "steps/drill.sh",
    "steps/edge.sh",
    "steps/fence.sh",
    "steps/image.sh",
    "steps/jobs.sh",
    "steps/leave.sh",
    "steps/lift.sh",
    "steps/load.sh",
    "steps/maintenance.sh",
    "steps/migrate.sh",
    "steps/observe.sh",
    "steps/offsite.sh",
    "steps/pending.sh",
    "steps/plain.sh",
    "steps/preflight.sh",
    "steps/prune.sh",
    "steps/restart.sh",
    "steps/scale.sh",
    "steps/stack.sh",
    "steps/start.sh",
    "steps/static.sh",
    "steps/swap.sh",
    "steps/switch.sh",
    "steps/verify.sh",
    "steps/volumes.sh",
    "steps/warm.sh",
    "steps/workers.sh",
    "tasks/alert.sh",
    "tasks/compare.sh",
    "tasks/cool.sh",
    "tasks/left-overs.sh",
    "tasks/revive.sh",
    "use/run.sh",
    "plans",
];

/// The scripts of this version of the client.
#[derive(Debug, Clone, Copy)]
pub struct Scripts;

impl Scripts {
    /// The name of their folder on the server.
    pub fn digest() -> String {
        static DIGEST: LazyLock<String> = LazyLock::new(|| {
            let mut all = Vec::new();
            for (path, text) in FILES {
                all.extend(format!("{path}\0{}\n", sha256(text.as_bytes())).into_bytes());
            }
            sha256(&all)[..16].to_owned()
        });
        DIGEST.clone()
    }

    /// All of them, by their paths.
    #[cfg(test)]
    pub const fn all() -> &'static [(&'static str, &'static str)] {
        FILES
    }

    /// The text of one.
    pub fn text(name: &str) -> &'static str {
        Self::file(name).map_or("", |(_, text)| text)
    }

    /// The path and the text of one.
    pub(super) fn file(name: &str) -> Option<(&'static str, &'static str)> {
        FILES.iter().copied().find(|(path, _)| *path == name)
    }

    /// All of them, by their paths below their own folder.
    pub(super) fn bare_files() -> BTreeMap<String, Artefact> {
        let before = format!("bin/{}/", Self::digest());
        Self::files().into_iter().map(|(path, file)| (path.replacen(&before, "", 1), file)).collect()
    }

    /// All of them, by their path below the root.
    pub fn files() -> BTreeMap<String, Artefact> {
        let digest = Self::digest();
        let file = |(path, text): &(&str, &str)| {
            // People call these by their names.
            let mode = if path.starts_with("operator/") { 0o755 } else { 0o644 };
            (format!("bin/{digest}/{path}"), Artefact { mode, ..Artefact::text(*text) })
        };
        FILES.iter().map(file).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_of_the_folder_is_embedded() {
        let mut found = Vec::new();
        for folder in [
            "",
            "ask/",
            "inside/",
            "lib/",
            "lib/database/",
            "operator/",
            "receive/",
            "run/",
            "setup/",
            "steps/",
            "tasks/",
            "use/",
        ] {
            let path = format!("{}/remote-scripts/{folder}", env!("CARGO_MANIFEST_DIR"));
            for entry in std::fs::read_dir(path).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                if name.ends_with(".sh") {
                    found.push(format!("{folder}{name}"));
                }
            }
        }
        found.push("plans".to_owned());
        found.sort();
        let mut embedded: Vec<_> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        embedded.sort();
        assert_eq!(found, embedded);
    }
}
