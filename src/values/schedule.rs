//! When an entry is read again.

use std::sync::Arc;

use tokio::time::{Duration, Instant};

use super::{Entry, Readings, Values};
use crate::notices::Area;

/// The regular poll of an entry: a part of its interval after a moment. While AWS throttles,
/// intervals stretch, also those that have begun.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    from: Instant,
    /// Of the interval. Less than 1 spreads first polls.
    part: f64,
    interval: Duration,
}

impl Plan {
    fn due(self, entry: &Entry, values: &Values) -> Instant {
        let stretched = values.paces.interval(entry, self.interval, values.settings());
        self.from + stretched.mul_f64(self.part)
    }

    /// When to look whether it is due, at `now` or later: the stretching may end meanwhile.
    fn look(self, due: Instant, now: Instant) -> Instant {
        due.min(now + self.interval)
    }
}

impl Values {
    /// Plans the next poll after a read. Returns the area whose notices should have told of
    /// a change that this read found.
    pub(super) fn schedule(&self, entry: &Entry, readings: &Readings, first: bool) -> Option<Area> {
        let read_at = readings.read_at;
        let phase = self.phase(&entry.principal);
        let covered_by = entry.area(readings).filter(|area| self.heard.covers(area, read_at));
        let (plan, was_covered_by, was_told) = {
            let mut pace = entry.pace();
            (pace.outages, pace.throttles, pace.read_at) = (0, 0, Some(read_at));
            let asked = pace.interval;
            let interval =
                covered_by.as_ref().map_or(asked, |_| asked.max(self.settings().notified_interval));
            let was_covered_by = std::mem::replace(&mut pace.covered_by, covered_by);
            let began = was_covered_by.is_none() && pace.covered_by.is_some();
            let was_told = pace.told.is_some();
            let (from, part) = match pace.fresh_until.filter(|_| pace.plan.is_some()) {
                // Jitter sets the phase of the first poll, of the first rare one, and after
                // a notice, which all nodes have heard at once.
                _ if first || began || was_told => (read_at, phase),
                // From then on exactly one interval, as long as nothing was late.
                Some(due) if due <= read_at && due + interval > read_at => (due, 1.0),
                Some(_) | None => (read_at, 1.0),
            };
            (Plan { from, part, interval }, was_covered_by, was_told)
        };
        let due = plan.due(entry, self);
        let mut pace = entry.pace();
        pace.fresh_until = Some(due);
        let look = plan.look(due, Instant::now());
        (pace.next_poll, pace.plan) = match pace.told_after(entry, readings) {
            Some(again) if again < look => (Some(again), None),
            Some(_) | None => (Some(look), Some(plan)),
        };
        was_covered_by.filter(|_| !was_told)
    }

    /// Whether the entry has to be polled now. Plans its poll anew if its interval is
    /// longer by now.
    pub(super) fn is_due(&self, entry: &Arc<Entry>) -> bool {
        let plan = {
            let pace = entry.pace();
            match pace.plan {
                _ if !pace.is_due() => return false,
                None => return true,
                Some(plan) => plan,
            }
        };
        let (due, now) = (plan.due(entry, self), Instant::now());
        let mut pace = entry.pace();
        // Meanwhile a notice may ask for it.
        if due <= now || pace.plan != Some(plan) {
            return true;
        }
        (pace.next_poll, pace.fresh_until) = (Some(plan.look(due, now)), Some(due));
        false
    }
}
