//! The team's own tests run with the new image, on this machine. Nothing has been sent by then.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::Utf8Path;
use yaml_serde::{Mapping, Value};

use crate::compose::{Compose, Model, Reading};
use crate::config::{Project, Resolved, Tests};
use crate::error::{Error, Result};
use crate::report::{Event, Found, Reporter};
use crate::text::{Environment, command_words};
use crate::{private, process, random};

use super::junit::{self, TestReport};

/// Runs them in the shell, which cleans up behind them.
const SCRIPT: &str = include_str!("tests.sh");

/// Runs the tests. `images` are those of the release, by the variables that they stand in.
pub(super) async fn test(
    project: &Project,
    resolved: &Resolved,
    tests: &Tests,
    images: &BTreeMap<String, String>,
    reporter: &Reporter,
) -> Result<()> {
    let name = format!("{}-test-{}", resolved.compose_project.value, random::hex(4));
    let model = read(project, tests, &name)?;
    let (document, service) = document(project, resolved, tests, &model, images)?;
    let (_private, folder) = private::folder()?;
    let path = folder.join("compose.json");
    let text = serde_json::to_string(&document).map_err(|error| Error::failed(format!("writing the tests' stack: {error}")))?;
    std::fs::write(&path, text).map_err(|error| Error::failed(format!("writing {path}: {error}")))?;
    let words = tests.command.as_deref().map(|command| command_words(command).unwrap_or_default()).unwrap_or_default();
    let report = folder.join("junit.xml");
    let results = tests.junit.as_ref().map(|junit| junit.value.as_str()).unwrap_or_default();
    let arguments: Vec<&str> = [name.as_str(), path.as_str(), model.folder.as_str(), results, report.as_str(), service.as_str()]
        .into_iter()
        .chain(words.iter().map(String::as_str))
        .collect();
    let patience = Duration::from_secs(tests.timeout.value.0);
    let see = |line| reporter.tell(Event::Output { step: "test".into(), line });
    let ended = process::attended(SCRIPT, &arguments, patience, see).await?;
    let told = told(tests, &report, reporter);
    let failed = |what: String| {
        let which = told.as_ref().and_then(TestReport::which_failed).map(|which| format!(": {which}")).unwrap_or_default();
        Error::failed(format!(
            "the tests of `{service}` in {} {what}{which}; nothing was sent, and nothing on the server changed",
            tests.compose
        ))
    };
    match ended {
        None => Err(failed(format!("did not end within {} and were stopped", tests.timeout.value))
            .hint("[test] timeout gives them longer")),
        Some((true, _)) => Ok(()),
        Some((false, status)) => Err(failed(format!("ended with {status}")).hint("their output is above")),
    }
}

/// What the tests' results tell, where they left any.
fn told(tests: &Tests, report: &Utf8Path, reporter: &Reporter) -> Option<TestReport> {
    let junit = tests.junit.as_ref()?;
    let text = String::from_utf8_lossy(&std::fs::read(report).unwrap_or_default()).into_owned();
    let read = if text.trim().is_empty() { Err("there is no such file in the container".to_owned()) } else { junit::read(&text) };
    match read {
        Ok(report) => {
            let details = report.failures.clone();
            reporter.tell(Event::Found(Found { step: "test".into(), summary: report.summary(), details }));
            Some(report)
        }
        Err(why) => {
            reporter.tell(Event::Warning(format!("the results of the tests in {} are not told: {why}", junit.value)));
            None
        }
    }
}

/// The tests' Compose file. What it is filled from is what it says itself: neither the target's secrets nor this machine's environment.
fn read(project: &Project, tests: &Tests, name: &str) -> Result<Model> {
    let program = Compose::find(&project.environment)?;
    let reading = Reading {
        compose: &program,
        files: vec![project.path(&tests.compose)],
        boundary: project.boundary(),
        project: name.to_owned(),
        profiles: Vec::new(),
        to_look: false,
    };
    Model::read(&reading, &Environment::new(), None)
}

/// The same as one document, in which the new images stand for what would be built of the same context; and the service that tests.
fn document(
    project: &Project,
    resolved: &Resolved,
    tests: &Tests,
    model: &Model,
    images: &BTreeMap<String, String>,
) -> Result<(Value, String)> {
    let mut root = Mapping::new();
    for key in ["services", "networks", "volumes", "configs", "secrets"] {
        if let Some(section) = model.filled_section(key) {
            root.insert(key.into(), section.clone().into());
        }
    }
    let mut tested = Vec::new();
    if let Some(Value::Mapping(services)) = root.get_mut("services") {
        for (name, service) in services.iter_mut() {
            let (Some(name), Value::Mapping(service)) = (name.as_str(), service) else { continue };
            let Some(context) = service.get("build").and_then(|build| build.get("context")).and_then(Value::as_str) else {
                continue;
            };
            let same = |image: &&crate::config::Image| {
                image.build_is_here() && is_same(&project.path(&image.context.value), Utf8Path::new(context))
            };
            let Some(image) = resolved.images.iter().find(same).and_then(|image| images.get(&image.variable)) else { continue };
            service.shift_remove("build");
            service.insert("image".into(), image.as_str().into());
            service.insert("pull_policy".into(), "never".into());
            tested.push(name.to_owned());
        }
    }
    let known = |service: &str| model.service(service).is_some();
    let wrong = |message: String| Error::input(message).hint("[test] service = \"…\" names the one that tests");
    let service = match (&tests.service, tested.as_slice()) {
        (Some(service), _) if known(service) => service.clone(),
        (Some(service), _) => return Err(wrong(format!("{} has no service `{service}`", tests.compose))),
        (None, _) if known(&resolved.apps[0].service) => resolved.apps[0].service.clone(),
        (None, [one]) => one.clone(),
        (None, []) => return Err(wrong(format!("no service of {} is built as the app is", tests.compose))),
        (None, several) => return Err(wrong(format!("which service of {} tests? {}", tests.compose, several.join(", ")))),
    };
    Ok((root.into(), service))
}

fn is_same(one: &Utf8Path, other: &Utf8Path) -> bool {
    one.canonicalize_utf8().is_ok_and(|one| other.canonicalize_utf8().is_ok_and(|other| one == other))
}
