//! How many events each pod may still have. A pod with many classes, or one whose mounts
//! succeed and fail in turn, must not fill the cluster's storage with events.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{bounds::make_room_fairly, model::request::Pod};

/// Events at once, and the time until there is one more, as in client-go:
/// <https://github.com/kubernetes/client-go/blob/v0.34.0/tools/record/events_cache.go>.
const BURST: u32 = 25;
const INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Many times the pods of a node. A pod that is forgotten has its whole burst again.
const MAX_PODS: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct PodBudgets {
    hasher: RandomState,
    pods: Mutex<HashMap<u64, Budget>>,
}

#[derive(Debug)]
struct Budget {
    namespace: u64,
    /// When the whole burst is available again.
    full_at: Instant,
}

impl PodBudgets {
    /// Pays for an event; `false` if the pod may have no more for now.
    pub(super) fn pay(&self, pod: &Pod) -> bool {
        let (now, key) = (Instant::now(), self.hasher.hash_one(&pod.uid));
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        if !pods.contains_key(&key) {
            make_room_fairly(&mut pods, MAX_PODS, |budget| (budget.namespace, budget.full_at));
        }
        let namespace = self.hasher.hash_one(&pod.namespace);
        let budget = pods.entry(key).or_insert(Budget { namespace, full_at: now });
        let full_at = budget.full_at.max(now) + INTERVAL;
        let fits = full_at <= now + INTERVAL * BURST;
        if fits {
            budget.full_at = full_at;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(namespace: &str, uid: usize) -> Pod {
        Pod { namespace: namespace.to_owned(), uid: uid.to_string(), ..Pod::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_has_a_burst_and_then_twelve_events_an_hour() {
        let budgets = PodBudgets::default();
        let paid = |count: usize| (0..count).filter(|_| budgets.pay(&pod("shop", 1))).count();
        assert_eq!(paid(1000), 25);
        let mut later = 0;
        for _ in 0..60 {
            tokio::time::advance(Duration::from_secs(60)).await;
            later += paid(100);
        }
        assert_eq!(later, 12);
        assert!(budgets.pay(&pod("shop", 2)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_pods_is_limited_and_a_namespace_forgets_its_own() {
        let budgets = PodBudgets::default();
        assert_eq!((0..30).filter(|_| budgets.pay(&pod("shop", 0))).count(), 25);
        for uid in 1..3 * MAX_PODS {
            assert!(budgets.pay(&pod("noisy", uid)));
        }
        assert_eq!(budgets.pods.lock().unwrap().len(), MAX_PODS);
        assert!(!budgets.pay(&pod("shop", 0)));
    }
}
