//! Commit statuses, as GitHub and Gitea take them.

use std::time::Duration;

use serde_json::json;

use super::Shared;
use super::push::Push;

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
    let word = match state {
        State::Pending => "pending",
        State::Success => "success",
        State::Failure => "failure",
    };
    let context = match &shared.settings.target {
        Some(target) => format!("estiba/{target}"),
        None => "estiba".to_owned(),
    };
    let address = format!("{}/repos/{}/statuses/{}", api.trim_end_matches('/'), push.repository, push.commit);
    let description: String = shared.reporter.shown(description).chars().take(140).collect();
    let body = json!({"state": word, "context": context, "description": description}).to_string();
    let sent = async {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build()?;
        let request = client
            .post(&address)
            .bearer_auth(token)
            .header("User-Agent", concat!("estiba/", env!("CARGO_PKG_VERSION")))
            .header("Content-Type", "application/json")
            .body(body.clone());
        request.send().await?.error_for_status()
    };
    if let Err(error) = sent.await {
        shared.reporter.note(format!("the status of {} was not posted: {error}", push.commit));
    }
}
