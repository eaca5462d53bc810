//! How much longer intervals are while AWS throttles, for each service and Region.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Entry, ValueSettings};
use crate::{
    aws::FailureKind,
    backend::ReadResult,
    model::{arn::Region, reference::Service},
    pacing::Pacing,
};

/// The pacing of each service and Region that is read.
#[derive(Debug)]
pub(super) struct Paces {
    paces: Mutex<HashMap<(Service, Region), Pace>>,
    start: Instant,
    random: RandomState,
}

#[derive(Debug, Default)]
struct Pace {
    pacing: Pacing,
    /// Whether the stretching has begun or ended, and nobody has heard of it.
    news: Option<bool>,
}

/// Stretching that has begun or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretching {
    pub service: Service,
    pub region: Region,
    pub began: bool,
}

impl Default for Paces {
    fn default() -> Self {
        Self { paces: Mutex::default(), start: Instant::now(), random: RandomState::new() }
    }
}

impl Paces {
    /// Takes the answers of one poll into account, all of one service and Region.
    pub(super) fn note<'a>(&self, entry: &Entry, mut results: impl Iterator<Item = &'a ReadResult>) {
        let now = self.start.elapsed();
        let throttled = results.any(|result| {
            result.as_ref().is_err_and(|failure| failure.primary.kind == FailureKind::Throttled)
        });
        let mut paces = self.paces();
        let pace = paces.entry(place(entry)).or_default();
        if throttled {
            if pace.pacing.throttled(now) {
                pace.news = Some(true);
            }
        } else if pace.pacing.answered(now) {
            pace.news = Some(false);
        }
    }

    /// The entry's interval, as stretched.
    pub(super) fn interval(&self, entry: &Entry, asked: Duration, settings: &ValueSettings) -> Duration {
        let paces = self.paces();
        let pace = paces.get(&place(entry));
        pace.map_or(asked, |pace| pace.pacing.interval(asked, settings.max_age_when_throttled(asked)))
    }

    /// The pause before a throttled poll of the entry is tried again.
    pub(super) fn retry(&self, entry: &Entry, asked: Duration, settings: &ValueSettings) -> Duration {
        let mut paces = self.paces();
        let pace = paces.entry(place(entry)).or_default();
        let random = (self.random.hash_one(self.start.elapsed()) % 1000) as f64 / 1000.0;
        pace.pacing.retry(asked, settings.max_age_when_throttled(asked), random)
    }

    /// The longest stretch of any service and Region that these entries read from; 1 if nothing
    /// is stretched. Nothing ends the stretching of what nobody reads any more.
    pub(super) fn longest(&self, entries: &[Arc<Entry>]) -> f64 {
        let paces = self.paces();
        let paces = entries.iter().filter_map(|entry| paces.get(&place(entry)));
        paces.map(|pace| pace.pacing.stretch()).fold(1.0, f64::max)
    }

    /// What has begun and ended since the last call.
    pub(super) fn news(&self) -> Vec<Stretching> {
        let mut paces = self.paces();
        let news = paces.iter_mut().filter_map(|((service, region), pace)| {
            let began = pace.news.take()?;
            Some(Stretching { service: *service, region: region.clone(), began })
        });
        news.collect()
    }

    fn paces(&self) -> MutexGuard<'_, HashMap<(Service, Region), Pace>> {
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ValueSettings {
    /// How old a value may become while AWS throttles. Throttling is a failure of AWS, so
    /// the operator's limit for values during failures holds, too.
    pub(super) fn max_age_when_throttled(&self, asked: Duration) -> Duration {
        self.max_interval.min(self.max_stale).max(asked)
    }
}

fn place(entry: &Entry) -> (Service, Region) {
    (entry.source.service(), entry.regions.primary.clone())
}
