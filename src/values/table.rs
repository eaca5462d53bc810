//! The table of all entries, by principal, within a number of bytes.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Due, Entry, ValueSettings,
    denials::{Denial, Denials},
    entry::Pace,
    paces::{Paces, Stretching},
};
use crate::{
    backend::ReadResult,
    metrics::{Eviction, Metrics},
    model::{
        arn::Regions,
        principal::Principal,
        reason::Reason,
        source::{Planned, Source},
    },
    notices::Heard,
};

/// Memory of an entry in addition to its references and values, about.
const ENTRY_BYTES: usize = 512;
/// Memory of a result in addition to its value: version, ARN, request id.
const RESULT_BYTES: usize = 320;

/// All entries.
pub struct Values {
    settings: ValueSettings,
    pub(super) metrics: Arc<Metrics>,
    table: Mutex<Table>,
    denials: Denials,
    pub(super) paces: Paces,
    /// What notices say about changes.
    pub(super) heard: Arc<Heard>,
    /// Gives each principal its phase.
    phases: RandomState,
}

/// What the table holds, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overview {
    pub entries: usize,
    pub bytes: usize,
    /// Entries whose last read met an outage.
    pub stale: usize,
    /// When the oldest value was read.
    pub oldest: Option<Instant>,
    /// How late the most overdue poll is.
    pub lag: Duration,
    /// Entries that are polled rarely, because notices would tell of a change.
    pub covered: usize,
    /// How many times longer than asked the longest intervals are, because AWS throttles.
    pub stretch: f64,
}

/// Entries by where and what they read.
type Sources = HashMap<Regions, HashMap<Source, Arc<Entry>>>;

#[derive(Default)]
struct Table {
    principals: HashMap<Principal, Sources>,
    bytes: usize,
}

impl Values {
    pub fn new(settings: ValueSettings, metrics: Arc<Metrics>) -> Self {
        Self {
            settings,
            metrics,
            table: Mutex::default(),
            denials: Denials::default(),
            paces: Paces::default(),
            heard: Arc::default(),
            phases: RandomState::new(),
        }
    }

    pub fn settings(&self) -> &ValueSettings {
        &self.settings
    }

    /// What notices say about changes.
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Takes the answers of one poll into account: one call, or the labels of one secret.
    pub(super) fn note_pace(&self, entries: &[Arc<Entry>], results: &[Vec<ReadResult>]) {
        if let Some(first) = entries.first() {
            self.paces.note(first, results.iter().flatten());
        }
    }

    /// Where intervals have begun and ended to be stretched since the last call.
    pub fn stretching(&self) -> Vec<Stretching> {
        self.paces.news()
    }

    /// The entry for a mount that asks now, created if there is none.
    pub fn entry(
        &self,
        principal: &Principal,
        regions: &Regions,
        planned: &Planned,
        interval: Duration,
    ) -> Arc<Entry> {
        let (now, Planned { source, required }) = (Instant::now(), planned);
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
                (pace.plan, pace.fresh_until) = (None, None);
            }
            drop(pace);
            return Arc::clone(entry);
        }
        let pace = Pace::new(interval, now, required, empty_bytes(principal, source));
        let entry = Arc::new(Entry::new(principal, regions, source, pace));
        table.insert(&entry);
        self.evict(&mut table, &entry);
        entry
    }

    /// Entries whose poll is due.
    pub fn due(&self) -> Vec<Due> {
        self.table().entries().filter(|entry| self.is_due(entry)).filter_map(Due::of).collect()
    }

    /// When the next entry comes due, after those that already are.
    pub fn next_due(&self) -> Option<Instant> {
        let now = Instant::now();
        let next = |entry: &Arc<Entry>| entry.pace().next_poll.filter(|at| *at > now);
        self.table().entries().filter_map(next).min()
    }

    /// Drops entries that no mount asks for, and returns the principals that have
    /// none left.
    pub fn drop_idle(&self) -> Vec<Principal> {
        let mut table = self.table();
        let idle = |entry: &&Arc<Entry>| {
            let pace = entry.pace();
            pace.asked_at.elapsed() > self.settings.idle_after.max(pace.interval * 2)
        };
        let idle: Vec<Arc<Entry>> = table.entries().filter(idle).cloned().collect();
        let held = idle.iter().filter(|entry| entry.held().is_some()).count() as u64;
        idle.iter().for_each(|entry| table.remove(entry));
        self.metrics.evictions.add(Eviction::Idle, held);
        let mut gone: Vec<Principal> = idle.iter().map(|entry| entry.principal.clone()).collect();
        gone.retain(|principal| !table.principals.contains_key(principal));
        gone
    }

    /// Drops everything that was read as the principal: STS or the agent denied it, for
    /// `reason`.
    pub fn forget(&self, principal: &Principal, reason: Reason) {
        self.note_denial(principal, None, reason);
        let mut table = self.table();
        let sources = table.principals.get(principal);
        let entries: Vec<Arc<Entry>> =
            sources.into_iter().flat_map(HashMap::values).flat_map(HashMap::values).cloned().collect();
        let held = entries.iter().filter(|entry| entry.held().is_some()).count() as u64;
        entries.iter().for_each(|entry| table.remove(entry));
        self.metrics.evictions.add(Eviction::Lost, held);
        self.metrics.lost.add(reason, held);
    }

    /// Notes for people that AWS refused the principal, or one of its sources.
    pub(super) fn note_denial(&self, principal: &Principal, source: Option<&Source>, reason: Reason) {
        let (principal, id) = (principal.clone(), source.map(ToString::to_string));
        self.denials.note(Denial { principal, id, reason, at: Instant::now() });
    }

    /// Notes that the entry was read.
    pub(super) fn note_read(&self, entry: &Entry) {
        self.denials.clear(&entry.principal, &entry.source.to_string());
    }

    /// The latest refusals by AWS, the oldest first. Those that nobody has repeated for
    /// `idle_after` are left out.
    pub(crate) fn denials(&self) -> Vec<Denial> {
        self.denials.since(Instant::now().checked_sub(self.settings.idle_after))
    }

    /// Every entry, in any order.
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.table().entries().cloned().collect()
    }

    /// Number of entries, and the bytes that they count for.
    pub fn size(&self) -> (usize, usize) {
        let table = self.table();
        (table.entries().count(), table.bytes)
    }

    /// What an operator wants to know of all entries. The table is locked only to list
    /// them: mounts need it.
    pub fn overview(&self) -> Overview {
        let now = Instant::now();
        let (entries, bytes) = {
            let table = self.table();
            (table.entries().cloned().collect::<Vec<_>>(), table.bytes)
        };
        let stretch = self.paces.longest(&entries);
        let mut overview = Overview { entries: entries.len(), bytes, stretch, ..Overview::default() };
        for entry in entries {
            let pace = entry.pace();
            overview.stale += usize::from(pace.outages > 0);
            overview.covered += usize::from(pace.covered_by.is_some());
            let lag = pace.next_poll.map(|due| now.saturating_duration_since(due));
            drop(pace);
            overview.lag = overview.lag.max(lag.unwrap_or_default());
            let read_at = entry.held().map(|held| held.read_at);
            overview.oldest = overview.oldest.into_iter().chain(read_at).min();
        }
        overview
    }

    /// Removes the entry and what it holds.
    pub(super) fn remove(&self, entry: &Entry) {
        self.table().remove(entry);
    }

    /// Removes an entry that never held anything: only those who wait for it now can
    /// use it, and they have it.
    pub(super) fn remove_empty(&self, entry: &Entry) {
        if entry.held().is_none() {
            self.remove(entry);
        }
    }

    /// One of the Regions that the principal reads from.
    pub fn regions_of(&self, principal: &Principal) -> Option<Regions> {
        self.table().principals.get(principal)?.keys().next().cloned()
    }

    /// Counts an entry again, after parts were kept with its values.
    pub fn recount(&self, entry: &Arc<Entry>) {
        if let Some(held) = entry.held() {
            self.count(entry, empty_bytes(&entry.principal, &entry.source) + held.bytes());
        }
    }

    /// Counts an entry's new size.
    pub(super) fn count(&self, newest: &Arc<Entry>, bytes: usize) {
        let mut table = self.table();
        let kept = table.get(&newest.principal, &newest.regions, &newest.source);
        if !kept.is_some_and(|kept| Arc::ptr_eq(kept, newest)) {
            // Dropped while it was read: nothing may keep what it holds.
            drop(newest.slot.take_if(|_| true));
            return;
        }
        let before = std::mem::replace(&mut newest.pace().bytes, bytes);
        table.bytes = table.bytes.saturating_sub(before) + bytes;
        self.evict(&mut table, newest);
    }

    /// Between a half and one interval, the same for all entries of a principal, so
    /// that its parameters are polled in batches.
    pub(super) fn phase(&self, principal: &Principal) -> f64 {
        let spread = self.phases.hash_one(principal) % 1000;
        0.5 + spread as f64 / 2000.0
    }

    fn evict(&self, table: &mut Table, newest: &Arc<Entry>) {
        let evicted = table.evict(newest, self.settings.max_bytes);
        self.metrics.evictions.add(Eviction::Full, evicted);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn get(&self, principal: &Principal, regions: &Regions, source: &Source) -> Option<&Arc<Entry>> {
        self.principals.get(principal)?.get(regions)?.get(source)
    }

    fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.principals.values().flat_map(HashMap::values).flat_map(HashMap::values)
    }

    fn insert(&mut self, entry: &Arc<Entry>) {
        self.bytes += entry.pace().bytes;
        let sources = self.principals.entry(entry.principal.clone()).or_default();
        sources.entry(entry.regions.clone()).or_default().insert(entry.source.clone(), Arc::clone(entry));
    }

    /// Removes the entry and what it holds. Its value is zeroized when no mount uses
    /// it any more.
    fn remove(&mut self, entry: &Entry) {
        drop(entry.slot.take_if(|_| true));
        let Some(sources) = self.principals.get_mut(&entry.principal) else { return };
        let Some(entries) = sources.get_mut(&entry.regions) else { return };
        // Another entry may stand here by now; access to it is lost too.
        if let Some(removed) = entries.remove(&entry.source) {
            self.bytes = self.bytes.saturating_sub(removed.pace().bytes);
            drop(removed.slot.take_if(|_| true));
        }
        if entries.is_empty() {
            sources.remove(&entry.regions);
        }
        if sources.is_empty() {
            self.principals.remove(&entry.principal);
        }
    }

    /// Removes entries while there are too many bytes: those that were mounted longest
    /// ago, of the namespace that holds most. No namespace's secrets push out another's.
    /// Returns their number.
    fn evict(&mut self, newest: &Arc<Entry>, max_bytes: usize) -> u64 {
        let mut evicted = 0;
        if self.bytes <= max_bytes {
            return evicted;
        }
        let mut namespaces: HashMap<String, Holding> = HashMap::new();
        for entry in self.entries() {
            let (namespace, _) = entry.principal.service_account();
            let holding = namespaces.entry(namespace.to_owned()).or_default();
            let pace = entry.pace();
            holding.bytes += pace.bytes;
            // The newest goes last: it goes only when it is too large alone.
            holding.entries.push((Arc::ptr_eq(entry, newest), pace.asked_at, Arc::clone(entry)));
        }
        for holding in namespaces.values_mut() {
            holding.entries.sort_by_key(|(is_newest, asked_at, _)| Reverse((*is_newest, *asked_at)));
        }
        // A little more than needed, so that not every read has to sort again.
        let target = max_bytes - max_bytes / 16;
        while self.bytes > target {
            let Some(heaviest) = namespaces.values_mut().max_by_key(|holding| holding.bytes) else { break };
            let Some((_, _, oldest)) = heaviest.entries.pop() else { break };
            heaviest.bytes -= oldest.pace().bytes;
            self.remove(&oldest);
            evicted += 1;
        }
        evicted
    }
}

/// What a namespace has in the table, latest mount first.
#[derive(Default)]
struct Holding {
    bytes: usize,
    entries: Vec<(bool, Instant, Arc<Entry>)>,
}

/// What an entry counts for without its values. It is in the table as a key, too, and
/// a pod author chooses the number and length of its names.
pub(super) fn empty_bytes(principal: &Principal, source: &Source) -> usize {
    let references = source.primary.iter().chain(&source.failover);
    let references = references.map(|reference| 2 * reference.bytes()).sum::<usize>();
    ENTRY_BYTES + 2 * principal.bytes() + references + RESULT_BYTES * source.primary.len()
}
