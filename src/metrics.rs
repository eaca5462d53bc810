//! What `/metrics` shows. Rooms count through [`Metrics`]; gauges are read at each
//! scrape ([`Now`]).
//!
//! Labels come from closed lists only, so the number of series is fixed. A pod, a class,
//! an object, a role, or a message is never a label.

mod aws;
mod gauges;
mod labels;
mod mounts;
mod notices;
mod process;

use std::sync::Mutex;

use prometheus_client::{
    encoding::{prometheus_text, text},
    metrics::counter::Counter,
    registry::Registry,
};

pub use self::{
    aws::{AwsMetrics, Place},
    gauges::{MEMORY_PARTS, Now, POD_STATES, SOCKET_STATES},
    labels::{
        CredentialKind, CredentialResult, Dropped, Eviction, KubernetesOutcome, KubernetesRequest, Lookup,
        Noticed, NoticesFailure, NoticesService, Polled, Rewrite, TokenCheck,
    },
    mounts::{MountMetrics, MountOrigin},
    notices::{NoticesMetrics, NoticesNow},
};
use self::{gauges::Gauges, labels::Counted};
use crate::model::reason::Reason;

/// Every counter and histogram, and the registry that renders them with the gauges.
#[derive(Debug)]
pub struct Metrics {
    pub mounts: MountMetrics,
    pub aws: AwsMetrics,
    /// What mounts found in memory.
    pub lookups: Counted<Lookup>,
    pub evictions: Counted<Eviction>,
    /// Values that AWS took access from.
    pub lost: Counted<Reason>,
    /// Changed values that were read.
    pub changes: Counter,
    pub notices: Counted<Noticed>,
    /// Times that changes were missed, because the object no longer listed them.
    pub notices_missed: Counter,
    /// Changes that a poll has found, and no notice has told of.
    pub changes_untold: Counter,
    pub rewrites: Counted<Rewrite>,
    pub polls: Counted<Polled>,
    pub credentials: Counted<(CredentialKind, CredentialResult)>,
    pub kubernetes: Counted<(KubernetesRequest, KubernetesOutcome)>,
    pub token_checks: Counted<TokenCheck>,
    pub refused_callers: Counter,
    pub log_lines_dropped: Counter,
    registry: Registry,
    /// Locked while a scrape sets them and renders, so that no two scrapes mix.
    gauges: Mutex<Gauges>,
}

/// The text formats of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/openmetrics-text`.
    OpenMetrics,
    /// `text/plain; version=0.0.4`.
    Prometheus,
}

impl Format {
    /// The format that a scraper's Accept header asks for.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
        }
    }
}

impl Metrics {
    /// Everything at 0. With `of_namespaces`, mounts are counted for each namespace.
    pub fn new(of_namespaces: bool) -> Self {
        let mut all = Registry::default();
        let latchkey = all.sub_registry_with_prefix("latchkey");
        let counter = |registry: &mut Registry, name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let metrics = |registry: &mut Registry| Self {
            mounts: MountMetrics::new(registry, of_namespaces),
            aws: AwsMetrics::new(registry),
            lookups: Counted::new(
                registry,
                "value_lookups",
                "What mounts found for a value: fresh in memory (hit), read from AWS (miss), read by another mount (shared), or last known good (stale)",
            ),
            evictions: Counted::new(registry, "value_evictions", "Values dropped from memory, by cause"),
            lost: Counted::new(registry, "values_lost", "Values that AWS took access from, by reason"),
            changes: counter(registry, "value_changes", "Changed values that were read"),
            notices: Counted::new(
                registry,
                "change_notices",
                "Changes that notices told of: of a value in memory (held), or of none (not_held)",
            ),
            notices_missed: counter(
                registry,
                "change_notices_missed",
                "Times that changes were no longer listed when this node heard of them",
            ),
            changes_untold: counter(
                registry,
                "changes_untold",
                "Changes that a poll found although a notice should have told of them",
            ),
            rewrites: Counted::new(registry, "rewrites", "Volumes rewritten because a value changed"),
            polls: Counted::new(
                registry,
                "polls",
                "Values that the poller read again: read, kept because AWS fails, or lost",
            ),
            credentials: Counted::new(
                registry,
                "credentials",
                "Requests for credentials: given, refused (a person must act), or failed (outage, throttling)",
            ),
            kubernetes: Counted::new(registry, "kubernetes_requests", "Requests to the Kubernetes API"),
            token_checks: Counted::new(
                registry,
                "token_checks",
                "Checks of pods' tokens against the cluster's keys",
            ),
            refused_callers: counter(
                registry,
                "refused_callers",
                "Calls to the driver's socket by somebody else",
            ),
            log_lines_dropped: counter(
                registry,
                "log_lines_dropped",
                "Refusals that were counted and not logged",
            ),
            gauges: Mutex::new(Gauges::new(registry)),
            registry: Registry::default(),
        };
        let metrics = metrics(latchkey);
        process::register(&mut all);
        Self { registry: all, ..metrics }
    }

    /// Renders everything, with the gauges at `now`.
    pub fn render(&self, format: Format, now: &Now) -> String {
        let gauges = self.gauges.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        gauges.set(now);
        let mut text = String::with_capacity(48 << 10);
        let rendered = match format {
            Format::OpenMetrics => text::encode(&mut text, &self.registry),
            Format::Prometheus => prometheus_text::encode(&mut text, &self.registry),
        };
        // Writing into a String does not fail.
        debug_assert!(rendered.is_ok());
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(false)
    }
}
