//! One source as one principal sees it: its results, how fresh they are, and
//! when it is read again.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Outcome, ValueSettings};
use crate::{
    cache::{Slot, Turn},
    identity::IdentityError,
    model::{
        arn::{Region, Regions},
        message::causes,
        principal::Principal,
        source::Source,
    },
};

/// A mount reads by itself only what is older than its interval and this, so
/// that the poller has time to be first.
const GRACE: Duration = Duration::from_secs(2);

/// A source's results and when they were asked for.
#[derive(Clone, Debug)]
pub struct Held {
    /// One for each reference of the source.
    pub results: Outcome,
    /// When the read began.
    pub read_at: Instant,
}

/// Why a source has no results.
#[derive(Clone, Debug)]
pub enum Lost {
    /// There were no credentials.
    Session(IdentityError),
    /// AWS's answers.
    Read(Outcome),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(error) => f.write_str(&causes(error)),
            Self::Read(outcome) => {
                let failures = outcome.iter().filter_map(|result| result.as_ref().err());
                for (number, failure) in failures.enumerate() {
                    let what = failure.failover.as_ref().unwrap_or(&failure.primary);
                    write!(f, "{}{what}", if number == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
        }
    }
}

/// Where results come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The cache had them.
    Cache,
    /// AWS was asked for this mount.
    Aws,
    /// AWS fails; these are the last known good ones.
    LastKnownGood,
}

/// One source as one principal sees it.
#[derive(Debug)]
pub struct Entry {
    /// Whose it is.
    pub principal: Principal,
    /// Where it is read.
    pub regions: Regions,
    /// What is read.
    pub source: Source,
    /// The results, fetched by one for all.
    pub slot: Slot<Held, Lost>,
    pub(super) pace: Mutex<Pace>,
}

/// When an entry was asked for, and when it is read again. While its lock is
/// held, no other lock is taken.
#[derive(Debug)]
pub(super) struct Pace {
    /// The smallest interval that a mount asked for.
    pub(super) interval: Duration,
    pub(super) asked_at: Instant,
    /// For each reference whether some mount cannot do without it.
    pub(super) required: Vec<bool>,
    /// `None` until it was read, and while no token is valid.
    pub(super) next_poll: Option<Instant>,
    /// Whether the poller has it, and has not read it yet.
    pub(super) queued: bool,
    /// Whether it is read again as soon as a mount brings a token.
    pub(super) waits_for_token: bool,
    /// Reads in a row that met an outage.
    pub(super) outages: u32,
    /// What the entry counts for in the table.
    pub(super) bytes: usize,
}

impl Pace {
    pub(super) fn new(interval: Duration, asked_at: Instant, required: &[bool], bytes: usize) -> Self {
        Self {
            interval,
            asked_at,
            required: required.to_vec(),
            next_poll: None,
            queued: false,
            waits_for_token: false,
            outages: 0,
            bytes,
        }
    }
}

impl Pace {
    pub(super) fn is_due(&self) -> bool {
        self.next_poll.is_some_and(|at| at <= Instant::now())
    }
}

/// An entry that the poller has to read; nobody else is given it meanwhile.
#[derive(Debug)]
pub struct Due {
    entry: Arc<Entry>,
}

impl Due {
    /// `None` while another has it.
    pub(super) fn of(entry: &Arc<Entry>) -> Option<Self> {
        let mut pace = entry.pace();
        let free = pace.is_due() && !std::mem::replace(&mut pace.queued, true);
        drop(pace);
        free.then(|| Self { entry: Arc::clone(entry) })
    }

    /// What is due.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// The turn to read it; `None` when a mount reads it now, or has read it.
    pub fn turn(&self) -> Option<Turn> {
        let due = self.entry.pace().is_due();
        due.then(|| self.entry.slot.try_turn()).flatten()
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        self.entry.pace().queued = false;
    }
}

/// Which held results a mount may be given.
#[derive(Clone, Copy)]
pub struct Freshness<'a> {
    /// For each reference whether the mount cannot do without it.
    pub required: &'a [bool],
    interval: Duration,
    max_stale: Option<Duration>,
}

impl Freshness<'_> {
    /// Where results of that age come from; `None` when AWS must be asked.
    pub fn origin_of(&self, held: &Held) -> Option<Origin> {
        let mut missing =
            held.results.iter().zip(self.required).filter(|(result, required)| result.is_err() && **required);
        let age = held.read_at.elapsed();
        if missing.next().is_some() {
            None
        } else if age <= self.interval + GRACE {
            Some(Origin::Cache)
        } else if self.max_stale.is_some_and(|most| age <= most) {
            Some(Origin::LastKnownGood)
        } else {
            None
        }
    }
}

impl Entry {
    /// What a mount may be given now.
    pub fn freshness<'a>(&self, required: &'a [bool], settings: &ValueSettings) -> Freshness<'a> {
        let pace = self.pace();
        let max_stale = (pace.outages > 0).then_some(settings.max_stale);
        Freshness { required, interval: pace.interval, max_stale }
    }

    /// What a mount is given when AWS does not answer somebody else's read in time.
    pub fn serve_while_waiting(
        &self,
        required: &[bool],
        settings: &ValueSettings,
    ) -> Option<(Outcome, Origin)> {
        let patient = Freshness { max_stale: Some(settings.max_stale), ..self.freshness(required, settings) };
        self.serve(patient)
    }

    /// What a mount is given without asking AWS.
    pub fn serve(&self, freshness: Freshness<'_>) -> Option<(Outcome, Origin)> {
        let held = self.slot.held()?;
        freshness.origin_of(&held).map(|origin| (held.results, origin))
    }

    pub(super) fn required(&self) -> Vec<bool> {
        self.pace().required.clone()
    }

    pub(super) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The Region that gave the values; `None` when all are absent.
    pub(super) fn giver(&self) -> Option<&Region> {
        self.results.iter().flatten().map(|reading| &reading.region).next()
    }

    pub(super) fn bytes(&self) -> usize {
        self.results.bytes()
    }

    /// Whether the other holds the same values of the same versions.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.results.len() == other.results.len()
            && self.results.iter().zip(other.results.iter()).all(|pair| match pair {
                (Ok(one), Ok(other)) => one.version == other.version && one.value == other.value,
                (Err(_), Err(_)) => true,
                (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
            })
    }
}
