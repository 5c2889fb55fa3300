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

/// Whoever rejected it is not overruled: a run that is to be approved after that is a new one.
fn approved(reviews: &[Value], name: &str) -> Option<String> {
    let of_it = |review: &&Value| {
        review["environments"].as_array().is_some_and(|all| all.iter().any(|environment| environment["name"] == name))
    };
    let mut of_it = reviews.iter().filter(of_it).peekable();
    let first = of_it.peek().map(|review| review["user"]["login"].as_str().unwrap_or("somebody").to_owned());
    first.filter(|_| of_it.all(|review| review["state"] == "approved"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_is_approved_where_somebody_approved_it_and_nobody_rejected_it() {
        let review = |state: &str, name: &str, who: &str| json!({"state": state, "environments": [{"name": name}], "user": {"login": who}});
        let mut reviews = vec![review("approved", "staging", "ana")];
        assert_eq!(approved(&reviews, "production"), None);
        reviews.push(review("approved", "production", "eva"));
        assert_eq!(approved(&reviews, "production").as_deref(), Some("eva"));
        for at in [0, 2] {
            let mut rejected = reviews.clone();
            rejected.insert(at, review("rejected", "production", "ana"));
            assert_eq!(approved(&rejected, "production"), None);
        }
    }
}
