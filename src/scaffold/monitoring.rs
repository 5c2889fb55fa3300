//! Monitoring beside a stack: Prometheus with its exporters and rules, Alertmanager, a dashboard for Grafana. It is a Compose file of its
//! own, so that a stack that is there already gets it too.

use crate::error::Result;
use crate::text::{Source, render_template};

use super::found::MONITORING_FILE;
use super::{Found, Tls, Wishes};

/// The files, by the paths of what they become; the first of them are templates.
const TEMPLATES: [(&str, &str); 4] = [
    (MONITORING_FILE, include_str!("monitoring/compose.yml.j2")),
    ("monitoring/grafana-dashboard.json", include_str!("monitoring/grafana-dashboard.json.j2")),
    ("monitoring/prometheus/prometheus.yml", include_str!("monitoring/prometheus/prometheus.yml.j2")),
    ("monitoring/prometheus/rules.yml", include_str!("monitoring/prometheus/rules.yml.j2")),
];
const FILES: [(&str, &str); 4] = [
    ("monitoring/alertmanager/alertmanager.yml", include_str!("monitoring/alertmanager/alertmanager.yml")),
    ("monitoring/alertmanager/start.sh", include_str!("monitoring/alertmanager/start.sh")),
    ("monitoring/blackbox/blackbox.yml", include_str!("monitoring/blackbox.yml")),
    ("monitoring/prometheus/start.sh", include_str!("monitoring/prometheus/start.sh")),
];

/// What is worth saying of it.
pub(super) const MONITORING_NOTE: &str = "SLACK_WEBHOOK_URL, or ALERT_EMAIL with EMAIL_HOST and EMAIL_FROM, say who is told when something is wrong; without them Alertmanager tells nobody";

/// What a stack that is there already has to be given in deploy.toml.
pub(super) const SECTIONS: &str = "\n[stack.reload.alertmanager]\ntest = \"sh /etc/alertmanager/start.sh check\"\n\
    run = \"sh /etc/alertmanager/start.sh reload\"\n\n\
    [watch]\nmetrics = true                                    # the server's figures, for Prometheus\n\
    tell = false                                      # Alertmanager tells of them\n";

/// The files for a stack that is there already: of its database and its cache there are the figures that estiba has.
pub(super) fn beside(found: &Found, wishes: &Wishes) -> Result<Vec<(String, String)>> {
    let url = wishes.domains.first().map(|_| monitor_url(found, wishes, &wishes.domains)).unwrap_or_default();
    let none = String::new;
    monitoring(&[
        ("name", found.name.clone()),
        ("database", none()),
        ("redis", none()),
        ("own_stack", none()),
        ("monitor_url", url),
    ])
}

/// The files, with these values in the templates.
pub(super) fn monitoring(values: &[(&'static str, String)]) -> Result<Vec<(String, String)>> {
    let mut files: Vec<_> = FILES.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    for (path, text) in TEMPLATES {
        files.push((path.to_owned(), render_template(Source { name: path, text }, values)?));
    }
    Ok(files)
}

/// What is asked for as a visitor would: the site by its name, else nginx within the stack.
pub(super) fn monitor_url(found: &Found, wishes: &Wishes, domains: &[String]) -> String {
    let path = if found.django.is_some() { "health/" } else { "" };
    let scheme = if wishes.tls == Tls::None { "http" } else { "https" };
    match domains.first() {
        Some(domain) => format!("{scheme}://{domain}/{path}"),
        None => format!("http://nginx/{path}"),
    }
}
