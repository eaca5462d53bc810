//! The rotation poller: reads again, once an interval, what pods still ask for.
//!
//! Every poll is the very read that a mount makes, so it proves the permission
//! anew and needs none that a mount does not.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    aws::Effort,
    backend::Backend,
    cache::Turn,
    fetch::{Asker, Who, each, fetch},
    identity::Identity,
    model::{
        arn::Regions,
        message::{logged, quoted},
        principal::Principal,
        source::Source,
    },
    refusals::Refusals,
    values::{Entry, Finding, Values},
    volumes::Volumes,
};

/// How often it is looked what is due. Two looks are one interval apart for
/// every interval of whole seconds.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Polls until it is dropped.
pub struct Poller {
    /// Gives credentials.
    pub identity: Arc<Identity>,
    /// Reads.
    pub backend: Arc<Backend>,
    /// What is polled.
    pub values: Arc<Values>,
    /// Where changes are written, in provider-writes mode.
    pub volumes: Option<Arc<Volumes>>,
    /// What was told lately, so that the log does not repeat it.
    pub refusals: Arc<Refusals>,
}

impl Poller {
    /// Polls what is due and drops what is idle, forever.
    pub async fn run(self) {
        let poller = Arc::new(self);
        let mut polls = JoinSet::new();
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                Some(ended) = polls.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!("a poll failed by a bug: {error}");
                    }
                    continue;
                }
            }
            poller.drop_idle();
            for principal in poller.identity.run_out() {
                let poller = Arc::clone(&poller);
                polls.spawn(async move { poller.renew(&principal).await });
            }
            for batch in batches(poller.values.due()) {
                let poller = Arc::clone(&poller);
                polls.spawn(async move { poller.poll(batch).await });
            }
        }
    }

    /// Forgets what no pod asks for any more.
    fn drop_idle(&self) {
        for principal in self.values.drop_idle() {
            self.identity.forget(&principal);
        }
        if let Some(volumes) = &self.volumes {
            let settings = self.values.settings();
            volumes.drop_idle(settings.idle_after.max(settings.interval * 2));
        }
    }

    /// Renews credentials that have run out, so that a revoked trust is seen then
    /// and not at the next read. After an outage the next read tries again.
    async fn renew(&self, principal: &Principal) {
        let Some(regions) = self.values.regions_of(principal) else {
            return self.identity.forget(principal);
        };
        if let Err(error) = self.identity.session_for_polling(principal, &regions).await
            && error.is_denial()
        {
            let error = logged(&error);
            tracing::warn!(%principal, "all values are dropped: {error}");
            self.values.forget(principal);
        }
    }

    /// Reads entries of one principal and place at once.
    async fn poll(&self, batch: Batch) {
        let Some((first, _)) = batch.first() else { return };
        let (principal, regions) = (first.principal.clone(), first.regions.clone());
        let asker = Asker {
            who: Who::Pod { identity: &self.identity, principal: &principal, proof: None },
            regions: &regions,
            effort: Effort::Poll,
        };
        let began = Instant::now();
        let sources: Vec<&Source> = batch.iter().map(|(entry, _)| &entry.source).collect();
        let results = each(fetch(&self.backend, &asker, &sources).await, sources.len());
        let mut changed = Vec::new();
        for ((entry, turn), result) in batch.into_iter().zip(results) {
            let settled = self.values.settle(&entry, turn, began, result);
            if settled.news {
                self.report(&entry, &settled.result);
            }
            if settled.changed {
                changed.push(entry);
            }
        }
        if let Some(volumes) = self.volumes.as_ref().filter(|_| !changed.is_empty()) {
            volumes.update(&changed).await;
        }
    }

    /// Says once that AWS began to fail or that access was lost.
    fn report(&self, entry: &Entry, result: &Finding) {
        let id = entry.source.primary.first().map_or("", |reference| reference.id.as_str());
        let (object, principal) = (quoted(id), &entry.principal);
        let text = match result {
            Ok(_) => "AWS fails; the last known good value is kept".to_owned(),
            Err(lost) => format!("polling failed: {}", logged(lost)),
        };
        if let Some(untold) = self.refusals.tell(principal.service_account().0, id, &text) {
            tracing::warn!(%object, %principal, "{text}{untold}");
        }
    }
}

/// Entries to read, with the right to.
type Batch = Vec<(Arc<Entry>, Turn)>;

/// Entries that may be read in one go; what a mount reads just now is left to it.
fn batches(due: Vec<Arc<Entry>>) -> impl Iterator<Item = Batch> {
    let mut batches: HashMap<(Principal, Regions), Batch> = HashMap::new();
    for entry in due {
        if let Some(turn) = entry.slot.try_turn() {
            batches.entry((entry.principal.clone(), entry.regions.clone())).or_default().push((entry, turn));
        }
    }
    batches.into_values()
}
