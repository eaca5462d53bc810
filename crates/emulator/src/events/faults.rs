//! What a test lets go wrong with events. AWS delivers them by best effort.

use std::time::Duration;

use serde::Deserialize;

use crate::arn::matches_pattern;

/// What happens to which events, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFault {
    /// Only events of this Region; `None` for all.
    pub region: Option<String>,
    /// Only events of this `detail-type`.
    pub detail_type: Option<String>,
    /// Only events about a resource whose ARN matches this pattern (`*` and `?`).
    pub resource: Option<String>,
    pub kind: EventFaultKind,
    /// How many events it affects; `None` for all.
    pub times: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFaultKind {
    /// The event reaches no queue.
    Lose,
    /// The event reaches each queue twice.
    Duplicate,
    /// The event reaches each queue later, after events that were sent since.
    Delay(Duration),
    /// The next event of the same queue overtakes it, or else it comes a second later.
    Swap,
}

/// A fault in the control API: `{"kind": "delay", "milliseconds": 500, "times": 1}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EventFaultBody {
    region: Option<String>,
    detail_type: Option<String>,
    resource: Option<String>,
    kind: KindName,
    /// Of `delay` only.
    #[serde(default)]
    milliseconds: u64,
    times: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum KindName {
    Lose,
    Duplicate,
    Delay,
    Swap,
}

impl From<EventFaultBody> for EventFault {
    fn from(body: EventFaultBody) -> Self {
        let kind = match body.kind {
            KindName::Lose => EventFaultKind::Lose,
            KindName::Duplicate => EventFaultKind::Duplicate,
            KindName::Delay => EventFaultKind::Delay(Duration::from_millis(body.milliseconds)),
            KindName::Swap => EventFaultKind::Swap,
        };
        let EventFaultBody { region, detail_type, resource, times, .. } = body;
        Self { region, detail_type, resource, kind, times }
    }
}

impl EventFault {
    /// A fault that affects every event until it is removed.
    pub fn new(kind: EventFaultKind) -> Self {
        Self { region: None, detail_type: None, resource: None, kind, times: None }
    }

    /// Only events of this Region.
    #[must_use]
    pub fn region(mut self, region: &str) -> Self {
        self.region = Some(region.to_owned());
        self
    }

    /// Only events of this `detail-type`.
    #[must_use]
    pub fn detail_type(mut self, detail_type: &str) -> Self {
        self.detail_type = Some(detail_type.to_owned());
        self
    }

    /// Only events about a resource whose ARN matches this pattern.
    #[must_use]
    pub fn resource(mut self, pattern: &str) -> Self {
        self.resource = Some(pattern.to_owned());
        self
    }

    /// Only the next `times` events.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    fn meets(&self, region: &str, detail_type: &str, resources: &[String]) -> bool {
        self.region.as_deref().is_none_or(|wanted| wanted == region)
            && self.detail_type.as_deref().is_none_or(|wanted| wanted == detail_type)
            && self
                .resource
                .as_deref()
                .is_none_or(|pattern| resources.iter().any(|resource| matches_pattern(pattern, resource)))
    }
}

/// The active faults.
#[derive(Debug, Default)]
pub(crate) struct EventFaults(Vec<EventFault>);

impl EventFaults {
    pub(crate) fn inject(&mut self, fault: EventFault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The oldest fault that matches this event. Counts the event.
    pub(super) fn take(
        &mut self,
        region: &str,
        detail_type: &str,
        resources: &[String],
    ) -> Option<EventFaultKind> {
        let found =
            |fault: &EventFault| fault.times != Some(0) && fault.meets(region, detail_type, resources);
        let fault = self.0.iter_mut().find(|fault| found(fault))?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(fault.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_affects_only_the_events_it_names_and_ends() {
        let mut faults = EventFaults::default();
        faults.inject(EventFault::new(EventFaultKind::Lose).resource("*:secret:a-??????").times(1));
        faults.inject(EventFault::new(EventFaultKind::Duplicate).region("us-west-2"));
        let mut take = |region: &str, name: &str| {
            faults.take(region, "Secret Label Updated", &[format!("arn:x:secret:{name}-AbCdEf")])
        };
        assert_eq!(take("us-east-1", "b"), None);
        assert_eq!(take("us-east-1", "a"), Some(EventFaultKind::Lose));
        assert_eq!(take("us-east-1", "a"), None);
        assert_eq!(take("us-west-2", "a"), Some(EventFaultKind::Duplicate));
    }

    #[test]
    fn the_control_api_names_a_fault_by_its_kind() {
        let read = |json| EventFault::from(serde_json::from_str::<EventFaultBody>(json).unwrap());
        assert_eq!(
            read(r#"{"kind":"delay","milliseconds":500,"times":1}"#),
            EventFault::new(EventFaultKind::Delay(Duration::from_millis(500))).times(1)
        );
        assert_eq!(
            read(r#"{"kind":"lose","detailType":"Parameter Store Change"}"#),
            EventFault::new(EventFaultKind::Lose).detail_type("Parameter Store Change")
        );
    }
}
