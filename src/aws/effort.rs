//! How hard a call tries, and in whose place it runs.

use aws_config::retry::RetryConfig;

use super::retries;
use crate::permits::{Permit, Urgency};

/// How hard calls try, and the place that they run in.
#[derive(Clone, Debug)]
pub struct Effort {
    urgency: Urgency,
    permit: Option<Permit>,
}

impl Effort {
    /// A pod waits: retries, and each call has a place of its own as soon as there
    /// is one.
    pub const MOUNT: Self = Self { urgency: Urgency::Mount, permit: None };

    /// Nobody waits: one attempt, so that a throttled service is asked less. All
    /// calls run one after another in the place that was taken before.
    pub fn poll(permit: Permit) -> Self {
        Self { urgency: Urgency::Poll, permit: Some(permit) }
    }

    /// As hard, all calls one after another in a place that was taken before.
    pub fn within(&self, permit: Permit) -> Self {
        Self { urgency: self.urgency, permit: Some(permit) }
    }

    /// Who waits.
    pub fn urgency(&self) -> Urgency {
        self.urgency
    }

    /// Retries of one call.
    pub fn retries(&self) -> RetryConfig {
        match self.urgency {
            Urgency::Mount => retries(),
            Urgency::Poll => RetryConfig::disabled(),
        }
    }

    /// The place that was taken before.
    pub(super) fn permit(&self) -> Option<&Permit> {
        self.permit.as_ref()
    }
}
