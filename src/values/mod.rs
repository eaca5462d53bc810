//! The values that this node has read: who may have them, how fresh they are,
//! and what happens to them when AWS fails or refuses.
//!
//! An entry belongs to one principal, so that nothing read as one identity is
//! ever served to another. What leaves is zeroized when its last user is done.

mod entry;
mod outcome;
mod table;

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use self::{
    entry::Pace,
    table::{Table, empty_bytes},
};
pub use self::{
    entry::{Due, Entry, Freshness, Held, Lost, Origin},
    outcome::{Found, Outcome, Parts},
};
use crate::{
    aws::FailureKind,
    cache::{Slot, Turn},
    fetch::{ObjectResult, met_outage},
    identity::IdentityError,
    model::{arn::Regions, principal::Principal, source::Source},
};

/// First pause after a poll that met an outage.
const FIRST_RETRY: Duration = Duration::from_secs(10);
/// Most doublings of a pause.
const MAX_DOUBLINGS: u32 = 3;

/// How long values count.
#[derive(Clone, Debug)]
pub struct ValueSettings {
    /// How old a served value may be (`--rotation-poll-interval`).
    pub interval: Duration,
    /// How old it may be while AWS fails; zero serves none.
    pub max_stale: Duration,
    /// How long an entry stays that no mount asks for.
    pub idle_after: Duration,
    /// Most bytes of all entries.
    pub max_bytes: usize,
}

impl Default for ValueSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2 * 60),
            max_stale: Duration::from_secs(60 * 60),
            idle_after: Duration::from_secs(10 * 60),
            max_bytes: 32 << 20,
        }
    }
}

/// All entries.
pub struct Values {
    settings: ValueSettings,
    table: Mutex<Table>,
    /// Gives each principal its phase.
    phases: RandomState,
}

/// What an asker is given.
pub type Finding = Result<(Outcome, Origin), Lost>;

/// What a finished read means for the entry.
#[derive(Debug)]
pub struct Settled {
    /// What its asker is given.
    pub result: Finding,
    /// Whether the values differ from those held before.
    pub changed: bool,
    /// Whether the entry's fate has turned: AWS began to fail, access was lost.
    pub news: bool,
}

impl Values {
    /// No entries.
    pub fn new(settings: ValueSettings) -> Self {
        Self { settings, table: Mutex::default(), phases: RandomState::new() }
    }

    /// How long values count.
    pub fn settings(&self) -> &ValueSettings {
        &self.settings
    }

    /// The entry of a mount that asks now, made when there is none.
    pub fn entry(
        &self,
        principal: &Principal,
        regions: &Regions,
        source: &Source,
        interval: Duration,
        required: &[bool],
    ) -> Arc<Entry> {
        let now = Instant::now();
        let mut table = self.table();
        if let Some(entry) = table.get(principal, regions, source) {
            let mut pace = entry.pace();
            pace.asked_at = now;
            if std::mem::take(&mut pace.waits_for_token) {
                pace.next_poll = Some(now);
            }
            pace.required.iter_mut().zip(required).for_each(|(known, required)| *known |= required);
            if interval < pace.interval {
                pace.interval = interval;
                pace.next_poll = pace.next_poll.map(|next| next.min(now + interval));
            }
            drop(pace);
            return Arc::clone(entry);
        }
        let entry = Arc::new(Entry {
            principal: principal.clone(),
            regions: regions.clone(),
            source: source.clone(),
            slot: Slot::new(),
            pace: Mutex::new(Pace::new(interval, now, required, empty_bytes(principal, source))),
        });
        table.insert(&entry);
        table.evict(&entry, self.settings.max_bytes);
        entry
    }

    /// Ends a turn with what AWS said.
    pub fn settle(
        &self,
        entry: &Arc<Entry>,
        turn: Turn,
        began: Instant,
        result: Result<Vec<ObjectResult>, IdentityError>,
    ) -> Settled {
        let results: Outcome = match result {
            Ok(results) => results.into(),
            Err(IdentityError::NoToken) => return self.wait_for_token(entry, turn),
            Err(error) if error.is_outage() => {
                let throttled = error.is_throttled();
                return self.outage(entry, turn, Lost::Session(error), throttled);
            }
            Err(error) => {
                if error.is_denial() {
                    self.forget(&entry.principal);
                }
                self.remove_empty(entry);
                let lost = Lost::Session(error);
                entry.slot.fail(turn, lost.clone());
                return Settled { result: Err(lost), changed: false, news: true };
            }
        };
        // Access is lost: denied, deleted, key refused. The value goes with it, even
        // where the primary Region does not answer.
        let giver = entry.slot.held().and_then(|held| held.giver().cloned());
        let required = entry.required();
        let lost = results.iter().zip(required).any(|(result, required)| {
            result.as_ref().is_err_and(|failure| failure.loses(giver.as_ref(), required))
        });
        if lost {
            self.table().remove(entry);
            let lost = Lost::Read(results);
            entry.slot.fail(turn, lost.clone());
            return Settled { result: Err(lost), changed: false, news: true };
        }
        if met_outage(&results) {
            let throttled = results
                .iter()
                .any(|result| result.as_ref().is_err_and(|failure| failure.kind() == FailureKind::Throttled));
            return self.outage(entry, turn, Lost::Read(results), throttled);
        }
        self.store(entry, turn, Held { results, read_at: began })
    }

    fn store(&self, entry: &Arc<Entry>, turn: Turn, mut held: Held) -> Settled {
        let before = entry.slot.held();
        let changed = before.as_ref().is_some_and(|before| !before.is_same_as(&held));
        if let Some(before) = before.as_ref().filter(|_| !changed) {
            held.results.keep_parts_of(&before.results);
        }
        let results = held.results.clone();
        let (read_at, bytes) = (held.read_at, empty_bytes(&entry.principal, &entry.source) + held.bytes());
        drop(entry.slot.succeed(turn, held));
        {
            let mut pace = entry.pace();
            pace.outages = 0;
            pace.next_poll = Some(match pace.next_poll {
                // Jitter sets the phase of the first poll only.
                None if before.is_none() => read_at + pace.interval.mul_f64(self.phase(&entry.principal)),
                // From then on exactly one interval, as long as nothing was late.
                Some(due) if due <= read_at && due + pace.interval > read_at => due + pace.interval,
                Some(_) | None => read_at + pace.interval,
            });
        }
        self.count(entry, bytes);
        Settled { result: Ok((results, Origin::Aws)), changed, news: false }
    }

    /// The last known good value is served while AWS fails; only the poller tries
    /// again, and less and less often.
    fn outage(&self, entry: &Entry, turn: Turn, lost: Lost, throttled: bool) -> Settled {
        let known = entry.slot.held().is_some();
        let news;
        {
            let mut pace = entry.pace();
            pace.outages = pace.outages.saturating_add(1);
            news = pace.outages == 1;
            let doublings = pace.outages.min(MAX_DOUBLINGS);
            let pause = if throttled {
                // A throttled service is asked less, not more.
                pace.interval * 2u32.pow(doublings)
            } else {
                (FIRST_RETRY * 2u32.pow(doublings - 1)).min(pace.interval)
            };
            pace.next_poll = known.then(|| Instant::now() + pause);
        }
        if !known {
            self.remove_empty(entry);
        }
        entry.slot.fail(turn, lost.clone());
        let required = entry.required();
        let result = entry.serve(entry.freshness(&required, &self.settings)).ok_or(lost);
        Settled { result, changed: false, news }
    }

    /// The entry keeps what it has until the next mount brings a token.
    fn wait_for_token(&self, entry: &Entry, turn: Turn) -> Settled {
        {
            let mut pace = entry.pace();
            pace.next_poll = None;
            pace.waits_for_token = true;
        }
        let lost = Lost::Session(IdentityError::NoToken);
        entry.slot.fail(turn, lost.clone());
        Settled { result: Err(lost), changed: false, news: false }
    }

    /// Entries whose poll is due, each until it is dropped by whoever reads it.
    pub fn due(&self) -> Vec<Due> {
        self.table().entries().filter_map(Due::of).collect()
    }

    /// When the next entry comes due after those that are.
    pub fn next_due(&self) -> Option<Instant> {
        let now = Instant::now();
        let next = |entry: &Arc<Entry>| entry.pace().next_poll.filter(|at| *at > now);
        self.table().entries().filter_map(next).min()
    }

    /// Drops what no mount has asked for, and tells the principals that have
    /// nothing left.
    pub fn drop_idle(&self) -> Vec<Principal> {
        let mut table = self.table();
        let idle = |entry: &&Arc<Entry>| {
            let pace = entry.pace();
            pace.asked_at.elapsed() > self.settings.idle_after.max(pace.interval * 2)
        };
        let idle: Vec<Arc<Entry>> = table.entries().filter(idle).cloned().collect();
        idle.iter().for_each(|entry| table.remove(entry));
        let mut gone: Vec<Principal> = idle.iter().map(|entry| entry.principal.clone()).collect();
        gone.retain(|principal| !table.principals.contains_key(principal));
        gone
    }

    /// Drops all that the principal has: STS or the agent denied it.
    pub fn forget(&self, principal: &Principal) {
        let mut table = self.table();
        let sources = table.principals.get(principal);
        let entries: Vec<Arc<Entry>> =
            sources.into_iter().flat_map(HashMap::values).flat_map(HashMap::values).cloned().collect();
        entries.iter().for_each(|entry| table.remove(entry));
    }

    /// Number of entries, and the bytes that they count for.
    pub fn size(&self) -> (usize, usize) {
        let table = self.table();
        (table.entries().count(), table.bytes)
    }

    /// An entry that never held anything is of no use to anybody but those who
    /// wait for it now, and they have it.
    fn remove_empty(&self, entry: &Entry) {
        if entry.slot.held().is_none() {
            self.table().remove(entry);
        }
    }

    /// Where the principal reads, or one of these places.
    pub fn regions_of(&self, principal: &Principal) -> Option<Regions> {
        self.table().principals.get(principal)?.keys().next().cloned()
    }

    /// Counts an entry anew, after something was taken out of its values.
    pub fn recount(&self, entry: &Arc<Entry>) {
        if let Some(held) = entry.slot.held() {
            self.count(entry, empty_bytes(&entry.principal, &entry.source) + held.bytes());
        }
    }

    /// Counts an entry's new size.
    fn count(&self, newest: &Arc<Entry>, bytes: usize) {
        let mut table = self.table();
        let kept = table.get(&newest.principal, &newest.regions, &newest.source);
        if !kept.is_some_and(|kept| Arc::ptr_eq(kept, newest)) {
            // Dropped while it was read: nothing may keep what it holds.
            drop(newest.slot.take_if(|_| true));
            return;
        }
        let before = std::mem::replace(&mut newest.pace().bytes, bytes);
        table.bytes = table.bytes.saturating_sub(before) + bytes;
        table.evict(newest, self.settings.max_bytes);
    }

    /// Between a half and one interval, the same for all entries of a principal,
    /// so that its parameters are polled in tens.
    fn phase(&self, principal: &Principal) -> f64 {
        let spread = self.phases.hash_one(principal) % 1000;
        0.5 + spread as f64 / 2000.0
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
