//! What each cell ended with, a line of JSON each, so that the whole matrix can be run in parts on one build.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::cell::Cell;
use super::client::binary;
use super::faults::Fault;

/// The file of results, and the build whose results count. Without a file nothing is kept.
#[derive(Default)]
pub struct Results {
    path: Option<PathBuf>,
    build: String,
}

impl Results {
    pub fn open(path: &Path) -> Self {
        let build: String =
            Sha256::digest(std::fs::read(binary()).unwrap()).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        println!("results of the build {build} are kept in {}", path.display());
        Self { path: Some(path.to_owned()), build }
    }

    /// The cells that held with this build.
    pub fn held(&self) -> Vec<Cell> {
        let text = self.path.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of results"));
        lines
            .filter(|line| line["build"] == self.build.as_str() && line["problems"] == json!([]))
            .map(|line| cell(&line))
            .collect()
    }

    pub fn add(&self, cell: &Cell) {
        let Some(path) = &self.path else { return };
        let line = json!({
            "build": self.build, "step": cell.step, "fault": cell.fault.name(), "ends_on": cell.ends_on,
            "settled": cell.settled.as_secs_f64(), "requests": cell.requests, "failed": cell.failed,
            "outage": cell.outage.as_secs_f64(), "problems": cell.problems,
        });
        // One write for a line: several servers add to one file.
        let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

fn cell(line: &Value) -> Cell {
    let text = |key: &str| line[key].as_str().expect(key);
    let seconds = |key: &str| Duration::from_secs_f64(line[key].as_f64().expect(key));
    Cell {
        step: super::steps().into_iter().find(|step| *step == text("step")).expect("a step"),
        fault: Fault::named(text("fault")).expect("a fault"),
        ends_on: if text("ends_on") == "new" { "new" } else { "old" },
        settled: seconds("settled"),
        requests: line["requests"].as_u64().expect("requests"),
        failed: line["failed"].as_u64().expect("failed"),
        outage: seconds("outage"),
        problems: Vec::new(),
    }
}
