//! Commit statuses, as GitHub, Gitea and GitLab take them.

use std::time::Duration;

use reqwest::Client;
use serde_json::json;

use super::push::Push;
use super::shared::Shared;

/// GitHub's own API, which is meant where nobody names another.
pub const GITHUB: &str = "https://api.github.com";

/// What becomes of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It waits, or is being deployed.
    Pending,
    /// It serves.
    Success,
    /// It does not.
    Failure,
}

/// Tells the hoster. What it answers changes no deploy; a failure is told here.
pub(super) async fn tell(shared: &Shared, push: &Push, state: State, description: &str) {
    let Some((api, token)) = &shared.settings.statuses else { return };
    let context = match &shared.settings.target {
        Some(target) => format!("estiba/{target}"),
        None => "estiba".to_owned(),
    };
    let description: String = shared.reporter.shown(description).chars().take(140).collect();
    let (address, body) = if push.is_gitlab {
        gitlab(api, push, state, &context, &description)
    } else {
        github(api, push, state, &context, &description)
    };
    let sent = async {
        let client = Client::builder().timeout(Duration::from_secs(20)).build()?;
        let request = client.post(&address).header("User-Agent", concat!("estiba/", env!("CARGO_PKG_VERSION")));
        let request = if push.is_gitlab { request.header("PRIVATE-TOKEN", token) } else { request.bearer_auth(token) };
        request.header("Content-Type", "application/json").body(body.clone()).send().await?.error_for_status()
    };
    if let Err(error) = sent.await {
        shared.reporter.note(format!("the status of {} was not posted: {error}", push.commit));
    }
}

/// <https://docs.github.com/en/rest/commits/statuses>; Gitea takes the same.
fn github(api: &str, push: &Push, state: State, context: &str, description: &str) -> (String, String) {
    let word = match state {
        State::Pending => "pending",
        State::Success => "success",
        State::Failure => "failure",
    };
    let address = format!("{}/repos/{}/statuses/{}", api.trim_end_matches('/'), push.repository, push.commit);
    (address, json!({"state": word, "context": context, "description": description}).to_string())
}

/// <https://docs.gitlab.com/api/commits/#set-the-pipeline-status-of-a-commit>
fn gitlab(api: &str, push: &Push, state: State, context: &str, description: &str) -> (String, String) {
    let word = match state {
        State::Pending => "running",
        State::Success => "success",
        State::Failure => "failed",
    };
    // Whoever names no address means the hoster's own.
    let api = if api == GITHUB { "https://gitlab.com/api/v4" } else { api.trim_end_matches('/') };
    let address = format!("{api}/projects/{}/statuses/{}", push.repository.replace('/', "%2F"), push.commit);
    (address, json!({"state": word, "name": context, "description": description}).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hoster_is_told_in_its_own_way() {
        let push = Push {
            delivery: String::new(),
            repository: "group/sub/site".into(),
            commit: "abc".into(),
            by: "ana".into(),
            is_gitlab: true,
        };
        let (address, body) = gitlab(GITHUB, &push, State::Pending, "estiba/production", "the deploy runs");
        assert_eq!(address, "https://gitlab.com/api/v4/projects/group%2Fsub%2Fsite/statuses/abc");
        assert_eq!(body, r#"{"state":"running","name":"estiba/production","description":"the deploy runs"}"#);
        let (address, _) = gitlab("https://git.example/api/v4/", &push, State::Failure, "e", "");
        assert!(address.starts_with("https://git.example/api/v4/projects/"), "{address}");
        let (address, body) = github(GITHUB, &push, State::Failure, "estiba", "it failed");
        assert_eq!(address, "https://api.github.com/repos/group/sub/site/statuses/abc");
        assert!(body.contains("\"failure\""), "{body}");
    }
}
