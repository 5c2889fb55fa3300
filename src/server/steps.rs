//! The steps of a run as the server's scripts have them: `remote-scripts/plans` lists them in their order, and the head of each
//! says what it does, how long it may take, and what a failure in it leads to.

use super::Scripts;

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name: that of its file in `remote-scripts/steps/`.
    pub name: &'static str,
    /// What it does.
    pub what: String,
    /// How long it may take, in seconds: a sum of settings of the release and the run. `apps` is how many apps there are.
    pub deadline: &'static str,
    /// What a failure in it leads to.
    pub failure: &'static str,
}

/// The names of the steps of a kind of run, in their order; none for a kind that there is not.
pub fn steps_of(kind: &str) -> Vec<&'static str> {
    let plan = |line: &'static str| line.strip_prefix(kind)?.strip_prefix(' ');
    let names = Scripts::text("plans").lines().find_map(plan);
    names.map(|names| names.split(' ').collect()).unwrap_or_default()
}

/// The kinds of run that there are.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    let lines = Scripts::text("plans").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split(' ').next())
}

impl Step {
    /// The step of that name; `None` where there is none.
    pub fn named(name: &str) -> Option<Self> {
        let (path, text) = Scripts::file(&format!("steps/{name}.sh"))?;
        let own = path.strip_prefix("steps/")?.strip_suffix(".sh")?;
        let head = text.lines().skip(1).take_while(|line| line.starts_with('#')).filter_map(|line| line.strip_prefix("# "));
        let mut step = Self { name: own, what: String::new(), deadline: "", failure: "" };
        for line in head {
            if let Some(deadline) = line.strip_prefix("Deadline: ") {
                step.deadline = deadline.trim_end_matches(" seconds.");
            } else if let Some(failure) = line.strip_prefix("A failure: ") {
                step.failure = failure.trim_end_matches('.');
            } else if step.deadline.is_empty() {
                let line = line.strip_prefix(own).and_then(|line| line.strip_prefix(": ")).unwrap_or(line);
                step.what += if step.what.is_empty() { "" } else { " " };
                step.what += line;
            }
        }
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_says_what_it_does_how_long_it_may_take_and_what_a_failure_leads_to() {
        let mut planned: Vec<&str> = kinds().flat_map(steps_of).collect();
        planned.sort_unstable();
        planned.dedup();
        for name in &planned {
            let step = Step::named(name).unwrap_or_else(|| panic!("{name} has no file"));
            assert!(!step.what.is_empty() && !step.what.starts_with(name), "{step:?}");
            assert!(!step.deadline.is_empty() && !step.failure.is_empty(), "{step:?}");
        }
        let files = Scripts::all().iter().filter_map(|(path, _)| path.strip_prefix("steps/")?.strip_suffix(".sh"));
        assert_eq!(files.collect::<Vec<_>>(), planned, "each file of steps/ is a step of a kind of run");
        assert_eq!(steps_of("nothing"), [""; 0]);
    }
}
