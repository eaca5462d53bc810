//! Mounts: how many, why they failed, and how long they took.

use std::{borrow::Cow, collections::HashSet, sync::Mutex, time::Duration};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::labels::{Counted, Labels, Pair};
use crate::model::reason::Reason;

/// Upper bounds of the buckets, in seconds: a republish takes less than a millisecond,
/// and a mount ends after a minute.
const BUCKETS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
/// Namespaces with series of their own. The mounts of all others are counted together.
const MAX_NAMESPACES: usize = 256;
const OTHER_NAMESPACES: &str = "(other)";

/// Where a mount's files came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountOrigin {
    Memory,
    Aws,
    LastKnownGood,
    /// Nowhere: the mount failed.
    Failed,
}

impl MountOrigin {
    const ALL: [Self; 4] = [Self::Memory, Self::Aws, Self::LastKnownGood, Self::Failed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Aws => "aws",
            Self::LastKnownGood => "last_known_good",
            Self::Failed => "failed",
        }
    }
}

/// How a mount ended: `None` if it succeeded.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ended(Option<Reason>);

impl Labels for Ended {
    fn all() -> Vec<Self> {
        std::iter::once(None).chain(Reason::ALL.map(Some)).map(Self).collect()
    }

    fn pairs(self) -> Vec<Pair> {
        let result = if self.0.is_some() { "failed" } else { "mounted" };
        vec![("result", result), ("reason", self.0.map_or("none", Reason::as_str))]
    }
}

/// Counts mounts.
#[derive(Debug)]
pub struct MountMetrics {
    mounts: Mounts,
    durations: [(MountOrigin, Histogram); MountOrigin::ALL.len()],
    files: Counter,
    bytes: Counter,
}

/// Mounts by how they ended.
#[derive(Debug)]
enum Mounts {
    OfAll(Counted<Ended>),
    OfNamespaces { known: Mutex<HashSet<String>>, mounts: Family<OwnedLabels, Counter> },
}

type OwnedLabels = Vec<(&'static str, Cow<'static, str>)>;

impl MountMetrics {
    pub(super) fn new(registry: &mut Registry, of_namespaces: bool) -> Self {
        let (name, help) = ("mounts", "Mounts, republishes included");
        let mounts = if of_namespaces {
            let mounts = Family::default();
            registry.register(name, help, mounts.clone());
            Mounts::OfNamespaces { known: Mutex::default(), mounts }
        } else {
            Mounts::OfAll(Counted::new(registry, name, help))
        };
        let durations = Family::<[Pair; 1], Histogram, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new(BUCKETS)
        });
        let this = Self {
            mounts,
            durations: MountOrigin::ALL
                .map(|origin| (origin, durations.get_or_create_owned(&[("origin", origin.as_str())]))),
            files: Counter::default(),
            bytes: Counter::default(),
        };
        registry.register(
            "mount_duration_seconds",
            "From the driver's call to the answer, by where the values came from",
            durations,
        );
        registry.register("mounted_files", "Files that mounts delivered", this.files.clone());
        registry.register("mounted_bytes", "Bytes that mounts delivered", this.bytes.clone());
        this
    }

    /// A mount that delivered `files` with `bytes`.
    pub fn mounted(&self, namespace: &str, origin: MountOrigin, took: Duration, files: u64, bytes: u64) {
        self.mounts.count(namespace, Ended(None));
        self.took(origin, took);
        self.files.inc_by(files);
        self.bytes.inc_by(bytes);
    }

    pub fn failed(&self, namespace: &str, reason: Reason, took: Duration) {
        self.mounts.count(namespace, Ended(Some(reason)));
        self.took(MountOrigin::Failed, took);
    }

    fn took(&self, origin: MountOrigin, took: Duration) {
        let duration = self.durations.iter().find(|(known, _)| *known == origin);
        duration.into_iter().for_each(|(_, duration)| duration.observe(took.as_secs_f64()));
    }
}

impl Mounts {
    fn count(&self, namespace: &str, ended: Ended) {
        match self {
            Self::OfAll(mounts) => mounts.count(ended),
            Self::OfNamespaces { known, mounts } => {
                let namespace = ("namespace", Cow::Owned(named(known, namespace).to_owned()));
                let labels = ended.pairs().into_iter().map(|(name, value)| (name, value.into()));
                mounts.get_or_create(&labels.chain([namespace]).collect()).inc();
            }
        }
    }
}

/// The namespace as a label's value. A request that cannot be parsed may name anything.
fn named<'a>(known: &Mutex<HashSet<String>>, namespace: &'a str) -> &'a str {
    let mut known = known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if known.contains(namespace) {
        namespace
    } else if known.len() < MAX_NAMESPACES && is_label(namespace) {
        known.insert(namespace.to_owned());
        namespace
    } else {
        OTHER_NAMESPACES
    }
}

/// Whether it can be the name of a namespace: a DNS label.
fn is_label(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use crate::metrics::{Format, Metrics, MountOrigin, Now};

    use super::*;

    #[test]
    fn the_namespaces_with_series_are_limited_and_named_as_kubernetes_allows() {
        let metrics = Metrics::new(true);
        let hostile = ["", "x\"} 1\n# EOF\n", "a\\nb", "\u{1b}[2J", "ä", &"x".repeat(64)];
        let many: Vec<String> = (0..2 * MAX_NAMESPACES).map(|number| format!("team-{number}")).collect();
        for namespace in hostile.into_iter().chain(many.iter().map(String::as_str)) {
            metrics.mounts.failed(namespace, Reason::InvalidRequest, Duration::ZERO);
            metrics.mounts.mounted(namespace, MountOrigin::Memory, Duration::ZERO, 1, 1);
        }
        let text = metrics.render(Format::Prometheus, &Now::default());
        let series: Vec<&str> =
            text.lines().filter(|line| line.starts_with("latchkey_mounts_total{")).collect();
        assert_eq!(series.len(), 2 * (MAX_NAMESPACES + 1));
        let other = (hostile.len() + MAX_NAMESPACES).to_string();
        for series in series.into_iter().filter(|series| !series.contains("\"team-")) {
            assert!(series.contains("namespace=\"(other)\""), "{series}");
            assert!(series.ends_with(&other), "{series}");
        }
    }
}
