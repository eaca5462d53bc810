//! Reads the gauges of `/metrics` from the rooms.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use tokio::{sync::watch, time::Instant};

use crate::{
    aws::Aws,
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
        let clock = Clock { instant: Instant::now(), unix: unix_now() };
        let values = self.values.overview();
        let settings = self.values.settings();
        let (aws_calls_in_flight, aws_max_calls) = self.aws.calls();
        let (audit, events) = self.report.outlets();
        let audit = audit.map(|audit| audit.counts()).unwrap_or_default();
        let events = events.map(|events| events.counts()).unwrap_or_default();
        let SharedMemory { requests, classes, reads, answers, volumes } = &self.memory;
        let volumes = volumes.as_ref().map_or((0, 0), |volumes| volumes.used());
        Now {
            mounts_in_flight: self.places.used().0,
            pods: self.report.pods(),
            aws_calls_in_flight,
            aws_max_calls,
            values: values.entries,
            value_bytes: values.bytes,
            value_max_bytes: settings.max_bytes,
            values_stale: values.stale,
            oldest_value: values.oldest.map(|at| clock.unix_of(at)),
            last_poll: self.report.last_poll().map(|at| clock.unix_of(at)),
            poll_lag: values.lag.as_secs_f64(),
            poll_interval: settings.interval.as_secs_f64(),
            next_expiry: self.identity.next_expiry().map(|at| clock.unix_of(at)),
            keys_read: self.identity.keys_read_at().map(|at| clock.unix_of(at)),
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

/// One moment on both clocks.
struct Clock {
    instant: Instant,
    unix: f64,
}

impl Clock {
    fn unix_of(&self, at: Instant) -> f64 {
        let ahead = at.saturating_duration_since(self.instant).as_secs_f64();
        self.unix + ahead - self.instant.saturating_duration_since(at).as_secs_f64()
    }
}

fn unix_now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
