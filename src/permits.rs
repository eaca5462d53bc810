//! How many AWS calls may be under way at once, and who may hold how many.

use std::sync::Arc;

use aws_config::retry::RetryConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    per_region::{Few, PerRegion},
    retries,
};
use crate::model::arn::Region;

/// Most calls at once of the rotation poller, which must not keep pods waiting.
const MAX_POLLS: usize = 32;
/// Most of them in one Region, so that one that hangs leaves room for the others.
const MAX_POLLS_OF_REGION: usize = 16;
/// One namespace leaves this part of the places to the others: its pod authors
/// may choose a Region that never answers.
const PART_FOR_OTHERS: usize = 8;

/// How hard a call may try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// A pod waits: retries, and its turn as soon as there is one.
    Mount,
    /// Nobody waits: one attempt, so that a throttled service is asked less.
    Poll,
}

impl Effort {
    /// Retries of one call.
    pub fn retries(self) -> RetryConfig {
        match self {
            Self::Mount => retries(),
            Self::Poll => RetryConfig::disabled(),
        }
    }
}

/// A place among the calls at once, until it is dropped.
pub struct Permit {
    _held: [Option<OwnedSemaphorePermit>; 3],
}

#[derive(Debug)]
pub(super) struct Permits {
    all: Arc<Semaphore>,
    of_namespace: usize,
    namespaces: Few<String, Arc<Semaphore>>,
    polls: Arc<Semaphore>,
    polls_of_regions: PerRegion<Arc<Semaphore>>,
}

impl Permits {
    pub(super) fn new(max_calls: usize) -> Self {
        let max_calls = max_calls.max(1);
        Self {
            all: Arc::new(Semaphore::new(max_calls)),
            of_namespace: (max_calls - max_calls / PART_FOR_OTHERS).max(1),
            namespaces: Few::new(),
            polls: Arc::new(Semaphore::new(MAX_POLLS)),
            polls_of_regions: Few::new(),
        }
    }

    pub(super) async fn take(&self, effort: Effort, region: &Region, namespace: &str) -> Permit {
        // The narrower one first: who waits for it holds no other. The
        // semaphores are never closed.
        let (narrow, polls) = match effort {
            Effort::Mount => {
                let of_namespace = || Arc::new(Semaphore::new(self.of_namespace));
                let places = self.namespaces.get(namespace, of_namespace);
                (places.acquire_owned().await.ok(), None)
            }
            Effort::Poll => {
                let of_region = || Arc::new(Semaphore::new(MAX_POLLS_OF_REGION));
                let places = self.polls_of_regions.get(region, of_region);
                (places.acquire_owned().await.ok(), Arc::clone(&self.polls).acquire_owned().await.ok())
            }
        };
        Permit { _held: [narrow, polls, Arc::clone(&self.all).acquire_owned().await.ok()] }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_namespace_that_holds_all_it_may_leaves_room_for_another() {
        let permits = Permits::new(64);
        let region = Region::parse("us-east-1").unwrap();
        let mut held = Vec::new();
        while let Some(permit) = permits.take(Effort::Mount, &region, "greedy").now_or_never() {
            held.push(permit);
        }
        assert_eq!(held.len(), 56);
        assert!(permits.take(Effort::Mount, &region, "modest").now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_region_whose_polls_hang_leaves_room_for_another() {
        let permits = Permits::new(64);
        let [hanging, healthy] = ["us-east-1", "us-west-2"].map(|region| Region::parse(region).unwrap());
        let mut held = Vec::new();
        while let Some(permit) = permits.take(Effort::Poll, &hanging, "a").now_or_never() {
            held.push(permit);
        }
        assert_eq!(held.len(), 16);
        assert!(permits.take(Effort::Poll, &healthy, "a").now_or_never().is_some());
    }
}
