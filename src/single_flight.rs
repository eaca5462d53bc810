//! Single flight: many callers share one fetch, and its result or failure.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, OwnedMutexGuard};

/// A value that one caller fetches for all.
#[derive(Debug)]
pub struct Slot<V, E> {
    /// Held by the caller that fetches. A cancelled caller releases it, and the next
    /// one fetches.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Notified when a turn ends.
    over: Notify,
    state: Mutex<State<V, E>>,
}

#[derive(Debug)]
struct State<V, E> {
    held: Option<V>,
    failed: Option<E>,
    /// Number of fetches that have ended.
    ended: u64,
}

/// The right to fetch for one slot. It ends with [`succeed`](Self::succeed) or
/// [`fail`](Self::fail); a dropped turn passes to the next caller.
#[derive(Debug)]
pub struct Turn<V, E> {
    slot: Arc<Slot<V, E>>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl<V, E> Drop for Turn<V, E> {
    fn drop(&mut self) {
        // A caller that is notified must find the turn free.
        drop(self.guard.take());
        self.slot.over.notify_waiters();
    }
}

/// What a caller gets that waited for a slot.
pub enum Waited<V, E> {
    /// The held value, or the result of the fetch that it waited for.
    Result(Result<V, E>),
    /// No usable result: it is the caller's turn to fetch.
    Turn(Turn<V, E>),
}

impl<V: Clone, E: Clone> Slot<V, E> {
    /// An empty slot.
    pub fn new() -> Self {
        Self {
            turn: Arc::default(),
            over: Notify::new(),
            state: Mutex::new(State { held: None, failed: None, ended: 0 }),
        }
    }

    /// The held value, regardless of its age.
    pub fn held(&self) -> Option<V> {
        self.state().held.clone()
    }

    /// Looks at the held value and at the failure of the last fetch; a success clears the
    /// failure.
    pub fn look<T>(&self, see: impl FnOnce(Option<&V>, Option<&E>) -> T) -> T {
        let state = self.state();
        see(state.held.as_ref(), state.failed.as_ref())
    }

    /// Removes the held value if it `matches`.
    pub fn take_if(&self, matches: impl FnOnce(&V) -> bool) -> Option<V> {
        self.state().held.take_if(|held| matches(held))
    }

    /// The turn, unless another caller fetches now.
    pub fn try_turn(self: &Arc<Self>) -> Option<Turn<V, E>> {
        Arc::clone(&self.turn).try_lock_owned().ok().map(|guard| self.turn_with(guard))
    }

    /// Waits for the current fetch. Its failure is also the caller's if it is `shared`.
    pub async fn wait(
        self: &Arc<Self>,
        usable: impl Fn(&V) -> bool,
        shared: impl Fn(&E) -> bool,
    ) -> Waited<V, E> {
        let since = self.ended();
        if let Some(result) = self.result(since, &usable, &shared) {
            return Waited::Result(result);
        }
        let turn = self.turn_with(Arc::clone(&self.turn).lock_owned().await);
        match self.result(since, &usable, &shared) {
            Some(result) => Waited::Result(result),
            None => Waited::Turn(turn),
        }
    }

    fn turn_with(self: &Arc<Self>, guard: OwnedMutexGuard<()>) -> Turn<V, E> {
        Turn { slot: Arc::clone(self), guard: Some(guard) }
    }

    /// Waits until the current turn ends; `false` if nobody has the turn.
    async fn wait_for_turn(self: &Arc<Self>) -> bool {
        let mut over = std::pin::pin!(self.over.notified());
        // From here on no notification is missed.
        over.as_mut().enable();
        let taken = self.try_turn().is_none();
        if taken {
            over.await;
        }
        taken
    }

    fn ended(&self) -> u64 {
        self.state().ended
    }

    /// The held value if it is `usable`, or the `shared` failure of a fetch that ended
    /// after `since`.
    fn result(
        &self,
        since: u64,
        usable: impl Fn(&V) -> bool,
        shared: impl Fn(&E) -> bool,
    ) -> Option<Result<V, E>> {
        let state = self.state();
        if let Some(held) = state.held.as_ref().filter(|held| usable(held)) {
            return Some(Ok(held.clone()));
        }
        let failed = state.failed.as_ref().filter(|failed| state.ended != since && shared(failed));
        failed.map(|failed| Err(failed.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State<V, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Clone, E: Clone> Turn<V, E> {
    /// Stores the fetched value, and returns the one held before.
    pub fn succeed(self, value: V) -> Option<V> {
        let mut state = self.slot.state();
        state.ended += 1;
        state.failed = None;
        state.held.replace(value)
    }

    /// Stores a failure; the held value stays.
    pub fn fail(self, error: E) {
        let mut state = self.slot.state();
        state.ended += 1;
        state.failed = Some(error);
    }
}

impl<V: Clone, E: Clone> Default for Slot<V, E> {
    fn default() -> Self {
        Self::new()
    }
}

/// Slots by key.
#[derive(Debug)]
pub struct Slots<K, V, E> {
    slots: Mutex<HashMap<K, Arc<Slot<V, E>>>>,
}

impl<K: Hash + Eq + Clone, V: Clone, E: Clone> Slots<K, V, E> {
    pub fn new() -> Self {
        Self { slots: Mutex::new(HashMap::new()) }
    }

    /// The held value if it is `usable`, or the result of one `fetch` that all
    /// concurrent callers share. Those who waited for a failure share it if `shared`
    /// says that it would have met them too.
    ///
    /// A caller takes the turn only after `admit`, so nobody waits for a turn whose
    /// holder waits for a place among the calls.
    ///
    /// # Errors
    /// The fetch's failure.
    pub async fn get_or_fetch<P, A, F>(
        &self,
        key: &K,
        usable: impl Fn(&V) -> bool,
        shared: impl Fn(&E) -> bool,
        admit: impl Fn() -> A,
        fetch: F,
    ) -> Result<V, E>
    where
        A: Future<Output = P>,
        F: AsyncFnOnce(P) -> Result<V, E>,
    {
        let slot = self.slot(key);
        let since = slot.ended();
        loop {
            if let Some(result) = slot.result(since, &usable, &shared) {
                return result;
            }
            if slot.wait_for_turn().await {
                continue;
            }
            let admitted = admit().await;
            // Others may have been admitted at the same time.
            let Some(turn) = slot.try_turn() else { continue };
            if let Some(result) = slot.result(since, &usable, &shared) {
                return result;
            }
            let result = fetch(admitted).await;
            match &result {
                Ok(value) => drop(turn.succeed(value.clone())),
                Err(error) => turn.fail(error.clone()),
            }
            return result;
        }
    }

    /// The value held for the key, regardless of its age.
    pub fn held(&self, key: &K) -> Option<V> {
        let slot = self.slots().get(key).cloned();
        slot?.held()
    }

    /// Forgets the key's value if it `matches`. Callers keep what they have.
    pub fn forget(&self, key: &K, matches: impl Fn(&V) -> bool) {
        let slot = self.slots().get(key).cloned();
        if let Some(slot) = slot {
            drop(slot.take_if(matches));
        }
    }

    /// Removes every slot that is unused and whose value is not `kept`.
    pub fn sweep(&self, kept: impl Fn(&V) -> bool) {
        self.slots().retain(|_, slot| Arc::strong_count(slot) > 1 || slot.held().as_ref().is_some_and(&kept));
    }

    /// Looks at every slot, one after the other.
    pub fn look<T>(&self, see: impl Fn(&K, Option<&V>, Option<&E>) -> T) -> Vec<T> {
        let slots: Vec<(K, Arc<Slot<V, E>>)> =
            self.slots().iter().map(|(key, slot)| (key.clone(), Arc::clone(slot))).collect();
        slots.iter().map(|(key, slot)| slot.look(|held, failed| see(key, held, failed))).collect()
    }

    pub fn len(&self) -> usize {
        self.slots().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slot(&self, key: &K) -> Arc<Slot<V, E>> {
        let mut slots = self.slots();
        if let Some(slot) = slots.get(key) {
            return Arc::clone(slot);
        }
        Arc::clone(slots.entry(key.clone()).or_default())
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
#[path = "single_flight_tests.rs"]
mod tests;
