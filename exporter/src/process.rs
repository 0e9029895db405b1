//! The program's own cost, under the names that every Prometheus client library uses: `process_*`.

use std::fs;
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Encoder, Gauge, Registry, TextEncoder};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// The metrics of this process, read from `/proc/self` at each scrape. What cannot be read keeps its last value.
#[derive(Debug)]
pub struct ProcessMetrics {
    cpu: Counter,
    open_fds: Gauge,
    max_fds: Gauge,
    virtual_memory: Gauge,
    resident_memory: Gauge,
    start_time: Gauge,
    threads: Gauge,
}

impl ProcessMetrics {
    /// # Errors
    /// Where the client library refuses a name.
    pub fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            cpu: Counter::new(
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds.",
            )?,
            open_fds: Gauge::new("process_open_fds", "Number of open file descriptors.")?,
            max_fds: Gauge::new("process_max_fds", "Maximum number of open file descriptors.")?,
            virtual_memory: Gauge::new("process_virtual_memory_bytes", "Virtual memory size in bytes.")?,
            resident_memory: Gauge::new("process_resident_memory_bytes", "Resident memory size in bytes.")?,
            start_time: Gauge::new(
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
            )?,
            threads: Gauge::new("process_threads", "Number of OS threads in the process.")?,
        })
    }

    fn parts(&self) -> [&dyn Collector; 7] {
        [
            &self.cpu,
            &self.open_fds,
            &self.max_fds,
            &self.virtual_memory,
            &self.resident_memory,
            &self.start_time,
            &self.threads,
        ]
    }

    fn refresh(&self) {
        if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
            self.cpu.inc_by((stat.cpu.as_secs_f64() - self.cpu.get()).max(0.0));
            self.virtual_memory.set(stat.virtual_memory);
            self.resident_memory.set(stat.resident_memory);
            self.threads.set(stat.threads);
            if let Some(booted) = booted() {
                self.start_time.set(booted + stat.started.as_secs_f64());
            }
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory itself.
            self.open_fds.set(precise(entries.count().saturating_sub(1)));
        }
        self.max_fds.set(getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |most| most as f64));
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.parts().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.refresh();
        self.parts().into_iter().flat_map(Collector::collect).collect()
    }
}

/// The exposition in text format 0.0.4, and its content type: the families of a registry, and those of the process
/// without the registry's prefix.
///
/// # Errors
/// Where a family cannot be written.
pub fn render(registry: &Registry, process: &ProcessMetrics) -> Result<(Vec<u8>, String), prometheus::Error> {
    let encoder = TextEncoder::new();
    let mut families = registry.gather();
    families.extend(process.collect());
    families.sort_by(|a, b| a.name().cmp(b.name()));
    let mut text = Vec::new();
    encoder.encode(&families, &mut text)?;
    Ok((text, encoder.format_type().to_owned()))
}

/// What is used of `/proc/PID/stat`, see proc_pid_stat(5).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu: Duration,
    threads: f64,
    /// Since the machine's start.
    started: Duration,
    /// Bytes, as the next one.
    virtual_memory: f64,
    resident_memory: f64,
}

impl Stat {
    /// The second field is the command in parentheses, with any character: the rest begins after the last one.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        // proc_pid_stat(5) counts from 1, and two fields are before these.
        let number = |field: usize| fields.get(field.checked_sub(3)?)?.parse::<u64>().ok();
        let ticks = |count: u64| Duration::from_secs_f64(count as f64 / clock_ticks_per_second() as f64);
        Some(Self {
            cpu: ticks(number(14)?.checked_add(number(15)?)?),
            threads: number(20)? as f64,
            started: ticks(number(22)?),
            virtual_memory: number(23)? as f64,
            resident_memory: number(24)? as f64 * precise(page_size()),
        })
    }
}

/// When the machine started, as Unix time: `btime` of `/proc/stat`, see proc_stat(5).
fn booted() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()
}

fn precise(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a shell that was started as `a) 1 (b`.
    const STAT: &str = "71 (a) 1 (b) S 70 71 70 34816 71 4194304 133 0 0 0 250 50 0 0 20 0 3 0 4200 \
        8388608 512 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0";

    #[test]
    fn a_command_with_parentheses_moves_no_field() {
        let stat = Stat::parse(STAT).unwrap();
        assert_eq!(stat.cpu, Duration::from_secs(3));
        assert_eq!(stat.started, Duration::from_secs(42));
        assert_eq!((stat.threads, stat.virtual_memory), (3.0, 8_388_608.0));
        assert_eq!(stat.resident_memory, 512.0 * precise(page_size()));
        assert_eq!(Stat::parse("71 (sh) S 70"), None);
        assert_eq!(Stat::parse("71 sh S 70"), None);
    }

    #[test]
    fn the_families_are_those_of_the_other_client_libraries() {
        let registry = Registry::new_custom(Some("prefix".to_owned()), None).unwrap();
        registry.register(Box::new(Gauge::new("up", "Up.").unwrap())).unwrap();
        let process = ProcessMetrics::new().unwrap();
        let text = String::from_utf8(render(&registry, &process).unwrap().0).unwrap();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse().unwrap()
        };
        assert_eq!(value("prefix_up "), 0.0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now - 3600.0..now + 2.0).contains(&value("process_start_time_seconds ")), "{text}");
        assert!(value("process_threads ") >= 2.0, "{text}");
        assert!(value("process_open_fds ") >= 3.0 && value("process_open_fds ") <= value("process_max_fds "));
        assert!(value("process_resident_memory_bytes ") > 1e6, "{text}");
        assert!(value("process_resident_memory_bytes ") < value("process_virtual_memory_bytes "));
        let before = value("process_cpu_seconds_total ");
        while process.cpu.get() <= before {
            process.refresh();
        }
    }
}
