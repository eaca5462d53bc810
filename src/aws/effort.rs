//! How hard an AWS call tries, and which permit it uses.

use aws_config::retry::RetryConfig;

use super::retries;
use crate::permits::{Permit, Urgency};

/// How hard calls try, and the permit that they share.
#[derive(Clone, Debug)]
pub struct Effort {
    urgency: Urgency,
    /// Whether throttled calls are made again after the SDK has given up.
    patient: bool,
    permit: Option<Permit>,
}

impl Effort {
    /// For mounts: a pod is waiting, so calls are retried, and each takes its own
    /// permit.
    pub(crate) const MOUNT: Self = Self { urgency: Urgency::Mount, patient: false, permit: None };

    /// For polls: nobody is waiting, so calls are attempted once, which spares a
    /// throttled service. All calls run in sequence under `permit`.
    pub(crate) fn poll(permit: Permit) -> Self {
        Self { urgency: Urgency::Poll, patient: false, permit: Some(permit) }
    }

    /// The same effort, with all calls in sequence under `permit`.
    pub(crate) fn within(&self, permit: Permit) -> Self {
        Self { permit: Some(permit), ..self.clone() }
    }

    /// The same effort, with throttled calls made again for longer: for a pod that has
    /// nothing else to start with.
    pub(crate) fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    pub(crate) fn is_patient(&self) -> bool {
        self.patient
    }

    pub(crate) fn urgency(&self) -> Urgency {
        self.urgency
    }

    pub(crate) fn retries(&self) -> RetryConfig {
        match self.urgency {
            Urgency::Mount => retries(),
            Urgency::Poll => RetryConfig::disabled(),
        }
    }

    /// The permit that all calls share, if any.
    pub(super) fn permit(&self) -> Option<&Permit> {
        self.permit.as_ref()
    }
}
