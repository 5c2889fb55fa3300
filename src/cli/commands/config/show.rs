//! What a configuration comes to, as a deploy.toml that says all of it, with the origin of each value.

mod alerts;
mod fleet;
mod proof;

use serde::Serialize;

use crate::config::{AppService, Origin, Port, Resolved, Setting, Strategy};

pub(super) enum Line {
    Section(String),
    Key { section: String, key: &'static str, value: toml::Value, origin: String },
}

/// The lines so far, and the section that is being written.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) lines: Vec<Line>,
    section: String,
}

impl Shown {
    /// All that is known for a target.
    pub(super) fn of(resolved: &Resolved) -> Self {
        let mut shown = Self::default();
        shown.project(resolved);
        shown.target(resolved);
        shown.stack(resolved);
        shown.services(resolved);
        shown.app(resolved);
        shown.apps(resolved);
        shown.image(resolved);
        shown.edge(resolved);
        shown.health(resolved);
        shown.rollout(resolved);
        shown.proof(resolved);
        shown.database(resolved);
        shown.cache(resolved);
        shown.backup(resolved);
        shown.alerts(resolved);
        shown.watch(resolved);
        shown
    }

    /// TOML that means the same as deploy.toml and its conventions, with the origin of each value behind it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            match line {
                Line::Section(name) if text.is_empty() => text = format!("[{name}]\n"),
                Line::Section(name) => text += &format!("\n[{name}]\n"),
                Line::Key { key, value, origin, .. } => text += &format!("{:<44} # {origin}\n", format!("{key} = {value}")),
            }
        }
        text
    }

    fn begin(&mut self, section: impl Into<String>) {
        self.section = section.into();
        self.lines.push(Line::Section(self.section.clone()));
    }

    /// One of several sections of the same name.
    fn begin_one_of(&mut self, section: &str) {
        self.section = section.to_owned();
        self.lines.push(Line::Section(format!("[{section}]")));
    }

    fn add<T: Serialize>(&mut self, key: &'static str, setting: &Setting<T>) {
        self.value(key, &setting.value, &setting.origin.to_string());
    }

    /// What only deploy.toml can say.
    fn said(&mut self, key: &'static str, value: impl Serialize) {
        self.value(key, &value, &Origin::File.to_string());
    }

    fn value(&mut self, key: &'static str, value: impl Serialize, origin: &str) {
        if let Ok(value) = toml::Value::try_from(value) {
            self.lines.push(Line::Key { section: self.section.clone(), key, value, origin: origin.to_owned() });
        }
    }

    fn project(&mut self, resolved: &Resolved) {
        self.begin("project");
        self.said("name", &resolved.project);
        self.add("compose-project", &resolved.compose_project);
    }

    fn target(&mut self, resolved: &Resolved) {
        let target = &resolved.target;
        self.begin(format!("target.{}", target.name));
        self.said("hosts", &target.hosts);
        self.add("host-keys", &target.host_keys);
        for (key, value) in [("identity", &target.identity), ("url", &target.url), ("url-contains", &target.url_contains)] {
            if let Some(value) = value {
                self.said(key, value);
            }
        }
        if !target.jump.is_empty() {
            self.said("jump", &target.jump);
        }
        self.add("ssh-config", &target.ssh_config);
        if let Some(becomes) = target.becomes {
            self.said("become", becomes);
        }
        self.add("root", &target.root);
        if target.hosts.len() > 1 {
            self.fleet(&target.fleet);
        }
        if let Some(path) = &target.env_file.value {
            self.value("env-file", path.as_str(), &target.env_file.origin.to_string());
        }
    }

    fn stack(&mut self, resolved: &Resolved) {
        self.begin("stack");
        let paths: Vec<&str> = resolved.compose_paths.value.iter().map(|path| path.as_str()).collect();
        self.value("compose", paths, &resolved.compose_paths.origin.to_string());
        if !resolved.profiles.is_empty() {
            self.said("profiles", &resolved.profiles);
        }
        self.add("shared", &resolved.shared);
        if let Some(tests) = &resolved.proof.tests {
            self.said("test-compose", tests.compose.as_str());
        }
        if !resolved.templates.is_empty() {
            self.said("templates", &resolved.templates);
        }
        for (service, reload) in &resolved.reloads {
            self.begin(format!("stack.reload.{service}"));
            self.value("test", &reload.value.test, &reload.origin.to_string());
            self.value("run", &reload.value.run, &reload.origin.to_string());
        }
    }

    fn services(&mut self, resolved: &Resolved) {
        for (service, decided) in &resolved.kinds {
            self.begin(format!("services.{service}"));
            let origin = if decided.why == "deploy.toml" { Origin::File } else { Origin::Found(decided.why.clone()) };
            self.value("kind", decided.kind, &origin.to_string());
        }
    }

    fn app(&mut self, resolved: &Resolved) {
        let app = &resolved.app;
        self.begin("app");
        self.add("service", &app.service);
        self.add("workers", &app.workers);
        self.add("overlap", &app.overlap);
        self.add("migrate", &app.migrate);
        self.add("pending-migrations", &app.pending_migrations);
        self.add("reverse-migration", &app.reverse_migration);
        self.add("migrate-timeout", &app.migrate_timeout);
        self.add("collect-static", &app.collect_static);
        let names: Vec<&str> = resolved.static_files.value.iter().map(|files| files.place.name()).collect();
        self.value("static", names, &resolved.static_files.origin.to_string());
        self.add("ports", &ports(&resolved.apps[0]));
    }

    fn apps(&mut self, resolved: &Resolved) {
        for app in resolved.apps.iter().skip(1) {
            self.begin(format!("apps.{}", app.service));
            self.add("ports", &ports(app));
            let health: toml::Table = [("path".to_owned(), app.health.path.value.clone().into())].into_iter().collect();
            self.value("health", health, &app.health.path.origin.to_string());
        }
    }

    fn image(&mut self, resolved: &Resolved) {
        let image = resolved.image();
        self.begin("image");
        self.add("name", &image.name);
        self.add("source", &image.source);
        if image.build_is_here() {
            self.value("context", image.context.value.as_str(), &image.context.origin.to_string());
            self.add("dockerfile", &image.dockerfile);
        }
        if let Some(registered) = &image.registered {
            self.value("reference", &registered.reference, &image.source.origin.to_string());
        }
        if let Some(archive) = &image.archive {
            self.said("archive", archive.as_str());
        }
    }

    fn edge(&mut self, resolved: &Resolved) {
        let edge = &resolved.edge;
        self.begin("edge");
        self.add("image", &edge.image);
        self.add("drain-timeout", &edge.drain_timeout);
        if !edge.labels.is_empty() {
            self.said("labels", &edge.labels);
        }
        if !edge.trusted_proxies.is_empty() {
            self.said("trusted-proxies", &edge.trusted_proxies);
        }
        if let Some(page) = &edge.maintenance.value {
            self.value("maintenance", page, &edge.maintenance.origin.to_string());
        }
    }

    fn health(&mut self, resolved: &Resolved) {
        let health = resolved.health();
        self.begin("health");
        self.add("path", &health.path);
        self.add("expect-status", &health.expect_status);
        self.add("accept", &health.accept);
        self.add("interval", &health.interval);
        self.add("timeout", &health.timeout);
        self.add("host", &health.host);
    }

    fn rollout(&mut self, resolved: &Resolved) {
        let rollout = &resolved.rollout;
        self.begin("rollout");
        self.add("strategy", &resolved.apps[0].strategy);
        self.add("observe", &rollout.observe);
        self.add("min-requests", &rollout.min_requests);
        self.add("max-error-rate", &rollout.max_error_rate);
        self.add("confirm-timeout", &rollout.confirm_timeout);
        self.add("keep-releases", &rollout.keep_releases);
        self.add("keep-warm", &rollout.keep_warm);
        if resolved.apps.iter().any(|app| app.strategy.value == Strategy::Canary) {
            let canary = &rollout.canary;
            self.add("steps", &canary.steps);
            self.add("step-duration", &canary.step_duration);
            self.add("max-p95-ratio", &canary.max_p95_ratio);
            self.add("sticky", &canary.sticky);
            self.add("inconclusive", &canary.inconclusive);
            self.add("longest-wait", &canary.longest_wait);
        }
    }

    fn database(&mut self, resolved: &Resolved) {
        let Some(database) = &resolved.database else { return };
        self.begin("database");
        self.add("service", &database.service);
        self.add("engine", &database.engine);
        self.add("name", &database.name);
        self.add("user", &database.user);
        self.add("backup", &database.backup);
        self.add("during-migrations", &database.during_migrations);
        self.add("restore", &database.restore);
        self.add("lock-timeout", &database.lock_timeout);
        self.add("keep-backups", &database.keep_backups);
        self.add("keep-daily", &database.keep_daily);
        self.add("keep-weekly", &database.keep_weekly);
        self.add("keep-monthly", &database.keep_monthly);
    }

    fn cache(&mut self, resolved: &Resolved) {
        let Some(cache) = &resolved.cache else { return };
        self.begin("cache");
        self.add("service", &cache.service);
        self.add("persist", &cache.persist);
    }

    /// Of what restic gets in its environment only the names.
    fn backup(&mut self, resolved: &Resolved) {
        let backup = &resolved.backup;
        if !backup.is_wanted() && backup.alert.is_empty() && backup.offsite.is_none() && backup.volumes.is_empty() {
            return;
        }
        self.begin("backup");
        for (key, schedule) in [("schedule", &backup.schedule), ("drill", &backup.drill)] {
            if let Some((text, _)) = schedule {
                self.said(key, text);
            }
        }
        if backup.is_wanted() {
            self.add("image", &backup.image);
        }
        if !backup.volumes.is_empty() {
            let names: Vec<&str> = backup.volumes.iter().map(|volume| volume.written.as_str()).collect();
            self.value("volumes", names, "deploy.toml");
        }
        if !backup.alert.is_empty() {
            self.said("alert", &backup.alert);
        }
        if let Some(offsite) = &backup.offsite {
            self.said("offsite", if backup.offsite_is_secret { "(filled from the environment)" } else { offsite.as_str() });
            self.add("offsite-image", &backup.offsite_image);
            let named = |(name, _): &(String, String)| (name.clone(), toml::Value::from(format!("${{{name}}}")));
            let names: toml::Table = backup.offsite_environment.iter().map(named).collect();
            self.value("offsite-environment", names, "deploy.toml; values are not shown");
        }
    }
}

/// An app's ports as deploy.toml writes them.
fn ports(app: &AppService) -> Setting<Vec<toml::Table>> {
    let table = |port: &Port| {
        let protocol = toml::Value::try_from(port.protocol).unwrap_or_else(|_| "http".into());
        toml::Table::from_iter([("port".to_owned(), i64::from(port.number).into()), ("protocol".to_owned(), protocol)])
    };
    Setting { value: app.ports.value.iter().map(table).collect(), origin: app.ports.origin.clone() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    /// Keys that are shown in another way, or never.
    const ELSEWHERE: [(&str, &str); 12] = [
        ("extends", "as the keys that it brings"),
        ("inventory", "as the hosts that it lists"),
        ("require", "as a section of its target"),
        ("port", "as one of `ports`"),
        ("protocol", "as one of `ports`"),
        ("health", "as the section [health]"),
        ("build-target", "as a part of the Dockerfile"),
        ("username", "belongs to a password"),
        ("password", "is a secret"),
        ("variables", "narrows what fills this very file"),
        ("proxy", "is what earlier versions asked for"),
        ("config", "is what earlier versions asked for"),
    ];

    fn keys(value: &Value, root: &Value, into: &mut BTreeSet<String>) {
        let value = match value.get("$ref").and_then(Value::as_str) {
            Some(path) => root.pointer(path.trim_start_matches('#')).unwrap(),
            None => value,
        };
        for (key, inner) in value.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let mut below = BTreeSet::new();
            keys(inner, root, &mut below);
            if below.is_empty() {
                into.insert(key.clone());
            }
            into.extend(below);
        }
        if let Some(inner) = value.get("additionalProperties").filter(|inner| inner.is_object()) {
            keys(inner, root, into);
        }
    }

    #[test]
    fn no_key_of_deploy_toml_is_forgotten() {
        let schema = crate::config::schema();
        let mut known = BTreeSet::new();
        keys(&schema, &schema, &mut known);
        let shown = [
            include_str!("show.rs").split("#[cfg(test)]").next().unwrap(),
            include_str!("show/proof.rs"),
            include_str!("show/alerts.rs"),
            include_str!("show/fleet.rs"),
        ]
        .concat();
        let forgotten: Vec<&String> = known
            .iter()
            .filter(|key| !shown.contains(&format!("\"{key}\"")) && !ELSEWHERE.iter().any(|(known, _)| known == key))
            .collect();
        assert_eq!(forgotten, Vec::<&String>::new());
    }
}
