//! `metrics`

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::deploy::{Certificate, Session, all, each};
use crate::error::Result;
use crate::report::{self, Event};
use crate::server::Metrics;

use super::super::args::MetricsArgs;
use super::super::context::Context;
use super::table::table;

pub(in crate::cli) async fn run(context: &Context, args: MetricsArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let mut sessions = all(
        &resolved.target.hosts,
        "could not be looked at",
        each(Session::open_each(&project, &resolved).await, async |session| {
            let session = session?;
            session.facts.check()?;
            Ok(session)
        })
        .await,
    )?;
    let certificate = Certificate::look(&resolved.target, Context::now()).await;
    loop {
        let looked = each(&mut sessions, async |session| {
            session.mend().await?;
            Ok((session.host(), session.server().metrics().await?))
        })
        .await;
        let looked = all(&resolved.target.hosts, "could not be looked at", looked)?;
        for (host, metrics) in &looked {
            tell(context, &args, host, metrics, certificate.as_ref());
        }
        if !args.watch {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn tell(context: &Context, args: &MetricsArgs, host: &str, metrics: &Metrics, certificate: Option<&Certificate>) {
    let mut document = serde_json::to_value(metrics).unwrap_or_default();
    if let Value::Object(map) = &mut document {
        map.shift_insert(0, "host".into(), json!(host));
        map.insert("certificate_days".into(), json!(certificate.map(|certificate| certificate.days)));
    }
    context.reporter.tell(Event::Document(document));
    if context.global.json {
        return;
    }
    let text = if args.prometheus { prometheus(host, metrics, certificate) } else { text(host, metrics, certificate) };
    context.reporter.tell(Event::Text(text));
}

/// Each line with the host as one more label.
fn prometheus(host: &str, metrics: &Metrics, certificate: Option<&Certificate>) -> String {
    let line = |line: &str| match line.split_once('{') {
        Some((name, rest)) => format!("{name}{{host=\"{host}\",{rest}"),
        None => line.replacen(' ', &format!("{{host=\"{host}\"}} "), 1),
    };
    let days = certificate.map(|certificate| format!("estiba_certificate_days {}", certificate.days));
    metrics.text.lines().map(str::to_owned).chain(days).map(|text| line(&text)).collect::<Vec<_>>().join("\n")
}

fn text(host: &str, metrics: &Metrics, certificate: Option<&Certificate>) -> String {
    let mut lines = vec![host.to_owned()];
    lines.extend(machine(metrics));
    let mut rows = vec![["APP", "SLOT", "RELEASE", "REQUESTS", "ERRORS", "PER SECOND", "P50", "P95", "P99"].map(str::to_owned)];
    for app in &metrics.apps {
        let count = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.0}"));
        let rate = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.1}"));
        rows.push([
            app.app.clone(),
            "all".into(),
            String::new(),
            count(app.requests_total),
            count(app.errors_total),
            rate(app.requests_per_second),
            String::new(),
            String::new(),
            String::new(),
        ]);
        for slot in &app.slots {
            let time = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.1} ms"));
            rows.push([
                app.app.clone(),
                slot.slot.clone(),
                slot.release.clone(),
                format!("{:.0}", slot.requests_total),
                format!("{:.0}", slot.errors_total),
                rate(slot.requests_per_second),
                time(slot.p50_ms),
                time(slot.p95_ms),
                time(slot.p99_ms),
            ]);
        }
    }
    if rows.len() > 1 {
        lines.extend([String::new(), table(&rows)]);
    }
    let mut rows = vec![["CONTAINER", "CPU", "MEMORY", "OF", "RECEIVED", "SENT"].map(str::to_owned)];
    let mut containers: Vec<_> = metrics.containers.iter().collect();
    containers.sort_by(|one, other| one.service.cmp(&other.service));
    rows.extend(containers.into_iter().map(|one| {
        [
            one.service.clone(),
            percent(one.cpu_ratio),
            size(one.memory_bytes),
            size(one.memory_limit_bytes),
            size(one.network_received_bytes_total),
            size(one.network_sent_bytes_total),
        ]
    }));
    if rows.len() > 1 {
        lines.extend([String::new(), table(&rows)]);
    }
    let data = data(metrics, certificate);
    if !data.is_empty() {
        lines.push(String::new());
        lines.extend(data);
    }
    lines.join("\n")
}

fn machine(metrics: &Metrics) -> Vec<String> {
    let machine = &metrics.machine;
    let mut lines = Vec::new();
    if let (Some(busy), Some(cpus), Some(load)) = (machine.cpu_ratio, machine.cpus, machine.load1) {
        lines.push(format!("  cpu       {} of {cpus:.0}, load {load:.2}", percent(busy)));
    }
    if let (Some(all), Some(free)) = (machine.memory_bytes, machine.memory_available_bytes) {
        lines.push(format!("  memory    {} of {}", size(all - free), size(all)));
    }
    for disk in &machine.disks {
        let share = if disk.bytes > 0.0 { disk.used_bytes / disk.bytes } else { 0.0 };
        lines.push(format!(
            "  disk      {} of {} at {} ({})",
            size(disk.used_bytes),
            size(disk.bytes),
            disk.path,
            percent(share)
        ));
    }
    lines
}

fn data(metrics: &Metrics, certificate: Option<&Certificate>) -> Vec<String> {
    let mut lines = Vec::new();
    let (database, cache, backup) = (&metrics.database, &metrics.cache, &metrics.backup);
    if let Some(bytes) = database.bytes {
        let connections = database.connections.map(|count| format!(", {count:.0} connections")).unwrap_or_default();
        let limit = database.connections_limit.map(|limit| format!(" of {limit:.0}")).unwrap_or_default();
        lines.push(format!("  database  {}{connections}{limit}", size(bytes)));
    }
    if let (Some(hits), Some(misses)) = (cache.hits_total, cache.misses_total) {
        let share = if hits + misses > 0.0 { hits / (hits + misses) } else { 0.0 };
        let memory = cache.memory_bytes.map(|memory| format!(", {}", size(memory))).unwrap_or_default();
        lines.push(format!("  cache     {} of {:.0} reads found{memory}", percent(share), hits + misses));
    }
    if let Some(age) = backup.age_seconds {
        let size = backup.bytes.map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
        lines.push(format!("  backup    {:.1} hours old{size}", age / 3600.0));
    }
    if let Some(certificate) = certificate {
        lines.push(format!("  https     {}", certificate.in_words()));
    }
    lines
}

/// A share as people read it.
fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A size as people read it.
fn size(bytes: f64) -> String {
    report::bytes(if bytes > 0.0 { bytes as u64 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_for_people_and_for_prometheus() {
        let metrics = Metrics::parse(
            "estiba_host_cpu_ratio 0.2500\nestiba_host_cpus 2\nestiba_host_load1 0.5\nestiba_requests_total{app=\"web\"} 12\n\
             estiba_slot_requests_total{app=\"web\",slot=\"blue\",release=\"r1\"} 10\n\
             estiba_container_memory_bytes{service=\"web-blue\",container=\"abc\",release=\"r1\"} 1048576\n\
             estiba_database_bytes 8000000\nestiba_backup_age_seconds 7200\n",
        );
        let said = text("u@h", &metrics, None);
        for words in ["25.0 % of 2, load 0.50", "web  all", "web-blue   0.0 %  1.00 MiB", "7.63 MiB", "2.0 hours old"] {
            assert!(said.contains(words), "no `{words}` in\n{said}");
        }
        let said = prometheus("u@h", &metrics, None);
        assert!(said.starts_with("estiba_host_cpu_ratio{host=\"u@h\"} 0.2500\n"), "{said}");
        assert!(said.contains("estiba_requests_total{host=\"u@h\",app=\"web\"} 12\n"), "{said}");
    }
}
