//! The notices that this node has heard, for all who read values: the watch tells it the
//! object's texts, and each read asks it how long its value will do.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{Area, Change, Document, Feed, News, Subject};
use crate::{
    model::{arn::Region, reference::Service},
    pacing::Spread,
};

/// How long the notice of a change may come after a poll that has found the change.
const LATE: Duration = Duration::from_secs(2 * 60);
/// Maximum number of changes whose notice is waited for.
const MAX_SUSPICIONS: usize = 256;
/// Minimum time between two reads of one service and Region after notices.
const MIN_WINDOW: Duration = Duration::from_millis(20);

/// The notices that this node has heard.
#[derive(Debug)]
pub struct Heard {
    state: Mutex<State>,
    start: Instant,
    random: RandomState,
    /// Wakes the poller.
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    feed: Feed,
    /// A node's time for one read of each service: nodes divided by the rate.
    windows: Windows,
    spreads: HashMap<(Service, Region), Spread>,
    suspicions: Vec<Suspicion>,
    turns: u64,
}

#[derive(Debug, Default)]
struct Windows {
    secrets_manager: Duration,
    parameter_store: Duration,
}

/// A change that a poll has found, and no notice has told of yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspicion {
    pub area: Area,
    /// The ARN of the secret or parameter that changed.
    pub arn: String,
    found_at: Instant,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            start: Instant::now(),
            random: RandomState::new(),
            news: Notify::new(),
        }
    }
}

impl Heard {
    /// Takes the object's next text.
    pub fn take(&self, document: Document, now: Instant) -> News {
        let mut state = self.state();
        let window = |rate: u32| {
            Duration::from_secs(document.nodes.into()).div_f64(f64::from(rate.max(1))).max(MIN_WINDOW)
        };
        state.windows = Windows {
            secrets_manager: window(document.reads_per_second.secretsmanager),
            parameter_store: window(document.reads_per_second.ssm),
        };
        let news = state.feed.take(document, now);
        if !state.suspicions.is_empty() {
            let told: Vec<_> = news.changes.iter().filter_map(|change| Subject::of(&change.arn)).collect();
            state.suspicions.retain(|suspicion| {
                !Subject::of(&suspicion.arn).is_some_and(|subject| told.contains(&subject))
            });
        }
        news
    }

    /// When [`lapse`](Self::lapse) has to be called, unless a text comes before.
    pub fn flows_until(&self) -> Option<Instant> {
        self.state().feed.flows_until()
    }

    /// Ends the coverage if the object has not changed for too long.
    pub fn lapse(&self, now: Instant) -> News {
        self.state().feed.lapse(now)
    }

    /// Whether a change of what was read at `read_at` would be told.
    pub fn covers(&self, area: &Area, read_at: Instant) -> bool {
        self.state().feed.covers(area, read_at, Instant::now())
    }

    /// The covered areas.
    pub fn areas(&self) -> Vec<Area> {
        self.state().feed.areas().cloned().collect()
    }

    /// When to make one more read because of a notice, within `longest` from now.
    pub fn turn(&self, service: Service, region: &Region, longest: Duration) -> Instant {
        let now = self.start.elapsed();
        let mut state = self.state();
        state.turns += 1;
        let random = (self.random.hash_one(state.turns) % 1000) as f64 / 1000.0;
        let window = match service {
            Service::SecretsManager => state.windows.secrets_manager,
            Service::ParameterStore => state.windows.parameter_store,
        };
        let spread = state.spreads.entry((service, region.clone())).or_default();
        let mut next = spread.clone();
        let mut at = next.next(now, window, random);
        // What would come too late comes by polling, and keeps no later notice waiting.
        if at > now + longest {
            at = now + longest.mul_f64(random);
        } else {
            *spread = next;
        }
        self.start + at
    }

    /// Notes that a poll has found a change in a covered area. Its notice may still come.
    pub fn suspect(&self, area: Area, arn: &str) {
        let mut state = self.state();
        if state.suspicions.len() < MAX_SUSPICIONS {
            let found_at = Instant::now();
            state.suspicions.push(Suspicion { area, arn: arn.to_owned(), found_at });
        }
    }

    /// Changes whose notice has not come in time. Their areas are polled normally for a day.
    pub fn untold(&self) -> Vec<(Suspicion, News)> {
        let now = Instant::now();
        let mut state = self.state();
        let suspicions = std::mem::take(&mut state.suspicions);
        let (due, waiting) = suspicions.into_iter().partition(|suspicion| now >= suspicion.found_at + LATE);
        state.suspicions = waiting;
        let due: Vec<Suspicion> = due;
        due.into_iter()
            .map(|suspicion| (suspicion.clone(), state.feed.distrust(&suspicion.area, now)))
            .collect()
    }

    /// Wakes who waits in [`news`](Self::news).
    pub fn wake(&self) {
        self.news.notify_one();
    }

    /// Waits until there is something to read because of notices.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The changes of each subject.
pub fn by_subject(changes: &[Change]) -> HashMap<Subject<'_>, Vec<&Change>> {
    let mut subjects: HashMap<Subject<'_>, Vec<&Change>> = HashMap::new();
    for change in changes {
        if let Some(subject) = Subject::of(&change.arn) {
            subjects.entry(subject).or_default().push(change);
        }
    }
    subjects
}
