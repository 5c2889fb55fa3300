//! The page as HTML.

use std::collections::BTreeMap;

use jiff::Timestamp;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde_json::Value as Json;

use super::chart::chart;
use super::seen::{Sample, Seen};

type Words = BTreeMap<&'static str, &'static str>;

fn render(values: Value) -> String {
    // By its name the template escapes what it is filled with.
    let mut environment = Environment::new();
    let added = environment.add_template("page.html", include_str!("page.html"));
    let rendered = added.and_then(|()| environment.get_template("page.html")?.render(values));
    rendered.unwrap_or_else(|error| format!("<!doctype html><title>estiba</title><p>{}", error.kind()))
}

/// Where the token is asked for.
pub(super) fn door(words: &Words, refused: bool) -> String {
    render(context! { w => words, view => "door", target => "", refused })
}

/// The journal of a run. While it goes on, the browser asks again.
pub(super) fn run(words: &Words, target: &str, run: &str, journal: &str, goes_on: bool) -> String {
    render(context! { w => words, view => "run", target, run, journal, refresh => goes_on.then_some(3) })
}

/// All that was seen.
pub(super) fn overview(words: &Words, target: &str, seen: &Seen, still: bool) -> String {
    let status = Value::from(Serde(seen.status.iter().map(with_attention).collect::<Vec<_>>()));
    let history = Value::from(Serde(seen.history.iter().map(with_time).collect::<Vec<_>>()));
    let deploys: Vec<(Timestamp, String)> = seen
        .history
        .iter()
        .filter(|run| ["deploy", "rollback"].contains(&run["kind"].as_str().unwrap_or_default()))
        .filter_map(|run| {
            let text = |key: &str| run[key].as_str().unwrap_or_default();
            Some((text("finished").parse().ok()?, format!("{} {}", text("outcome"), text("release"))))
        })
        .collect();
    render(context! {
        w => words, view => "overview", target, status, history, refresh => (!still).then_some(15), still,
        charts => charts(words, seen, &deploys), wrong => seen.wrong.clone(), at => seen.at.map(|at| at.strftime("%H:%M:%S UTC").to_string()),
    })
}

type Figure = (&'static str, &'static str, fn(&Sample) -> f64);

fn charts(words: &Words, seen: &Seen, deploys: &[(Timestamp, String)]) -> Vec<Value> {
    let figures: [Figure; 5] = [
        ("requests", "/s", |sample| sample.requests),
        ("errors", " %", |sample| sample.errors),
        ("p95", " ms", |sample| sample.p95),
        ("cpu", " %", |sample| sample.cpu),
        ("memory", " %", |sample| sample.memory),
    ];
    let drawn = figures.into_iter().filter_map(|(word, unit, figure)| {
        let values: Vec<(Timestamp, f64)> = seen.samples.iter().map(|sample| (sample.at, figure(sample))).collect();
        let svg = chart(&values, deploys, words[word]);
        let most = values.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        let now = values.last().map_or(0.0, |(_, value)| *value);
        (!svg.is_empty()).then(|| {
            context! { name => words[word], svg => Value::from_safe_string(svg), now => format!("{now:.1}{unit}"), most => format!("{most:.1}{unit}") }
        })
    });
    drawn.collect()
}

/// A host's status with all that is not as it should be in one list.
fn with_attention(status: &Json) -> Json {
    let mut status = status.clone();
    let mut lines: Vec<String> =
        status["drift"].as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect();
    for key in ["backup_failed", "maintenance", "slower", "alerts_lost"] {
        lines.extend(status[key].as_str().map(|text| format!("{key}: {text}").replace('_', " ")));
    }
    lines.extend(status["drill"].as_str().filter(|text| text.starts_with("failed")).map(|text| format!("drill: {text}")));
    lines.extend(status["running"].as_str().filter(|text| text.contains("was interrupted")).map(str::to_owned));
    lines.extend(status["watch"].as_str().filter(|text| *text != "nothing is wrong").map(str::to_owned));
    status["attention"] = lines.into();
    status
}

fn with_time(run: &Json) -> Json {
    let mut run = run.clone();
    let took = run["duration_ms"].as_u64().map_or_else(String::new, |took| format!("{}.{} s", took / 1000, took % 1000 / 100));
    run["took"] = took.into();
    run
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::words::words;
    use super::*;

    const HOSTILE: &str = "<script>alert(1)</script>\"'&";

    #[test]
    fn nothing_that_anybody_said_is_more_than_text() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let sample = |second: i64| Sample { at: at(second), requests: 5.0, errors: 0.0, p95: 12.0, cpu: 3.0, memory: 50.0 };
        let seen = Seen {
            status: vec![json!({ "host": HOSTILE, "release": HOSTILE, "drift": [HOSTILE], "watch": HOSTILE })],
            history: vec![
                json!({ "run": HOSTILE, "kind": "deploy", "outcome": HOSTILE, "exit": 3, "reason": HOSTILE, "by": HOSTILE,
                "release": HOSTILE, "finished": "1970-01-01T00:00:05Z", "duration_ms": 1234 }),
            ],
            samples: [sample(0), sample(10)].into(),
            wrong: Some(HOSTILE.into()),
            at: Some(at(0)),
        };
        for page in [
            overview(&words("es"), HOSTILE, &seen, false),
            run(&words("en"), HOSTILE, HOSTILE, HOSTILE, true),
            door(&words("en"), true),
        ] {
            assert!(!page.contains("<script") && !page.contains("alert(1)</"), "{page}");
            assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"), "{page}");
        }
        let page = overview(&words("es"), "production", &seen, true);
        assert!(page.contains("1.2 s") && page.contains("class=\"deploy\"") && page.contains("Peticiones por segundo"), "{page}");
        assert!(!page.contains("http-equiv"), "{page}");
        assert!(run(&words("en"), "t", "r", "a journal", false).contains("<pre>a journal</pre>"));
    }
}
