//! Who asked for a run, from where and when: handed in, so that nothing below reads a clock or the environment.

use camino::Utf8Path;
use jiff::Timestamp;

use crate::error::Answer;
use crate::process;
use crate::random;
use crate::text::Environment;

/// The circumstances of one run.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Who: the user, or the actor of a workflow.
    pub by: String,
    /// From where: the machine, or the workflow run.
    pub from: String,
    /// The commit of the project, 7 digits; empty outside a repository.
    pub commit: String,
    /// The branch; empty where there is none.
    pub branch: String,
    /// Has the project changes that are not committed?
    pub dirty: bool,
    /// When.
    pub now: Timestamp,
    /// Who approved this run of a workflow for the environment that the target asks for; why that is not known, where it is not.
    pub approved_by: Answer<Option<String>>,
}

impl Actor {
    /// Looks at the environment and the project's repository.
    pub async fn look(environment: &Environment, folder: &Utf8Path, now: Timestamp) -> Self {
        let get = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
        let by = get("GITHUB_ACTOR").or_else(|| get("USER")).or_else(|| get("LOGNAME")).unwrap_or_else(|| "somebody".into());
        let git = async |arguments: &[&str]| {
            let ended = process::ask_git(folder, arguments).await.ok()?;
            ended.success.then(|| ended.stdout.trim().to_owned())
        };
        // A workflow has a commit checked out, and says which branch that is of.
        let told = match get("GITHUB_REF_TYPE").as_deref() {
            Some("branch") => get("GITHUB_REF_NAME"),
            Some(_) => Some(String::new()),
            None => get("CI_COMMIT_BRANCH"),
        };
        let branch = async {
            match told {
                Some(branch) => branch,
                None => git(&["symbolic-ref", "--short", "-q", "HEAD"]).await.unwrap_or_default(),
            }
        };
        let hostname = async { process::run("hostname", &[], None).await.map(|ended| ended.stdout.trim().to_owned()) };
        let head = ["rev-parse", "--short=7", "HEAD"];
        let status = ["status", "--porcelain", "--", "."];
        let (host, commit, changes, branch) = tokio::join!(hostname, git(&head), git(&status), branch);
        let (host, commit) = (host.unwrap_or_default(), commit.unwrap_or_default());
        let dirty = !commit.is_empty() && changes.is_some_and(|changes| !changes.is_empty());
        let from = match (get("GITHUB_REPOSITORY"), get("GITHUB_RUN_ID")) {
            (Some(repository), Some(run)) => format!("{repository} run {run}"),
            _ if host.is_empty() => String::from("an unnamed machine"),
            _ => host,
        };
        Self { by: plain(&by), from: plain(&from), commit, branch, dirty, now, approved_by: Ok(None) }
    }

    /// The id of a release made now: UTC time and commit, or the content's digest where there is no commit.
    pub fn release_id(&self, content: &str) -> String {
        let suffix = if self.commit.is_empty() { &content[..7.min(content.len())] } else { &self.commit };
        format!("{}-{suffix}", self.now.strftime("%Y%m%dT%H%M%SZ"))
    }

    /// The id of a run that begins now.
    pub fn run_id(&self, kind: &str) -> String {
        format!("{}-{kind}-{}", self.now.strftime("%Y%m%dT%H%M%SZ"), random::hex(4))
    }

    /// When, as the history writes it.
    pub fn started(&self) -> String {
        self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}
