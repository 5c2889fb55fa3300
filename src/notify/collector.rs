//! A collector of OpenTelemetry, and what goes there: by OTLP over HTTP in its JSON encoding, where the usual variables are set
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).

use std::time::Duration;

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::random;
use crate::report::Outcome;
use crate::text::Environment;

/// Nobody waits longer for a collector.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where traces and logs go, as far as they are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    traces: Option<Endpoint>,
    logs: Option<Endpoint>,
    service: String,
    /// The trace and the span that the deploy is a part of, where `TRACEPARENT` names them.
    parent: Option<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Endpoint {
    url: String,
    headers: Vec<(String, String)>,
}

/// A run that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// What it was: a deploy, say.
    pub what: &'a str,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// Did it come to what was asked for?
    pub is_good: bool,
    /// The project.
    pub project: &'a str,
    /// When it began.
    pub began: Timestamp,
}

/// What the spans and the logs of one run have in common.
#[derive(Debug, Clone)]
pub(super) struct Ids {
    pub(super) trace: String,
    /// The span of all of the run.
    pub(super) root: String,
    /// The span that it is a part of; empty where there is none.
    pub(super) parent: String,
}

impl Endpoint {
    /// The one for that signal: `TRACES` or `LOGS`.
    fn of(environment: &Environment, signal: &str) -> Option<Self> {
        let get = |name: &str| get(environment, name);
        if get(&format!("OTEL_{signal}_EXPORTER")) == Some("none") {
            return None;
        }
        let url = match get(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")) {
            Some(url) => url.to_owned(),
            None => {
                let all = get("OTEL_EXPORTER_OTLP_ENDPOINT")?;
                format!("{}/v1/{}", all.trim_end_matches('/'), signal.to_ascii_lowercase())
            }
        };
        let own = get(&format!("OTEL_EXPORTER_OTLP_{signal}_HEADERS"));
        let headers = own.or_else(|| get("OTEL_EXPORTER_OTLP_HEADERS")).unwrap_or_default();
        let headers = headers.split(',').filter_map(|pair| pair.split_once('='));
        let headers = headers
            .map(|(name, value)| (name.trim().to_owned(), percent_decode_str(value.trim()).decode_utf8_lossy().into_owned()))
            .collect();
        Some(Self { url, headers })
    }

    async fn send(&self, what: &str, request: &Value) -> Result<()> {
        let failed = |error: reqwest::Error| Error::failed(format!("{what} not taken: {}", error.without_url()));
        // A redirect would lead the headers elsewhere.
        let client =
            reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build().map_err(failed)?;
        let mut post = client.post(&self.url).header("Content-Type", "application/json").body(request.to_string());
        for (name, value) in &self.headers {
            post = post.header(name, value);
        }
        let status = post.send().await.map_err(failed)?.status();
        if status.is_success() { Ok(()) } else { Err(Error::failed(format!("{what} not taken: the collector answers {status}"))) }
    }
}

fn get<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

impl Collector {
    /// The one that the environment names, if it names one.
    pub fn of(environment: &Environment) -> Option<Self> {
        if get(environment, "OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return None;
        }
        let (traces, logs) = (Endpoint::of(environment, "TRACES"), Endpoint::of(environment, "LOGS"));
        if traces.is_none() && logs.is_none() {
            return None;
        }
        let service = get(environment, "OTEL_SERVICE_NAME").unwrap_or("estiba").to_owned();
        Some(Self { traces, logs, service, parent: get(environment, "TRACEPARENT").and_then(parent) })
    }

    /// Does it take logs?
    pub fn takes_logs(&self) -> bool {
        self.logs.is_some()
    }

    /// Sends what it takes of these two. What it did not take is an error.
    pub(super) async fn send(&self, trace: &Value, logs: &Value) -> Result<()> {
        let send = async |endpoint: &Option<Endpoint>, what: &str, request: &Value| match endpoint {
            Some(endpoint) => endpoint.send(what, request).await,
            None => Ok(()),
        };
        let (trace, logs) = tokio::join!(send(&self.traces, "the trace was", trace), send(&self.logs, "the logs were", logs));
        Error::all([trace, logs].into_iter().filter_map(Result::err).collect())
    }

    pub(super) fn ids(&self) -> Ids {
        let (trace, parent) = self.parent.clone().unwrap_or_else(|| (random::hex(16), String::new()));
        Ids { trace, root: random::hex(8), parent }
    }

    /// Who sends it.
    pub(super) fn resource(&self) -> Value {
        json!({ "attributes": [text("service.name", &self.service), text("service.version", env!("CARGO_PKG_VERSION"))] })
    }
}

/// An attribute.
pub(super) fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// The ids of `00-TRACE-SPAN-FLAGS`, as W3C's Trace Context writes them.
fn parent(text: &str) -> Option<(String, String)> {
    let mut parts = text.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let is_good = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && parts.next().is_some();
    (is_good && trace.bytes().any(|b| b != b'0') && span.bytes().any(|b| b != b'0')).then(|| (trace.to_owned(), span.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_usual_variables_say_where_traces_and_logs_go() {
        let of = |pairs: &[(&str, &str)]| Collector::of(&environment(pairs));
        assert_eq!(of(&[]), None);
        let both = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/");
        let one = of(&[both, ("OTEL_EXPORTER_OTLP_HEADERS", "a=b, c=d%20=e%")]).unwrap();
        let traces = one.traces.unwrap();
        assert_eq!((traces.url.as_str(), one.logs.unwrap().url.as_str()), ("http://c:4318/v1/traces", "http://c:4318/v1/logs"));
        assert_eq!(traces.headers, [("a".to_owned(), "b".to_owned()), ("c".into(), "d =e%".into())]);
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/traces");
        let one = of(&[own]).unwrap();
        assert_eq!((one.traces.clone().unwrap().url.as_str(), one.takes_logs()), ("http://c/traces", false));
        assert_eq!(of(&[own, ("OTEL_SDK_DISABLED", "true")]), None);
        assert_eq!(of(&[own, ("OTEL_TRACES_EXPORTER", "none")]), None);
        assert!(!of(&[both, ("OTEL_LOGS_EXPORTER", "none")]).unwrap().takes_logs());
    }

    #[test]
    fn what_is_no_parent_is_none() {
        for wrong in [
            "",
            "00-0-0-0",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parent(wrong), None, "{wrong}");
        }
    }
}
