//! One comment on a pull request, kept up to date.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::text::{Environment, read_limited};

use super::github::{GitHub, Refusal, list};

/// A comment holds 65,536 characters; what is longer is refused whole.
const LONGEST: usize = 64_000;
/// Pages of a hundred comments that are looked through for ours.
const PAGES: u32 = 20;

/// Writes `body` as the comment that `name` has on the pull request of this workflow: the first time a new one, then
/// that very one again. Says whether it was made.
///
/// The pull request, its repository, the API's address and the token come from the workflow's variables.
pub async fn comment(environment: &Environment, name: &str, body: &str) -> Result<bool> {
    let pull_request = PullRequest::of(environment)?;
    let marker = format!("<!-- estiba {name} -->");
    let text = json!({ "body": format!("{marker}\n{}", shortened(body)) });
    let issue = format!("{}/issues", pull_request.github.repository);
    match pull_request.find(&issue, &marker).await? {
        Some(id) => pull_request.send(Method::PATCH, &format!("{issue}/comments/{id}"), Some(&text)).await.map(|_| false),
        None => {
            let comments = format!("{issue}/{}/comments", pull_request.number);
            pull_request.send(Method::POST, &comments, Some(&text)).await.map(|_| true)
        }
    }
}

/// The number of the pull request that an event is about; `name` is the event's file.
fn number(event: &str, name: &str) -> Result<u64> {
    let event: Value =
        serde_json::from_str(event).map_err(|error| Error::failed(format!("{name} is not the JSON of an event: {error}")))?;
    event["pull_request"]["number"]
        .as_u64()
        .or_else(|| event["number"].as_u64())
        .ok_or_else(|| Error::input("--comment: this workflow does not run for a pull request").hint("run it `on: pull_request`"))
}

struct PullRequest {
    github: GitHub,
    number: u64,
}

impl PullRequest {
    fn of(environment: &Environment) -> Result<Self> {
        let missing = |name: &str| {
            Error::input(format!("--comment needs {name}, which a workflow of GitHub Actions sets"))
                .hint("on a laptop leave --comment out; `estiba plan --format markdown` prints the same text")
        };
        let event = environment.get("GITHUB_EVENT_PATH").filter(|path| !path.is_empty());
        let event = event.ok_or_else(|| missing("GITHUB_EVENT_PATH"))?;
        let number = number(&read_limited(event.as_str().into())?, event)?;
        Ok(Self { github: GitHub::of(environment, missing)?, number })
    }

    async fn find(&self, issue: &str, marker: &str) -> Result<Option<u64>> {
        for page in 1..=PAGES {
            let address = format!("{issue}/{}/comments?per_page=100&page={page}", self.number);
            let comments = list(self.send(Method::GET, &address, None).await?, &address).await?;
            let ours = comments.iter().find(|comment| comment["body"].as_str().is_some_and(|body| body.starts_with(marker)));
            if let Some(ours) = ours {
                return Ok(ours["id"].as_u64());
            }
            if comments.len() < 100 {
                break;
            }
        }
        Ok(None)
    }

    async fn send(&self, method: Method, address: &str, body: Option<&Value>) -> Result<Response> {
        let Refusal { address, status } = match self.github.send(method, address, body).await? {
            Ok(response) => return Ok(response),
            Err(refusal) => refusal,
        };
        let error =
            Error::failed(format!("the comment on pull request {} was not written: {address} answers {status}", self.number));
        Err(match status.as_u16() {
            401 | 403 | 404 => {
                error.hint("the job needs `permissions: pull-requests: write`; a fork's pull request never has it")
            }
            _ => error,
        })
    }
}

/// As much of it as a comment holds.
fn shortened(body: &str) -> String {
    match body.char_indices().nth(LONGEST) {
        None => body.to_owned(),
        Some((at, _)) => {
            format!(
                "{}\n\n```\n\n</details>\n\nThe plan is too long for a comment; the job's summary shows more of it.\n",
                &body[..at]
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_kept_within_its_bounds() {
        assert_eq!(shortened("short"), "short");
        assert!(shortened(&"ü".repeat(70_000)).chars().count() < 65_000);
    }

    #[test]
    fn outside_of_a_pull_request_it_says_so() {
        let error = PullRequest::of(&Environment::new()).err().unwrap();
        assert!(error.to_string().contains("GITHUB_EVENT_PATH"), "{error}");
    }

    #[test]
    fn any_event_is_of_a_pull_request_or_an_error() {
        let good = [r#"{"action":"opened","number":7,"pull_request":{"number":7,"head":{"ref":"a","sha":"b"}},"repository":{"full_name":"a/b"}}"#.as_bytes().to_vec()];
        crate::fuzz::read("event", &good, |text| {
            if let Err(error) = number(&String::from_utf8_lossy(text), "event.json") {
                assert!(!error.message.is_empty());
            }
        });
    }
}
