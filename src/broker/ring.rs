//! The changes that the object holds, and when it may be written. Pure: time is what has
//! passed since any start.

use std::{collections::VecDeque, time::Duration};

use crate::notices::{Area, Change, Document, HEARTBEAT_EVERY, KEEP_FOR, MAX_BYTES, MAX_CHANGES, Rates};

/// Bytes that all nodes together may get from the API server each second.
const BYTES_PER_SECOND: u64 = 20_000_000;
/// Shortest time between two writes.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// How long the first change waits for others: a deployment changes several at once.
const BATCH: Duration = Duration::from_millis(100);
/// Time from one write to the heartbeat. What is left of [`HEARTBEAT_EVERY`] is for a write
/// that fails and is tried again.
const HEARTBEAT: Duration = Duration::from_secs(HEARTBEAT_EVERY.as_secs() * 3 / 4);
/// Size of the text without changes and areas.
const FRAME_BYTES: usize = 300;
/// Size of an area without its Region's name.
const AREA_BYTES: usize = 48;
/// There is always room for a few changes, in however large a cluster.
const FEWEST_BYTES: usize = 4 << 10;

/// What the next document is made of.
#[derive(Debug)]
pub(super) struct Ring {
    heartbeat: u64,
    /// The number of the last change in a document.
    number: u64,
    /// The number of the last change in a document that was written.
    written: u64,
    /// In ascending order of their numbers.
    told: VecDeque<Told>,
    /// Without numbers yet.
    waiting: VecDeque<Change>,
    /// When the first of those that wait came.
    waiting_since: Option<Duration>,
    /// Changes that came when too many waited. They take numbers, so that nodes see a gap.
    skipped: u64,
    /// The last document is not written yet.
    owed: bool,
    last: Option<Last>,
}

#[derive(Debug)]
struct Told {
    change: Change,
    bytes: usize,
    since: Duration,
}

/// The last document.
#[derive(Clone, Copy, Debug)]
struct Last {
    at: Duration,
    /// Time that the API server takes to send it to all nodes.
    pause: Duration,
}

/// What a change was for the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    New,
    /// The same event came before.
    Known {
        /// It stands in an object that was written.
        written: bool,
    },
}

/// What stands in the document besides changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Around {
    pub(super) nodes: u32,
    pub(super) rates: Rates,
    pub(super) covered: Vec<Area>,
}

impl Ring {
    /// Goes on from the object as it is. Without one, numbers begin after `first`.
    pub(super) fn resume(found: Option<Document>, first: u64, now: Duration) -> Self {
        let mut ring = Self {
            heartbeat: 0,
            number: first,
            written: first,
            told: VecDeque::new(),
            waiting: VecDeque::new(),
            waiting_since: None,
            skipped: 0,
            owed: true,
            last: None,
        };
        if let Some(found) = found {
            ring.take(found.number, found, now);
        }
        ring
    }

    /// Somebody else wrote the object: goes on from it, and tells again what it does not
    /// hold.
    pub(super) fn rebase(&mut self, found: Document, now: Duration) {
        let written = self.written;
        let untold = std::mem::take(&mut self.told).into_iter().filter(|told| told.change.number > written);
        // Numbers never go back, whoever wrote the object.
        self.take(found.number.max(written), found, now);
        for Told { change, .. } in untold.rev() {
            if !self.told.iter().any(|told| is_same(&told.change, &change)) {
                self.waiting.push_front(change);
                self.waiting_since.get_or_insert(now);
            }
        }
    }

    fn take(&mut self, number: u64, found: Document, now: Duration) {
        self.heartbeat = self.heartbeat.max(found.heartbeat);
        (self.number, self.written, self.owed) = (number, number, true);
        // How old they are, only the writer's clock knew.
        self.told = found.changes.into_iter().map(|change| Told::new(change, now)).collect();
    }

    /// Takes a change.
    pub(super) fn add(&mut self, change: Change, now: Duration) -> Added {
        let told = self.told.iter().map(|told| &told.change);
        if let Some(known) = told.chain(&self.waiting).find(|known| is_same(known, &change)) {
            let written = (1..=self.written).contains(&known.number);
            return Added::Known { written };
        }
        self.waiting_since.get_or_insert(now);
        // Nodes read what is there now: of several moves of one label, the latest is enough.
        let known =
            self.waiting.iter_mut().find(|known| known.arn == change.arn && known.label == change.label);
        match known {
            Some(known) if known.at <= change.at => *known = change,
            Some(_) => {}
            None => self.waiting.push_back(change),
        }
        if self.waiting.len() > MAX_CHANGES {
            self.waiting.pop_front();
            self.skipped += 1;
        }
        Added::New
    }

    /// The next document, which is about to be written. What is in it stays in the ring,
    /// whether or not the write succeeds.
    pub(super) fn compose(&mut self, around: &Around, now: Duration) -> Document {
        self.told.retain(|told| now.saturating_sub(told.since) < KEEP_FOR);
        self.number += std::mem::take(&mut self.skipped);
        for change in self.waiting.drain(..) {
            self.number += 1;
            self.told.push_back(Told::new(Change { number: self.number, ..change }, now));
        }
        self.waiting_since = None;
        let areas: usize = around.covered.iter().map(|area| AREA_BYTES + area.region.len()).sum();
        let room = most_bytes(around.nodes).saturating_sub(FRAME_BYTES + areas).max(FEWEST_BYTES);
        let mut bytes: usize = self.told.iter().map(|told| told.bytes).sum();
        while self.told.len() > MAX_CHANGES || bytes > room {
            let Some(oldest) = self.told.pop_front() else { break };
            bytes -= oldest.bytes;
        }
        self.heartbeat += 1;
        self.owed = true;
        let sent = (FRAME_BYTES + areas + bytes) as u64 * u64::from(around.nodes);
        let pause = Duration::from_micros(sent.saturating_mul(1_000_000) / BYTES_PER_SECOND);
        self.last = Some(Last { at: now, pause: pause.max(SHORTEST_PAUSE) });
        Document {
            heartbeat: self.heartbeat,
            number: self.number,
            nodes: around.nodes,
            reads_per_second: around.rates,
            covered: around.covered.clone(),
            changes: self.told.iter().map(|told| told.change.clone()).collect(),
        }
    }

    /// The last document was written. Returns the changes that it told for the first time.
    pub(super) fn written(&mut self) -> impl Iterator<Item = &Change> {
        self.owed = false;
        let before = std::mem::replace(&mut self.written, self.number);
        self.told.iter().map(|told| &told.change).filter(move |change| change.number > before)
    }

    /// The document would differ from the last one.
    pub(super) fn owe(&mut self) {
        self.owed = true;
    }

    /// When the object may be written again.
    pub(super) fn earliest(&self) -> Duration {
        self.last.map_or(Duration::ZERO, |last| last.at + last.pause)
    }

    /// When the object must be written.
    pub(super) fn due(&self) -> Duration {
        let heartbeat = self.last.map_or(Duration::ZERO, |last| last.at + last.pause.max(HEARTBEAT));
        match self.waiting_since {
            _ if self.owed => self.earliest(),
            Some(since) => self.earliest().max(since + BATCH),
            None => heartbeat,
        }
    }
}

impl Told {
    fn new(change: Change, since: Duration) -> Self {
        // With the comma between two entries.
        let bytes = serde_json::to_vec(&change).map_or(0, |json| json.len() + 1);
        Self { change, bytes, since }
    }
}

/// Whether the two are the same event.
fn is_same(one: &Change, other: &Change) -> bool {
    one.arn == other.arn
        && one.at == other.at
        && one.label == other.label
        && one.version_id == other.version_id
}

/// The largest text whose pause is not longer than the heartbeat.
fn most_bytes(nodes: u32) -> usize {
    let bytes = BYTES_PER_SECOND * HEARTBEAT.as_secs() / u64::from(nodes.max(1));
    usize::try_from(bytes).unwrap_or(MAX_BYTES).min(MAX_BYTES)
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
