//! What change notices mean for entries: a change is read soon, and while every change
//! would be told, polls are rare.

use std::collections::BTreeSet;

use tokio::time::{Duration, Instant};

use super::{Entry, Readings, Values, entry::Pace};
use crate::{
    model::{
        reference::Selector,
        source::{CURRENT_LABEL, PENDING_LABEL, PREVIOUS_LABEL},
    },
    notices::{Area, Change, Subject, by_subject},
};

/// Minimum time between two reads of an entry because of notices.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// Reads are eventually consistent: one that does not see the noticed version yet is
/// repeated after these pauses.
const AGAIN_AFTER: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];

/// A notice that an entry has to be read for.
#[derive(Debug)]
pub(super) struct Told {
    seen_at: Instant,
    /// The label, and the version that it has moved to, if the notice says so.
    moved: Option<(String, String)>,
    /// Reads since, which did not see that version.
    tries: usize,
}

impl Values {
    /// Has the entries read again that hold something that changed. Returns their number.
    pub fn tell(&self, changes: &[Change]) -> usize {
        let subjects = by_subject(changes);
        if subjects.is_empty() {
            return 0;
        }
        let mut told = 0;
        for entry in self.all() {
            let Some(held) = entry.held() else { continue };
            let change = held
                .iter()
                .flatten()
                .filter_map(|reading| subjects.get(&Subject::of(&reading.arn)?))
                .flatten()
                .copied()
                .find(|change| entry.concerns(change, &held));
            if let Some(change) = change {
                let longest = entry.pace().interval;
                let turn = self.heard.turn(entry.source.service(), &entry.regions.primary, longest);
                entry.tell(change, turn.max(held.read_at + MIN_PAUSE));
                told += 1;
            }
        }
        if told > 0 {
            self.heard.wake();
        }
        told
    }

    /// Brings entries back to their normal intervals, because changes in these areas may
    /// not be told any more. Their polls spread over one interval. Returns their number.
    pub fn fall_back(&self, areas: &BTreeSet<Area>) -> usize {
        let now = Instant::now();
        let mut back = 0;
        for entry in self.all() {
            let phase = self.phase(&entry.principal);
            let Some(read_at) = entry.held().map(|held| held.read_at) else { continue };
            let mut pace = entry.pace();
            if pace.covered_by.as_ref().is_some_and(|area| areas.contains(area)) {
                (pace.covered_by, pace.plan) = (None, None);
                // The phase is between a half and one.
                let spread = now + pace.interval.mul_f64(2.0 * phase - 1.0);
                let normal = spread.max(read_at + pace.interval);
                pace.next_poll = pace.next_poll.map(|next| next.min(normal));
                pace.fresh_until = pace.fresh_until.map(|until| until.min(normal));
                back += 1;
            }
        }
        back
    }
}

impl Entry {
    /// Whether a change concerns what the entry reads, and is not what it already holds.
    fn concerns(&self, change: &Change, held: &Readings) -> bool {
        let Some(label) = &change.label else { return true };
        let references = self.source.primary.iter().map(|reference| &reference.selector);
        let mut moving =
            references.zip(held.iter()).filter(|(selector, _)| selector.version.is_none()).peekable();
        // A version by its id never changes.
        moving.peek().is_some()
            && !moving.any(|(selector, result)| {
                label_of(selector) == label
                    && result
                        .as_ref()
                        .is_ok_and(|reading| Some(&reading.version) == change.version_id.as_ref())
            })
    }

    fn tell(&self, change: &Change, at: Instant) {
        let mut pace = self.pace();
        let Some(next) = pace.next_poll else { return };
        let moved = change.label.clone().zip(change.version_id.clone());
        pace.told = Some(Told { seen_at: Instant::now(), moved, tries: 0 });
        (pace.next_poll, pace.plan) = (Some(next.min(at)), None);
    }

    /// The area whose notices tell of every change of what was read; `None` if there
    /// may be changes that no notice tells of.
    pub(super) fn area(&self, readings: &Readings) -> Option<Area> {
        // It moves alone, and AWS sends no notice of it.
        if self.source.primary.iter().any(|reference| label_of(&reference.selector) == PENDING_LABEL) {
            return None;
        }
        let mut areas = readings.iter().map(|result| {
            let reading = result.as_ref().ok().filter(|reading| reading.region == self.regions.primary)?;
            Subject::of(&reading.arn)?;
            Area::of(&reading.arn)
        });
        let first = areas.next()??;
        areas.all(|area| area.as_ref() == Some(&first)).then_some(first)
    }

    /// What a read found changed, other than what AWS sends no notice of: its ARN.
    pub(super) fn changed_arn<'a>(&self, before: &Readings, after: &'a Readings) -> Option<&'a str> {
        let pairs = before.iter().flatten().zip(after.iter().flatten());
        self.source
            .primary
            .iter()
            .zip(pairs)
            .find(|(reference, (before, after))| {
                label_of(&reference.selector) != PREVIOUS_LABEL && before.version != after.version
            })
            .map(|(_, (_, after))| after.arn.as_str())
    }
}

impl Pace {
    /// Takes a read into account that began at `read_at`. Returns when to read again
    /// because of a notice; `None` if no notice asks for that.
    pub(super) fn told_after(&mut self, entry: &Entry, readings: &Readings) -> Option<Instant> {
        let told = self.told.as_mut()?;
        // The notice is newer than the read.
        if told.seen_at > readings.read_at {
            return self.next_poll;
        }
        let seen = told.moved.as_ref().is_none_or(|(label, version)| {
            let references = entry.source.primary.iter().zip(readings.iter());
            let mut labelled = references.filter(|(reference, _)| label_of(&reference.selector) == label);
            labelled.all(|(_, result)| result.as_ref().is_ok_and(|reading| reading.version == *version))
        });
        if !seen && let Some(pause) = AGAIN_AFTER.get(told.tries) {
            told.tries += 1;
            return Some(Instant::now() + *pause);
        }
        self.told = None;
        None
    }
}

/// The staging label that a selector without a version reads.
fn label_of(selector: &Selector) -> &str {
    selector.label.as_deref().unwrap_or(CURRENT_LABEL)
}
