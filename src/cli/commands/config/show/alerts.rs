//! The sections about who is told of what.

use crate::config::{Channel, Resolved};

use super::Shown;

/// Stands for an address, which is a secret.
const HIDDEN: &str = "(not shown)";

impl Shown {
    /// Where people are told; an address is a secret.
    pub(super) fn alerts(&mut self, resolved: &Resolved) {
        let alerts = &resolved.alerts;
        if !alerts.is_wanted() {
            return;
        }
        self.begin("alerts");
        self.add("on", &alerts.on);
        let text = |text: &str| toml::Value::from(text);
        for channel in &alerts.channels {
            let table = |entries: Vec<(&str, toml::Value)>| {
                entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<toml::Table>()
            };
            match channel {
                Channel::Slack { .. } => self.said("slack", HIDDEN),
                Channel::Webhook { body, content_type, headers, .. } => {
                    let names: toml::Table = headers.iter().map(|(name, _)| (name.clone(), text(HIDDEN))).collect();
                    let mut entries = vec![("url", text(HIDDEN)), ("body", text(body)), ("content-type", text(content_type))];
                    if !names.is_empty() {
                        entries.push(("headers", names.into()));
                    }
                    self.said("webhook", table(entries));
                }
                Channel::Email { to, from, .. } => {
                    self.said("email", table(vec![("to", to.clone().into()), ("from", text(from)), ("smtp", text(HIDDEN))]));
                }
            }
        }
    }

    /// What the server looks at by itself.
    pub(super) fn watch(&mut self, resolved: &Resolved) {
        let Some(watch) = &resolved.watch else { return };
        self.begin("watch");
        self.add("every", &watch.every);
        self.add("disk-percent", &watch.disk_percent);
        self.add("certificate-days", &watch.certificate_days);
        self.add("backup-age", &watch.backup_age);
        self.add("tell", &watch.tell);
        self.add("metrics", &watch.metrics);
    }
}
