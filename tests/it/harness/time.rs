//! Time that passes while pods are republished, and the calls made meanwhile.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Answer, Request, World};

/// How often kubelet republishes a volume.
const REPUBLISH: Duration = Duration::from_secs(80);
/// The provider's own interval, where a test sets no other.
pub(crate) const INTERVAL: Duration = Duration::from_secs(120);
/// The extra age that a mount allows a value, so that the poller reads first.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// Lets time pass; the poller works meanwhile.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Lets seconds pass.
pub(crate) async fn seconds(count: u64) {
    pass(Duration::from_secs(count)).await;
}

impl World {
    /// Lets `time` pass, during which kubelet republishes these mounts as usual;
    /// each of them must succeed.
    pub(crate) async fn republish(&self, requests: &[Request], time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() + REPUBLISH <= end {
            pass(REPUBLISH).await;
            join_all(requests.iter().map(|request| self.mount(request))).await;
        }
        tokio::time::sleep_until(end).await;
    }

    /// When the calls of an operation arrive within `time`, counted from now and
    /// to a tenth of a second.
    pub(crate) async fn arrivals(&self, operation: &str, time: Duration) -> Vec<Duration> {
        let (began, mut seen, mut arrivals) = (Instant::now(), self.calls(operation), Vec::new());
        while began.elapsed() < time {
            pass(Duration::from_millis(100)).await;
            let calls = self.calls(operation);
            for _ in seen..calls {
                arrivals.push(began.elapsed());
            }
            seen = calls;
        }
        arrivals
    }

    /// How often an operation requested each secret, parameter or role.
    pub(crate) fn calls_by_target(&self, operation: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in self.emulator.calls().into_iter().filter(|call| call.operation == operation) {
            for target in call.targets {
                *counts.entry(target).or_default() += 1;
            }
        }
        counts
    }

    /// The sum of all calls to AWS and to the Pod Identity agent.
    pub(crate) fn all_calls(&self) -> u64 {
        self.emulator.call_counts().values().sum()
    }

    /// Mounts, and checks that it takes no time.
    pub(crate) async fn mount_at_once(&self, request: &Request) -> Answer {
        let began = Instant::now();
        let answer = self.mount(request).await;
        assert!(began.elapsed() < Duration::from_millis(100), "it waited {:?}", began.elapsed());
        answer
    }
}
