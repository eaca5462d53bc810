//! A bound on the bytes of requests that are read at once. Of those that wait the
//! smallest is next: it is read soonest, so that however many large ones one
//! tenant's pods bring, another's small one hardly waits.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// The bound. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Lane(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    arrivals: u64,
    /// Who waits, by how much and since when.
    waiting: BTreeMap<(usize, u64), oneshot::Sender<Passage>>,
}

/// Bytes in the lane, until this is dropped.
#[derive(Debug)]
pub(super) struct Passage {
    lane: Lane,
    bytes: usize,
}

/// Takes the waiter away when the one who waits goes away.
struct Waiting<'a> {
    lane: &'a Lane,
    key: (usize, u64),
}

impl Lane {
    /// A lane of `bytes`.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: bytes, arrivals: 0, waiting: BTreeMap::new() })))
    }

    /// Waits for room; `bytes` are at most the whole lane.
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
            // Nobody drops a waiter but the one who waits.
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
            // Whoever went away meanwhile gives it back, now that nothing is locked.
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
