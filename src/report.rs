//! Everything that a person should hear of: mounts, refusals, outages, lost access, and
//! changes. It becomes log lines, metrics, audit lines, and events on pods.

mod notices;
mod pods;
mod refusals;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tracing::{Span, field::display};

use self::{
    pods::{Health, Pods},
    refusals::{Refusals, Untold},
};
use crate::{
    audit::{Audit, Delivery, Denial},
    backend::Reading,
    cluster::events::{Events, PodChange, Trouble},
    delivery::{NewFiles, Rewritten},
    metrics::{Metrics, MountOrigin, Polled, Rewrite},
    model::{
        file::MountFile,
        message::{logged, quoted},
        object::Object,
        principal::Principal,
        reason::Reason,
        request::Pod,
    },
    values::{Found, Origin, Refreshed, Settled},
};

/// The namespace of callers that are refused; no Kubernetes namespace has this name.
const CALLERS: &str = "(callers)";
/// The namespace of what concerns the node.
const NODE: &str = "(node)";

/// Receives what a person should hear of.
#[derive(Debug, Default)]
pub struct Report {
    metrics: Arc<Metrics>,
    audit: Option<Arc<Audit>>,
    events: Option<Events>,
    refusals: Refusals,
    pods: Pods,
    /// Number of mounts, which are their ids.
    mounts: AtomicU64,
    /// The last poll that AWS answered.
    last_poll: Mutex<Option<Instant>>,
}

/// A mount of a valid request.
pub struct MountReport<'a> {
    pub pod: &'a Pod,
    /// The SecretProviderClass's name.
    pub class: &'a str,
    pub target_path: &'a Path,
    /// Who the pod is to AWS, once that is known.
    pub principal: Option<&'a Principal>,
    /// What is odd about the class but valid.
    pub warnings: &'a [String],
    /// From the driver's call to the answer.
    pub took: Duration,
    pub result: Result<Success<'a>, Failure<'a>>,
}

/// A mount that delivered its files.
pub struct Success<'a> {
    /// The least fresh origin of the objects.
    pub origin: Origin,
    pub objects: &'a [Object],
    /// What was read for each object.
    pub found: &'a [Found],
    pub files: &'a [MountFile],
}

/// A request that is invalid, or cannot be parsed.
pub struct Refused<'a> {
    /// As the request says.
    pub namespace: &'a str,
    /// The pod and its SecretProviderClass, unless the request cannot be parsed.
    pub named: Option<&'a (Pod, String)>,
    pub target_path: &'a str,
    /// From the driver's call to the answer.
    pub took: Duration,
    pub failure: Failure<'a>,
}

/// Why a mount delivered nothing.
pub struct Failure<'a> {
    pub reason: Reason,
    pub error: &'a (dyn fmt::Display + Sync),
}

impl Report {
    /// Without `audit` or `events`, nothing is written there.
    pub fn new(metrics: Arc<Metrics>, audit: Option<Arc<Audit>>, events: Option<Events>) -> Self {
        Self { metrics, audit, events, ..Self::default() }
    }

    /// The audit log, and the events on pods.
    pub(crate) fn outlets(&self) -> (Option<&Audit>, Option<&Events>) {
        (self.audit.as_deref(), self.events.as_ref())
    }

    /// A request that is invalid, or cannot be parsed.
    pub fn refused(&self, refused: &Refused<'_>) {
        let Refused { namespace, named, target_path, took, failure } = refused;
        self.metrics.mounts.failed(namespace, failure.reason, *took);
        let (pod, class) = named.cloned().unwrap_or_default();
        if named.is_some() {
            self.ended(&pod, Path::new(target_path), &class, Err(failure));
        }
        self.audit_denial(&pod, &class, None, failure);
        let (text, reason) = (logged(&failure.error), failure.reason.as_str());
        if let Some(untold) = self.tell(namespace, &class, &text) {
            let target_path = quoted(target_path);
            tracing::error!(%target_path, reason, "mount refused: {text}{untold}");
        }
    }

    /// A mount that panicked. The panic hook has logged where.
    pub fn panicked(&self, namespace: &str, took: Duration) {
        self.metrics.mounts.failed(namespace, Reason::Bug, took);
    }

    /// A caller that is not the driver.
    pub fn refused_caller(&self, caller: &str, allowed_uids: &[u32]) {
        self.metrics.refused_callers.inc();
        if let Some(untold) = self.tell(CALLERS, "", caller) {
            tracing::warn!(allowed = ?allowed_uids, "refused a caller with {caller}{untold}");
        }
    }

    /// What all lines of one mount share. Only a number, because a span's fields are
    /// formatted even if no line is written, as in most republishes; the line about the
    /// result names the pod.
    pub fn span(&self) -> Span {
        let id = self.mounts.fetch_add(1, Ordering::Relaxed);
        // At `error`, so that lines of every level have it.
        tracing::error_span!("mount", id)
    }

    /// A mount that succeeded or failed, within its span.
    pub fn mount(&self, mount: &MountReport<'_>) {
        let MountReport { pod, class, principal, warnings, took, result, .. } = mount;
        self.count(mount);
        self.audit(mount);
        let (principal, millis) = (principal.map(display), took.as_millis());
        // Once, and not at every republish that AWS is not asked for.
        let warm = result.as_ref().is_ok_and(|success| success.origin == Origin::Cache);
        if !warnings.is_empty() && !warm {
            let warnings = warnings.join("; ");
            if let Some(untold) = self.tell(&pod.namespace, class, &warnings) {
                tracing::warn!(%pod, class, "{warnings}{untold}");
            }
        }
        let Success { origin, objects, found, files, .. } = match result {
            Ok(success) => success,
            Err(Failure { reason, error }) => {
                let (text, reason) = (logged(error), reason.as_str());
                if let Some(untold) = self.tell(&pod.namespace, class, &text) {
                    tracing::error!(%pod, class, principal, reason, millis, "mount failed: {text}{untold}");
                }
                return;
            }
        };
        let files = files.len();
        match origin {
            // Every pod at every republish: too many lines.
            Origin::Cache => tracing::debug!(%pod, class, principal, files, millis, "mounted"),
            Origin::Aws => tracing::info!(%pod, class, principal, files, millis, "mounted"),
            Origin::LastKnownGood => tracing::warn!(
                %pod,
                class,
                principal,
                files,
                millis,
                "mounted from last known good values (stale), because AWS fails"
            ),
        }
        for (object, found) in objects.iter().zip(*found) {
            // An optional object that does not exist has no reading.
            let Ok(Reading { arn, version, request_id, .. }) = found.result() else { continue };
            let (object, request_id) =
                (quoted(&object.reference.id), request_id.as_deref().unwrap_or_default());
            tracing::debug!(%pod, class, %object, arn, version, request_id, "delivered");
        }
    }

    fn audit(&self, mount: &MountReport<'_>) {
        let Some(audit) = &self.audit else { return };
        let &MountReport { pod, class, target_path, principal, .. } = mount;
        match (&mount.result, principal) {
            (&Ok(Success { origin, objects, found, files }), Some(principal)) => audit.delivered(&Delivery {
                pod,
                class,
                target_path,
                principal,
                origin,
                objects,
                found,
                files,
            }),
            // A mount without a principal does not succeed.
            (Ok(_), None) => {}
            (Err(failure), principal) => self.audit_denial(pod, class, principal, failure),
        }
    }

    fn audit_denial(&self, pod: &Pod, class: &str, principal: Option<&Principal>, failure: &Failure<'_>) {
        if let Some(audit) = &self.audit {
            let &Failure { reason, error } = failure;
            audit.denied(&Denial { pod, class, principal, reason, error });
        }
    }

    fn count(&self, mount: &MountReport<'_>) {
        let MountReport { pod, class, target_path, took, result, .. } = mount;
        match result {
            Ok(Success { origin, files, .. }) => {
                let bytes = files.iter().map(|file| file.contents.len() as u64).sum();
                let (from, health) = match origin {
                    Origin::Cache => (MountOrigin::Memory, Health::Fresh),
                    Origin::Aws => (MountOrigin::Aws, Health::Fresh),
                    Origin::LastKnownGood => (MountOrigin::LastKnownGood, Health::Stale),
                };
                self.metrics.mounts.mounted(&pod.namespace, from, *took, files.len() as u64, bytes);
                self.ended(pod, target_path, class, Ok(health));
            }
            Err(failure) => {
                self.metrics.mounts.failed(&pod.namespace, failure.reason, *took);
                self.ended(pod, target_path, class, Err(failure));
            }
        }
    }

    /// Remembers how a mount ended, and sends an event if that is news to the pod's owner.
    fn ended(&self, pod: &Pod, target_path: &Path, class: &str, result: Result<Health, &Failure<'_>>) {
        let health = result.unwrap_or_else(|failure| Health::of_failure(failure.reason));
        let (Some(health), Some(events)) = (self.pods.saw(pod, target_path, health), &self.events) else {
            return;
        };
        let trouble = match result {
            Ok(_) => Trouble { class, reason: Reason::Outage, error: &"AWS fails" },
            Err(&Failure { reason, error }) => Trouble { class, reason, error },
        };
        events.send(
            pod,
            match health {
                Health::Fresh => PodChange::Recovered { class },
                Health::Stale => PodChange::ServedStale(trouble),
                Health::AccessLost => PodChange::AccessLost(trouble),
                Health::Outdated => PodChange::RotationFailed(trouble),
            },
        );
    }

    /// An entry that the poller has read again.
    pub fn polled(&self, refreshed: &Refreshed) {
        let polled = match &refreshed.settled {
            Settled::Read { .. } => Polled::Read,
            Settled::Kept { .. } => Polled::Kept,
            Settled::Lost { .. } => Polled::Lost,
        };
        if polled == Polled::Read {
            *self.last_poll.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        self.metrics.polls.count(polled);
        self.refreshed(refreshed);
    }

    /// An entry that was read again, by the poller or for a mount: once when AWS begins
    /// to fail, and when access is lost.
    pub fn refreshed(&self, Refreshed { entry, settled }: &Refreshed) {
        let (reason, text) = match settled {
            Settled::Kept { began: true, .. } => {
                (Reason::Outage, "AWS fails; the last known good value is kept".to_owned())
            }
            Settled::Lost { lost, news: true } => {
                (lost.reason(), format!("polling failed: {}", logged(lost)))
            }
            Settled::Read { .. } | Settled::Kept { .. } | Settled::Lost { .. } => return,
        };
        let id = entry.source.to_string();
        let (object, principal, reason) = (quoted(&id), &entry.principal, reason.as_str());
        if let Some(untold) = self.tell(principal.service_account().0, &id, &text) {
            tracing::warn!(%object, %principal, reason, "{text}{untold}");
        }
    }

    /// A principal whose access AWS has denied: everything that was read as it is dropped.
    pub fn denied(&self, principal: &Principal, failure: &Failure<'_>) {
        let (text, reason) = (logged(&failure.error), failure.reason.as_str());
        tracing::warn!(%principal, reason, "all values are dropped: {text}");
    }

    /// A volume whose files changed between mounts, or should have.
    pub fn rewritten(&self, Rewritten { pod, class, target_path, result }: &Rewritten) {
        match result {
            Ok(_) => {
                self.metrics.rewrites.count(Rewrite::Written);
                self.ended(pod, target_path, class, Ok(Health::Fresh));
            }
            Err(error) => {
                self.metrics.rewrites.count(Rewrite::Failed);
                self.ended(pod, target_path, class, Err(&Failure { reason: error.reason(), error }));
            }
        }
        if let (Some(audit), Ok(NewFiles { principal, objects, delivered, .. })) = (&self.audit, result) {
            let (origin, found, files) = (Origin::Aws, &delivered.found, &delivered.files);
            audit.delivered(&Delivery { pod, class, target_path, principal, origin, objects, found, files });
        }
        match result {
            Ok(new) => tracing::info!(%pod, class, written = ?new.written, "rotation written"),
            Err(error) => {
                let (text, reason) = (logged(error), error.reason().as_str());
                tracing::error!(%pod, class, reason, "a changed value was not written: {text}");
            }
        }
    }

    /// Volumes of pods that are fresh, stale, and failing.
    pub(crate) fn pods(&self) -> [usize; 3] {
        self.pods.count()
    }

    /// The last poll that AWS answered.
    pub(crate) fn last_poll(&self) -> Option<Instant> {
        *self.last_poll.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets volumes that nobody has mounted for so long.
    pub(crate) fn drop_idle(&self, idle_after: Duration) {
        self.pods.drop_idle(idle_after);
        if let Some(audit) = &self.audit {
            audit.drop_idle(idle_after);
        }
    }

    fn tell(&self, namespace: &str, subject: &str, text: &str) -> Option<Untold> {
        let untold = self.refusals.tell(namespace, subject, text);
        if untold.is_none() {
            self.metrics.log_lines_dropped.inc();
        }
        untold
    }
}
