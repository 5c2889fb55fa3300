//! The way in: nothing is shown without the token.

use hyper::header::{ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE};
use hyper::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use crate::digest::sha256;
use crate::text::printable;

use super::super::shared::Shared;
use super::super::signature::is_same;
use super::seen::Page;
use super::words::words;
use super::{LONGEST, ask, view};

/// The cookie that stands for the token.
const COOKIE_NAME: &str = "estiba_page";

/// An answer: status, kind of the body, body, and the cookie that is set with it.
pub(in crate::serve) struct Answer {
    pub(in crate::serve) status: u16,
    pub(in crate::serve) kind: &'static str,
    pub(in crate::serve) body: String,
    pub(in crate::serve) cookie: Option<String>,
    pub(in crate::serve) location: Option<&'static str>,
}

fn html(status: u16, body: String) -> Answer {
    Answer { status, kind: "text/html; charset=utf-8", body, cookie: None, location: None }
}

/// Answers a request for the page; `body` is that of a form.
pub(in crate::serve) async fn answer(
    shared: &Shared,
    page: &Page,
    method: &Method,
    (path, query): (&str, Option<&str>),
    headers: &HeaderMap,
    body: &[u8],
) -> Answer {
    let get = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let words = words(get(ACCEPT_LANGUAGE));
    let target = shared.settings.target.as_deref().unwrap_or_default();
    if path == "/page/page.css" {
        return Answer { kind: "text/css; charset=utf-8", ..html(200, include_str!("page.css").into()) };
    }
    if (method, path) == (&Method::POST, "/page/login") {
        let form = String::from_utf8_lossy(body);
        let token = form.split('&').find_map(|pair| pair.strip_prefix("token=")).map(decoded).unwrap_or_default();
        if !is_same(&token, &page.token) {
            return html(401, view::door(&words, true));
        }
        let secure = if headers.get("x-forwarded-proto").is_some_and(|value| value == "https") { "; Secure" } else { "" };
        let cookie =
            format!("{COOKIE_NAME}={}; Path=/page; HttpOnly; SameSite=Strict; Max-Age=2592000{secure}", stand_in(&page.token));
        return Answer { cookie: Some(cookie), location: Some("/page"), ..html(303, String::new()) };
    }
    let bearer = get(AUTHORIZATION).strip_prefix("Bearer ").unwrap_or_default();
    let kept = get(COOKIE).split(';').find_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='));
    if !is_same(bearer, &page.token) && !is_same(kept.unwrap_or_default(), &stand_in(&page.token)) {
        return html(401, view::door(&words, false));
    }
    match (method, path, path.strip_prefix("/page/runs/")) {
        (&Method::GET, "/page" | "/page/", _) => html(200, view::overview(&words, target, &page.seen(), query == Some("still"))),
        (&Method::GET, _, Some(run)) if is_run(run) => match ask(shared, &["logs", "--run", run]).await {
            Ok(journal) => {
                let goes_on = page.seen().status.iter().any(|host| host["run"] == run);
                html(200, view::run(&words, target, run, the_end(&journal), goes_on))
            }
            Err(why) => html(404, view::run(&words, target, run, &printable(&why), false)),
        },
        (&Method::GET, _, _) => html(404, view::run(&words, target, "", words["gone"], false)),
        _ => html(405, view::run(&words, target, "", words["gone"], false)),
    }
}

/// What a browser keeps in the token's place.
fn stand_in(token: &str) -> String {
    sha256(format!("estiba page {token}").as_bytes())
}

/// Is that a run's id, and nothing else?
fn is_run(text: &str) -> bool {
    !text.is_empty()
        && text.len() < 100
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
}

fn the_end(text: &str) -> &str {
    let mut at = text.len().saturating_sub(LONGEST);
    while !text.is_char_boundary(at) {
        at += 1;
    }
    &text[at..]
}

/// A value of a form.
fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_and_a_run_are_read_as_they_are_meant() {
        assert_eq!(decoded("a%2Bb+c%C3%B1%zz"), "a+b cñ%zz");
        assert!(is_run("20261127T120000Z-deploy-ab12"));
        for wrong in ["", "../x", "-x", "a b", "a/b", "a%2e"] {
            assert!(!is_run(wrong), "{wrong}");
        }
        assert_eq!(the_end(&"ñ".repeat(LONGEST)).len(), LONGEST);
    }
}
