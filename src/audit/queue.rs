//! Finished lines on their way to the thread that writes them. Whoever brings one never
//! waits: a line for which there is no room is lost, and counted.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::first_seen::Pair;
use crate::shares::{Share, Shares};

/// Memory of the lines that wait.
const MAX_BYTES: usize = 4 << 20;
/// Memory of an entry in addition to its lines.
const ENTRY_BYTES: usize = 256;
/// How long the writer waits after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// Time between two warnings of a full queue.
const WARN_AGAIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Queue {
    memory: Arc<Shares>,
    state: Mutex<State>,
    changed: Condvar,
    written: AtomicU64,
    lost: AtomicU64,
    pub(super) first_seen: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    /// Lines that the writer has, or should have, and has not written.
    waiting: u64,
    /// Lost lines that the log does not tell of yet.
    lost: u64,
    warned_at: Option<Instant>,
    /// Whether the last write failed, of which the writer warns.
    failing: bool,
    reopen: bool,
    closing: bool,
    closed: bool,
}

/// The lines of one event.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) bytes: Vec<u8>,
    /// What was read for the first time.
    pub(super) pairs: Vec<Pair>,
    _memory: Share,
}

/// What the writer has to do.
pub(super) struct Work {
    pub(super) entries: VecDeque<Entry>,
    pub(super) lost: u64,
    pub(super) reopen: bool,
    pub(super) closing: bool,
}

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines about deliveries and denials.
    pub written: u64,
    /// Those that were lost because the log could not be written in time.
    pub lost: u64,
    /// First reads of an object by a service account.
    pub first_seen: u64,
}

impl Queue {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            memory: Shares::new(MAX_BYTES),
            state: Mutex::default(),
            changed: Condvar::new(),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            first_seen: AtomicU64::new(0),
        })
    }

    /// Adds the lines of one event, all or none; `false` if they are lost. A namespace
    /// may hold as much of the queue as it leaves free.
    pub(super) fn push(&self, namespace: &str, lines: Vec<Vec<u8>>, pairs: Vec<Pair>) -> bool {
        let count = lines.len() as u64;
        let bytes = lines.concat();
        let memory = self.memory.try_take(namespace, bytes.len() + ENTRY_BYTES);
        let mut state = self.state();
        let Some(memory) = memory.ok().filter(|_| !state.closing) else {
            drop(state);
            self.lose(count);
            return false;
        };
        state.entries.push_back(Entry { bytes, pairs, _memory: memory });
        state.waiting += count;
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Counts lines that will not be written.
    pub(super) fn lose(&self, lines: u64) {
        self.lost.fetch_add(lines, Ordering::Relaxed);
        let mut state = self.state();
        state.lost += lines;
        let now = Instant::now();
        let again = state.warned_at.is_none_or(|at| now.duration_since(at) >= WARN_AGAIN);
        if again && !state.failing && !state.closing {
            state.warned_at = Some(now);
            drop(state);
            tracing::warn!(
                "the audit log loses lines, because more wait than fit into {} MiB of memory. Check the disk of --audit-log, or who reads standard output. Mounts go on",
                MAX_BYTES >> 20
            );
        }
    }

    pub(super) fn reopen(&self) {
        self.state().reopen = true;
        self.changed.notify_all();
    }

    pub(super) fn counts(&self) -> Counts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts { written: of(&self.written), lost: of(&self.lost), first_seen: of(&self.first_seen) }
    }

    /// Waits until there is something to do. After a failure lines are no reason for
    /// haste.
    pub(super) fn take(&self, failing: bool) -> Work {
        let mut state = self.state();
        state.failing = failing;
        let until = Instant::now() + RETRY;
        loop {
            let urgent = state.reopen || state.closing;
            let left = until.saturating_duration_since(Instant::now());
            if urgent
                || !failing && (!state.entries.is_empty() || state.lost > 0)
                || failing && left.is_zero()
            {
                break;
            }
            state = if failing {
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
        Work {
            entries: std::mem::take(&mut state.entries),
            lost: state.lost,
            reopen: std::mem::take(&mut state.reopen),
            closing: state.closing,
        }
    }

    /// Lines that were written.
    pub(super) fn written(&self, lines: u64) {
        self.written.fetch_add(lines, Ordering::Relaxed);
        let mut state = self.state();
        state.waiting = state.waiting.saturating_sub(lines);
    }

    /// The log tells of so many lost lines now.
    pub(super) fn told_lost(&self, lines: u64) {
        self.state().lost -= lines;
    }

    /// The writer has ended.
    pub(super) fn closed(&self) {
        let mut state = self.state();
        state.closed = true;
        let left = std::mem::take(&mut state.waiting);
        self.lost.fetch_add(left, Ordering::Relaxed);
        state.lost += left;
        drop(state);
        self.changed.notify_all();
    }

    /// Asks the writer to end, and waits for it for so long. Returns the lines that it
    /// did not write.
    pub(super) fn close(&self, within: Duration) -> u64 {
        let mut state = self.state();
        state.closing = true;
        self.changed.notify_all();
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                return state.waiting + state.lost;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
