//! What a release has to prove: requirements, tests, a scan, smoke requests, a canary, and the team's own steps.

use camino::Utf8PathBuf;

use crate::error::{Error, Result};
use crate::text::command_words;

use super::super::resolved::{
    Accepted, AppService, Canary, LoadCheck, Metric, MetricOf, Origin, Proof, Require, Scan, Setting, Smoke, TeamStep, Tests,
};
use super::super::shape::{
    ImageSource, Inconclusive, JsonScalar, LoadSection, MetricSection, Protocol, SmokeSection, StepPlace, StepSection, Strategy,
    TargetSection,
};
use super::super::{Project, Resolved, Seconds, Window};
use super::common::{check_line, check_words, named};

/// What the team has a release of this target prove.
pub(super) fn resolve(project: &Project, resolved: &Resolved) -> Result<Proof> {
    let read = || {
        let proof = Proof {
            tests: tests(project)?,
            scan: scan(project)?,
            smoke: smoke(project, &resolved.apps)?,
            load: load(project, &resolved.apps)?,
            metrics: metrics(project)?,
            team_steps: steps(project, resolved)?,
        };
        has_image_here(project, resolved, &proof)?;
        can_be_synthetic(project, resolved, &proof)?;
        Ok(proof)
    };
    read().map_err(hinted)
}

/// Where an error says nothing of what to do.
fn hinted(error: Error) -> Error {
    error.or_hint("docs/proving.md has an example of each section, `estiba config schema` every key")
}

pub(super) fn require(project: &Project, name: &str, section: &TargetSection) -> Result<Require> {
    let Some(section) = &section.require else { return Ok(Require::default()) };
    let source = project.loaded.source();
    if let Some(from) = &section.promoted_from
        && (from == name || !project.loaded.config.target.contains_key(from))
    {
        let others: Vec<&str> = project.loaded.config.target.keys().map(String::as_str).filter(|other| *other != name).collect();
        return Err(source
            .error_near("promoted-from", format!("promoted-from of target `{name}` is `{from}`, which is no other target"))
            .hint(format!("the others: {}", others.join(", "))));
    }
    let windows = section.not_between.iter().flatten().map(|text| {
        Window::parse(text).map_err(|why| source.error_near(text, format!("`{text}` in not-between is no time: {why}")))
    });
    Ok(Require {
        branches: section.branch.clone().map(|branches| branches.0).unwrap_or_default(),
        clean: section.clean.unwrap_or(false),
        promoted_from: section.promoted_from.clone(),
        max_age: section.max_age,
        approved_for: section.approved_for.clone(),
        not_between: windows.collect::<Result<_>>().map_err(hinted)?,
    })
}

fn tests(project: &Project) -> Result<Option<Tests>> {
    let config = &project.loaded.config;
    let source = project.loaded.source();
    let Some(compose) = config.stack.test_compose.as_ref().map(Utf8PathBuf::from) else {
        if config.test.service.is_some() || config.test.command.is_some() {
            return Err(source
                .error_near("[test]", "[test] has no Compose file to run in")
                .hint("[stack] test-compose = \"docker-compose.test.yml\""));
        }
        return Ok(None);
    };
    if !project.path(&compose).is_file() {
        return Err(source.error_near(compose.as_str(), format!("the Compose file {compose} does not exist")));
    }
    if !project.holds(&compose) {
        return Err(source.place(project.leads_out(format_args!("the Compose file {compose}")), compose.as_str()));
    }
    if let Some(command) = &config.test.command {
        check_words(project, "[test] command", command)?;
    }
    Ok(Some(Tests {
        compose,
        service: config.test.service.clone(),
        command: config.test.command.clone(),
        junit: junit(project)?,
        timeout: Setting::or_default(config.test.timeout, Seconds(900)),
    }))
}

/// Where the tests' results are: as deploy.toml says, else as their command does, in the words of pytest.
fn junit(project: &Project) -> Result<Option<Setting<String>>> {
    let section = &project.loaded.config.test;
    if let Some(path) = &section.junit {
        check_line(project, "junit", path)?;
        return Ok(Some(Setting { value: path.clone(), origin: Origin::File }));
    }
    let words = section.command.as_deref().and_then(command_words).unwrap_or_default();
    let named = words.iter().enumerate().find_map(|(at, word)| {
        let rest = word.strip_prefix("--junitxml").or_else(|| word.strip_prefix("--junit-xml"))?;
        rest.strip_prefix('=').map(str::to_owned).or_else(|| words.get(at + 1).filter(|_| rest.is_empty()).cloned())
    });
    Ok(named.map(|path| Setting { value: path, origin: Origin::Found("the tests' command".into()) }))
}

fn scan(project: &Project) -> Result<Option<Scan>> {
    let section = &project.loaded.config.scan;
    let source = project.loaded.source();
    let Some(command) = section.command.clone().filter(|command| !command.is_empty()) else { return Ok(None) };
    check_words(project, "[scan] command", &command)?;
    if !command.contains("{image}") {
        return Err(source
            .error_near(&command, "[scan] command does not say which image: `{image}` is missing in it")
            .hint("command = \"trivy image --exit-code 1 {image}\""));
    }
    let accept = section.accept.iter().flatten().map(|one| {
        let until = one
            .until
            .parse()
            .map_err(|_| source.error_near(&one.until, format!("`{}` is not a day", one.until)).hint("until = \"2026-12-31\""))?;
        if one.reason.trim().is_empty() {
            return Err(source.error_near(&one.id, format!("the finding {} is accepted without a reason", one.id)));
        }
        Ok(Accepted { id: one.id.clone(), reason: one.reason.clone(), until })
    });
    Ok(Some(Scan {
        command,
        accept: accept.collect::<Result<_>>()?,
        timeout: Setting::or_default(section.timeout, Seconds(600)),
    }))
}

fn smoke(project: &Project, apps: &[AppService]) -> Result<Vec<Smoke>> {
    project.loaded.config.smoke.iter().map(|section| smoke_one(project, apps, section)).collect()
}

fn smoke_one(project: &Project, apps: &[AppService], section: &SmokeSection) -> Result<Smoke> {
    let source = project.loaded.source();
    let wrong = |near: &str, message: String| source.error_near(near, message);
    let name = section.app.clone().unwrap_or_else(|| apps[0].service.clone());
    can_be_asked(project, apps, "[[smoke]]", &name, &section.path)?;
    let method = section.method.clone().unwrap_or_else(|| "GET".into());
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(wrong(&method, format!("[[smoke]] method `{method}` is no HTTP method")).hint("GET, POST, and so on"));
    }
    let expect_status = section.expect_status.unwrap_or(200);
    if !(100..600).contains(&expect_status) {
        return Err(wrong("expect-status", format!("expect-status {expect_status} is no HTTP status")));
    }
    let token = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let one_line = |text: &str| !text.contains(|character: char| character.is_control());
    if let Some((header, _)) = section.headers.iter().find(|(header, value)| !token(header) || !one_line(value)) {
        return Err(wrong(header, format!("[[smoke]] headers: `{header}` is not a header's name and a value on one line")));
    }
    for (key, text) in [("body", &section.body), ("contains", &section.contains)] {
        if text.as_deref().is_some_and(|text| !one_line(text)) {
            return Err(
                wrong(key, format!("[[smoke]] {key} holds a line end or another control character")).hint("write it on one line")
            );
        }
    }
    Ok(Smoke {
        app: name,
        method,
        path: section.path.clone(),
        headers: section.headers.iter().map(|(header, value)| format!("{header}: {value}")).collect(),
        body: section.body.clone().unwrap_or_default(),
        expect_status,
        contains: section.contains.clone().unwrap_or_default(),
        json: json(project, section)?,
        max_ms: section.max_ms.unwrap_or(0),
    })
}

/// What the body of an answer is to hold, by JSON pointers.
fn json(project: &Project, section: &SmokeSection) -> Result<Vec<(String, serde_json::Value)>> {
    let one = |(pointer, value): (&String, &JsonScalar)| {
        let plain = |character: char| character.is_control();
        if !(pointer.is_empty() || pointer.starts_with('/')) || pointer.contains(plain) {
            let error = project.loaded.source().error_near(pointer, format!("[[smoke]] json: `{pointer}` is no JSON pointer"));
            return Err(error.hint("it begins with /, with a / between the names: \"/checks/0/status\""));
        }
        let value = match value {
            JsonScalar::Boolean(value) => (*value).into(),
            JsonScalar::Integer(value) => (*value).into(),
            JsonScalar::Number(value) => (*value).into(),
            JsonScalar::Text(value) => value.as_str().into(),
        };
        Ok((pointer.clone(), value))
    };
    section.json.iter().map(one).collect()
}

/// Requests of the server's own come from the smoke requests: there must be some that only read.
fn can_be_synthetic(project: &Project, resolved: &Resolved, proof: &Proof) -> Result<()> {
    let reads = |app: &&AppService| {
        proof.smoke.iter().any(|smoke| smoke.app == app.service && matches!(smoke.method.as_str(), "GET" | "HEAD"))
    };
    let mut apps = resolved.apps.iter().filter(|app| app.strategy.value == Strategy::Canary);
    if resolved.rollout.canary.inconclusive.value != Inconclusive::Synthetic {
        return Ok(());
    }
    let Some(app) = apps.find(|app| !reads(app)) else { return Ok(()) };
    let name = &app.service;
    Err(project
        .loaded
        .source()
        .error_near(
            "synthetic",
            format!("inconclusive is \"synthetic\", and `{name}` has no [[smoke]] request by GET or HEAD that could be asked"),
        )
        .hint("[[smoke]]\n        path = \"/\""))
}

fn metrics(project: &Project) -> Result<Vec<Metric>> {
    let metrics: Vec<Metric> =
        project.loaded.config.metric.iter().map(|section| metric(project, section)).collect::<Result<_>>()?;
    let twice = metrics.iter().enumerate().find(|(at, one)| metrics[..*at].iter().any(|other| other.name == one.name));
    match twice {
        Some((_, one)) => Err(project.loaded.source().error_near(&one.name, format!("two metrics are called `{}`", one.name))),
        None => Ok(metrics),
    }
}

fn metric(project: &Project, section: &MetricSection) -> Result<Metric> {
    let name = &section.name;
    let wrong = |near: &str, message: String| project.loaded.source().error_near(near, message);
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.bytes().all(plain) || name.len() > 40 {
        return Err(wrong(name, format!("`{name}` is not the name of a metric"))
            .hint("lower-case letters, digits and -, a letter first, 40 at most"));
    }
    let of = match (&section.run, &section.query) {
        (Some(run), None) => {
            check_words(project, "[[metric]] run", run)?;
            MetricOf::Command(run.clone())
        }
        (None, Some(query)) => {
            check_line(project, "query", query)?;
            let address = section.prometheus.clone().unwrap_or_else(|| "http://127.0.0.1:9090".into());
            let address = address.trim_end_matches('/').to_owned();
            if !address.starts_with("http://") || address.contains(|one: char| one.is_whitespace() || one.is_control()) {
                return Err(wrong(
                    &address,
                    format!("the metric `{name}` asks Prometheus at `{address}`, which is no http:// address"),
                ));
            }
            MetricOf::Prometheus { address, query: query.clone() }
        }
        _ => {
            return Err(wrong(
                name,
                format!("the metric `{name}` comes either of a command (`run`) or of a `query` of Prometheus"),
            ));
        }
    };
    if section.max.is_none() && section.min.is_none() {
        return Err(wrong(name, format!("the metric `{name}` has no bound")).hint("max = 0.01, min = 5, or both"));
    }
    if [section.max, section.min].into_iter().flatten().any(|bound| !bound.is_finite()) {
        return Err(wrong(name, format!("a bound of the metric `{name}` is no finite number")));
    }
    let in_a_row = section.in_a_row.unwrap_or(3);
    if in_a_row == 0 {
        return Err(wrong(
            "in-a-row",
            format!("in-a-row of the metric `{name}` is 0: one look at least must find it out of its bounds"),
        ));
    }
    let every = section.every.unwrap_or(Seconds(5));
    Ok(Metric { name: name.clone(), of, max: section.max, min: section.min, every, in_a_row })
}

/// Requests that a section names: is that an app that speaks HTTP, and is that a path?
fn can_be_asked(project: &Project, apps: &[AppService], section: &str, name: &str, path: &str) -> Result<()> {
    let wrong = |near: &str, message: String| project.loaded.source().error_near(near, message);
    let Some(app) = apps.iter().find(|app| app.service == name) else {
        let names: Vec<&str> = apps.iter().map(|app| app.service.as_str()).collect();
        return Err(wrong(name, format!("{section} app: `{name}` is no app")).hint(format!("the apps: {}", names.join(", "))));
    };
    if app.port().protocol != Protocol::Http {
        return Err(wrong(path, format!("{section}: `{name}` does not speak HTTP/1.1 on its first port")));
    }
    if !super::super::checks::is_request_path(path) {
        return Err(wrong(path, format!("{section} path `{path}` is not the path of a request"))
            .hint("it begins with / and has no space in it"));
    }
    Ok(())
}

fn load(project: &Project, apps: &[AppService]) -> Result<Option<LoadCheck>> {
    let section = &project.loaded.config.load;
    let source = project.loaded.source();
    let Some(paths) = section.paths.clone().filter(|paths| !paths.is_empty()) else {
        return if *section == LoadSection::default() {
            Ok(None)
        } else {
            Err(source.error_near("[load]", "[load] asks for nothing: its `paths` are missing").hint("paths = [\"/\"]"))
        };
    };
    let app = Setting::or_default(section.app.clone(), apps[0].service.clone());
    for path in &paths {
        can_be_asked(project, apps, "[load]", &app.value, path)?;
    }
    let bound = |key: &str, fits: bool, what: &str| {
        if fits { Ok(()) } else { Err(source.error_near(key, format!("[load] {key} is not {what}"))) }
    };
    bound("requests-per-second", section.requests_per_second.is_none_or(|rate| (1..=500).contains(&rate)), "from 1 to 500")?;
    bound("duration", section.duration.is_none_or(|time| (1..=300).contains(&time.0)), "from 1s to 5m")?;
    bound("max-error-rate", section.max_error_rate.is_none_or(|rate| (0.0..=1.0).contains(&rate)), "a share from 0 to 1")?;
    let fits = section.max_p95_ratio.is_none_or(|ratio| (1.0..=1000.0).contains(&ratio));
    bound("max-p95-ratio", fits, "1 or more: 1.5 allows half as long again")?;
    Ok(Some(LoadCheck {
        paths,
        app,
        requests_per_second: Setting::or_default(section.requests_per_second, 10),
        duration: Setting::or_default(section.duration, Seconds(10)),
        max_error_rate: Setting::or_default(section.max_error_rate, 0.01),
        max_p95_ms: Setting::or_default(section.max_p95_ms, 0),
        max_p95_ratio: Setting::or_default(section.max_p95_ratio, 1.5),
    }))
}

/// Tests and scans need the image on the machine that deploys.
fn has_image_here(project: &Project, resolved: &Resolved, proof: &Proof) -> Result<()> {
    let (section, wanted) = match (&proof.tests, &proof.scan) {
        (Some(_), _) => ("test-compose", "the tests of [stack] test-compose run"),
        (None, Some(_)) => ("[scan]", "[scan] looks at the image"),
        (None, None) => return Ok(()),
    };
    let elsewhere = |source: ImageSource| matches!(source, ImageSource::Server | ImageSource::Archive);
    match resolved.images.iter().find(|image| elsewhere(image.source.value)) {
        Some(image) => Err(project
            .loaded
            .source()
            .error_near(
                section,
                format!("{wanted} on the machine that deploys, which does not get the image {}", image.name.value),
            )
            .hint("[image] source = \"build\" builds it here; else leave it to a workflow's own step")),
        None => Ok(()),
    }
}

/// The team's own steps. Where they may stand, whoever knows estiba's own steps tells.
fn steps(project: &Project, resolved: &Resolved) -> Result<Vec<TeamStep>> {
    let steps: Vec<TeamStep> =
        project.loaded.config.step.iter().map(|section| step(project, resolved, section)).collect::<Result<_>>()?;
    let twice = steps.iter().enumerate().find(|(at, one)| steps[..*at].iter().any(|other| other.name == one.name));
    match twice {
        Some((_, one)) => {
            Err(project.loaded.source().error_near(&one.name, format!("two of the team's steps are called `{}`", one.name)))
        }
        None => Ok(steps),
    }
}

fn step(project: &Project, resolved: &Resolved, section: &StepSection) -> Result<TeamStep> {
    let source = project.loaded.source();
    let name = &section.name;
    let wrong = |near: &str, message: String| -> Error { source.error_near(near, message) };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.bytes().all(plain) || name.len() > 40 {
        return Err(wrong(name, format!("`{name}` is not the name of a step"))
            .hint("lower-case letters, digits and -, a letter first, 40 at most"));
    }
    let (beside, is_before) = match (&section.before, &section.after) {
        (Some(step), None) => (step.clone(), true),
        (None, Some(step)) => (step.clone(), false),
        _ => {
            return Err(wrong(name, format!("the step `{name}` has to say where it stands: either `before` or `after` a step"))
                .hint("after = \"start\""));
        }
    };
    check_line(project, "run", &section.run)?;
    check_line(project, "undo", section.undo.as_deref().unwrap_or_default())?;
    if section.run.trim().is_empty() {
        return Err(wrong(name, format!("the step `{name}` runs nothing: its `run` is empty")));
    }
    let on = section.on.unwrap_or_default();
    if section.service.is_some() && on != StepPlace::App {
        return Err(wrong("service", format!("the step `{name}` names a service and does not run in one")));
    }
    let service = match &section.service {
        None => resolved.apps[0].service.clone(),
        Some(service) => {
            named(project, &resolved.compose, service, "[[step]] service")?;
            if !resolved.in_slot(service) {
                return Err(wrong(service, format!("[[step]] service: `{service}` is no app, worker or job of the release")));
            }
            service.clone()
        }
    };
    let timeout = section.timeout.unwrap_or(Seconds(60));
    if timeout.0 == 0 {
        return Err(wrong("timeout", format!("the step `{name}` has no time: its timeout is 0s")));
    }
    let undo = section.undo.clone().unwrap_or_default();
    Ok(TeamStep { name: name.clone(), beside, is_before, on, service, run: section.run.clone(), undo, timeout })
}

pub(super) fn canary(project: &Project) -> Canary {
    let section = &project.loaded.config.rollout;
    Canary {
        steps: Setting::or_default(section.steps.clone(), vec![5, 25, 50]),
        step_duration: Setting::or_default(section.step_duration, Seconds(30)),
        max_p95_ratio: Setting::or_default(section.max_p95_ratio, 1.5),
        sticky: Setting::or_default(section.sticky, Default::default()),
        inconclusive: Setting::or_default(section.inconclusive, Default::default()),
        longest_wait: Setting::or_default(section.longest_wait, Seconds(3600)),
    }
}
