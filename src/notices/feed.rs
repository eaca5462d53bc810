//! What a node makes of the object's texts, one after the other: which changes are new,
//! and whose changes it would hear of. It has no clock of its own, and compares no
//! clocks: notices flow while the object changes.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use tokio::time::{Duration, Instant};

use super::{Area, Change, Document, FLOWS_FOR};

/// How long an area is polled normally after a change that no notice told of.
const DISTRUST: Duration = Duration::from_secs(24 * 60 * 60);

/// The notices as one node has heard them.
#[derive(Debug, Default)]
pub struct Feed {
    last: Option<Last>,
    /// When notices stop flowing, unless the object changes; `None` while they do not.
    flows_until: Option<Instant>,
    /// Since when nothing has been missed of each covered area.
    covered: BTreeMap<Area, Instant>,
    /// Areas that are not covered, whatever the object says, and until when.
    distrusted: BTreeMap<Area, Instant>,
}

#[derive(Debug)]
struct Last {
    heartbeat: u64,
    number: u64,
}

/// What is new in a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    pub changes: Vec<Change>,
    /// Whether changes were missed: they are no longer listed.
    pub missed: bool,
    /// Areas that are covered from now on. What was read before is not.
    pub began: BTreeSet<Area>,
    /// Areas that are no longer covered without a break: what they cover must be read
    /// again at its normal interval.
    pub broken: BTreeSet<Area>,
}

impl Feed {
    /// Takes the object's next text.
    pub fn take(&mut self, document: Document, now: Instant) -> News {
        let Document { heartbeat, number, covered, changes, .. } = document;
        // The first text may be an old one that nobody writes any more.
        let Some(last) = self.last.replace(Last { heartbeat, number }) else {
            return News { changes, ..News::default() };
        };
        let mut news = self.lapse(now);
        let restarted = number < last.number;
        let oldest = changes.first().map_or(number.saturating_add(1), |oldest| oldest.number);
        news.missed = restarted || oldest > last.number.saturating_add(1);
        news.changes = changes;
        news.changes.retain(|change| restarted || change.number > last.number);
        if heartbeat == last.heartbeat {
            return news;
        }
        self.flows_until = Some(now + FLOWS_FOR);
        self.distrusted.retain(|_, until| *until > now);
        let covered: BTreeSet<Area> =
            covered.into_iter().filter(|area| !self.distrusted.contains_key(area)).collect();
        let gone = self.covered.keys().filter(|area| news.missed || !covered.contains(*area));
        news.broken.extend(gone.cloned());
        self.covered.retain(|area, _| !news.broken.contains(area));
        for area in covered {
            if let Entry::Vacant(unknown) = self.covered.entry(area) {
                news.began.insert(unknown.key().clone());
                unknown.insert(now);
            }
        }
        news
    }

    /// When [`lapse`](Self::lapse) has to be called, unless a text comes before.
    pub fn flows_until(&self) -> Option<Instant> {
        self.flows_until
    }

    /// Ends the coverage if the object has not changed for too long.
    pub fn lapse(&mut self, now: Instant) -> News {
        if self.flows_until.is_some_and(|until| now >= until) { self.stop() } else { News::default() }
    }

    /// Ends the coverage of an area for a day: something changed there that no notice
    /// told of.
    pub fn distrust(&mut self, area: &Area, now: Instant) -> News {
        self.distrusted.insert(area.clone(), now + DISTRUST);
        let broken = self.covered.remove_entry(area).map(|(area, _)| area);
        News { broken: broken.into_iter().collect(), ..News::default() }
    }

    /// Whether every change in the area since a read at `read_at` is, or would have
    /// been, told.
    pub fn covers(&self, area: &Area, read_at: Instant, now: Instant) -> bool {
        let flows = self.flows_until.is_some_and(|until| now < until);
        flows && self.covered.get(area).is_some_and(|since| *since <= read_at)
    }

    /// The covered areas.
    pub fn areas(&self) -> impl Iterator<Item = &Area> {
        self.covered.keys()
    }

    /// Whether changes in the area are not waited for, because one was not told.
    pub fn is_distrusted(&self, area: &Area) -> bool {
        self.distrusted.contains_key(area)
    }

    fn stop(&mut self) -> News {
        self.flows_until = None;
        let broken = std::mem::take(&mut self.covered).into_keys().collect();
        News { broken, ..News::default() }
    }
}
