//! Mounts: how many, why they failed, and how long they took.

use std::{collections::HashSet, sync::Mutex, time::Duration};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::labels::Pair;
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

/// Counts mounts.
#[derive(Debug)]
pub struct MountMetrics {
    mounts: Family<Vec<(&'static str, String)>, Counter>,
    namespaces: Option<Mutex<HashSet<String>>>,
    duration: Family<[Pair; 1], Histogram, fn() -> Histogram>,
    files: Counter,
    bytes: Counter,
}

impl MountMetrics {
    pub(super) fn new(registry: &mut Registry, of_namespaces: bool) -> Self {
        let this = Self {
            mounts: Family::default(),
            namespaces: of_namespaces.then(Mutex::default),
            duration: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            files: Counter::default(),
            bytes: Counter::default(),
        };
        if !of_namespaces {
            for reason in std::iter::once(None).chain(Reason::ALL.map(Some)) {
                let _at_zero = this.mounts.get_or_create(&labels(reason, None));
            }
        }
        for origin in MountOrigin::ALL {
            let _at_zero = this.duration.get_or_create(&[("origin", origin.as_str())]);
        }
        registry.register("mounts", "Mounts, republishes included", this.mounts.clone());
        registry.register(
            "mount_duration_seconds",
            "From the driver's call to the answer, by where the values came from",
            this.duration.clone(),
        );
        registry.register("mounted_files", "Files that mounts delivered", this.files.clone());
        registry.register("mounted_bytes", "Bytes that mounts delivered", this.bytes.clone());
        this
    }

    /// A mount that delivered `files` with `bytes`.
    pub fn mounted(&self, namespace: &str, origin: MountOrigin, took: Duration, files: u64, bytes: u64) {
        self.count(namespace, None);
        self.took(origin, took);
        self.files.inc_by(files);
        self.bytes.inc_by(bytes);
    }

    pub fn failed(&self, namespace: &str, reason: Reason, took: Duration) {
        self.count(namespace, Some(reason));
        self.took(MountOrigin::Failed, took);
    }

    fn count(&self, namespace: &str, reason: Option<Reason>) {
        let namespace = self.namespaces.as_ref().map(|known| named(known, namespace));
        self.mounts.get_or_create(&labels(reason, namespace)).inc();
    }

    fn took(&self, origin: MountOrigin, took: Duration) {
        self.duration.get_or_create(&[("origin", origin.as_str())]).observe(took.as_secs_f64());
    }
}

fn labels(reason: Option<Reason>, namespace: Option<&str>) -> Vec<(&'static str, String)> {
    let result = if reason.is_some() { "failed" } else { "mounted" };
    let reason = reason.map_or("none", Reason::as_str);
    let namespace = namespace.map(|namespace| ("namespace", namespace.to_owned()));
    [("result", result.to_owned()), ("reason", reason.to_owned())].into_iter().chain(namespace).collect()
}

/// The namespace as a label's value.
fn named<'a>(known: &Mutex<HashSet<String>>, namespace: &'a str) -> &'a str {
    let mut known = known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if known.contains(namespace) {
        namespace
    } else if known.len() < MAX_NAMESPACES {
        known.insert(namespace.to_owned());
        namespace
    } else {
        OTHER_NAMESPACES
    }
}
