//! Figures of a server: what ask/metrics.sh prints, in the text format of Prometheus, and the same for programs and people.

use std::collections::BTreeMap;

use serde::Serialize;

/// The figures of one server at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Metrics {
    /// As they came: the text format of Prometheus.
    #[serde(skip)]
    pub text: String,
    /// The machine.
    pub machine: Machine,
    /// The containers of the stack, by their services.
    pub containers: Vec<ContainerFigures>,
    /// The apps, by the edge in front of each.
    pub apps: Vec<AppFigures>,
    /// The database; all of it `None` where there is none, or it does not answer.
    pub database: DatabaseFigures,
    /// The cache.
    pub cache: CacheFigures,
    /// The newest backup.
    pub backup: BackupFigures,
    /// The release that serves.
    pub release: Option<String>,
    /// Runs so far, by their kind and outcome.
    pub runs: BTreeMap<String, u64>,
}

/// A machine's figures. Shares are from 0 to 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Machine {
    /// How busy its processors are.
    pub cpu_ratio: Option<f64>,
    /// How many there are.
    pub cpus: Option<f64>,
    /// The load of the last minute.
    pub load1: Option<f64>,
    /// Seconds since it started.
    pub uptime_seconds: Option<f64>,
    /// Its memory, in bytes.
    pub memory_bytes: Option<f64>,
    /// What of it could be used, in bytes.
    pub memory_available_bytes: Option<f64>,
    /// Bytes that came since it started.
    pub network_received_bytes_total: Option<f64>,
    /// Bytes that went since it started.
    pub network_sent_bytes_total: Option<f64>,
    /// The disks that the target and the Engine are on.
    pub disks: Vec<Disk>,
}

/// A disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Disk {
    /// Where it is mounted.
    pub path: String,
    /// Its size, in bytes.
    pub bytes: f64,
    /// What is used, in bytes.
    pub used_bytes: f64,
}

/// A container's figures, as `docker stats` has them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ContainerFigures {
    /// Its service.
    pub service: String,
    /// Its id, 12 digits.
    pub container: String,
    /// Its release; empty for one of the stack.
    pub release: String,
    /// Processors that it keeps busy: 1.5 is one and a half.
    pub cpu_ratio: f64,
    /// Its memory, in bytes.
    pub memory_bytes: f64,
    /// How much it may have.
    pub memory_limit_bytes: f64,
    /// Bytes that came by the network.
    pub network_received_bytes_total: f64,
    /// Bytes that went.
    pub network_sent_bytes_total: f64,
    /// Bytes that were read from disks.
    pub disk_read_bytes_total: f64,
    /// Bytes that were written.
    pub disk_written_bytes_total: f64,
    /// Processes and threads.
    pub processes: f64,
}

/// An app's figures, since its edge started.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AppFigures {
    /// Its service.
    pub app: String,
    /// Requests of users; what estiba asks is not among them.
    pub requests_total: Option<f64>,
    /// Answers of 500 and above.
    pub errors_total: Option<f64>,
    /// Requests a second, at the time of the look.
    pub requests_per_second: Option<f64>,
    /// The share of errors, at the time of the look; `None` without requests.
    pub error_ratio: Option<f64>,
    /// Its slots.
    pub slots: Vec<SlotFigures>,
}

/// The figures of a slot, since its release was started there.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SlotFigures {
    /// The slot.
    pub slot: String,
    /// Its release.
    pub release: String,
    /// Answers.
    pub requests_total: f64,
    /// Those of 500 and above.
    pub errors_total: f64,
    /// Answers a second, at the time of the look.
    pub requests_per_second: Option<f64>,
    /// The share of errors, at the time of the look.
    pub error_ratio: Option<f64>,
    /// How long half of the answers took at most, in milliseconds, from the request's head at the edge to the answer's.
    pub p50_ms: Option<f64>,
    /// How long 95 % took at most.
    pub p95_ms: Option<f64>,
    /// How long 99 % took at most.
    pub p99_ms: Option<f64>,
}

/// A database's figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DatabaseFigures {
    /// Its size, in bytes.
    pub bytes: Option<f64>,
    /// Connections to it.
    pub connections: Option<f64>,
    /// How many the server takes.
    pub connections_limit: Option<f64>,
}

/// A cache's figures, since it started.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CacheFigures {
    /// Keys that were found.
    pub hits_total: Option<f64>,
    /// Keys that were not.
    pub misses_total: Option<f64>,
    /// Its memory, in bytes.
    pub memory_bytes: Option<f64>,
}

/// The newest backup.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BackupFigures {
    /// How old it is, in seconds.
    pub age_seconds: Option<f64>,
    /// How large, in bytes.
    pub bytes: Option<f64>,
}

/// One line: a name, its labels, its value.
struct Sample<'a> {
    name: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    value: f64,
}

impl<'a> Sample<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (head, value) = line.rsplit_once(' ')?;
        let (name, labels) = match head.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}')?),
            None => (head, ""),
        };
        let pairs = labels.split(',').filter(|pair| !pair.is_empty());
        let labels = pairs.map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((key, value.strip_prefix('"')?.strip_suffix('"')?))
        });
        let value = value.parse().ok().filter(|value: &f64| value.is_finite())?;
        Some(Self { name: name.strip_prefix("estiba_")?, labels: labels.collect::<Option<_>>()?, value })
    }

    fn label(&self, key: &str) -> String {
        self.labels.get(key).copied().unwrap_or_default().to_owned()
    }
}

impl Metrics {
    /// Reads them; lines that are no figures are passed over.
    pub fn parse(text: &str) -> Self {
        let mut metrics = Self::default();
        for line in text.lines() {
            let Some(sample) = Sample::parse(line) else { continue };
            metrics.text.push_str(line);
            metrics.text.push('\n');
            metrics.take(&sample);
        }
        metrics
    }

    fn take(&mut self, sample: &Sample<'_>) {
        let value = Some(sample.value);
        let machine = &mut self.machine;
        match sample.name {
            "host_cpu_ratio" => machine.cpu_ratio = value,
            "host_cpus" => machine.cpus = value,
            "host_load1" => machine.load1 = value,
            "host_uptime_seconds" => machine.uptime_seconds = value,
            "host_memory_bytes" => machine.memory_bytes = value,
            "host_memory_available_bytes" => machine.memory_available_bytes = value,
            "host_network_received_bytes_total" => machine.network_received_bytes_total = value,
            "host_network_sent_bytes_total" => machine.network_sent_bytes_total = value,
            "host_disk_bytes" => machine.disks.push(Disk { path: sample.label("path"), bytes: sample.value, used_bytes: 0.0 }),
            "host_disk_used_bytes" => {
                let path = sample.label("path");
                if let Some(disk) = machine.disks.iter_mut().find(|disk| disk.path == path) {
                    disk.used_bytes = sample.value;
                }
            }
            "database_bytes" => self.database.bytes = value,
            "database_connections" => self.database.connections = value,
            "database_connections_limit" => self.database.connections_limit = value,
            "cache_hits_total" => self.cache.hits_total = value,
            "cache_misses_total" => self.cache.misses_total = value,
            "cache_memory_bytes" => self.cache.memory_bytes = value,
            "backup_age_seconds" => self.backup.age_seconds = value,
            "backup_bytes" => self.backup.bytes = value,
            "release_info" => self.release = Some(sample.label("release")),
            "runs_total" => {
                let count = if sample.value >= 0.0 { sample.value as u64 } else { 0 };
                self.runs.insert(format!("{} {}", sample.label("kind"), sample.label("outcome")), count);
            }
            name => match (name.strip_prefix("container_"), name.strip_prefix("slot_")) {
                (Some(name), _) => self.take_container(name, sample),
                (None, Some(name)) => self.take_slot(name, sample),
                (None, None) => self.take_app(name, sample),
            },
        }
    }

    fn take_container(&mut self, name: &str, sample: &Sample<'_>) {
        let id = sample.label("container");
        let at = self.containers.iter().position(|one| one.container == id).unwrap_or_else(|| {
            let (service, release) = (sample.label("service"), sample.label("release"));
            self.containers.push(ContainerFigures { service, container: id, release, ..ContainerFigures::default() });
            self.containers.len() - 1
        });
        let one = &mut self.containers[at];
        let place = match name {
            "cpu_ratio" => &mut one.cpu_ratio,
            "memory_bytes" => &mut one.memory_bytes,
            "memory_limit_bytes" => &mut one.memory_limit_bytes,
            "network_received_bytes_total" => &mut one.network_received_bytes_total,
            "network_sent_bytes_total" => &mut one.network_sent_bytes_total,
            "disk_read_bytes_total" => &mut one.disk_read_bytes_total,
            "disk_written_bytes_total" => &mut one.disk_written_bytes_total,
            "processes" => &mut one.processes,
            _ => return,
        };
        *place = sample.value;
    }

    fn app(&mut self, name: String) -> &mut AppFigures {
        let at = self.apps.iter().position(|one| one.app == name).unwrap_or_else(|| {
            self.apps.push(AppFigures { app: name, ..AppFigures::default() });
            self.apps.len() - 1
        });
        &mut self.apps[at]
    }

    fn take_app(&mut self, name: &str, sample: &Sample<'_>) {
        if !["requests_total", "errors_total", "requests_per_second", "error_ratio"].contains(&name) {
            return;
        }
        let app = self.app(sample.label("app"));
        let place = match name {
            "requests_total" => &mut app.requests_total,
            "errors_total" => &mut app.errors_total,
            "requests_per_second" => &mut app.requests_per_second,
            _ => &mut app.error_ratio,
        };
        *place = Some(sample.value);
    }

    fn take_slot(&mut self, name: &str, sample: &Sample<'_>) {
        let (slot, release) = (sample.label("slot"), sample.label("release"));
        let app = self.app(sample.label("app"));
        let at = app.slots.iter().position(|one| one.slot == slot).unwrap_or_else(|| {
            app.slots.push(SlotFigures { slot, release, ..SlotFigures::default() });
            app.slots.len() - 1
        });
        let one = &mut app.slots[at];
        match (name, sample.label("quantile").as_str()) {
            ("requests_total", _) => one.requests_total = sample.value,
            ("errors_total", _) => one.errors_total = sample.value,
            ("requests_per_second", _) => one.requests_per_second = Some(sample.value),
            ("error_ratio", _) => one.error_ratio = Some(sample.value),
            ("latency_milliseconds", "0.5") => one.p50_ms = Some(sample.value),
            ("latency_milliseconds", "0.95") => one.p95_ms = Some(sample.value),
            ("latency_milliseconds", "0.99") => one.p99_ms = Some(sample.value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "estiba_host_cpu_ratio 0.2500\nestiba_host_disk_bytes{path=\"/\"} 100\nestiba_host_disk_used_bytes{path=\"/\"} 40\n\
        estiba_container_cpu_ratio{service=\"web-blue\",container=\"abc\",release=\"r1\"} 1.5\n\
        estiba_container_memory_bytes{service=\"web-blue\",container=\"abc\",release=\"r1\"} 1048576\n\
        estiba_requests_total{app=\"web\"} 12\nestiba_slot_requests_total{app=\"web\",slot=\"blue\",release=\"r1\"} 10\n\
        estiba_slot_latency_milliseconds{app=\"web\",slot=\"blue\",release=\"r1\",quantile=\"0.95\"} 12.5\n\
        estiba_release_info{release=\"r1\",commit=\"abc\",slot=\"blue\"} 1\nestiba_runs_total{kind=\"deploy\",outcome=\"deployed\"} 3\n\
        noise\nestiba_host_load1 nan\nother_host_load1 1\n";

    #[test]
    fn figures_are_read_and_noise_is_not() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.machine.cpu_ratio, Some(0.25));
        assert_eq!(metrics.machine.load1, None);
        assert_eq!(metrics.machine.disks, [Disk { path: "/".into(), bytes: 100.0, used_bytes: 40.0 }]);
        assert_eq!((metrics.containers.len(), metrics.containers[0].cpu_ratio), (1, 1.5));
        assert_eq!(metrics.apps[0].requests_total, Some(12.0));
        assert_eq!((metrics.apps[0].slots[0].requests_total, metrics.apps[0].slots[0].p95_ms), (10.0, Some(12.5)));
        assert_eq!((metrics.release.as_deref(), metrics.runs["deploy deployed"]), (Some("r1"), 3));
        assert_eq!(metrics.text.lines().count(), 10);
    }

    #[test]
    fn any_text_is_figures_or_none() {
        crate::fuzz::read("metrics", &[TEXT.as_bytes().to_vec()], |text| {
            let _ = Metrics::parse(&String::from_utf8_lossy(text));
        });
    }
}
