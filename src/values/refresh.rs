//! The right to read an entry again, and what a read means for the entry: fresh
//! values, an outage, or lost access.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Due, Entry, Lost, Origin, Readings, Served, Values, table::empty_bytes};
use crate::{
    aws::FailureKind,
    backend::{ReadResult, met_outage},
    identity::IdentityError,
    metrics::Eviction,
    single_flight::Turn,
};

/// First pause after a poll that met an outage. It doubles up to the interval, so that the
/// nodes of a large fleet do not come back at the same time.
const FIRST_RETRY: Duration = Duration::from_secs(10);
const MAX_DOUBLINGS: u32 = 5;
/// Maximum number of times that the pause doubles if STS or the agent throttles.
const MAX_SESSION_DOUBLINGS: u32 = 3;
/// Throttled polls of one value in a row that longer intervals explain. At a third of all
/// calls throttled, one in 20,000 polls meets more.
const MAX_THROTTLES: u32 = 8;

/// The right to read an entry. It ends with [`settle`](Self::settle) or
/// [`without_credentials`](Self::without_credentials); dropped, it passes to the next
/// caller.
#[derive(Debug)]
pub struct Refresh {
    entry: Arc<Entry>,
    turn: Turn<Readings, Lost>,
    /// Set when the poller reads.
    due: Option<Due>,
}

/// Why AWS gave no answer.
#[derive(Clone, Copy)]
enum Outage {
    Failing,
    /// Secrets Manager or Parameter Store throttles. The pacing decides when to ask again.
    Throttled,
    /// STS or the Pod Identity agent throttles.
    SessionThrottled,
}

/// What a read means for its entry.
#[derive(Clone, Debug)]
pub enum Settled {
    /// AWS answered.
    Read {
        readings: Readings,
        /// Whether the values differ from those held before.
        changed: bool,
    },
    /// AWS fails; the entry keeps what it has.
    Kept {
        served: Served,
        /// Whether the outage began with this read.
        began: bool,
    },
    /// There is nothing to serve.
    Lost {
        lost: Lost,
        /// Whether a person should hear of it: access was lost, or an outage began.
        news: bool,
    },
}

impl Settled {
    /// What a mount is given.
    ///
    /// # Errors
    /// Why there is nothing to serve.
    pub fn served(self) -> Result<Served, Lost> {
        match self {
            Self::Read { readings, .. } => Ok(Served { readings, origin: Origin::Aws }),
            Self::Kept { served, .. } => Ok(served),
            Self::Lost { lost, .. } => Err(lost),
        }
    }
}

impl Refresh {
    pub(super) fn new(entry: &Arc<Entry>, turn: Turn<Readings, Lost>) -> Self {
        Self { entry: Arc::clone(entry), turn, due: None }
    }

    pub(super) fn when_due(self, due: Due) -> Self {
        Self { due: Some(due), ..self }
    }

    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// Settles what AWS answered to a read that began at `began`.
    pub fn settle(self, values: &Values, began: Instant, results: Vec<ReadResult>) -> Settled {
        let readings = Readings::new(results, began);
        // Access is lost: denied, deleted, or the key refused. The value goes with it,
        // even if the primary Region does not answer.
        let giver = self.entry.held().and_then(|held| held.giver().cloned());
        let required = self.entry.pace().required.clone();
        let lost = readings.iter().zip(required).any(|(result, required)| {
            result.as_ref().is_err_and(|failure| failure.loses(giver.as_ref(), required))
        });
        if lost {
            let lost = Lost::Read(readings);
            if self.entry.held().is_some() {
                values.metrics.evictions.count(Eviction::Lost);
                values.metrics.lost.count(lost.reason());
            }
            values.remove(&self.entry);
            values.note_denial(&self.entry.principal, Some(&self.entry.source), lost.reason());
            return self.lose(lost, true);
        }
        if met_outage(&readings) {
            let throttled = readings
                .iter()
                .any(|result| result.as_ref().is_err_and(|failure| failure.kind() == FailureKind::Throttled));
            return match throttled {
                false => self.outage(values, Lost::Read(readings), Outage::Failing),
                true => self
                    .defer(values, Lost::Read(readings))
                    .unwrap_or_else(|(refresh, lost)| refresh.outage(values, lost, Outage::Throttled)),
            };
        }
        self.store(values, readings)
    }

    /// Settles a read that got no credentials.
    pub fn without_credentials(self, values: &Values, error: IdentityError) -> Settled {
        if matches!(error, IdentityError::NoToken) {
            return self.wait_for_token(error);
        }
        if error.is_outage() {
            let outage = if error.is_throttled() { Outage::SessionThrottled } else { Outage::Failing };
            return self.outage(values, Lost::Session(error), outage);
        }
        if error.is_denial() {
            values.forget(&self.entry.principal, error.reason());
        }
        values.remove_empty(&self.entry);
        values.note_denial(&self.entry.principal, None, error.reason());
        self.lose(Lost::Session(error), true)
    }

    fn store(self, values: &Values, mut readings: Readings) -> Settled {
        let Self { entry, turn, due: _due } = self;
        let before = entry.held();
        let changed = before.as_ref().is_some_and(|before| !before.is_same_as(&readings));
        if let Some(before) = before.as_ref().filter(|_| !changed) {
            readings.keep_parts_of(before);
        }
        let bytes = empty_bytes(&entry.principal, &entry.source) + readings.bytes();
        drop(turn.succeed(readings.clone()));
        let first = before.is_none();
        let untold =
            before.as_ref().filter(|_| changed).and_then(|before| entry.changed_arn(before, &readings));
        if let (Some(area), Some(arn)) = (values.schedule(&entry, &readings, first), untold) {
            values.heard.suspect(area, arn);
        }
        values.note_read(&entry);
        values.count(&entry, bytes);
        if changed {
            values.metrics.changes.inc();
        }
        Settled::Read { readings, changed }
    }

    /// A throttled poll comes again later, and the value counts as fresh until then: intervals
    /// are longer while AWS throttles. Throttled again and again, or twice as old as its
    /// stretched interval, it is stale, as in any outage.
    fn defer(self, values: &Values, lost: Lost) -> Result<Settled, (Self, Lost)> {
        let settings = values.settings();
        let (asked, throttles, outages) = {
            let pace = self.entry.pace();
            (pace.interval, pace.throttles + 1, pace.outages)
        };
        let deferred = outages == 0 && throttles <= MAX_THROTTLES;
        let Some(readings) = self.entry.held().filter(|_| deferred) else { return Err((self, lost)) };
        let next = Instant::now() + values.paces.retry(&self.entry, asked, settings);
        let longest = 2 * values.paces.interval(&self.entry, asked, settings);
        if next > readings.read_at + longest.min(settings.max_age_when_throttled(asked)) {
            return Err((self, lost));
        }
        {
            let mut pace = self.entry.pace();
            pace.throttles = throttles;
            (pace.next_poll, pace.fresh_until) = (Some(next), Some(next));
        }
        self.turn.fail(lost);
        Ok(Settled::Kept { served: Served { readings, origin: Origin::Cache }, began: false })
    }

    /// The last known good value is served while AWS fails. Only the poller tries
    /// again, at growing pauses.
    fn outage(self, values: &Values, lost: Lost, outage: Outage) -> Settled {
        let Self { entry, turn, due: _due } = self;
        let (known, asked) = (entry.held().is_some(), entry.pace().interval);
        let paced = values.paces.retry(&entry, asked, values.settings());
        let began;
        {
            let mut pace = entry.pace();
            pace.outages = pace.outages.saturating_add(1);
            began = pace.outages == 1;
            let (pause, plan) = match outage {
                Outage::Failing => {
                    let doublings = pace.outages.min(MAX_DOUBLINGS + 1) - 1;
                    ((FIRST_RETRY * 2u32.pow(doublings)).min(pace.interval), None)
                }
                // A throttled service is asked less, not more.
                Outage::SessionThrottled => {
                    (pace.interval * 2u32.pow(pace.outages.min(MAX_SESSION_DOUBLINGS)), None)
                }
                Outage::Throttled => (paced, pace.plan),
            };
            (pace.next_poll, pace.plan) = (known.then(|| Instant::now() + pause), plan);
        }
        if !known {
            values.remove_empty(&entry);
        }
        turn.fail(lost.clone());
        let required = entry.pace().required.clone();
        match entry.serve(entry.freshness(&required, values.settings())) {
            Some(served) => Settled::Kept { served, began },
            None => Settled::Lost { lost, news: began },
        }
    }

    /// The entry keeps what it has until the next mount brings a token.
    fn wait_for_token(self, error: IdentityError) -> Settled {
        {
            let mut pace = self.entry.pace();
            (pace.next_poll, pace.plan) = (None, None);
            pace.waits_for_token = true;
        }
        self.lose(Lost::Session(error), false)
    }

    fn lose(self, lost: Lost, news: bool) -> Settled {
        self.turn.fail(lost.clone());
        Settled::Lost { lost, news }
    }
}
