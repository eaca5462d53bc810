//! The table of all entries: by principal, and never more bytes than it may have.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use tokio::time::Instant;

use super::entry::Entry;
use crate::model::{arn::Regions, principal::Principal, source::Source};

/// What an entry costs beside its references and values, about.
const ENTRY_BYTES: usize = 512;
/// What a result costs beside its value: version, ARN, request id.
const RESULT_BYTES: usize = 320;

/// Entries by where and what they read.
pub(super) type Sources = HashMap<Regions, HashMap<Source, Arc<Entry>>>;

/// All entries, by principal.
#[derive(Default)]
pub(super) struct Table {
    pub(super) principals: HashMap<Principal, Sources>,
    pub(super) bytes: usize,
}

impl Table {
    pub(super) fn get(
        &self,
        principal: &Principal,
        regions: &Regions,
        source: &Source,
    ) -> Option<&Arc<Entry>> {
        self.principals.get(principal)?.get(regions)?.get(source)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.principals.values().flat_map(HashMap::values).flat_map(HashMap::values)
    }

    pub(super) fn insert(&mut self, entry: &Arc<Entry>) {
        self.bytes += entry.pace().bytes;
        let sources = self.principals.entry(entry.principal.clone()).or_default();
        sources.entry(entry.regions.clone()).or_default().insert(entry.source.clone(), Arc::clone(entry));
    }

    /// Drops the entry and what it holds; its value is zeroized when no mount
    /// uses it any more.
    pub(super) fn remove(&mut self, entry: &Entry) {
        drop(entry.slot.take_if(|_| true));
        let Some(sources) = self.principals.get_mut(&entry.principal) else { return };
        let Some(entries) = sources.get_mut(&entry.regions) else { return };
        // It may be another entry by now: whoever lost access has lost that, too.
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

    /// Removes, while there is too much, what was asked for longest ago of the
    /// namespace that holds most: nobody's large secrets push out another's.
    pub(super) fn evict(&mut self, newest: &Arc<Entry>, max_bytes: usize) {
        if self.bytes <= max_bytes {
            return;
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
        }
    }
}

/// What a namespace has in the table, by when it was asked for; latest first.
#[derive(Default)]
struct Holding {
    bytes: usize,
    entries: Vec<(bool, Instant, Arc<Entry>)>,
}

/// What an entry counts for without its values: it is in the table as a key,
/// too, and a pod author chooses how many names it has and how long they are.
pub(super) fn empty_bytes(principal: &Principal, source: &Source) -> usize {
    let references = source.primary.iter().chain(&source.failover);
    let references = references.map(|reference| 2 * reference.bytes()).sum::<usize>();
    ENTRY_BYTES + 2 * principal.bytes() + references + RESULT_BYTES * source.primary.len()
}
