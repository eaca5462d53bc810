//! Slots that many callers share: one fetch at a time for each key, and its
//! result, good or bad, for everyone who waited.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Values by key.
#[derive(Debug)]
pub struct Slots<K, V, E> {
    slots: Mutex<HashMap<K, Arc<Slot<V, E>>>>,
}

#[derive(Debug)]
struct Slot<V, E> {
    /// Held by the one who fetches. A caller that is cancelled lets it go, and
    /// the next one fetches.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State<V, E>>,
}

#[derive(Debug)]
struct State<V, E> {
    held: Option<V>,
    failed: Option<E>,
    /// Fetches that have ended.
    ended: u64,
}

impl<V, E> Slot<V, E> {
    fn new() -> Self {
        Self {
            turn: tokio::sync::Mutex::new(()),
            state: Mutex::new(State { held: None, failed: None, ended: 0 }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<V, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone, V: Clone, E: Clone> Slots<K, V, E> {
    /// No slots.
    pub fn new() -> Self {
        Self { slots: Mutex::new(HashMap::new()) }
    }

    /// The held value when it is `usable`; else the result of one `fetch` that
    /// all who ask meanwhile share. A failure is shared with those who waited
    /// for it, when `shared` says that it would have met them too.
    ///
    /// # Errors
    /// The fetch's failure.
    pub async fn get_or_fetch<F>(
        &self,
        key: &K,
        usable: impl Fn(&V) -> bool,
        shared: impl Fn(&E) -> bool,
        fetch: F,
    ) -> Result<V, E>
    where
        F: AsyncFnOnce() -> Result<V, E>,
    {
        let slot = self.slot(key);
        let ended_before = {
            let state = slot.state();
            if let Some(held) = state.held.as_ref().filter(|held| usable(held)) {
                return Ok(held.clone());
            }
            state.ended
        };
        let _turn = slot.turn.lock().await;
        {
            let state = slot.state();
            if let Some(held) = state.held.as_ref().filter(|held| usable(held)) {
                return Ok(held.clone());
            }
            if state.ended != ended_before
                && let Some(failed) = state.failed.as_ref().filter(|failed| shared(failed))
            {
                return Err(failed.clone());
            }
        }
        let result = fetch().await;
        let mut state = slot.state();
        state.ended += 1;
        match &result {
            Ok(value) => (state.held, state.failed) = (Some(value.clone()), None),
            Err(error) => state.failed = Some(error.clone()),
        }
        result
    }

    /// Forgets the key's value where `matches`; callers under way keep what they have.
    pub fn forget(&self, key: &K, matches: impl Fn(&V) -> bool) {
        let slot = self.slots().get(key).cloned();
        if let Some(slot) = slot {
            let mut state = slot.state();
            if state.held.as_ref().is_some_and(matches) {
                state.held = None;
            }
        }
    }

    /// Drops every slot that nobody uses and whose value is not `kept`.
    pub fn sweep(&self, kept: impl Fn(&V) -> bool) {
        self.slots()
            .retain(|_, slot| Arc::strong_count(slot) > 1 || slot.state().held.as_ref().is_some_and(&kept));
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        self.slots().len()
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slot(&self, key: &K) -> Arc<Slot<V, E>> {
        let mut slots = self.slots();
        if let Some(slot) = slots.get(key) {
            return Arc::clone(slot);
        }
        Arc::clone(slots.entry(key.clone()).or_insert_with(|| Arc::new(Slot::new())))
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<K, Arc<Slot<V, E>>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone, V: Clone, E: Clone> Default for Slots<K, V, E> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use futures_util::future::join_all;

    use super::*;

    type Numbers = Slots<&'static str, u32, &'static str>;

    #[tokio::test(start_paused = true)]
    async fn a_thousand_callers_share_one_fetch() {
        let (slots, fetches) = (Numbers::new(), AtomicU32::new(0));
        let fetch = async || {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(fetches.fetch_add(1, Ordering::Relaxed))
        };
        let all = join_all((0..1000).map(|_| slots.get_or_fetch(&"k", |_| true, |_| true, fetch))).await;
        assert!(all.iter().all(|result| *result == Ok(0)));
        assert_eq!(fetches.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn waiters_share_a_failure_and_the_next_caller_asks_again() {
        let (slots, fetches) = (Numbers::new(), AtomicU32::new(0));
        let fetch = async || {
            tokio::time::sleep(Duration::from_secs(1)).await;
            fetches.fetch_add(1, Ordering::Relaxed);
            Err("down")
        };
        let all = join_all((0..10).map(|_| slots.get_or_fetch(&"k", |_| true, |_| true, fetch))).await;
        assert!(all.iter().all(|result| *result == Err("down")));
        assert_eq!(fetches.load(Ordering::Relaxed), 1);
        assert_eq!(slots.get_or_fetch(&"k", |_| true, |_| true, async || Ok(7)).await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_is_not_shared_lets_each_waiter_try() {
        let slots = Numbers::new();
        let (refused, accepted) = tokio::join!(
            slots.get_or_fetch(
                &"k",
                |_| true,
                |_| false,
                async || {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Err("forged")
                }
            ),
            slots.get_or_fetch(&"k", |_| true, |_| false, async || Ok(1)),
        );
        assert_eq!((refused, accepted), (Err("forged"), Ok(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_fetch_hands_over() {
        let slots = Arc::new(Numbers::new());
        let first = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move {
                slots.get_or_fetch(&"k", |_| true, |_| true, async || std::future::pending().await).await
            }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        first.abort();
        assert_eq!(slots.get_or_fetch(&"k", |_| true, |_| true, async || Ok(2)).await, Ok(2));
    }

    #[tokio::test]
    async fn what_is_forgotten_is_fetched_again_and_swept() {
        let slots = Numbers::new();
        let get = async |value| slots.get_or_fetch(&"k", |_| true, |_| true, async || Ok(value)).await;
        assert_eq!((get(1).await, get(2).await), (Ok(1), Ok(1)));
        slots.forget(&"k", |held| *held == 9);
        assert_eq!(get(2).await, Ok(1));
        slots.forget(&"k", |held| *held == 1);
        assert_eq!(get(3).await, Ok(3));
        slots.sweep(|held| *held == 3);
        assert_eq!(slots.len(), 1);
        slots.sweep(|_| false);
        assert!(slots.is_empty());
    }
}
