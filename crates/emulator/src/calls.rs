//! The record of the calls that the emulator has received.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// How many calls are kept. The counts include older ones.
const REMEMBERED: usize = 100_000;

/// One call, in the order of arrival. It never carries a value or a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// `GetSecretValue`, `AssumeRoleWithWebIdentity`, `PodIdentityCredentials`, ….
    pub operation: String,
    /// The Region of the signature's scope. For unsigned calls, the Region of the host
    /// name, if it has one.
    pub region: Option<String>,
    /// The secrets, parameters or queues as the request names them, the role to assume, or
    /// `namespace/service account` for the agent.
    pub targets: Vec<String>,
    /// The VersionId or VersionStage of a read, if it names one.
    pub selector: Option<String>,
    /// The ARN that signed the call, or the subject of an unsigned call's token.
    pub principal: Option<String>,
    /// The role that signed the call.
    pub role: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: String,
    /// The HTTP status; `None` before the answer. It stays `None` when the client
    /// disconnects or a fault suppresses the answer.
    pub status: Option<u16>,
    /// AWS's error code, if the answer is an error.
    pub error: Option<String>,
}

/// Calls, counts and the high-water mark.
#[derive(Debug, Default)]
pub(super) struct CallLog {
    calls: VecDeque<Call>,
    /// The number of the first call that is kept.
    first: u64,
    counts: BTreeMap<String, u64>,
    open: usize,
    most_open: usize,
}

impl CallLog {
    /// Records a call and returns its number.
    pub(super) fn arrived(&mut self, call: Call) -> u64 {
        *self.counts.entry(call.operation.clone()).or_default() += 1;
        self.open += 1;
        self.most_open = self.most_open.max(self.open);
        if self.calls.len() == REMEMBERED {
            self.calls.pop_front();
            self.first += 1;
        }
        self.calls.push_back(call);
        self.first + self.calls.len() as u64 - 1
    }

    /// Changes a call, if it is still kept.
    pub(super) fn update(&mut self, number: u64, change: impl FnOnce(&mut Call)) {
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(call) = at.and_then(|at| self.calls.get_mut(at)) {
            change(call);
        }
    }

    pub(super) fn left(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }

    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.clone()
    }

    pub(super) fn most_open(&self) -> usize {
        self.most_open
    }

    /// Forgets all calls. Those that are still open count towards the new high-water
    /// mark.
    pub(super) fn reset(&mut self) {
        self.first += self.calls.len() as u64;
        self.calls.clear();
        self.counts.clear();
        self.most_open = self.open;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operation: &str) -> Call {
        Call { operation: operation.to_owned(), ..Call::default() }
    }

    #[test]
    fn a_forgotten_call_is_not_changed() {
        let mut log = CallLog::default();
        let before = log.arrived(call("A"));
        log.reset();
        let after = log.arrived(call("B"));
        log.update(before, |call| call.status = Some(500));
        log.update(after, |call| call.status = Some(200));
        assert_eq!(log.calls()[0].status, Some(200));
        assert_eq!(log.counts(), BTreeMap::from([("B".to_owned(), 1)]));
        assert_eq!(log.most_open(), 2);
    }
}
