//! The process itself, by the names that all Prometheus clients use.

use std::{fs, time::SystemTime};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

/// Clock ticks a second in `/proc`; the kernel's ABI has fixed it.
const TICKS: f64 = 100.0;
/// Page size of `/proc/self/statm` on the architectures of the image.
const PAGE: i64 = 4096;

pub(super) fn register(registry: &mut Registry) {
    let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    registry.register_collector(Box::new(Process { started: started.as_secs_f64() }));
}

#[derive(Debug)]
struct Process {
    started: f64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: f64| {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(encoder)
        };
        gauge("process_start_time_seconds", "Start of the process, in seconds since 1970", self.started)?;
        if let Some(pages) = resident_pages() {
            gauge("process_resident_memory_bytes", "Resident memory", (pages * PAGE) as f64)?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            gauge("process_open_fds", "Open file descriptors", open.count() as f64)?;
        }
        if let Some(max) = max_descriptors() {
            gauge("process_max_fds", "Maximum number of open file descriptors", max)?;
        }
        if let Some(seconds) = cpu_seconds() {
            let counter = ConstCounter::new(seconds);
            let encoder =
                encoder.encode_descriptor("process_cpu_seconds", "CPU time", None, MetricType::Counter)?;
            counter.encode(encoder)?;
        }
        Ok(())
    }
}

fn resident_pages() -> Option<i64> {
    fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()
}

fn max_descriptors() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name stands in parentheses, and may hold spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}
