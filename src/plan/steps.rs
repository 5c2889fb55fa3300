//! What a failure in the steps of a run leads to.

use crate::server::Step;

/// What a failure in each of these steps leads to: steps that follow one another and share it stand together. One of the team's leads to
/// what the step before it does.
pub fn consequences(steps: &[String]) -> Vec<(Vec<&str>, &'static str)> {
    let mut told: Vec<(Vec<&str>, &'static str)> = Vec::new();
    for step in steps {
        let before = told.last().map_or("", |(_, what)| *what);
        let what = Step::named(step).map_or(before, |step| step.failure);
        match told.last_mut().filter(|(_, known)| *known == what) {
            Some((together, _)) => together.push(step),
            None => told.push((vec![step], what)),
        }
    }
    told
}
