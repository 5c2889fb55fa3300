//! The API of GitHub, as a workflow has it.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::text::Environment;

/// A page of a hundred of the longest comments, each character of four bytes, has less.
const ANSWER: usize = 32 << 20;

/// The repository of a workflow, its API's address and a token, from the workflow's variables.
pub(super) struct GitHub {
    /// The address of the repository in the API.
    pub(super) repository: String,
    token: String,
    client: reqwest::Client,
}

/// What GitHub answered instead of what was asked for.
pub(super) struct Refusal {
    pub(super) address: String,
    pub(super) status: StatusCode,
}

impl GitHub {
    /// `missing` makes the error for a variable that is not set.
    pub(super) fn of(environment: &Environment, missing: impl Fn(&str) -> Error) -> Result<Self> {
        let get = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(20))
            .user_agent(concat!("estiba/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::failed(format!("no HTTP client: {error}")))?;
        let api = get("GITHUB_API_URL").unwrap_or_else(|| "https://api.github.com".into());
        let repository = get("GITHUB_REPOSITORY").ok_or_else(|| missing("GITHUB_REPOSITORY"))?;
        let token = get("ESTIBA_TOKEN").or_else(|| get("GITHUB_TOKEN")).ok_or_else(|| missing("GITHUB_TOKEN"))?;
        Ok(Self { repository: format!("{api}/repos/{repository}"), token, client })
    }

    /// Sends a request. An answer that is no success is the inner error.
    pub(super) async fn send(
        &self,
        method: Method,
        address: &str,
        body: Option<&Value>,
    ) -> Result<std::result::Result<Response, Refusal>> {
        let mut request = self
            .client
            .request(method, address)
            .bearer_auth(&self.token)
            .header("Accept", "application/vnd.github+json")
            .header("X-GitHub-Api-Version", "2022-11-28");
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        let response = request.send().await.map_err(|error| Error::failed(format!("{address}: {error}")))?;
        let status = response.status();
        Ok(if status.is_success() { Ok(response) } else { Err(Refusal { address: address.to_owned(), status }) })
    }
}

/// The whole answer, of a hundred comments at most: a longer one is no answer of GitHub's.
pub(super) async fn list(mut response: Response, address: &str) -> Result<Vec<Value>> {
    let mut text = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| Error::failed(format!("{address}: {error}")))? {
        text.extend_from_slice(&piece);
        if text.len() > ANSWER {
            return Err(Error::failed(format!("{address} answers with more than {} MB", ANSWER >> 20)));
        }
    }
    serde_json::from_slice(&text).map_err(|error| Error::failed(format!("{address} answers with no list: {error}")))
}
