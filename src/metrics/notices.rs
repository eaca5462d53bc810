//! What `/metrics` of `latchkey notices` shows. It is a process of its own, with a registry
//! of its own.

use std::sync::Mutex;

use prometheus_client::{
    encoding::{prometheus_text, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::{
    Format,
    labels::{Counted, Dropped, NoticesFailure, NoticesService, Pair},
    process,
};

/// Upper bounds of the buckets, in seconds.
const LAG_BUCKETS: [f64; 9] = [0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];

type Float = Gauge<f64, std::sync::atomic::AtomicU64>;

/// Counters of one process of `latchkey notices`.
#[derive(Debug)]
pub struct NoticesMetrics {
    pub received: Counter,
    pub changes: Counted<NoticesService>,
    pub dropped: Counted<Dropped>,
    pub writes: Counter,
    pub failures: Counted<NoticesFailure>,
    lag: Histogram,
    registry: Registry,
    /// Locked while a scrape sets them and renders, so that no two scrapes mix.
    gauges: Mutex<Gauges>,
}

/// What is read at each scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NoticesNow {
    pub leads: bool,
    /// Queues, and those of them that can be received from.
    pub queues: usize,
    pub queues_received: usize,
    /// Nodes that the reads are spread over.
    pub nodes: u32,
    /// When this process last wrote the object, in seconds since 1970.
    pub last_write: Option<f64>,
}

#[derive(Debug)]
struct Gauges {
    leads: Gauge,
    queues: Family<[Pair; 1], Gauge>,
    nodes: Gauge,
    last_write: Family<[Pair; 0], Float>,
}

impl NoticesMetrics {
    pub fn new() -> Self {
        let mut all = Registry::default();
        let registry = all.sub_registry_with_prefix("latchkey_broker");
        macro_rules! registered {
            ($metric:expr, $name:literal, $help:literal) => {{
                let metric = $metric;
                registry.register($name, $help, Clone::clone(&metric));
                metric
            }};
        }
        let received = registered!(Counter::default(), "received", "Messages received from queues");
        let writes = registered!(Counter::default(), "writes", "Writes of the object that nodes watch");
        let lag = registered!(
            Histogram::new(LAG_BUCKETS),
            "lag_seconds",
            "Time from a change in AWS until the object held it"
        );
        let gauges = Gauges {
            leads: registered!(Gauge::default(), "leads", "1 if this process leads"),
            queues: registered!(Family::default(), "queues", "Queues, by what the last receive gave"),
            nodes: registered!(Gauge::default(), "nodes", "Nodes that share the rates of reads"),
            last_write: registered!(
                Family::default(),
                "last_write_timestamp_seconds",
                "When this process last wrote the object"
            ),
        };
        let changes = Counted::new(registry, "changes", "Changes that nodes were told, by service");
        let dropped = Counted::new(registry, "dropped", "Messages that told nothing, by reason");
        let failures = Counted::new(registry, "failures", "Calls that failed, by what they were for");
        process::register(&mut all);
        Self { received, changes, dropped, writes, failures, lag, registry: all, gauges: Mutex::new(gauges) }
    }

    /// A change was written, so many seconds after it happened.
    pub fn told(&self, lag: f64) {
        self.lag.observe(lag);
    }

    /// Renders everything, with the gauges at `now`.
    pub fn render(&self, format: Format, now: &NoticesNow) -> String {
        let gauges = self.gauges.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        gauges.set(now);
        let mut text = String::with_capacity(8 << 10);
        let rendered = match format {
            Format::OpenMetrics => text::encode(&mut text, &self.registry),
            Format::Prometheus => prometheus_text::encode(&mut text, &self.registry),
        };
        // Writing into a String does not fail.
        debug_assert!(rendered.is_ok());
        text
    }
}

impl Default for NoticesMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Gauges {
    fn set(&self, now: &NoticesNow) {
        self.leads.set(i64::from(now.leads));
        self.nodes.set(i64::from(now.nodes));
        let failing = now.queues.saturating_sub(now.queues_received);
        for (state, queues) in [("received", now.queues_received), ("failing", failing)] {
            let queues = i64::try_from(queues).unwrap_or(i64::MAX);
            self.queues.get_or_create(&[("state", state)]).set(queues);
        }
        // A timestamp of nothing is absent: 0 would be 1970.
        match now.last_write {
            Some(at) => drop(self.last_write.get_or_create(&[]).set(at)),
            None => drop(self.last_write.remove(&[])),
        }
    }
}
