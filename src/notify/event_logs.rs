//! What a run has told as log records of OpenTelemetry, which belong to its trace
//! (<https://opentelemetry.io/docs/specs/otel/logs/data-model/>).

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::collector::{Ended, Ids, text};

/// An ExportLogsServiceRequest of these events, as `--json` prints them, each with how long before now it happened.
pub(super) fn logs(ended: &Ended<'_>, events: &[(Duration, Value)], now: Timestamp, ids: &Ids, resource: &Value) -> Value {
    let Ids { trace, root, .. } = ids;
    let records = events.iter().map(|(ago, event)| {
        let field = |name: &str| event[name].as_str().unwrap_or_default();
        let (severity, number) = severity(field("event"));
        let mut attributes =
            vec![text("deployment.environment.name", &ended.outcome.target), text("estiba.project", ended.project)];
        for (key, name) in [("estiba.event", "event"), ("estiba.step", "step"), ("estiba.host", "host")] {
            attributes.extend(event[name].as_str().map(|value| text(key, value)));
        }
        json!({
            "timeUnixNano": (now - *ago).as_nanosecond().to_string(), "severityText": severity, "severityNumber": number,
            "body": { "stringValue": body(event) }, "attributes": attributes, "traceId": trace, "spanId": root,
        })
    });
    let records: Vec<Value> = records.collect();
    json!({ "resourceLogs": [{
        "resource": resource,
        "scopeLogs": [{ "scope": { "name": "estiba" }, "logRecords": records }],
    }]})
}

/// How grave such an event is, as the data model names and numbers it.
fn severity(event: &str) -> (&'static str, u8) {
    match event {
        "error" | "step-failed" | "step-undo-failed" => ("ERROR", 17),
        "warning" => ("WARN", 13),
        _ => ("INFO", 9),
    }
}

/// What it says; where it says nothing, what it is.
fn body(event: &Value) -> String {
    let said = ["text", "message", "reason", "line", "summary"].into_iter().find_map(|name| event[name].as_str());
    match (said, event["step"].as_str()) {
        (Some(said), Some(step)) => format!("{step}: {said}"),
        (Some(said), None) => said.to_owned(),
        (None, step) => [event["event"].as_str().unwrap_or_default(), step.unwrap_or_default()].join(" ").trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Outcome;

    #[test]
    fn each_event_is_a_record_of_its_time_and_gravity() {
        let now = Timestamp::from_millisecond(10_000).unwrap();
        let outcome = Outcome::failed("production");
        let ended = Ended { what: "deploy", outcome: &outcome, is_good: false, project: "shop", began: now };
        let ids = Ids { trace: "t".into(), root: "r".into(), parent: String::new() };
        let events = [
            (Duration::from_millis(4000), json!({"event": "step-began", "step": "check", "host": "h"})),
            (Duration::from_millis(1500), json!({"event": "step-failed", "step": "check", "reason": "sick"})),
            (Duration::ZERO, json!({"event": "warning", "text": "careful"})),
        ];
        let sent = logs(&ended, &events, now, &ids, &json!({}));
        let records = sent["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap();
        let told: Vec<_> = records
            .iter()
            .map(|record| [&record["timeUnixNano"], &record["severityText"], &record["body"]["stringValue"], &record["traceId"]])
            .collect();
        assert_eq!(
            json!(told),
            json!([
                ["6000000000", "INFO", "step-began check", "t"],
                ["8500000000", "ERROR", "check: sick", "t"],
                ["10000000000", "WARN", "careful", "t"],
            ])
        );
        assert_eq!(records[0]["attributes"][4], text("estiba.host", "h"));
    }
}
