//! Who approved a run of a workflow for an environment of GitHub.

use reqwest::Method;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::text::Environment;

use super::github::{GitHub, list};

/// Who approved this workflow's run for that environment; `None` where nobody did.
///
/// A run that was not approved, or was rejected, has none. The run, the API's address and the token come from the workflow's variables.
pub async fn approval(environment: &Environment, name: &str) -> Result<Option<String>> {
    let missing =
        |variable: &str| Error::failed(format!("{variable} is not set, which a workflow of GitHub Actions sets or is given"));
    let run = environment.get("GITHUB_RUN_ID").filter(|run| !run.is_empty()).ok_or_else(|| missing("GITHUB_RUN_ID"))?;
    let github = GitHub::of(environment, missing)?;
    let address = format!("{}/actions/runs/{run}/approvals", github.repository);
    match github.send(Method::GET, &address, None).await? {
        Ok(response) => Ok(approved(&list(response, &address).await?, name)),
        Err(refusal) => Err(Error::failed(format!(
            "{} answers {}; the job needs `permissions: actions: read`",
            refusal.address, refusal.status
        ))),
    }
}

/// The last word on that environment counts: a run that is started again is asked about again.
fn approved(reviews: &[Value], name: &str) -> Option<String> {
    let of_it = |review: &&Value| {
        review["environments"].as_array().is_some_and(|all| all.iter().any(|environment| environment["name"] == name))
    };
    let last = reviews.iter().filter(of_it).max_by_key(|review| {
        let when =
            review["environments"].as_array().into_iter().flatten().filter_map(|environment| environment["updated_at"].as_str());
        when.max().unwrap_or_default().to_owned()
    })?;
    (last["state"] == "approved").then(|| last["user"]["login"].as_str().unwrap_or("somebody").to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_word_on_an_environment_counts() {
        let review = |state: &str, name: &str, when: &str, who: &str| json!({"state": state, "environments": [{"name": name, "updated_at": when}], "user": {"login": who}});
        let mut reviews = vec![review("approved", "staging", "2026-01-01T00:00:00Z", "ana")];
        assert_eq!(approved(&reviews, "production"), None);
        reviews.push(review("approved", "production", "2026-01-01T00:00:00Z", "eva"));
        assert_eq!(approved(&reviews, "production").as_deref(), Some("eva"));
        reviews.insert(0, review("rejected", "production", "2026-01-02T00:00:00Z", "ana"));
        assert_eq!(approved(&reviews, "production"), None);
    }
}
