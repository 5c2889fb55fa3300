//! The sections about what a release has to prove.

use crate::config::{MetricOf, Resolved, StepPlace};

use super::Shown;

impl Shown {
    pub(super) fn proof(&mut self, resolved: &Resolved) {
        self.require(resolved);
        if let Some(tests) = &resolved.proof.tests {
            self.begin("test");
            for (key, value) in [("service", &tests.service), ("command", &tests.command)] {
                if let Some(value) = value {
                    self.said(key, value);
                }
            }
            if let Some(junit) = &tests.junit {
                self.add("junit", junit);
            }
            self.add("timeout", &tests.timeout);
        }
        if let Some(scan) = &resolved.proof.scan {
            self.begin("scan");
            self.said("command", &scan.command);
            let entry = |key: &str, value: String| (key.to_owned(), toml::Value::from(value));
            let accepted = scan.accept.iter().map(|one| {
                [entry("id", one.id.clone()), entry("reason", one.reason.clone()), entry("until", one.until.to_string())]
            });
            let accepted: Vec<toml::Table> = accepted.map(toml::Table::from_iter).collect();
            if !accepted.is_empty() {
                self.said("accept", accepted);
            }
            self.add("timeout", &scan.timeout);
        }
        self.smoke(resolved);
        if let Some(load) = &resolved.proof.load {
            self.begin("load");
            self.said("paths", &load.paths);
            self.add("app", &load.app);
            self.add("requests-per-second", &load.requests_per_second);
            self.add("duration", &load.duration);
            self.add("max-error-rate", &load.max_error_rate);
            self.add("max-p95-ms", &load.max_p95_ms);
            self.add("max-p95-ratio", &load.max_p95_ratio);
        }
        self.metrics(resolved);
        for step in &resolved.proof.team_steps {
            self.begin_one_of("step");
            self.said("name", &step.name);
            self.said(if step.is_before { "before" } else { "after" }, &step.beside);
            self.said("on", step.on);
            if step.on == StepPlace::App {
                self.said("service", &step.service);
            }
            self.said("run", &step.run);
            if !step.undo.is_empty() {
                self.said("undo", &step.undo);
            }
            self.said("timeout", step.timeout);
        }
    }

    fn require(&mut self, resolved: &Resolved) {
        let require = &resolved.target.require;
        let windows: Vec<&str> = require.not_between.iter().map(|window| window.text.as_str()).collect();
        let age = require.max_age.is_some() || require.approved_for.is_some();
        if require.branches.is_empty() && !require.clean && require.promoted_from.is_none() && !age && windows.is_empty() {
            return;
        }
        self.begin(format!("target.{}.require", resolved.target.name));
        if !require.branches.is_empty() {
            self.said("branch", &require.branches);
        }
        self.said("clean", require.clean);
        if let Some(from) = &require.promoted_from {
            self.said("promoted-from", from);
        }
        if let Some(age) = require.max_age {
            self.said("max-age", age);
        }
        if let Some(environment) = &require.approved_for {
            self.said("approved-for", environment);
        }
        if !windows.is_empty() {
            self.said("not-between", windows);
        }
    }

    fn metrics(&mut self, resolved: &Resolved) {
        for metric in &resolved.proof.metrics {
            self.begin_one_of("metric");
            self.said("name", &metric.name);
            match &metric.of {
                MetricOf::Command(run) => self.said("run", run),
                MetricOf::Prometheus { address, query } => {
                    self.said("prometheus", address);
                    self.said("query", query);
                }
            }
            for (key, bound) in [("max", metric.max), ("min", metric.min)] {
                bound.into_iter().for_each(|bound| self.said(key, bound));
            }
            self.said("every", metric.every);
            self.said("in-a-row", metric.in_a_row);
        }
    }

    /// Of headers and a body nothing but that they are there: they may hold secrets.
    fn smoke(&mut self, resolved: &Resolved) {
        for smoke in &resolved.proof.smoke {
            self.begin_one_of("smoke");
            self.said("path", &smoke.path);
            self.said("app", &smoke.app);
            self.said("method", &smoke.method);
            self.said("expect-status", smoke.expect_status);
            let names = smoke.headers.iter().filter_map(|header| header.split_once(": "));
            let names: toml::Table = names.map(|(name, _)| (name.to_owned(), toml::Value::from("(not shown)"))).collect();
            if !names.is_empty() {
                self.value("headers", names, "deploy.toml; values are not shown");
            }
            if !smoke.body.is_empty() {
                self.value("body", "(not shown)", "deploy.toml; its text is not shown");
            }
            if !smoke.contains.is_empty() {
                self.said("contains", &smoke.contains);
            }
            let held = smoke.json.iter().map(|(pointer, value)| (pointer.clone(), toml::Value::try_from(value)));
            let held: toml::Table = held.filter_map(|(pointer, value)| Some((pointer, value.ok()?))).collect();
            if !held.is_empty() {
                self.said("json", held);
            }
            if smoke.max_ms > 0 {
                self.said("max-ms", smoke.max_ms);
            }
        }
    }
}
