//! One source as one principal sees it: its readings, how fresh they are, and when
//! it is read again.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Readings, Refresh, ValueSettings, notified::Told, schedule::Plan};
use crate::{
    aws::{AwsFailure, FailureKind},
    backend::ReadFailure,
    identity::IdentityError,
    model::{arn::Regions, iam, message::causes, principal::Principal, reason::Reason, source::Source},
    notices::Area,
    single_flight::{Slot, Waited},
};

/// A mount reads only what is older than its interval plus this, so that the poller
/// has time to be first.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// Readings that a mount is given.
#[derive(Clone, Debug)]
pub struct Served {
    pub readings: Readings,
    pub origin: Origin,
}

/// Where readings come from; the least fresh origin is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The cache held them.
    Cache,
    /// They were read from AWS for this mount.
    Aws,
    /// AWS fails; these are the last known good ones.
    LastKnownGood,
}

/// Why a source has no readings to serve.
#[derive(Clone, Debug)]
pub enum Lost {
    /// There are no credentials.
    Session(IdentityError),
    /// AWS's answers.
    Read(Readings),
}

impl Lost {
    /// The most urgent of the failures' reasons.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Session(error) => error.reason(),
            Self::Read(readings) => {
                let failures = readings.iter().filter_map(|result| result.as_ref().err());
                failures.map(|failure| failure.last().kind.reason()).min().unwrap_or(Reason::Bug)
            }
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(error) => f.write_str(&causes(error)),
            Self::Read(readings) => {
                let failures = readings.iter().filter_map(|result| result.as_ref().err());
                for (number, failure) in failures.enumerate() {
                    write!(f, "{}{}", if number == 0 { "" } else { "; " }, failure.last())?;
                }
                Ok(())
            }
        }
    }
}

/// One source as one principal sees it.
#[derive(Debug)]
pub struct Entry {
    pub principal: Principal,
    pub regions: Regions,
    pub source: Source,
    /// The readings, fetched by one caller for all.
    pub(super) slot: Arc<Slot<Readings, Lost>>,
    pace: Mutex<Pace>,
}

/// When an entry was last mounted, and when it is read again. While it is locked, no
/// other lock is taken.
#[derive(Debug)]
pub(super) struct Pace {
    /// The shortest interval of any mount.
    pub(super) interval: Duration,
    pub(super) asked_at: Instant,
    /// For each reference, whether a mount needs it.
    pub(super) required: Vec<bool>,
    /// `None` before the first read, and while no token is valid.
    pub(super) next_poll: Option<Instant>,
    /// Whether the poller has it and has not read it yet.
    queued: bool,
    /// Whether to read it again as soon as a mount brings a token.
    pub(super) waits_for_token: bool,
    /// Number of consecutive reads that met an outage.
    pub(super) outages: u32,
    /// Number of consecutive reads that were throttled, and deferred for that.
    pub(super) throttles: u32,
    /// Bytes that the entry counts for in the table.
    pub(super) bytes: usize,
    /// When the read of what is held began.
    pub(super) read_at: Option<Instant>,
    /// What `next_poll` follows from; `None` if it is not a regular poll.
    pub(super) plan: Option<Plan>,
    /// When the poller was to read it again, after its last read or throttled poll.
    pub(super) fresh_until: Option<Instant>,
    /// A notice that it has to be read for.
    pub(super) told: Option<Told>,
    /// The area whose notices let the next poll come late.
    pub(super) covered_by: Option<Area>,
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
            throttles: 0,
            bytes,
            read_at: None,
            plan: None,
            fresh_until: None,
            told: None,
            covered_by: None,
        }
    }

    /// How long a value counts as fresh after its read: an interval, or until its next poll
    /// was to come. An outage ends that.
    pub(super) fn fresh_for(&self) -> Duration {
        let longer = self.fresh_until.zip(self.read_at).filter(|_| self.outages == 0);
        let longer = longer.map(|(until, read_at)| until.saturating_duration_since(read_at));
        longer.unwrap_or_default().max(self.interval)
    }

    pub(super) fn is_due(&self) -> bool {
        self.next_poll.is_some_and(|at| at <= Instant::now())
    }
}

/// An entry that the poller has to read. Only one of it exists at a time.
#[derive(Debug)]
pub struct Due {
    entry: Arc<Entry>,
}

impl Due {
    /// `None` if the entry is not due, or another `Due` of it exists.
    pub(super) fn of(entry: &Arc<Entry>) -> Option<Self> {
        let mut pace = entry.pace();
        let free = pace.is_due() && !std::mem::replace(&mut pace.queued, true);
        drop(pace);
        free.then(|| Self { entry: Arc::clone(entry) })
    }

    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// The right to read it; `None` if a mount reads it now, or has read it meanwhile.
    pub fn refresh(self) -> Option<Refresh> {
        let due = self.entry.pace().is_due();
        due.then(|| self.entry.try_refresh()).flatten().map(|refresh| refresh.when_due(self))
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        self.entry.pace().queued = false;
    }
}

/// Which readings a mount may be given.
#[derive(Clone, Copy)]
pub(super) struct Freshness<'a> {
    /// For each reference, whether the mount needs it.
    required: &'a [bool],
    fresh_for: Duration,
    max_stale: Option<Duration>,
}

impl Freshness<'_> {
    /// The origin of readings of that age; `None` if AWS must be asked.
    pub(super) fn origin_of(&self, readings: &Readings) -> Option<Origin> {
        let mut missing =
            readings.iter().zip(self.required).filter(|(result, required)| result.is_err() && **required);
        let age = readings.read_at.elapsed();
        if missing.next().is_some() {
            None
        } else if age <= self.fresh_for + GRACE {
            Some(Origin::Cache)
        } else if self.max_stale.is_some_and(|max| age <= max) {
            Some(Origin::LastKnownGood)
        } else {
            None
        }
    }
}

impl Entry {
    pub(super) fn new(principal: &Principal, regions: &Regions, source: &Source, pace: Pace) -> Self {
        Self {
            principal: principal.clone(),
            regions: regions.clone(),
            source: source.clone(),
            slot: Arc::default(),
            pace: Mutex::new(pace),
        }
    }

    /// The readings held, regardless of their age.
    pub fn held(&self) -> Option<Readings> {
        self.slot.held()
    }

    /// The right to read the entry; `None` while another reads it.
    pub fn try_refresh(self: &Arc<Self>) -> Option<Refresh> {
        Some(Refresh::new(self, self.slot.try_turn()?))
    }

    /// Waits for the current read. Its failure is also the caller's if it is `shared`.
    ///
    /// # Errors
    /// The right to read the entry, if the read gave nothing usable.
    pub(super) async fn wait(
        self: &Arc<Self>,
        freshness: Freshness<'_>,
        shared: impl Fn(&Lost) -> bool,
    ) -> Result<Result<Readings, Lost>, Refresh> {
        match self.slot.wait(|held| freshness.origin_of(held).is_some(), shared).await {
            Waited::Result(result) => Ok(result),
            Waited::Turn(turn) => Err(Refresh::new(self, turn)),
        }
    }

    /// What a mount may be given now.
    pub(super) fn freshness<'a>(&self, required: &'a [bool], settings: &ValueSettings) -> Freshness<'a> {
        let pace = self.pace();
        let max_stale = (pace.outages > 0).then_some(settings.max_stale);
        Freshness { required, fresh_for: pace.fresh_for(), max_stale }
    }

    /// What a mount is given when AWS does not answer another caller's read in time.
    pub(super) fn serve_while_waiting(&self, required: &[bool], settings: &ValueSettings) -> Option<Served> {
        let patient = Freshness { max_stale: Some(settings.max_stale), ..self.freshness(required, settings) };
        self.serve(patient)
    }

    /// What a mount is given without asking AWS.
    pub(super) fn serve(&self, freshness: Freshness<'_>) -> Option<Served> {
        let readings = self.held()?;
        freshness.origin_of(&readings).map(|origin| Served { readings, origin })
    }

    /// What a mount is given if its read ended without an answer.
    pub(super) fn unanswered(&self) -> Lost {
        let failure = |operation| {
            let message = "the read ended without an answer".to_owned();
            let primary = AwsFailure::own(FailureKind::Outage, operation, &self.regions.primary, message);
            Err(ReadFailure { primary: Box::new(primary), failover: None })
        };
        let results = self.source.primary.iter().map(|reference| failure(iam::action(reference.service)));
        Lost::Read(Readings::new(results.collect(), Instant::now()))
    }

    pub(super) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
