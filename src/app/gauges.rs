//! Reads the gauges of `/metrics` from the rooms.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use tokio::sync::watch;

use crate::{
    aws::Aws,
    clock::Clock,
    identity::Identity,
    metrics::{Format, Metrics, Now},
    report::Report,
    server::socket::SocketState,
    shares::Shares,
    values::Values,
};

/// The rooms that have something to show.
pub(crate) struct Gauges {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) aws: Arc<Aws>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) values: Arc<Values>,
    pub(crate) report: Arc<Report>,
    pub(crate) places: Arc<Shares>,
    pub(crate) memory: SharedMemory,
    pub(crate) panics: Arc<AtomicU64>,
}

/// The memory that namespaces share, but for that of the values.
pub(crate) struct SharedMemory {
    pub(crate) requests: Arc<Shares>,
    pub(crate) classes: Arc<Shares>,
    pub(crate) reads: Arc<Shares>,
    pub(crate) answers: Arc<Shares>,
    /// Where Latchkey writes the files.
    pub(crate) volumes: Option<Arc<Shares>>,
}

impl Gauges {
    /// Everything that `/metrics` shows.
    pub(crate) fn render(&self, socket: &watch::Receiver<SocketState>, format: Format) -> String {
        let state = socket.borrow().clone();
        self.metrics.render(format, &self.now(&state))
    }

    fn now(&self, socket: &SocketState) -> Now {
        let moment = Clock::of_machine().moment();
        let unix_of = |at| seconds(moment.wall_of(at));
        let values = self.values.overview();
        let settings = self.values.settings();
        let calls = self.aws.calls_by_namespace();
        let (audit, events) = self.report.outlets();
        let audit = audit.map(|audit| audit.counts()).unwrap_or_default();
        let events = events.map(|events| events.counts()).unwrap_or_default();
        let SharedMemory { requests, classes, reads, answers, volumes } = &self.memory;
        let volumes = volumes.as_ref().map_or((0, 0), |volumes| volumes.used());
        Now {
            mounts_in_flight: self.places.used().0,
            pods: self.report.pods(),
            aws_calls_in_flight: calls.running,
            aws_max_calls: calls.max,
            values: values.entries,
            value_bytes: values.bytes,
            value_max_bytes: settings.max_bytes,
            values_stale: values.stale,
            values_covered: values.covered,
            notice_areas: self.values.heard().areas().len(),
            poll_stretch: values.stretch,
            oldest_value: values.oldest.map(unix_of),
            last_poll: self.report.last_poll().map(unix_of),
            poll_lag: values.lag.as_secs_f64(),
            poll_interval: settings.interval.as_secs_f64(),
            next_expiry: self.identity.next_expiry().map(unix_of),
            keys_read: self.identity.keys_read_at().map(unix_of),
            socket: match socket {
                SocketState::Starting => "starting",
                SocketState::Ours => "ours",
                SocketState::Succeeded => "succeeded",
                SocketState::Foreign(_) => "foreign",
            },
            memory: [
                (values.bytes, settings.max_bytes),
                requests.used(),
                classes.used(),
                reads.used(),
                answers.used(),
                volumes,
            ],
            panics: self.panics.load(Ordering::Relaxed),
            first_seen: audit.first_seen,
            audit_lines: (audit.written, audit.lost),
            events: (events.sent, events.dropped, events.failed),
        }
    }
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
