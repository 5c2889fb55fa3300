//! The workflows that a project has, looked at for where the key lies that deploys.

use camino::Utf8Path;

use crate::config::Project;
use crate::text::read_limited;

/// Each job of the repository's workflows that gets the key outside of an environment, as `file: job`: whoever may push a branch can
/// change such a workflow there, and have the key. It is as much as the files tell: what a called workflow does is not looked at.
pub fn unprotected_jobs(project: &Project) -> Vec<String> {
    let folder = project.boundary().join(".github/workflows");
    let mut found = Vec::new();
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        let path = entry.path();
        if !matches!(path.extension(), Some("yml" | "yaml")) || !path.is_file() || !project.contains(path) {
            continue;
        }
        let Ok(text) = read_limited(path) else { continue };
        let name = path.file_name().unwrap_or_default();
        found.extend(
            jobs_with_the_key(&text).into_iter().map(|job| format!("{}: {job}", Utf8Path::new(".github/workflows").join(name))),
        );
    }
    found.sort();
    found
}

/// The jobs of a workflow that have the key and no environment.
fn jobs_with_the_key(text: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let is_text = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let lines = text.lines().filter(is_text).skip_while(|line| !line.starts_with("jobs:")).skip(1);
    let lines: Vec<&str> = lines.take_while(|line| indent(line) > 0).collect();
    let Some(depth) = lines.first().map(|line| indent(line)) else { return Vec::new() };
    let mut jobs: Vec<(String, bool, bool)> = Vec::new();
    for line in lines {
        if indent(line) == depth {
            jobs.push((line.trim().trim_end_matches(':').to_owned(), false, false));
        } else if let Some((_, has_key, protected)) = jobs.last_mut() {
            let key = line.trim().trim_start_matches("- ");
            *has_key |= ["ssh-key:", "ESTIBA_SSH_KEY:"].iter().any(|known| key.starts_with(known));
            *protected |= key.starts_with("environment:");
        }
    }
    jobs.into_iter().filter(|(_, has_key, protected)| *has_key && !protected).map(|(name, ..)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_with_the_key_and_no_environment_is_found() {
        let workflow = "on: push\njobs:\n  test:\n    steps: []\n  # ssh-key: x\n  deploy:\n    steps:\n      - uses: o/estiba@v1\n        with:\n          ssh-key: ${{ secrets.KEY }}\n  good:\n    environment: production\n    steps:\n      - env:\n          ESTIBA_SSH_KEY: ${{ secrets.KEY }}\n";
        assert_eq!(jobs_with_the_key(workflow), ["deploy"]);
        assert_eq!(jobs_with_the_key("jobs:\n    a:\n        with:\n            ssh-key: x\nname: y\n"), ["a"]);
        assert_eq!(jobs_with_the_key(""), [""; 0]);
    }
}
