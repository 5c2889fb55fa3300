//! The table that goes into docs/fault-matrix.md.

use std::fmt::Write;

use super::cell::Cell;
use super::faults::Fault;

/// Steps down, faults across: which release each cell ended on, and in how many seconds.
pub fn render(cells: &[Cell]) -> String {
    let steps: Vec<&str> = super::steps().into_iter().filter(|step| cells.iter().any(|cell| cell.step == *step)).collect();
    let faults: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| cells.iter().any(|cell| cell.fault == *fault)).collect();
    let mut text = format!("| step | {} |\n|", faults.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(" | "));
    text.push_str(&" --- |".repeat(faults.len() + 1));
    text.push('\n');
    for step in &steps {
        let _ = write!(text, "| {step} |");
        for fault in &faults {
            match cells.iter().find(|cell| cell.step == *step && cell.fault == *fault) {
                Some(cell) => {
                    let broken = if cell.problems.is_empty() { "" } else { "**broken** " };
                    let outage = match fault {
                        _ if fault.stops_a_part() || (*fault == Fault::KillNewContainer && cell.failed > 0) => {
                            format!(", out {:.1} s", cell.outage.as_secs_f64())
                        }
                        Fault::FillDisk => format!(", {} requests refused", cell.failed),
                        _ => String::new(),
                    };
                    let _ = write!(text, " {broken}{} {:.0} s{outage} |", cell.ends_on, cell.settled.as_secs_f64());
                }
                None => text.push_str(" |"),
            }
        }
        text.push('\n');
    }
    let requests: u64 = cells.iter().map(|cell| cell.requests).sum();
    let failed: u64 =
        cells.iter().filter(|cell| !cell.fault.stops_writes() && !cell.stops_the_only_one()).map(|cell| cell.failed).sum();
    let _ = write!(
        text,
        "\n{} cells, {requests} requests; {failed} failed in cells that stop neither the machine, the engine, the database, its writes nor the only container that serves.\n",
        cells.len()
    );
    text
}
