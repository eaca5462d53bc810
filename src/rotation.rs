//! The rotation poller: once an interval, it reads again what pods still mount.
//!
//! A poll is the same read that a mount makes, so it proves the permission again and
//! needs no other permission.

mod listener;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::stream::{self, StreamExt};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

pub use self::listener::Listener;
use crate::{
    aws::{Aws, Effort},
    backend::{Asker, BATCH, Who},
    classes::Classes,
    delivery::Delivery,
    identity::{Identity, IdentityError},
    model::{arn::Regions, principal::Principal, reference::Service},
    report::{Failure, Report},
    values::{Due, Entry, Reader, Refresh, Refreshed, Settled, Values},
};

/// Maximum time between two looks at what is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Minimum time, no matter how many entries come due one after the other.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Units of one principal that are read, or wait for a permit, at once: thousands of
/// entries must not become thousands of waiters.
const UNITS_AT_ONCE: usize = 8;
/// How long a change waits for others of its principal, so that they are written
/// together.
const WRITE_DELAY: Duration = Duration::from_millis(500);

/// Polls until it is dropped.
pub struct Poller {
    /// Gives permits for calls.
    pub aws: Arc<Aws>,
    pub identity: Arc<Identity>,
    /// Reads what is due.
    pub reader: Arc<Reader>,
    pub delivery: Arc<Delivery>,
    pub classes: Arc<Classes>,
    pub report: Arc<Report>,
}

impl Poller {
    /// Polls what is due and drops what is idle, forever.
    pub async fn run(self) {
        let poller = Arc::new(self);
        let mut polls = JoinSet::new();
        let mut look = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            tokio::select! {
                () = &mut look => {}
                () = poller.values().heard().news() => {}
                Some(ended) = polls.join_next() => {
                    // The panic's message may quote a value; the hook has logged its location.
                    if ended.is_err() {
                        tracing::error!("internal error in a poll (a bug in Latchkey; the log has its location)");
                    }
                    continue;
                }
            }
            poller.drop_idle();
            poller.tell_news();
            let identity = Arc::clone(&poller.identity);
            polls.spawn(async move { identity.keep_keys_fresh().await });
            for principal in poller.identity.run_out() {
                let poller = Arc::clone(&poller);
                polls.spawn(async move { poller.renew(&principal).await });
            }
            for due in groups(poller.values().due()) {
                let poller = Arc::clone(&poller);
                polls.spawn(async move { poller.poll(due).await });
            }
            look.as_mut().reset(poller.next_look());
        }
    }

    /// When the next entry comes due, or soon.
    fn next_look(&self) -> Instant {
        let now = Instant::now();
        let latest = now + LOOK_INTERVAL;
        self.values().next_due().map_or(latest, |due| due.clamp(now + LOOK_PAUSE, latest))
    }

    /// Tells of changes that no notice told of, and of stretched intervals.
    fn tell_news(&self) {
        for (suspicion, news) in self.values().heard().untold() {
            self.values().fall_back(&news.broken);
            self.report.untold(&suspicion);
        }
        for stretching in self.values().stretching() {
            self.report.stretching(&stretching);
        }
    }

    /// Forgets what no pod mounts any more.
    fn drop_idle(&self) {
        for principal in self.values().drop_idle() {
            self.identity.forget(&principal);
        }
        let settings = self.values().settings();
        let idle_after = settings.idle_after.max(settings.interval * 2);
        self.classes.drop_idle(idle_after);
        self.delivery.drop_idle(idle_after);
        self.report.drop_idle(idle_after);
    }

    /// Renews expired credentials, so that a revoked trust is noticed then and not at the
    /// next read. After an outage, the next read tries again.
    async fn renew(&self, principal: &Principal) {
        let Some(regions) = self.values().regions_of(principal) else {
            return self.identity.forget(principal);
        };
        if let Err(error) = self.session(principal, &regions).await
            && error.is_denial()
        {
            self.report.denied(principal, &Failure { reason: error.reason(), error: &error });
            self.values().forget(principal, error.reason());
        }
    }

    /// Reads what is due of one principal, each unit as soon as there is a permit for its
    /// call.
    async fn poll(&self, due: Vec<Due>) {
        let Some(first) = due.first().map(|due| Arc::clone(due.entry())) else { return };
        // One session for all: without credentials none of them is read.
        if let Err(error) = self.session(&first.principal, &first.regions).await {
            for refresh in due.into_iter().filter_map(Due::refresh) {
                let entry = Arc::clone(refresh.entry());
                let settled = refresh.without_credentials(self.values(), error.clone());
                self.report.polled(&Refreshed { entry, settled });
            }
            return;
        }
        let units = units(due).into_iter().map(|unit| self.read(unit));
        let mut polls = stream::iter(units).buffer_unordered(UNITS_AT_ONCE);
        let mut changed = Vec::new();
        loop {
            // Changes that come together are written together, and wait for no call that hangs.
            let next = match changed.is_empty() {
                true => Ok(polls.next().await),
                false => timeout(WRITE_DELAY, polls.next()).await,
            };
            match next {
                Ok(Some(more)) => changed.extend(more),
                Ok(None) => break,
                Err(_) => self.deliver(std::mem::take(&mut changed)).await,
            }
        }
        self.deliver(changed).await;
    }

    async fn session(&self, principal: &Principal, regions: &Regions) -> Result<(), IdentityError> {
        let permit = self.aws.admit_poll(&regions.primary, principal.service_account().0).await;
        self.identity.session_for_polling(principal, regions, &Effort::poll(permit)).await.map(drop)
    }

    /// Reads a unit, and returns what has changed.
    async fn read(&self, unit: Vec<Due>) -> Vec<Arc<Entry>> {
        let Some(first) = unit.first().map(|due| Arc::clone(due.entry())) else { return Vec::new() };
        let (principal, regions) = (&first.principal, &first.regions);
        let permit = self.aws.admit_poll(&regions.primary, principal.service_account().0).await;
        // The right to read comes after the permit: a mount that wants these values
        // meanwhile reads them itself, and waits for no poll that waits.
        let unit: Vec<Refresh> = unit.into_iter().filter_map(Due::refresh).collect();
        if unit.is_empty() {
            return Vec::new();
        }
        let asker = Asker {
            who: Who::Pod { identity: &self.identity, principal, proof: None },
            regions,
            effort: Effort::poll(permit),
        };
        let mut changed = Vec::new();
        for refreshed in self.reader.refresh(&asker, unit).await {
            self.report.polled(&refreshed);
            if matches!(refreshed.settled, Settled::Read { changed: true, .. }) {
                changed.push(refreshed.entry);
            }
        }
        changed
    }

    async fn deliver(&self, changed: Vec<Arc<Entry>>) {
        if !changed.is_empty() {
            self.delivery.refresh(&changed, |rewritten| self.report.rewritten(&rewritten)).await;
        }
    }

    fn values(&self) -> &Values {
        self.reader.values()
    }
}

/// Entries by principal and Regions.
fn groups(due: Vec<Due>) -> impl Iterator<Item = Vec<Due>> {
    let mut groups: HashMap<(Principal, Regions), Vec<Due>> = HashMap::new();
    for due in due {
        let group = (due.entry().principal.clone(), due.entry().regions.clone());
        groups.entry(group).or_default().push(due);
    }
    groups.into_values()
}

/// What one permit is enough for: ten parameters, or one secret.
fn units(due: Vec<Due>) -> Vec<Vec<Due>> {
    let mut units = Vec::new();
    let mut parameters = Vec::new();
    for due in due {
        match due.entry().source.service() {
            Service::SecretsManager => units.push(vec![due]),
            Service::ParameterStore => parameters.push(due),
        }
    }
    while !parameters.is_empty() {
        let rest = parameters.split_off(parameters.len().min(BATCH));
        units.push(std::mem::replace(&mut parameters, rest));
    }
    units
}
