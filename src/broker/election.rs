//! Who leads, by a Lease of Kubernetes. Pure: time is what has passed since any start.
//!
//! As in client-go, no wall clocks are compared: another's lease has ended when this process
//! has watched it for its whole duration without a change.

use std::time::Duration;

use serde_json::{Value, json};

/// How long a lease lasts that nobody renews.
pub(super) const LEASE: Duration = Duration::from_secs(15);
/// Time from one renewal to the next.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How long after a renewal its holder leads. Shorter than [`LEASE`], so that nobody else
/// leads yet.
pub(super) const LEADS_FOR: Duration = Duration::from_secs(10);
/// Time from one look at another's lease to the next.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What this process knows of the lease.
#[derive(Debug)]
pub(super) struct Election {
    identity: String,
    /// The lease as it was seen last, and since when it has been like that.
    seen: Option<(Record, Duration)>,
}

/// The parts of a lease that show that its holder lives.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    holder: String,
    renewed: String,
    transitions: u64,
}

/// What to do about the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Write the object. If that succeeds, this process leads.
    Write(Value),
    /// Another one leads.
    Wait { holder: String },
}

impl Election {
    pub(super) fn new(identity: String) -> Self {
        Self { identity, seen: None }
    }

    /// Decides by the lease as it is now. `time` is the wall clock's, with microseconds.
    pub(super) fn look(&mut self, lease: Option<&Value>, time: &str, now: Duration) -> Step {
        let Some(lease) = lease else { return Step::Write(self.lease(&json!({}), 0, time, time)) };
        let record = Record::of(lease);
        let since = match &self.seen {
            Some((seen, since)) if *seen == record => *since,
            _ => now,
        };
        self.seen = Some((record.clone(), since));
        let mine = record.holder == self.identity;
        let free = record.holder.is_empty() || now.saturating_sub(since) >= LEASE;
        if mine {
            let acquired = lease.pointer("/spec/acquireTime").and_then(Value::as_str).unwrap_or(time);
            Step::Write(self.lease(&lease["metadata"], record.transitions, acquired, time))
        } else if free {
            Step::Write(self.lease(&lease["metadata"], record.transitions + 1, time, time))
        } else {
            Step::Wait { holder: record.holder }
        }
    }

    /// The lease without a holder, if this process holds it: another one need not wait.
    pub(super) fn release(&self, lease: &Value, time: &str) -> Option<Value> {
        let record = Record::of(lease);
        let released = json!({
            "holderIdentity": "", "leaseDurationSeconds": 1,
            "acquireTime": time, "renewTime": time, "leaseTransitions": record.transitions,
        });
        (record.holder == self.identity).then(|| object(&lease["metadata"], &released))
    }

    fn lease(&self, metadata: &Value, transitions: u64, acquired: &str, renewed: &str) -> Value {
        let spec = json!({
            "holderIdentity": self.identity, "leaseDurationSeconds": LEASE.as_secs(),
            "acquireTime": acquired, "renewTime": renewed, "leaseTransitions": transitions,
        });
        object(metadata, &spec)
    }
}

impl Record {
    fn of(lease: &Value) -> Self {
        let text = |at: &str| lease.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            holder: text("/spec/holderIdentity"),
            renewed: text("/spec/renewTime"),
            transitions: lease.pointer("/spec/leaseTransitions").and_then(Value::as_u64).unwrap_or_default(),
        }
    }
}

/// The metadata stay as they are: a write that names another version is refused.
fn object(metadata: &Value, spec: &Value) -> Value {
    json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-27T14:00:00.000000Z";

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn lease_of(holder: &str, renewed: &str) -> Value {
        let spec = json!({ "holderIdentity": holder, "renewTime": renewed, "leaseTransitions": 3 });
        object(&json!({ "name": "x", "resourceVersion": "7" }), &spec)
    }

    fn holder_of(step: &Step) -> Option<&str> {
        match step {
            Step::Write(lease) => lease.pointer("/spec/holderIdentity").and_then(Value::as_str),
            Step::Wait { .. } => None,
        }
    }

    #[test]
    fn a_missing_and_a_released_lease_are_taken_at_once() {
        let mut me = Election::new("me".to_owned());
        assert_eq!(holder_of(&me.look(None, TIME, seconds(0))), Some("me"));
        let Step::Write(lease) = me.look(Some(&lease_of("", TIME)), TIME, seconds(0)) else { panic!() };
        assert_eq!(lease.pointer("/spec/leaseTransitions"), Some(&json!(4)));
        assert_eq!(lease.pointer("/metadata/resourceVersion"), Some(&json!("7")));
    }

    #[test]
    fn anothers_lease_is_taken_after_it_has_not_changed_for_its_duration() {
        let mut me = Election::new("me".to_owned());
        // Its wall clock is a year behind, which says nothing.
        let old = lease_of("other", "2025-11-27T14:00:00.000000Z");
        for now in [100, 105, 114] {
            assert_eq!(me.look(Some(&old), TIME, seconds(now)), Step::Wait { holder: "other".to_owned() });
        }
        let renewed = lease_of("other", "2025-11-27T14:00:05.000000Z");
        for now in [116, 130] {
            assert_eq!(holder_of(&me.look(Some(&renewed), TIME, seconds(now))), None);
        }
        assert_eq!(holder_of(&me.look(Some(&renewed), TIME, seconds(131))), Some("me"));
    }

    #[test]
    fn my_own_lease_is_renewed_without_a_transition() {
        let mut me = Election::new("me".to_owned());
        let mine = lease_of("me", "2025-11-27T14:00:00.000000Z");
        let Step::Write(lease) = me.look(Some(&mine), TIME, seconds(0)) else { panic!() };
        assert_eq!(lease.pointer("/spec/leaseTransitions"), Some(&json!(3)));
        assert_eq!(lease.pointer("/spec/renewTime"), Some(&json!(TIME)));
    }

    #[test]
    fn only_my_own_lease_is_released() {
        let me = Election::new("me".to_owned());
        assert_eq!(me.release(&lease_of("other", TIME), TIME), None);
        let released = me.release(&lease_of("me", TIME), TIME).unwrap();
        assert_eq!(released.pointer("/spec/holderIdentity"), Some(&json!("")));
    }
}
