//! Everything that a person should hear of: mounts, refusals, outages, lost access, and
//! changes. Today it becomes log lines.

mod refusals;

use std::{fmt, time::Duration};

use self::refusals::Refusals;
use crate::{
    backend::Reading,
    delivery::Rewritten,
    model::{
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

/// Receives what a person should hear of.
#[derive(Debug, Default)]
pub struct Report {
    refusals: Refusals,
}

/// A mount of a valid request.
pub struct MountReport<'a> {
    pub pod: &'a Pod,
    /// The SecretProviderClass's name.
    pub class: &'a str,
    /// What is odd about the class but valid.
    pub warnings: &'a [String],
    /// From the driver's call to the answer.
    pub took: Duration,
    pub result: Result<Success<'a>, Failure<'a>>,
}

/// A mount that delivered its files.
pub struct Success<'a> {
    pub principal: &'a Principal,
    /// The least fresh origin of the objects.
    pub origin: Origin,
    pub objects: &'a [Object],
    /// What was read for each object.
    pub found: &'a [Found],
    /// Number of files.
    pub files: usize,
}

/// Why a mount delivered nothing.
pub struct Failure<'a> {
    pub reason: Reason,
    pub error: &'a (dyn fmt::Display + Sync),
}

impl Report {
    /// A request that is invalid, or cannot be parsed. `class` tells it from others.
    pub fn refused(&self, namespace: &str, class: &str, target_path: &str, failure: &Failure<'_>) {
        let (text, reason) = (logged(&failure.error), failure.reason.as_str());
        if let Some(untold) = self.refusals.tell(namespace, class, &text) {
            tracing::error!(%target_path, reason, "mount refused: {text}{untold}");
        }
    }

    /// A caller that is not the driver.
    pub fn refused_caller(&self, caller: &str, allowed_uids: &[u32]) {
        if let Some(untold) = self.refusals.tell(CALLERS, "", caller) {
            tracing::warn!(allowed = ?allowed_uids, "refused a caller with {caller}{untold}");
        }
    }

    /// A mount that succeeded or failed.
    pub fn mount(&self, mount: &MountReport<'_>) {
        let MountReport { pod, class, warnings, took, result } = mount;
        let millis = took.as_millis();
        // Once, and not at every republish that AWS is not asked for.
        let warm = result.as_ref().is_ok_and(|success| success.origin == Origin::Cache);
        if !warnings.is_empty() && !warm {
            let warnings = warnings.join("; ");
            if let Some(untold) = self.refusals.tell(&pod.namespace, class, &warnings) {
                tracing::warn!(%pod, class, "{warnings}{untold}");
            }
        }
        let Success { principal, origin, objects, found, files } = match result {
            Ok(success) => success,
            Err(Failure { reason, error }) => {
                let (text, reason) = (logged(error), reason.as_str());
                if let Some(untold) = self.refusals.tell(&pod.namespace, class, &text) {
                    tracing::error!(%pod, class, reason, millis, "mount failed: {text}{untold}");
                }
                return;
            }
        };
        match origin {
            // Every pod at every republish: too many lines.
            Origin::Cache => tracing::debug!(%pod, class, %principal, files, millis, "mounted"),
            Origin::Aws => tracing::info!(%pod, class, %principal, files, millis, "mounted"),
            Origin::LastKnownGood => tracing::warn!(
                %pod, class, %principal, files, millis,
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
        if let Some(untold) = self.refusals.tell(principal.service_account().0, &id, &text) {
            tracing::warn!(%object, %principal, reason, "{text}{untold}");
        }
    }

    /// A principal whose access AWS has denied: everything that was read as it is dropped.
    pub fn denied(&self, principal: &Principal, failure: &Failure<'_>) {
        let (text, reason) = (logged(&failure.error), failure.reason.as_str());
        tracing::warn!(%principal, reason, "all values are dropped: {text}");
    }

    /// A volume whose files changed between mounts, or should have.
    pub fn rewritten(&self, Rewritten { pod, class, result }: &Rewritten) {
        match result {
            Ok(written) => tracing::info!(%pod, class, ?written, "rotation written"),
            Err(error) => {
                let (text, reason) = (logged(error), error.reason().as_str());
                tracing::error!(%pod, class, reason, "a changed value was not written: {text}");
            }
        }
    }
}
