//! Gauges, which are read at each scrape.

use prometheus_client::{
    metrics::{
        counter::{Atomic, Counter},
        family::Family,
        gauge::Gauge,
    },
    registry::Registry,
};

use super::labels::Pair;

type Float = Gauge<f64, std::sync::atomic::AtomicU64>;

/// States of a pod's volume, by the result of its last mount.
pub const POD_STATES: [&str; 3] = ["fresh", "stale", "failing"];
/// States of the driver's socket.
pub const SOCKET_STATES: [&str; 4] = ["starting", "ours", "succeeded", "foreign"];
/// Parts of the memory that namespaces share.
pub const MEMORY_PARTS: [&str; 6] = ["values", "requests", "classes", "reads", "answers", "volumes"];

/// What the rooms hold at this moment. Times are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Now {
    pub mounts_in_flight: usize,
    /// In the order of [`POD_STATES`].
    pub pods: [usize; POD_STATES.len()],
    pub aws_calls_in_flight: usize,
    pub aws_max_calls: usize,
    pub values: usize,
    pub value_bytes: usize,
    pub value_max_bytes: usize,
    pub values_stale: usize,
    /// Values that are polled rarely, because notices would tell of a change.
    pub values_covered: usize,
    /// Accounts and Regions whose notices flow.
    pub notice_areas: usize,
    pub poll_stretch: f64,
    pub oldest_value: Option<f64>,
    pub last_poll: Option<f64>,
    pub poll_lag: f64,
    pub poll_interval: f64,
    pub next_expiry: Option<f64>,
    pub keys_read: Option<f64>,
    /// One of [`SOCKET_STATES`].
    pub socket: &'static str,
    /// Used and maximum bytes, in the order of [`MEMORY_PARTS`].
    pub memory: [(usize, usize); MEMORY_PARTS.len()],
    /// Counted by others: panics of this process.
    pub panics: u64,
    /// First reads of a secret by a service account.
    pub first_seen: u64,
    /// Audit lines written, and lost.
    pub audit_lines: (u64, u64),
    /// Events sent, dropped, and failed.
    pub events: (u64, u64, u64),
}

/// The registered gauges.
#[derive(Debug)]
pub(super) struct Gauges {
    mounts_in_flight: Gauge,
    pods: Family<[Pair; 1], Gauge>,
    aws_calls_in_flight: Gauge,
    aws_max_calls: Gauge,
    values: Gauge,
    value_bytes: Gauge,
    value_max_bytes: Gauge,
    values_stale: Gauge,
    values_covered: Gauge,
    notice_areas: Gauge,
    poll_stretch: Float,
    oldest_value: Family<[Pair; 0], Float>,
    last_poll: Family<[Pair; 0], Float>,
    poll_lag: Float,
    poll_interval: Float,
    next_expiry: Family<[Pair; 0], Float>,
    keys_read: Family<[Pair; 0], Float>,
    socket: Family<[Pair; 1], Gauge>,
    memory_used: Family<[Pair; 1], Gauge>,
    memory_max: Family<[Pair; 1], Gauge>,
    panics: Counter,
    first_seen: Counter,
    audit_lines: Family<[Pair; 1], Counter>,
    events: Family<[Pair; 1], Counter>,
}

impl Gauges {
    pub(super) fn new(registry: &mut Registry) -> Self {
        macro_rules! registered {
            ($name:literal, $help:literal) => {{
                let metric = Default::default();
                registry.register($name, $help, Clone::clone(&metric));
                metric
            }};
        }
        let build: Family<[Pair; 1], Gauge> = registered!("build_info", "The version that runs");
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        Self {
            mounts_in_flight: registered!("mounts_in_flight", "Mounts that run now"),
            pods: registered!("pods", "Volumes of pods, by the result of their last mount"),
            aws_calls_in_flight: registered!("aws_calls_in_flight", "Calls to AWS that run now"),
            aws_max_calls: registered!("aws_max_calls", "Maximum number of concurrent calls to AWS"),
            values: registered!("values", "Values in memory"),
            value_bytes: registered!("value_bytes", "Bytes of the values in memory"),
            value_max_bytes: registered!("value_max_bytes", "Maximum bytes of the values in memory"),
            values_stale: registered!("values_stale", "Values whose last read met an outage"),
            values_covered: registered!(
                "values_covered",
                "Values that are polled rarely, because notices would tell of a change"
            ),
            notice_areas: registered!(
                "change_notice_areas",
                "Accounts and Regions whose change notices this node hears"
            ),
            poll_stretch: registered!(
                "poll_stretch_ratio",
                "How many times longer than asked the longest intervals are, because AWS throttles"
            ),
            oldest_value: registered!(
                "oldest_value_timestamp_seconds",
                "When the oldest value in memory was read"
            ),
            last_poll: registered!("last_poll_timestamp_seconds", "Last successful poll"),
            poll_lag: registered!("poll_lag_seconds", "How late the most overdue poll is"),
            poll_interval: registered!("poll_interval_seconds", "Interval of polling"),
            next_expiry: registered!(
                "credentials_next_expiry_timestamp_seconds",
                "When the next credentials end"
            ),
            keys_read: registered!(
                "token_keys_read_timestamp_seconds",
                "When the cluster's token-signing keys were read"
            ),
            socket: registered!("socket", "Who owns the driver's socket: 1 for the current state"),
            memory_used: registered!("memory_used_bytes", "Memory that namespaces share: used"),
            memory_max: registered!("memory_max_bytes", "Memory that namespaces share: maximum"),
            panics: registered!("panics", "Panics of this process: bugs in Latchkey"),
            first_seen: registered!("first_seen_reads", "First reads of a secret by a service account"),
            audit_lines: registered!("audit_lines", "Lines of the audit log, written or lost"),
            events: registered!("events", "Events on pods"),
        }
    }

    pub(super) fn set(&self, now: &Now) {
        set(&self.mounts_in_flight, now.mounts_in_flight);
        set(&self.aws_calls_in_flight, now.aws_calls_in_flight);
        set(&self.aws_max_calls, now.aws_max_calls);
        set(&self.values, now.values);
        set(&self.value_bytes, now.value_bytes);
        set(&self.value_max_bytes, now.value_max_bytes);
        set(&self.values_stale, now.values_stale);
        set(&self.values_covered, now.values_covered);
        set(&self.notice_areas, now.notice_areas);
        self.poll_stretch.set(now.poll_stretch);
        self.poll_lag.set(now.poll_lag);
        self.poll_interval.set(now.poll_interval);
        set_or_remove(&self.oldest_value, now.oldest_value);
        set_or_remove(&self.last_poll, now.last_poll);
        set_or_remove(&self.next_expiry, now.next_expiry);
        set_or_remove(&self.keys_read, now.keys_read);
        for (state, pods) in POD_STATES.into_iter().zip(now.pods) {
            set(&self.pods.get_or_create(&[("state", state)]), pods);
        }
        for state in SOCKET_STATES {
            set(&self.socket.get_or_create(&[("state", state)]), usize::from(state == now.socket));
        }
        for (part, (used, max)) in MEMORY_PARTS.into_iter().zip(now.memory) {
            set(&self.memory_used.get_or_create(&[("part", part)]), used);
            set(&self.memory_max.get_or_create(&[("part", part)]), max);
        }
        raise(&self.panics, now.panics);
        raise(&self.first_seen, now.first_seen);
        let (written, lost) = now.audit_lines;
        for (result, lines) in [("written", written), ("lost", lost)] {
            raise(&self.audit_lines.get_or_create(&[("result", result)]), lines);
        }
        let (sent, dropped, failed) = now.events;
        for (result, events) in [("sent", sent), ("dropped", dropped), ("failed", failed)] {
            raise(&self.events.get_or_create(&[("result", result)]), events);
        }
    }
}

fn set(gauge: &Gauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// A timestamp of nothing is absent: 0 would be 1970.
fn set_or_remove(family: &Family<[Pair; 0], Float>, value: Option<f64>) {
    match value {
        Some(value) => drop(family.get_or_create(&[]).set(value)),
        None => drop(family.remove(&[])),
    }
}

/// Brings a counter to the total that another counts.
fn raise(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.inner().get()));
}
