//! A deploy as a trace: a span for all of it and one for each step.

use serde_json::{Value, json};

use crate::random;
use crate::report::{StepReport, StepStatus};

use super::collector::{Ended, Ids, text};

/// An ExportTraceServiceRequest.
pub(super) fn trace(ended: &Ended<'_>, ids: &Ids, resource: &Value) -> Value {
    let Ids { trace, root, parent } = ids;
    let Ended { what, outcome, is_good, project, began } = *ended;
    let at = |milliseconds: u64| (began.as_nanosecond() + i128::from(milliseconds) * 1_000_000).to_string();
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
            "traceId": trace, "spanId": random::hex(8), "parentSpanId": root, "name": name, "kind": 1,
            "startTimeUnixNano": at(*at_ms), "endTimeUnixNano": at(at_ms + duration_ms),
            "attributes": [text("estiba.step.status", serde_json::to_value(became).unwrap_or_default().as_str().unwrap_or_default())],
            "status": status(is_good, why),
        })
    }));
    json!({ "resourceSpans": [{
        "resource": resource,
        "scopeSpans": [{ "scope": { "name": "estiba" }, "spans": spans }],
    }]})
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::report::{Outcome, OutcomeKind};

    #[test]
    fn a_trace_has_a_span_for_all_and_one_for_each_step() {
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
        let ended = Ended { what: "deploy", outcome: &outcome, is_good: false, project: "shop", began };
        let ids = Ids { trace: "t".into(), root: "r".into(), parent: "p".into() };
        let sent = trace(&ended, &ids, &json!({}));
        let spans = sent["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
        assert_eq!(spans.len(), 3);
        assert_eq!(
            (&spans[0]["traceId"], &spans[0]["parentSpanId"], &spans[1]["parentSpanId"]),
            (&json!("t"), &json!("p"), &json!("r"))
        );
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
}
