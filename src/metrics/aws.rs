//! Calls to AWS: how many, how they ended, how long they took, and what they waited for.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use tokio::time::Instant;

use super::labels::Pair;
use crate::model::reason::Reason;

/// Upper bounds of the buckets, in seconds.
const CALL_BUCKETS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];
const WAIT_BUCKETS: [f64; 5] = [0.001, 0.01, 0.1, 1.0, 10.0];

/// Every operation: its IAM action, and the service that it calls.
const OPERATIONS: [(&str, &str, &str); 5] = [
    ("secretsmanager:GetSecretValue", "secretsmanager", "GetSecretValue"),
    ("ssm:GetParameters", "ssm", "GetParameters"),
    ("sts:AssumeRoleWithWebIdentity", "sts", "AssumeRoleWithWebIdentity"),
    ("sts:AssumeRole", "sts", "AssumeRole"),
    ("eks-auth:AssumeRoleForPodIdentity", "eks_auth", "AssumeRoleForPodIdentity"),
];
/// What AWS's answers can mean.
const OUTCOMES: [Option<Reason>; 10] = [
    None,
    Some(Reason::Denied),
    Some(Reason::KmsDenied),
    Some(Reason::TokenRefused),
    Some(Reason::CredentialsRefused),
    Some(Reason::NotFound),
    Some(Reason::Unusable),
    Some(Reason::RejectedByAws),
    Some(Reason::Throttled),
    Some(Reason::Outage),
];

/// The Region that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Primary,
    Failover,
}

impl Place {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Failover => "failover",
        }
    }
}

/// Counts calls to AWS.
#[derive(Debug)]
pub struct AwsMetrics {
    requests: Family<[Pair; 4], Counter>,
    duration: Family<[Pair; 1], Histogram, fn() -> Histogram>,
    retries: Family<[Pair; 1], Counter>,
    waits: Family<[Pair; 1], Histogram, fn() -> Histogram>,
}

impl AwsMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let this = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(CALL_BUCKETS)),
            retries: Family::default(),
            waits: Family::new_with_constructor(|| Histogram::new(WAIT_BUCKETS)),
        };
        for (action, service, name) in OPERATIONS {
            // The Pod Identity agent is on the node.
            let places = if service == "eks_auth" {
                &[Place::Primary][..]
            } else {
                &[Place::Primary, Place::Failover]
            };
            for (place, outcome) in places.iter().flat_map(|place| OUTCOMES.map(|outcome| (*place, outcome)))
            {
                let _at_zero = this.requests.get_or_create(&labels(action, place, outcome));
            }
            let _at_zero = (
                this.duration.get_or_create(&[("operation", name)]),
                this.retries.get_or_create(&[("operation", name)]),
            );
        }
        for urgency in ["mount", "poll"] {
            let _at_zero = this.waits.get_or_create(&[("urgency", urgency)]);
        }
        registry.register(
            "aws_requests",
            "Calls to AWS and to the Pod Identity agent; their retries are not counted",
            this.requests.clone(),
        );
        registry.register(
            "aws_request_duration_seconds",
            "Duration of a call, including its retries",
            this.duration.clone(),
        );
        registry.register("aws_retries", "Attempts beyond a call's first one", this.retries.clone());
        registry.register(
            "aws_permit_wait_seconds",
            "Time until a call got a place among the concurrent calls",
            this.waits.clone(),
        );
        this
    }

    /// A call that begins. `action` is its IAM action.
    pub fn call(&self, action: &'static str, place: Place) -> CountedCall<'_> {
        CountedCall { metrics: self, action, place, outcome: Some(Reason::Outage), began: Instant::now() }
    }

    fn called(&self, action: &str, place: Place, outcome: Option<Reason>, took: Duration) {
        self.requests.get_or_create(&labels(action, place, outcome)).inc();
        self.duration.get_or_create(&[("operation", operation(action).1)]).observe(took.as_secs_f64());
    }

    /// Another attempt of a call.
    pub fn retried(&self, action: &str) {
        self.retries.get_or_create(&[("operation", operation(action).1)]).inc();
    }

    /// A call that waited for its place; `urgency` is `mount` or `poll`.
    pub fn waited(&self, urgency: &'static str, waited: Duration) {
        self.waits.get_or_create(&[("urgency", urgency)]).observe(waited.as_secs_f64());
    }
}

/// A call that runs. It is counted when it is dropped, as an outage if it has not ended by
/// then: nobody waited any longer for AWS to answer.
#[derive(Debug)]
pub struct CountedCall<'a> {
    metrics: &'a AwsMetrics,
    action: &'static str,
    place: Place,
    outcome: Option<Reason>,
    began: Instant,
}

impl CountedCall<'_> {
    /// The call ended; `outcome` is `None` if it succeeded.
    pub fn ended(mut self, outcome: Option<Reason>) {
        self.outcome = outcome;
    }
}

impl Drop for CountedCall<'_> {
    fn drop(&mut self) {
        self.metrics.called(self.action, self.place, self.outcome, self.began.elapsed());
    }
}

fn labels(action: &str, place: Place, outcome: Option<Reason>) -> [Pair; 4] {
    let (service, operation) = operation(action);
    let outcome = outcome.map_or("ok", Reason::as_str);
    [("service", service), ("operation", operation), ("region", place.as_str()), ("outcome", outcome)]
}

/// The service and the operation of an action.
fn operation(action: &str) -> (&'static str, &'static str) {
    // Behind the action, an operation may say who calls.
    let action = action.split(' ').next();
    let known = OPERATIONS.iter().find(|(known, ..)| Some(*known) == action);
    known.map_or(("other", "other"), |(_, service, name)| (service, name))
}
