//! What the table holds, for people: each entry's state and times, never a value.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    Entry, Lost, Readings, ValueSettings, Values,
    entry::{GRACE, Pace},
};
use crate::model::reason::Reason;

/// An entry at one moment.
#[derive(Clone, Debug)]
pub(crate) struct EntryView {
    pub(crate) entry: Arc<Entry>,
    pub(crate) state: EntryState,
    /// The readings held, for their versions and ARNs.
    pub(crate) held: Option<Readings>,
    /// Number of consecutive reads that met an outage.
    pub(crate) outages: u32,
    /// Why the last read failed.
    pub(crate) failed: Option<Reason>,
    pub(crate) interval: Duration,
    /// When a mount last asked for it.
    pub(crate) asked_at: Instant,
    /// `None` before the first read, and while no token is valid.
    pub(crate) next_poll: Option<Instant>,
    /// Bytes that it counts for.
    pub(crate) bytes: usize,
}

/// How fresh an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryState {
    Fresh,
    /// Read longer ago than it may be, and no read has failed: a read is late or runs.
    Overdue,
    /// All tokens of its service account have expired; the next mount brings a new one.
    WaitsForToken,
    /// The last read met an outage; mounts are served the last known good value.
    Stale,
    /// The outage is longer than `max_stale`: mounts fail.
    Expired,
    /// No read has succeeded yet.
    NeverRead,
}

impl EntryView {
    fn of(entry: &Arc<Entry>, settings: &ValueSettings) -> Self {
        let (interval, fresh_for, asked_at, next_poll, outages, bytes, waits) = {
            let pace = entry.pace();
            let Pace { interval, asked_at, next_poll, outages, bytes, waits_for_token, .. } = *pace;
            (interval, pace.fresh_for(), asked_at, next_poll, outages, bytes, waits_for_token)
        };
        let (held, failed) = entry.slot.look(|held, failed| (held.cloned(), failed.map(Lost::reason)));
        let age = held.as_ref().map(|held| held.read_at.elapsed());
        let state = match age {
            None => EntryState::NeverRead,
            Some(age) if outages > 0 && age > settings.max_stale.max(fresh_for + GRACE) => {
                EntryState::Expired
            }
            Some(_) if outages > 0 => EntryState::Stale,
            Some(_) if waits => EntryState::WaitsForToken,
            Some(age) if age > fresh_for + GRACE => EntryState::Overdue,
            Some(_) => EntryState::Fresh,
        };
        let entry = Arc::clone(entry);
        Self { entry, state, held, outages, failed, interval, asked_at, next_poll, bytes }
    }

    /// When the held values were read.
    pub(crate) fn read_at(&self) -> Option<Instant> {
        self.held.as_ref().map(|held| held.read_at)
    }
}

impl Values {
    /// Every entry, in any order. The table is locked only to list them.
    pub(crate) fn view(&self) -> Vec<EntryView> {
        self.all().iter().map(|entry| EntryView::of(entry, self.settings())).collect()
    }
}
