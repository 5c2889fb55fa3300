//! Pairs: ours and theirs in turn, as a ratio with its spread.

use std::time::Duration;

/// What a pair is measured in.
#[derive(Clone, Copy)]
pub enum Unit {
    Seconds,
    Milliseconds,
    Bytes,
}

/// Was this row asked for? A word on the command line is one that a row's name must have.
pub fn wanted(what: &str) -> bool {
    std::env::args().skip(1).filter(|word| !word.starts_with('-')).all(|word| what.contains(&word))
}

pub fn heading() {
    println!("| what · against | {} | median of ours · theirs |", ["min", "**median**", "max"].join(" | "));
    println!("| --- | --- | --- | --- | --- |");
}

/// How often theirs holds ours: above 1, ours is the quicker, or the smaller.
pub fn row(what: &str, unit: Unit, pairs: &[(f64, f64)]) {
    let column = |of: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = pairs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let ratios = column(|(ours, theirs)| theirs / ours);
    let (ours, theirs) = (column(|(ours, _)| *ours), column(|(_, theirs)| *theirs));
    let middle = pairs.len() / 2;
    let shown = |value: f64| match unit {
        Unit::Seconds => format!("{value:.2} s"),
        Unit::Milliseconds => format!("{value:.3} ms"),
        Unit::Bytes => format!("{:.0} KB", value / 1000.0),
    };
    println!(
        "| {what} | {:.2} | **{:.2}** | {:.2} | {} · {} |",
        ratios[0],
        ratios[middle],
        ratios[ratios.len() - 1],
        shown(ours[middle]),
        shown(theirs[middle])
    );
}

/// Runs the two in turn, once to get warm and then that often.
pub fn timed(what: &str, runs: usize, mut ours: impl FnMut() -> Duration, mut theirs: impl FnMut() -> Duration) {
    if !wanted(what) {
        return;
    }
    ours();
    theirs();
    let pairs: Vec<(f64, f64)> = (0..runs).map(|_| (ours().as_secs_f64(), theirs().as_secs_f64())).collect();
    row(what, Unit::Seconds, &pairs);
}
