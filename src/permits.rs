//! Limits the number of concurrent calls, and decides who is next when all places are
//! taken.
//!
//! Namespaces share the places, because a namespace is the boundary of a tenant. The
//! namespace that holds the fewest places is next, and no namespace may take the last
//! free ones. So a tenant whose calls hang delays only itself. The state of a namespace
//! is dropped with its last permit and its last waiter.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedMutexGuard, oneshot};

/// A namespace with mounts must leave at least a third of what it holds free.
const SHARE_OF_MOUNTS: usize = 3;
/// A namespace with polls must leave at least as many places free as it holds.
const SHARE_OF_POLLS: usize = 1;
/// The number of mounts served while a poll waits, before the poll is next.
const MOUNTS_BEFORE_A_POLL: usize = 7;

/// Whether somebody waits for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A pod waits. Mounts are served before polls.
    Mount,
    /// Nobody waits.
    Poll,
}

/// A limit of concurrent calls. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Permits {
    board: Arc<Mutex<Board>>,
}

/// The right to one call at a time, until its last clone is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Permit {
    place: Arc<Place>,
}

/// A running call, until it is dropped.
#[derive(Debug)]
pub(crate) struct Call {
    _turn: OwnedMutexGuard<()>,
    _permit: Permit,
}

/// A place, or a waiting caller.
#[derive(Debug)]
struct Place {
    board: Arc<Mutex<Board>>,
    ticket: Ticket,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// A caller that waits or holds a place.
#[derive(Debug)]
struct Ticket {
    /// In the order of arrival.
    number: u64,
    urgency: Urgency,
    namespace: Arc<str>,
    /// The called target: a Region, or something else that may hang on its own.
    target: Arc<str>,
}

#[derive(Debug)]
struct Board {
    max: usize,
    mounts: Class,
    polls: Class,
    /// Mounts served while a poll was waiting.
    served_before_polls: usize,
    /// Counts arrivals and grants.
    now: u64,
}

/// The calls of one urgency.
#[derive(Debug)]
struct Class {
    max: usize,
    max_of_target: usize,
    share: usize,
    held: usize,
    namespaces: HashMap<Arc<str>, Namespace>,
}

#[derive(Debug, Default)]
struct Namespace {
    held: usize,
    /// When it was last served or, before that, when it arrived.
    since: u64,
    targets: HashMap<Arc<str>, Target>,
}

#[derive(Debug, Default)]
struct Target {
    held: usize,
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
}

/// What runs and waits now, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) max: usize,
    pub(crate) running: usize,
    pub(crate) waiting: usize,
    /// The namespaces that call or wait.
    pub(crate) namespaces: BTreeMap<Arc<str>, NamespaceLoad>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NamespaceLoad {
    pub(crate) running: usize,
    pub(crate) waiting: usize,
}

impl Permits {
    /// Allows `max` concurrent calls. At most half of them may be polls.
    pub(crate) fn new(max: usize) -> Self {
        let max = max.max(1);
        let class = |max: usize, of_target: usize, share| Class {
            max,
            max_of_target: of_target.max(1),
            share,
            held: 0,
            namespaces: HashMap::new(),
        };
        let board = Board {
            max,
            mounts: class(max, max * 11 / 16, SHARE_OF_MOUNTS),
            polls: class((max / 2).max(1), max / 8, SHARE_OF_POLLS),
            served_before_polls: 0,
            now: 0,
        };
        Self { board: Arc::new(Mutex::new(board)) }
    }

    /// Waits for a place. Safe to cancel.
    pub(crate) async fn take(&self, urgency: Urgency, namespace: &str, target: &str) -> Permit {
        let (permit, served) = self.ask(urgency, namespace, target);
        // The sender stays on the board until this caller is served.
        let _ = served.await;
        permit
    }

    /// What runs and waits now, mounts and polls together.
    pub(crate) fn load(&self) -> Load {
        let board = lock(&self.board);
        let mut load = Load { max: board.max, ..Load::default() };
        for (name, namespace) in board.mounts.namespaces.iter().chain(&board.polls.namespaces) {
            let waiting = namespace.targets.values().map(|target| target.waiting.len()).sum::<usize>();
            load.running += namespace.held;
            load.waiting += waiting;
            let of = load.namespaces.entry(Arc::clone(name)).or_default();
            of.running += namespace.held;
            of.waiting += waiting;
        }
        load
    }

    /// Returns the permit, and a receiver that completes when it is valid.
    fn ask(&self, urgency: Urgency, namespace: &str, target: &str) -> (Permit, oneshot::Receiver<()>) {
        let (serve, served) = oneshot::channel();
        let mut board = lock(&self.board);
        board.now += 1;
        let ticket =
            Ticket { number: board.now, urgency, namespace: namespace.into(), target: target.into() };
        board.class(urgency).queue(&ticket, serve);
        board.serve();
        drop(board);
        let place = Place { board: Arc::clone(&self.board), ticket, turn: Arc::default() };
        (Permit { place: Arc::new(place) }, served)
    }
}

impl Permit {
    /// Starts a call after the permit's other calls have ended.
    pub(crate) async fn call(self) -> Call {
        Call { _turn: Arc::clone(&self.place.turn).lock_owned().await, _permit: self }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut board = lock(&self.board);
        board.class(self.ticket.urgency).leave(&self.ticket);
        board.serve();
    }
}

impl Board {
    fn class(&mut self, urgency: Urgency) -> &mut Class {
        match urgency {
            Urgency::Mount => &mut self.mounts,
            Urgency::Poll => &mut self.polls,
        }
    }

    /// Gives free places to waiting callers until no caller may have one.
    fn serve(&mut self) {
        loop {
            let free = self.max - self.mounts.held - self.polls.held;
            let (mount, poll) = (self.mounts.next(free), self.polls.next(free));
            let overdue = self.served_before_polls >= MOUNTS_BEFORE_A_POLL;
            let (class, (namespace, target)) = match (mount, poll) {
                (Some(next), None) => (&mut self.mounts, next),
                (Some(next), Some(_)) if !overdue => {
                    self.served_before_polls += 1;
                    (&mut self.mounts, next)
                }
                (_, Some(next)) => {
                    self.served_before_polls = 0;
                    (&mut self.polls, next)
                }
                (None, None) => return,
            };
            self.now += 1;
            class.grant(&namespace, &target, self.now);
        }
    }
}

impl Class {
    fn queue(&mut self, ticket: &Ticket, serve: oneshot::Sender<()>) {
        let new = || Namespace { since: ticket.number, ..Namespace::default() };
        let namespace = self.namespaces.entry(Arc::clone(&ticket.namespace)).or_insert_with(new);
        let target = namespace.targets.entry(Arc::clone(&ticket.target)).or_default();
        target.waiting.insert(ticket.number, serve);
    }

    /// The namespace that holds the fewest places or, of several, the one that was served
    /// least recently; and of its targets, the one that holds the fewest.
    fn next(&self, free: usize) -> Option<(Arc<str>, Arc<str>)> {
        let free = free.min(self.max - self.held);
        if free == 0 {
            return None;
        }
        // Keep the last places for namespaces that hold none.
        let may_take = |held: usize| held == 0 || held < self.share * (free - 1);
        let ready = self.namespaces.iter().filter(|(_, namespace)| may_take(namespace.held));
        let ready = ready.filter_map(|(name, namespace)| {
            let target = namespace.next(self.max_of_target)?;
            Some(((namespace.held, namespace.since), name, target))
        });
        let (_, name, target) = ready.min_by_key(|(order, ..)| *order)?;
        Some((Arc::clone(name), Arc::clone(target)))
    }

    fn grant(&mut self, namespace: &str, target: &str, now: u64) {
        let Some(namespace) = self.namespaces.get_mut(namespace) else { return };
        let Some(target) = namespace.targets.get_mut(target) else { return };
        let Some((_, serve)) = target.waiting.pop_first() else { return };
        target.held += 1;
        namespace.held += 1;
        namespace.since = now;
        self.held += 1;
        // A caller that has just given up drops its permit and frees the place.
        let _ = serve.send(());
    }

    fn leave(&mut self, ticket: &Ticket) {
        let Some(namespace) = self.namespaces.get_mut(&ticket.namespace) else { return };
        let Some(target) = namespace.targets.get_mut(&ticket.target) else { return };
        if target.waiting.remove(&ticket.number).is_none() {
            target.held -= 1;
            namespace.held -= 1;
            self.held -= 1;
        }
        if target.held == 0 && target.waiting.is_empty() {
            namespace.targets.remove(&ticket.target);
        }
        if namespace.targets.is_empty() {
            self.namespaces.remove(&ticket.namespace);
        }
    }
}

impl Namespace {
    fn next(&self, max_of_target: usize) -> Option<&Arc<str>> {
        let ready = self.targets.iter().filter(|(_, target)| target.held < max_of_target);
        let ready = ready.filter_map(|(name, target)| {
            let (first, _) = target.waiting.first_key_value()?;
            Some(((target.held, *first), name))
        });
        ready.min_by_key(|(order, _)| *order).map(|(_, name)| name)
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "permits_tests.rs"]
mod tests;
