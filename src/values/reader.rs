//! What a mount reads: fresh values from the table, the others from AWS. Each value is
//! read by one mount for all that wait for it.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Entry, Found, Lost, Origin, Refresh, Served, Settled, Values};
use crate::{
    aws::Effort,
    backend::{Asker, Backend, Who},
    identity::{Identity, IdentityError, Proof},
    metrics::Lookup,
    model::{
        arn::{Region, Regions},
        objects::Objects,
        principal::Principal,
        source::{Planned, Source},
    },
    permits::Urgency,
    shares::{Share, Shares},
};

/// How long a mount waits for another caller's read while it could be served a last
/// known good value.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sources of one mount that are read at once. Within so many values it is seen in
/// time that a mount's values are too large.
const READ_AT_ONCE: usize = 64;
/// Largest value: a secret's. Parameters are smaller, or refer to a secret.
const MAX_VALUE_BYTES: usize = 64 << 10;

/// Reads values for mounts and for the poller.
pub struct Reader {
    identity: Arc<Identity>,
    backend: Arc<Backend>,
    values: Arc<Values>,
    memory: Arc<Shares>,
    max_bytes: usize,
}

/// Why a mount's objects were not read.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// There are no credentials, and nothing to serve without them.
    #[error(transparent)]
    Session(#[from] IdentityError),
    /// The values are larger than any mount may be, regardless of what is made of
    /// them. Names and sizes of those that were read.
    #[error("the values are too large")]
    TooLarge(Vec<(String, usize)>),
}

/// The pod that a mount reads for.
pub struct PodAsker<'a> {
    pub principal: &'a Principal,
    /// The pod's proof that it may act as the principal.
    pub proof: &'a Proof,
    pub regions: &'a Regions,
    /// Maximum age of a value; `None` for the operator's interval.
    pub interval: Option<Duration>,
}

/// What a mount reads.
pub struct Read {
    /// What was found for each object, in their order.
    pub objects: Vec<Found>,
    /// The least fresh origin of them.
    pub origin: Origin,
    /// The entries that the objects came from, to deliver their changes.
    pub entries: Vec<Arc<Entry>>,
    /// Entries whose outage began with this read.
    pub outages: Vec<Refreshed>,
    /// The memory of the values that were read for this mount.
    pub memory: Option<Share>,
    /// The turn among the mounts that are computed; `None` if the mount waited.
    pub turn: Option<Share>,
}

/// An entry that was read from AWS, and what that means for it.
#[derive(Clone)]
pub struct Refreshed {
    pub entry: Arc<Entry>,
    pub settled: Settled,
}

/// An entry, what a mount needs of it, and what it got so far.
struct Wanted<'a> {
    entry: Arc<Entry>,
    required: &'a [bool],
    /// `None` until it was read.
    found: Option<Result<Served, Lost>>,
    /// Whether the mount had to ask AWS, or wait for another that asks.
    missing: bool,
    /// Whether the mount asked AWS itself.
    asked: bool,
    /// What this mount's own read meant for the entry, if an outage began with it.
    outage: Option<Refreshed>,
}

impl Wanted<'_> {
    fn take(&mut self, refreshed: Refreshed) {
        let began = matches!(refreshed.settled, Settled::Kept { began: true, .. });
        self.asked = true;
        self.outage = began.then(|| refreshed.clone());
        self.found = Some(refreshed.settled.served());
    }

    fn bytes(&self) -> usize {
        let served = self.found.iter().flatten();
        served.map(|served| served.readings.bytes()).sum()
    }
}

impl Reader {
    /// Reads through `values`, at most `max_bytes` for one mount, in `memory` that
    /// namespaces share.
    pub fn new(
        identity: Arc<Identity>,
        backend: Arc<Backend>,
        values: Arc<Values>,
        memory: Arc<Shares>,
        max_bytes: usize,
    ) -> Self {
        Self { identity, backend, values, memory, max_bytes }
    }

    /// Reads every object. `turn` is released before anything is waited for.
    ///
    /// # Errors
    /// When the proof is refused, when there are no credentials and nothing to serve
    /// without them, or when the values are too large.
    pub async fn read(&self, asker: &PodAsker<'_>, objects: &Objects, turn: Share) -> Result<Read, NotRead> {
        let mut turn = Some(turn);
        if !self.identity.is_known(asker.principal, asker.proof) {
            turn = None;
        }
        if let Err(error) = self.identity.admit(asker.principal, asker.proof, asker.regions).await {
            if error.is_denial() {
                self.values.forget(asker.principal, error.reason());
            }
            return Err(error.into());
        }
        let plan = objects.plan();
        let mut wanted: Vec<Wanted<'_>> =
            plan.sources.iter().map(|planned| self.look_up(asker, planned)).collect();
        let memory = self.read_missing(asker, &mut wanted, &mut turn).await;
        self.count(&wanted);
        let memory = memory?;

        let mut origin = Origin::Cache;
        let (mut readings, mut entries, mut outages) = (Vec::new(), Vec::new(), Vec::new());
        for Wanted { entry, found, outage, .. } in wanted {
            outages.extend(outage);
            let served = match found.unwrap_or_else(|| Err(entry.unanswered())) {
                Ok(served) => served,
                Err(Lost::Read(readings)) => Served { readings, origin: Origin::Aws },
                Err(Lost::Session(error)) => return Err(error.into()),
            };
            origin = origin.max(served.origin);
            readings.push(served.readings);
            entries.push(entry);
        }
        let objects = plan.of_objects(&readings).map(|(readings, place)| readings.found(place)).collect();
        Ok(Read { objects, origin, entries, outages, memory, turn })
    }

    /// Reads from AWS the entries that the caller has the right to read.
    pub async fn refresh(&self, asker: &Asker<'_>, refreshes: Vec<Refresh>) -> Vec<Refreshed> {
        let entries: Vec<Arc<Entry>> = refreshes.iter().map(|refresh| Arc::clone(refresh.entry())).collect();
        let sources: Vec<&Source> = entries.iter().map(|entry| &entry.source).collect();
        let began = Instant::now();
        // On the heap: the future is large, and a republish, which reads nothing, would
        // carry it along.
        let settled: Vec<Settled> = match Box::pin(self.backend.read(asker, &sources)).await {
            Ok(results) => {
                if asker.effort.urgency() == Urgency::Poll {
                    self.values.note_pace(&entries, &results);
                }
                let results = refreshes.into_iter().zip(results);
                results.map(|(refresh, results)| refresh.settle(&self.values, began, results)).collect()
            }
            Err(error) => {
                let refreshes = refreshes.into_iter();
                refreshes.map(|refresh| refresh.without_credentials(&self.values, error.clone())).collect()
            }
        };
        entries.into_iter().zip(settled).map(|(entry, settled)| Refreshed { entry, settled }).collect()
    }

    /// Opens connections to the Region's STS and Secrets Manager, so that the first
    /// mounts do not wait for them.
    pub async fn connect_ahead(&self, region: &Region) {
        tokio::join!(self.identity.connect_ahead(region), self.backend.connect_ahead(region));
    }

    /// The values that are read through.
    pub fn values(&self) -> &Arc<Values> {
        &self.values
    }

    fn count(&self, wanted: &[Wanted<'_>]) {
        let (mut hits, mut misses, mut shared, mut stale) = (0, 0, 0, 0);
        for wanted in wanted {
            let is_stale = matches!(&wanted.found, Some(Ok(Served { origin: Origin::LastKnownGood, .. })));
            *match (wanted.missing, wanted.asked) {
                _ if is_stale => &mut stale,
                (false, _) => &mut hits,
                (true, true) => &mut misses,
                (true, false) => &mut shared,
            } += 1;
        }
        for (lookup, number) in
            [(Lookup::Hit, hits), (Lookup::Miss, misses), (Lookup::Shared, shared), (Lookup::Stale, stale)]
        {
            self.values.metrics.lookups.add(lookup, number);
        }
    }

    fn look_up<'a>(&self, asker: &PodAsker<'_>, planned: &'a Planned) -> Wanted<'a> {
        let interval = asker.interval.unwrap_or(self.values.settings().interval);
        let entry = self.values.entry(asker.principal, asker.regions, planned, interval);
        let found = self.serve(&entry, &planned.required).map(Ok);
        let missing = found.is_none();
        Wanted { entry, required: &planned.required, found, missing, asked: false, outage: None }
    }

    fn serve(&self, entry: &Entry, required: &[bool]) -> Option<Served> {
        entry.serve(entry.freshness(required, self.values.settings()))
    }

    /// Reads what nobody else reads now, and waits for the rest.
    async fn read_missing(
        &self,
        asker: &PodAsker<'_>,
        wanted: &mut [Wanted<'_>],
        turn: &mut Option<Share>,
    ) -> Result<Option<Share>, NotRead> {
        let missing = wanted.iter().filter(|wanted| wanted.missing).count();
        if missing == 0 {
            return Ok(None);
        }
        *turn = None;
        // Before the right to read any entry is taken: a mount that waits for memory
        // must not keep others waiting.
        let (namespace, _) = asker.principal.service_account();
        let max = (missing * MAX_VALUE_BYTES).min(self.max_bytes);
        let mut memory = self.memory.take(namespace, max).await;
        let (mut mine, mut others) = (Vec::new(), Vec::new());
        for wanted in wanted.iter_mut().filter(|wanted| wanted.missing) {
            match wanted.entry.try_refresh() {
                None => others.push(wanted),
                // Another read may have ended meanwhile.
                Some(refresh) => match self.serve(&wanted.entry, wanted.required) {
                    Some(served) => wanted.found = Some(Ok(served)),
                    None => mine.push((wanted, refresh)),
                },
            }
        }
        let others = others.into_iter().map(|wanted| self.wait(asker, wanted));
        let (read, _) = tokio::join!(self.read_within_limit(asker, mine), join_all(others));
        read?;
        memory.shrink_to(wanted.iter().filter(|wanted| wanted.missing).map(Wanted::bytes).sum());
        Ok(Some(memory))
    }

    /// Reads entries until their values are too large.
    async fn read_within_limit(
        &self,
        asker: &PodAsker<'_>,
        mut mine: Vec<(&mut Wanted<'_>, Refresh)>,
    ) -> Result<(), NotRead> {
        // Last known good values are better than waiting, and so is another Region.
        let known = mine.iter().any(|(wanted, _)| wanted.entry.held().is_some());
        let effort = match known || asker.regions.failover.is_some() {
            true => Effort::MOUNT,
            false => Effort::MOUNT.patient(),
        };
        let (mut sizes, mut left) = (Vec::new(), self.max_bytes);
        while !mine.is_empty() {
            let (wanted, refreshes): (Vec<_>, Vec<_>) = mine.drain(..mine.len().min(READ_AT_ONCE)).unzip();
            let refreshed = self.refresh(&self.asker(asker, effort.clone()), refreshes).await;
            let mut sum = 0;
            for (wanted, refreshed) in wanted.into_iter().zip(refreshed) {
                wanted.take(refreshed);
                sum += wanted.bytes();
                sizes.push((Arc::clone(&wanted.entry), wanted.bytes()));
            }
            match left.checked_sub(sum) {
                Some(rest) => left = rest,
                None => {
                    let named = sizes.into_iter().map(|(entry, bytes)| (entry.source.to_string(), bytes));
                    return Err(NotRead::TooLarge(named.collect()));
                }
            }
        }
        Ok(())
    }

    /// Waits for the caller that reads the entry, and reads it if that one gave up.
    async fn wait(&self, asker: &PodAsker<'_>, wanted: &mut Wanted<'_>) {
        let (entry, settings) = (Arc::clone(&wanted.entry), self.values.settings());
        let freshness = entry.freshness(wanted.required, settings);
        // Another pod's refused token says nothing about this pod's.
        let shared = |lost: &Lost| match lost {
            Lost::Read(_) => true,
            Lost::Session(error) => error.is_no_tokens_fault(),
        };
        let waited = entry.wait(freshness, shared);
        tokio::pin!(waited);
        let waited = match tokio::time::timeout(PATIENCE, &mut waited).await {
            Ok(waited) => waited,
            // An AWS that does not answer the poller is an outage before it is known as one.
            Err(_) => match entry.serve_while_waiting(wanted.required, settings) {
                Some(served) => {
                    wanted.found = Some(Ok(served));
                    return;
                }
                None => waited.await,
            },
        };
        wanted.found = Some(match waited {
            Ok(Ok(readings)) => {
                let origin = freshness.origin_of(&readings).unwrap_or(Origin::Cache);
                Ok(Served { readings, origin })
            }
            Ok(Err(lost)) => self.serve(&entry, wanted.required).ok_or(lost),
            Err(refresh) => {
                for refreshed in self.refresh(&self.asker(asker, Effort::MOUNT), vec![refresh]).await {
                    wanted.take(refreshed);
                }
                return;
            }
        });
    }

    fn asker<'a>(&'a self, asker: &PodAsker<'a>, effort: Effort) -> Asker<'a> {
        let who = Who::Pod { identity: &self.identity, principal: asker.principal, proof: Some(asker.proof) };
        Asker { who, regions: asker.regions, effort }
    }
}
