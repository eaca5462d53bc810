//! Limits the total size of the requests that are being read. The smallest waiting
//! request is next, because it takes the least time. So a small request of one tenant
//! hardly waits, no matter how many large ones another tenant sends.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// The limit. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Lane(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    arrivals: u64,
    /// The waiting requests, by size and order of arrival.
    waiting: BTreeMap<(usize, u64), oneshot::Sender<Passage>>,
}

/// Reserved bytes, until this is dropped.
#[derive(Debug)]
pub(super) struct Passage {
    lane: Lane,
    bytes: usize,
}

/// Removes the entry of a caller that stops waiting.
struct Waiting<'a> {
    lane: &'a Lane,
    key: (usize, u64),
}

impl Lane {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: bytes, arrivals: 0, waiting: BTreeMap::new() })))
    }

    /// Waits until `bytes` are free. They must not exceed the whole lane.
    pub(super) async fn enter(&self, bytes: usize) -> Passage {
        let (waiting, passage) = {
            let mut state = self.state();
            let smallest = state.waiting.first_key_value().map(|((bytes, _), _)| *bytes);
            if bytes <= state.free && smallest.is_none_or(|smallest| bytes < smallest) {
                state.free -= bytes;
                return Passage { lane: self.clone(), bytes };
            }
            let (sender, passage) = oneshot::channel();
            let key = (bytes, state.arrivals);
            state.arrivals += 1;
            state.waiting.insert(key, sender);
            (Waiting { lane: self, key }, passage)
        };
        let passage = passage.await;
        drop(waiting);
        match passage {
            Ok(passage) => passage,
            // Only the waiting caller drops its sender.
            Err(_) => std::future::pending().await,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let mut admitted = Vec::new();
        {
            let mut state = self.lane.state();
            state.free += self.bytes;
            while let Some((&(bytes, _), _)) = state.waiting.first_key_value() {
                if bytes > state.free {
                    break;
                }
                let Some((_, sender)) = state.waiting.pop_first() else { break };
                state.free -= bytes;
                admitted.push((sender, Self { lane: self.lane.clone(), bytes }));
            }
        }
        for (sender, passage) in admitted {
            // Send without the lock: if the caller has gone, this drops the passage,
            // which takes the lock again.
            let _ = sender.send(passage);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.lane.state().waiting.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_smallest_waiting_request_is_next_and_the_limit_holds() {
        let lane = Lane::new(10);
        let first = lane.enter(10).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiting: Vec<_> = [6, 5, 1, 5]
            .map(|bytes| {
                let (lane, order) = (lane.clone(), Arc::clone(&order));
                tokio::spawn(async move {
                    let passage = lane.enter(bytes).await;
                    order.lock().unwrap().push(bytes);
                    drop(passage);
                })
            })
            .into();
        tokio::task::yield_now().await;
        drop(first);
        for waiting in waiting {
            waiting.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [1, 5, 5, 6]);
        assert_eq!(lane.state().free, 10);
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_leaves_nothing_behind() {
        let lane = Lane::new(10);
        let first = lane.enter(8).await;
        assert!(lane.enter(3).now_or_never().is_none());
        assert!(lane.state().waiting.is_empty());
        drop(first);
        assert_eq!(lane.enter(10).await.bytes, 10);
    }
}
