//! An amount that namespaces share, such as bytes of memory or places.
//!
//! The rule is the dynamic threshold of shared-memory switches (Choudhury and Hahne,
//! 1998): a namespace may hold as much as remains free for the others. A single
//! namespace gets half, two get a third each, and a later namespace still gets a share.
//! The namespaces need not be known in advance. While a namespace that holds nothing is
//! waiting, no other one gets more, so that many small requests cannot block a large
//! one forever.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

#[derive(Debug)]
pub struct Shares {
    max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    /// The namespaces that hold or wait for something.
    namespaces: HashMap<Arc<str>, Namespace>,
    next_ticket: u64,
}

#[derive(Debug, Default)]
struct Namespace {
    held: usize,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    amount: usize,
    granted: oneshot::Sender<Share>,
}

/// A part of the amount. Dropping it gives it back.
#[derive(Debug)]
pub struct Share {
    of: Arc<Shares>,
    namespace: Arc<str>,
    amount: usize,
}

/// A namespace requested more than it may have now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The requested amount.
    pub(crate) asked: usize,
    /// What the namespace held already.
    pub(crate) held: usize,
    /// What all namespaces held.
    pub(crate) taken: usize,
    /// The whole amount.
    pub(crate) max: usize,
}

/// What is taken now, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// The whole amount.
    pub(crate) max: usize,
    /// What all namespaces hold.
    pub(crate) taken: usize,
    /// The namespaces that hold or wait for something, in any order.
    pub(crate) namespaces: Vec<Holder>,
}

/// A namespace that holds or waits for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) namespace: Arc<str>,
    pub(crate) held: usize,
    /// The number of its callers that wait.
    pub(crate) waiting: usize,
}

impl Shares {
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, state: Mutex::default() })
    }

    /// What is taken now, and the whole amount.
    pub fn used(&self) -> (usize, usize) {
        (self.state().taken, self.max)
    }

    /// Takes `amount`, if the namespace may have it now.
    pub(crate) fn try_take(self: &Arc<Self>, namespace: &str, amount: usize) -> Result<Share, Refused> {
        let mut state = self.state();
        let held = state.namespaces.get(namespace).map_or(0, |known| known.held);
        if !self.allows(&state, held, amount) {
            return Err(Refused { asked: amount, held, taken: state.taken, max: self.max });
        }
        Ok(self.grant(&mut state, namespace, amount))
    }

    /// Waits until the namespace may have `amount`, and takes it. The waiting namespace
    /// that holds the least is served first. Safe to cancel.
    pub async fn take(self: &Arc<Self>, namespace: &str, amount: usize) -> Share {
        let (waiting, granted) = {
            let mut state = self.state();
            let known = state.namespaces.get(namespace);
            let held = known.map_or(0, |known| known.held);
            let first = known.is_none_or(|known| known.waiting.is_empty());
            if first && self.allows(&state, held, amount) {
                return self.grant(&mut state, namespace, amount);
            }
            let (sender, granted) = oneshot::channel();
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            let namespace = state.name(namespace);
            let waiter = Waiter { ticket, amount, granted: sender };
            state.namespaces.entry(Arc::clone(&namespace)).or_default().waiting.push_back(waiter);
            (Waiting { of: self, namespace, ticket }, granted)
        };
        let share = granted.await;
        drop(waiting);
        match share {
            Ok(share) => share,
            // Only the waiting caller drops its sender.
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes `amount`. Gives up `turn` before waiting.
    pub(crate) async fn take_giving_up(
        self: &Arc<Self>,
        turn: &mut Option<Share>,
        namespace: &str,
        amount: usize,
    ) -> Share {
        if let Ok(share) = self.try_take(namespace, amount) {
            return share;
        }
        *turn = None;
        self.take(namespace, amount).await
    }

    /// Takes `amount` even if it exceeds the limit, for something that already exists.
    pub(crate) fn take_anyway(self: &Arc<Self>, namespace: &str, amount: usize) -> Share {
        self.grant(&mut self.state(), namespace, amount)
    }

    /// What is taken now, by namespace.
    pub(crate) fn usage(&self) -> Usage {
        let state = self.state();
        let holders = state.namespaces.iter().map(|(namespace, known)| Holder {
            namespace: Arc::clone(namespace),
            held: known.held,
            waiting: known.waiting.len(),
        });
        Usage { max: self.max, taken: state.taken, namespaces: holders.collect() }
    }

    #[cfg(test)]
    fn taken(&self) -> usize {
        self.state().taken
    }

    fn allows(&self, state: &State, held: usize, amount: usize) -> bool {
        let after = state.taken.saturating_add(amount);
        let free_after = self.max.saturating_sub(after);
        if state.taken == 0 {
            // Nobody else holds anything, so allow any amount. A larger one than `max`
            // would otherwise wait forever.
            true
        } else if held == 0 {
            after <= self.max
        } else {
            after <= self.max && held.saturating_add(amount) <= free_after && !state.is_awaited_by_newcomer()
        }
    }

    fn grant(self: &Arc<Self>, state: &mut State, namespace: &str, amount: usize) -> Share {
        let namespace = state.name(namespace);
        state.taken += amount;
        state.namespaces.entry(Arc::clone(&namespace)).or_default().held += amount;
        Share { of: Arc::clone(self), namespace, amount }
    }

    fn give_back(self: &Arc<Self>, namespace: &Arc<str>, amount: usize) {
        let mut grants = Vec::new();
        {
            let mut state = self.state();
            state.taken = state.taken.saturating_sub(amount);
            if let Some(known) = state.namespaces.get_mut(namespace) {
                known.held = known.held.saturating_sub(amount);
            }
            state.forget_if_idle(namespace);
            while let Some(next) = self.next_served(&state) {
                let Some(known) = state.namespaces.get_mut(&next) else { break };
                let Some(waiter) = known.waiting.pop_front() else { break };
                grants.push((waiter.granted, self.grant(&mut state, &next, waiter.amount)));
            }
        }
        for (sender, share) in grants {
            // Send without the lock: if the caller has gone, this drops the share,
            // which takes the lock again.
            let _ = sender.send(share);
        }
    }

    /// A namespace whose first waiter may be served. Of several, the one that holds the
    /// least, then the one that has waited longest.
    fn next_served(&self, state: &State) -> Option<Arc<str>> {
        let waiting = state.namespaces.iter().filter_map(|(name, known)| {
            let first = known.waiting.front()?;
            self.allows(state, known.held, first.amount).then_some((known.held, first.ticket, name))
        });
        waiting.min().map(|(_, _, name)| Arc::clone(name))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The namespace's name, shared with its entry if there is one.
    fn name(&self, namespace: &str) -> Arc<str> {
        self.namespaces
            .get_key_value(namespace)
            .map_or_else(|| namespace.into(), |(known, _)| Arc::clone(known))
    }

    fn is_awaited_by_newcomer(&self) -> bool {
        self.namespaces.values().any(|known| known.held == 0 && !known.waiting.is_empty())
    }

    fn forget_if_idle(&mut self, namespace: &Arc<str>) {
        let idle = |known: &Namespace| known.held == 0 && known.waiting.is_empty();
        if self.namespaces.get(namespace).is_some_and(idle) {
            self.namespaces.remove(namespace);
        }
    }
}

/// Removes the entry of a caller that stops waiting.
struct Waiting<'a> {
    of: &'a Shares,
    namespace: Arc<str>,
    ticket: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.of.state();
        if let Some(known) = state.namespaces.get_mut(&self.namespace) {
            known.waiting.retain(|waiter| waiter.ticket != self.ticket);
        }
        state.forget_if_idle(&self.namespace);
    }
}

impl Share {
    /// Gives back all but `amount`.
    pub(crate) fn shrink_to(&mut self, amount: usize) {
        let surplus = self.amount.saturating_sub(amount);
        if surplus > 0 {
            self.amount -= surplus;
            self.of.give_back(&self.namespace, surplus);
        }
    }

    /// Merges with another share of the same namespace.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.amount += std::mem::take(&mut other.amount);
    }

    pub(crate) fn amount(&self) -> usize {
        self.amount
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.give_back(&self.namespace, self.amount);
    }
}

#[cfg(test)]
#[path = "shares_tests.rs"]
mod tests;
