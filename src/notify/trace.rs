//! A deploy as a trace: a span for all of it and one for each step, sent by OTLP over HTTP in its JSON encoding where the usual variables
//! of OpenTelemetry are set (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).

use std::time::Duration;

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::random;
use crate::report::{Outcome, StepReport, StepStatus};
use crate::text::Environment;

/// Nobody waits longer for a collector.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where traces go, and with which headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    url: String,
    headers: Vec<(String, String)>,
    service: String,
    /// The trace and the span that the deploy is a part of, where `TRACEPARENT` names them.
    parent: Option<(String, String)>,
}

impl Collector {
    /// The one that the environment names, if it names one.
    pub fn of(environment: &Environment) -> Option<Self> {
        let get = |name: &str| environment.get(name).map(String::as_str).filter(|value| !value.is_empty());
        if get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || get("OTEL_TRACES_EXPORTER") == Some("none")
        {
            return None;
        }
        let url = match get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
            Some(url) => url.to_owned(),
            None => format!("{}/v1/traces", get("OTEL_EXPORTER_OTLP_ENDPOINT")?.trim_end_matches('/')),
        };
        let headers = get("OTEL_EXPORTER_OTLP_TRACES_HEADERS").or_else(|| get("OTEL_EXPORTER_OTLP_HEADERS")).unwrap_or_default();
        let headers = headers.split(',').filter_map(|pair| pair.split_once('='));
        let headers = headers
            .map(|(name, value)| (name.trim().to_owned(), percent_decode_str(value.trim()).decode_utf8_lossy().into_owned()))
            .collect();
        let service = get("OTEL_SERVICE_NAME").unwrap_or("estiba").to_owned();
        Some(Self { url, headers, service, parent: get("TRACEPARENT").and_then(parent) })
    }

    /// Sends such a request.
    pub async fn send(&self, request: &Value) -> Result<()> {
        let failed = |error: reqwest::Error| Error::failed(format!("the trace was not taken: {}", error.without_url()));
        // A redirect would lead the headers elsewhere.
        let client =
            reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build().map_err(failed)?;
        let mut post = client.post(&self.url).header("Content-Type", "application/json").body(request.to_string());
        for (name, value) in &self.headers {
            post = post.header(name, value);
        }
        let status = post.send().await.map_err(failed)?.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(Error::failed(format!("the trace was not taken: the collector answers {status}")))
        }
    }

    /// What became of a run that began then, as an ExportTraceServiceRequest. `what` is what it was: a deploy, say.
    pub fn request(&self, what: &str, outcome: &Outcome, is_good: bool, project: &str, began: Timestamp) -> Value {
        self.with_ids(what, outcome, is_good, project, began, (&random::hex(16), &|| random::hex(8)))
    }

    fn with_ids(
        &self,
        what: &str,
        outcome: &Outcome,
        is_good: bool,
        project: &str,
        began: Timestamp,
        (trace, span): (&str, &dyn Fn() -> String),
    ) -> Value {
        let (trace, parent) = match &self.parent {
            Some((trace, parent)) => (trace.as_str(), parent.as_str()),
            None => (trace, ""),
        };
        let at = |milliseconds: u64| (began.as_nanosecond() + i128::from(milliseconds) * 1_000_000).to_string();
        let root = span();
        let outcome_word = serde_json::to_value(outcome.outcome).unwrap_or_default();
        let mut attributes = vec![
            text("deployment.environment.name", &outcome.target),
            text("estiba.project", project),
            text("estiba.outcome", outcome_word.as_str().unwrap_or_default()),
        ];
        for (key, value) in [
            ("estiba.release", &outcome.release),
            ("estiba.previous", &outcome.previous),
            ("estiba.image", &outcome.image),
            ("estiba.failed_step", &outcome.failed_step),
        ] {
            attributes.extend(value.as_deref().map(|value| text(key, value)));
        }
        let status = |is_good: bool, why: &str| if is_good { json!({ "code": 1 }) } else { json!({ "code": 2, "message": why }) };
        let why = outcome.reason.as_deref().unwrap_or_default();
        let mut spans = vec![json!({
            "traceId": trace, "spanId": root, "parentSpanId": parent, "name": format!("estiba {what}"), "kind": 1,
            "startTimeUnixNano": at(0), "endTimeUnixNano": at(outcome.duration_ms),
            "attributes": attributes, "status": status(is_good, why),
        })];
        spans.extend(outcome.steps.iter().map(|StepReport { name, status: became, at_ms, duration_ms }| {
            let is_good = *became == StepStatus::Done || *became == StepStatus::Undone;
            let why = if outcome.failed_step.as_ref() == Some(name) { why } else { "" };
            json!({
                "traceId": trace, "spanId": span(), "parentSpanId": root, "name": name, "kind": 1,
                "startTimeUnixNano": at(*at_ms), "endTimeUnixNano": at(at_ms + duration_ms),
                "attributes": [text("estiba.step.status", serde_json::to_value(became).unwrap_or_default().as_str().unwrap_or_default())],
                "status": status(is_good, why),
            })
        }));
        json!({ "resourceSpans": [{
            "resource": { "attributes": [text("service.name", &self.service), text("service.version", env!("CARGO_PKG_VERSION"))] },
            "scopeSpans": [{ "scope": { "name": "estiba" }, "spans": spans }],
        }]})
    }
}

fn text(key: &str, value: &str) -> Value {
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
    use crate::report::OutcomeKind;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_usual_variables_say_where_traces_go() {
        let of = |pairs: &[(&str, &str)]| Collector::of(&environment(pairs));
        assert_eq!(of(&[]), None);
        let one =
            of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/"), ("OTEL_EXPORTER_OTLP_HEADERS", "a=b, c=d%20=e%")]).unwrap();
        assert_eq!(one.url, "http://c:4318/v1/traces");
        assert_eq!(one.headers, [("a".to_owned(), "b".to_owned()), ("c".into(), "d =e%".into())]);
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/traces");
        assert_eq!(of(&[own]).unwrap().url, "http://c/traces");
        assert_eq!(of(&[own, ("OTEL_SDK_DISABLED", "true")]), None);
        assert_eq!(of(&[own, ("OTEL_TRACES_EXPORTER", "none")]), None);
    }

    #[test]
    fn a_trace_has_a_span_for_all_and_one_for_each_step() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let collector =
            Collector::of(&environment(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), ("TRACEPARENT", given)])).unwrap();
        let step = |name: &str, status, at_ms, duration_ms| StepReport { name: name.into(), status, at_ms, duration_ms };
        let outcome = Outcome {
            outcome: OutcomeKind::RolledBack,
            failed_step: Some("check".into()),
            reason: Some("sick".into()),
            duration_ms: 900,
            steps: vec![step("send", StepStatus::Done, 10, 200), step("check", StepStatus::Failed, 300, 400)],
            ..Outcome::failed("production")
        };
        let began = Timestamp::from_millisecond(1_000_000).unwrap();
        let sent = collector.with_ids("deploy", &outcome, false, "shop", began, ("unused", &|| "00000000000000ab".into()));
        let spans = sent["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
        assert_eq!(spans.len(), 3);
        assert_eq!((&spans[0]["traceId"], &spans[0]["parentSpanId"]), (&json!(&given[3..35]), &json!(&given[36..52])));
        assert_eq!(
            (&spans[0]["startTimeUnixNano"], &spans[0]["endTimeUnixNano"]),
            (&json!("1000000000000"), &json!("1000900000000"))
        );
        assert_eq!(
            (&spans[2]["startTimeUnixNano"], &spans[2]["endTimeUnixNano"]),
            (&json!("1000300000000"), &json!("1000700000000"))
        );
        assert_eq!((&spans[1]["status"]["code"], &spans[2]["status"]), (&json!(1), &json!({"code": 2, "message": "sick"})));
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
