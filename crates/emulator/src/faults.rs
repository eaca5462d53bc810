//! Delays and faults that a test or a person injects.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{arn::matches_pattern, calls::Call};

/// What goes wrong, for which calls, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Only this operation; `None` for all.
    pub operation: Option<String>,
    /// Only this Region; unsigned calls have none.
    pub region: Option<String>,
    /// Only calls for a secret, parameter, queue, role or `namespace/service account` whose
    /// id in the request matches this pattern (`*` and `?`). A name also matches the ARN of
    /// the secret or parameter, and the URL of the queue.
    pub target: Option<String>,
    pub kind: FaultKind,
    /// How many calls it affects; `None` for all.
    pub times: Option<u32>,
}

impl Fault {
    /// A fault that affects every call until it is removed.
    pub fn new(kind: FaultKind) -> Self {
        Self { operation: None, region: None, target: None, kind, times: None }
    }

    /// Only this operation.
    #[must_use]
    pub fn operation(mut self, operation: &str) -> Self {
        self.operation = Some(operation.to_owned());
        self
    }

    /// Only this Region.
    #[must_use]
    pub fn region(mut self, region: &str) -> Self {
        self.region = Some(region.to_owned());
        self
    }

    /// Only targets that match this pattern.
    #[must_use]
    pub fn target(mut self, pattern: &str) -> Self {
        self.target = Some(pattern.to_owned());
        self
    }

    /// Only the next `times` calls.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    fn meets(&self, call: &Call) -> bool {
        let same =
            |wanted: &Option<String>, actual: Option<&str>| wanted.is_none() || wanted.as_deref() == actual;
        same(&self.operation, Some(&call.operation))
            && same(&self.region, call.region.as_deref())
            && self.target.as_ref().is_none_or(|pattern| {
                call.targets.iter().any(|target| names(target).any(|n| matches_pattern(pattern, n)))
            })
    }
}

/// A target as it is, and the name within its ARN or URL, with and without the suffix of
/// a secret.
fn names(target: &str) -> impl Iterator<Item = &str> {
    let name = target.split_once(":secret:").map(|(_, name)| name);
    let bare = name.and_then(|name| name.rsplit_once('-')).map(|(bare, _)| bare);
    let parameter = target.split_once(":parameter").map(|(_, name)| name);
    let queue = target.contains("://").then(|| target.rsplit('/').next()).flatten();
    [Some(target), name, bare, parameter, queue].into_iter().flatten()
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum FaultKind {
    /// Any AWS error.
    Error { status: u16, code: String, message: String },
    /// The service's own throttling error.
    Throttle,
    /// The service's own internal error, HTTP 500.
    InternalError,
    /// The connection is reset without an answer.
    Reset,
    /// No answer, and the connection stays open.
    Hang,
    /// HTTP 200 with a body that is neither JSON nor XML.
    GarbageBody,
    /// The correct headers and half of the correct body, then the end.
    TruncatedBody,
    /// The correct answer after a delay.
    Delay(#[serde(with = "milliseconds")] Duration),
    /// KMS refuses: HTTP 400 AccessDeniedException.
    KmsDenied,
    /// HTTP 302 to this URL.
    Redirect(#[serde(with = "location")] String),
}

mod milliseconds {
    //! `{"kind": "delay", "milliseconds": 250}`.

    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Milliseconds {
        milliseconds: u64,
    }

    pub(super) fn serialize<S: Serializer>(delay: &Duration, to: S) -> Result<S::Ok, S::Error> {
        let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        Milliseconds { milliseconds }.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Milliseconds::deserialize(from).map(|it| Duration::from_millis(it.milliseconds))
    }
}

mod location {
    //! `{"kind": "redirect", "location": "http://elsewhere"}`.

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Location {
        location: String,
    }

    pub(super) fn serialize<S: Serializer>(url: &str, to: S) -> Result<S::Ok, S::Error> {
        Location { location: url.to_owned() }.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        Location::deserialize(from).map(|it| it.location)
    }
}

/// Identifies a fault, to remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultId(pub(super) u64);

/// The active faults and delays.
#[derive(Debug, Default)]
pub(super) struct Faults {
    next: u64,
    faults: Vec<(FaultId, Fault)>,
    delay_of_all: Duration,
    delays: BTreeMap<String, Duration>,
}

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) -> FaultId {
        let id = FaultId(self.next);
        self.next += 1;
        self.faults.push((id, fault));
        id
    }

    pub(super) fn remove(&mut self, id: FaultId) {
        self.faults.retain(|(known, _)| *known != id);
    }

    pub(super) fn clear(&mut self) {
        self.faults.clear();
    }

    pub(super) fn set_delay(&mut self, operation: Option<&str>, delay: Duration) {
        match operation {
            None => self.delay_of_all = delay,
            Some(operation) => {
                self.delays.insert(operation.to_owned(), delay);
            }
        }
    }

    /// An operation's own delay, or the general delay.
    pub(super) fn delay(&self, operation: &str) -> Duration {
        self.delays.get(operation).copied().unwrap_or(self.delay_of_all)
    }

    /// The first fault that matches this call. Counts the call.
    pub(super) fn take(&mut self, call: &Call) -> Option<FaultKind> {
        let at = self.faults.iter().position(|(_, fault)| fault.times != Some(0) && fault.meets(call))?;
        let fault = &mut self.faults[at].1;
        let kind = fault.kind.clone();
        if let Some(times) = &mut fault.times {
            *times -= 1;
            if *times == 0 {
                self.faults.remove(at);
            }
        }
        Some(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call {
            operation: "GetSecretValue".to_owned(),
            region: Some("us-east-1".to_owned()),
            targets: vec!["arn:aws:secretsmanager:us-east-1:1:secret:shop/db-AbCdEf".to_owned()],
            ..Call::default()
        }
    }

    #[test]
    fn a_fault_applies_only_to_the_calls_it_names() {
        let any = Fault::new(FaultKind::Throttle);
        for (fault, expected) in [
            (any.clone(), true),
            (any.clone().operation("GetSecretValue"), true),
            (any.clone().operation("GetParameters"), false),
            (any.clone().region("us-west-2"), false),
            (any.clone().target("shop/db"), true),
            (any.clone().target("shop/*"), true),
            (any.clone().target("shop"), false),
        ] {
            assert_eq!(fault.meets(&call()), expected, "{fault:?}");
        }
    }

    #[test]
    fn a_fault_ends_after_its_number_of_times() {
        let mut faults = Faults::default();
        faults.inject(Fault::new(FaultKind::Hang).times(2));
        faults.inject(Fault::new(FaultKind::Throttle));
        let taken: Vec<_> = (0..3).filter_map(|_| faults.take(&call())).collect();
        assert_eq!(taken, [FaultKind::Hang, FaultKind::Hang, FaultKind::Throttle]);
    }

    #[test]
    fn a_kinds_fields_are_written_next_to_its_name() {
        for (json, kind) in [
            (r#"{"kind":"throttle"}"#, FaultKind::Throttle),
            (r#"{"kind":"delay","milliseconds":250}"#, FaultKind::Delay(Duration::from_millis(250))),
            (r#"{"kind":"redirect","location":"http://x"}"#, FaultKind::Redirect("http://x".into())),
            (
                r#"{"kind":"error","status":400,"code":"A","message":"b"}"#,
                FaultKind::Error { status: 400, code: "A".into(), message: "b".into() },
            ),
        ] {
            assert_eq!(serde_json::from_str::<FaultKind>(json).unwrap(), kind);
            assert_eq!(serde_json::to_string(&kind).unwrap(), json);
        }
    }
}
