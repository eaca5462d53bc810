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
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    /// Takes shares of 1 until the namespace gets no more.
    fn fill(shares: &Arc<Shares>, namespace: &str) -> Vec<Share> {
        std::iter::from_fn(|| shares.try_take(namespace, 1).ok()).collect()
    }

    #[test]
    fn one_namespace_gets_half_and_later_ones_still_find_room() {
        let shares = Shares::new(120);
        let first = fill(&shares, "a");
        assert_eq!(first.len(), 60);
        let second = fill(&shares, "b");
        assert_eq!(second.len(), 30);
        assert_eq!(fill(&shares, "c").len(), 15);
        drop(first);
        assert_eq!(fill(&shares, "b").len() + second.len(), 60);
    }

    #[test]
    fn a_namespace_that_holds_nothing_may_take_all_that_is_free() {
        let shares = Shares::new(100);
        let _heavy = shares.try_take("heavy", 50).unwrap();
        let refused = shares.try_take("heavy", 1).unwrap_err();
        assert_eq!(refused, Refused { asked: 1, held: 50, taken: 50, max: 100 });
        shares.try_take("light", 50).unwrap();
        assert!(shares.try_take("light", 51).is_err());
    }

    #[test]
    fn an_amount_larger_than_the_total_is_granted_alone() {
        let shares = Shares::new(10);
        let small = shares.try_take("a", 1).unwrap();
        assert!(shares.try_take("b", 11).is_err());
        drop(small);
        shares.try_take("b", 11).unwrap();
    }

    #[tokio::test]
    async fn small_takes_do_not_keep_a_large_one_waiting() {
        let shares = Shares::new(10);
        let mut small = fill(&shares, "small");
        let mut large = std::pin::pin!(shares.take("large", 8));
        assert!(large.as_mut().now_or_never().is_none());
        small.truncate(3);
        assert!(shares.try_take("small", 1).is_err());
        assert!(shares.take("small", 1).now_or_never().is_none());
        // A namespace that holds nothing overtakes waiting ones.
        shares.try_take("newcomer", 1).unwrap();
        small.truncate(2);
        let large = large.now_or_never().unwrap();
        assert_eq!(large.amount(), 8);
        assert_eq!(shares.taken(), 10);
        assert!(shares.try_take("small", 1).is_err());
    }

    #[test]
    fn a_share_that_shrinks_gives_back_the_rest() {
        let shares = Shares::new(10);
        let mut share = shares.try_take("a", 10).unwrap();
        share.shrink_to(4);
        share.shrink_to(9);
        assert_eq!(share.amount(), 4);
        assert_eq!(shares.taken(), 4);
        drop(share);
        assert_eq!(shares.taken(), 0);
        assert!(shares.state().namespaces.is_empty());
    }

    #[tokio::test]
    async fn a_waiter_is_served_when_room_is_free_and_a_dropped_one_leaves_nothing() {
        let shares = Shares::new(10);
        let held = shares.take("a", 10).await;
        assert!(shares.take("b", 1).now_or_never().is_none());
        assert_eq!(shares.taken(), 10);
        let waiting = tokio::spawn({
            let shares = Arc::clone(&shares);
            async move { shares.take("b", 3).await.amount() }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert_eq!(waiting.await.unwrap(), 3);
        assert_eq!(shares.taken(), 0);
    }

    #[tokio::test]
    async fn the_waiter_that_holds_least_is_served_first() {
        let shares = Shares::new(12);
        let (kept, released) = (shares.take("greedy", 2).await, shares.take("other", 10).await);
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiting: Vec<_> = ["greedy", "greedy", "modest"]
            .map(|namespace| {
                let (shares, order) = (Arc::clone(&shares), Arc::clone(&order));
                tokio::spawn(async move {
                    let share = shares.take(namespace, 1).await;
                    order.lock().unwrap().push(namespace);
                    share
                })
            })
            .into();
        tokio::task::yield_now().await;
        drop(released);
        for waiting in waiting {
            waiting.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), ["modest", "greedy", "greedy"]);
        drop(kept);
    }

    proptest! {
        /// Whatever earlier namespaces take, a namespace that comes
        /// later gets something, and the total is never exceeded.
        #[test]
        fn a_newcomer_always_finds_room(takes in prop::collection::vec((0..6u8, 1..200usize), 1..200)) {
            let shares = Shares::new(1000);
            let mut held = Vec::new();
            for (namespace, amount) in takes {
                let alone = shares.taken() == 0;
                if let Ok(share) = shares.try_take(&namespace.to_string(), amount.min(300)) {
                    held.push(share);
                }
                prop_assert!(alone || shares.taken() <= 1000, "{} of 1000 are taken", shares.taken());
            }
            let by_ones = fill(&shares, "newcomer");
            let has_room = shares.taken() == 1000 || !by_ones.is_empty();
            prop_assert!(has_room, "nothing for the newcomer, with {} of 1000 taken", shares.taken());
        }
    }
}
