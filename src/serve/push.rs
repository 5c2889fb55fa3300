//! What a delivery says: a push, of what, to which branch.

use hyper::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::sha256;

/// A push that is to be deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Push {
    /// What the delivery is known again by: the SHA-256 of its body. Its id is no part of what is signed.
    pub(super) delivery: String,
    /// The repository, as `owner/name`.
    pub(super) repository: String,
    /// The commit, in full.
    pub(super) commit: String,
    /// Who pushed.
    pub(super) by: String,
    /// Is it GitLab's? Its statuses are posted in another way.
    #[serde(default)]
    pub(super) is_gitlab: bool,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It is deployed.
    Push(Push),
    /// It is good and of no interest: why.
    Ignored(&'static str),
    /// It is none: why.
    Wrong(&'static str),
}

/// Reads a delivery whose signature is right. `changes` tells whether any of these paths is of interest.
pub(super) fn read(
    headers: &HeaderMap,
    body: &[u8],
    branch: &str,
    repository: Option<&str>,
    changes: impl Fn(&[&str]) -> bool,
) -> Delivery {
    let header = |names: [&str; 3]| names.iter().find_map(|name| headers.get(*name).and_then(|value| value.to_str().ok()));
    let event = header(["x-github-event", "x-gitea-event", "x-gitlab-event"]).unwrap_or_default();
    match event {
        "push" | "Push Hook" => {}
        "ping" => return Delivery::Ignored("a ping"),
        "" => return Delivery::Wrong("it does not say what event it is"),
        _ => return Delivery::Ignored("no push"),
    }
    let Ok(event) = serde_json::from_slice::<Value>(body) else { return Delivery::Wrong("its body is no JSON") };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let from = event["repository"]["full_name"].as_str().or_else(|| event["project"]["path_with_namespace"].as_str());
    let Some(from) = from.filter(|from| is_repository(from)) else { return Delivery::Wrong("it names no repository") };
    if repository.is_some_and(|wanted| !wanted.eq_ignore_ascii_case(from)) {
        return Delivery::Ignored("another repository");
    }
    if event["ref"].as_str() != Some(&format!("refs/heads/{branch}")) {
        return Delivery::Ignored("another branch");
    }
    let commit = text(&event["after"]);
    if ![40, 64].contains(&commit.len()) || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Delivery::Wrong("it names no commit");
    }
    if event["deleted"] == true || commit.bytes().all(|byte| byte == b'0') {
        return Delivery::Ignored("the branch was deleted");
    }
    let commits = event["commits"].as_array().cloned().unwrap_or_default();
    let lists: Vec<&str> = commits
        .iter()
        .flat_map(|commit| ["added", "modified", "removed"].map(|key| commit[key].as_array()))
        .flatten()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    // Of many commits some hosters list a few only, and what a forced push takes away is in none.
    let total = ["total_commits", "total_commits_count"].iter().find_map(|key| event[*key].as_u64()).unwrap_or(0);
    let is_whole = total <= commits.len() as u64 && commits.len() < 20 && event["forced"] != true;
    if is_whole && !lists.is_empty() && !changes(&lists) {
        return Delivery::Ignored("it changes none of the paths");
    }
    let by = ["pusher", "sender"].iter().find_map(|who| event[*who]["name"].as_str().or_else(|| event[*who]["login"].as_str()));
    let by = by.or_else(|| event["user_username"].as_str()).unwrap_or("somebody").chars().take(60).collect();
    Delivery::Push(Push {
        delivery: sha256(body),
        repository: from.to_owned(),
        commit,
        by,
        is_gitlab: headers.contains_key("x-gitlab-event"),
    })
}

/// `owner/name`, and groups of groups: it becomes part of an address.
fn is_repository(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    name.len() < 300 && name.contains('/') && name.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(event: &str, body: &Value) -> Delivery {
        let mut headers = HeaderMap::new();
        headers.insert("x-github-event", event.parse().unwrap());
        read(&headers, body.to_string().as_bytes(), "main", Some("Team/site"), |paths| {
            paths.iter().any(|path| path.starts_with("app/"))
        })
    }

    fn body(with: &[(&str, Value)]) -> Value {
        let mut body = serde_json::json!({
            "ref": "refs/heads/main", "after": "a".repeat(40), "repository": {"full_name": "team/site"}, "pusher": {"name": "ana"},
            "commits": [{"added": ["app/x.py"], "modified": [], "removed": []}],
        });
        for (key, value) in with {
            body[*key] = value.clone();
        }
        body
    }

    #[test]
    fn a_push_to_the_branch_is_taken_and_nothing_else() {
        let Delivery::Push(push) = delivery("push", &body(&[])) else { panic!() };
        assert_eq!((push.commit.len(), push.by.as_str(), push.repository.as_str()), (40, "ana", "team/site"));
        let ignored = |with: &[(&str, Value)]| matches!(delivery("push", &body(with)), Delivery::Ignored(_));
        assert!(ignored(&[("ref", "refs/heads/other".into())]) && ignored(&[("ref", "refs/tags/main".into())]));
        assert!(ignored(&[("after", "0".repeat(40).into())]) && ignored(&[("deleted", true.into())]));
        assert!(ignored(&[("repository", serde_json::json!({"full_name": "other/site"}))]));
        assert!(ignored(&[("commits", serde_json::json!([{"modified": ["docs/a.md"]}]))]));
        assert!(!ignored(&[("commits", serde_json::json!([]))]), "nothing is known of what it changes");
        let other = ("commits", serde_json::json!([{"modified": ["docs/a.md"]}]));
        assert!(!ignored(&[other.clone(), ("total_commits", 8.into())]) && !ignored(&[other, ("forced", true.into())]));
        assert_eq!(delivery("ping", &Value::Null), Delivery::Ignored("a ping"));
        assert_eq!(delivery("issues", &body(&[])), Delivery::Ignored("no push"));
        for with in [
            ("after", Value::from("HEAD; rm -rf /")),
            ("after", Value::Null),
            ("repository", serde_json::json!({"full_name": "../x"})),
        ] {
            assert!(matches!(delivery("push", &body(&[with])), Delivery::Wrong(_)));
        }
    }

    #[test]
    fn any_body_is_read_without_a_fault() {
        crate::fuzz::read("push", &[body(&[]).to_string().into_bytes()], |text| {
            let mut headers = HeaderMap::new();
            headers.insert("x-gitlab-event", "Push Hook".parse().unwrap());
            let _ = read(&headers, text, "main", None, |_| true);
        });
    }
}
