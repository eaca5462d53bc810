//! What a mount reads: from the cache what is fresh, from AWS what is not, each
//! value fetched by one mount for all that wait.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::{
    aws::Effort,
    backend::Backend,
    cache::{Found, Turn},
    fetch::{Asker, Who, each, fetch},
    identity::{Identity, IdentityError, Proof},
    model::{arn::Regions, objects::Objects, principal::Principal, source::Source},
    shares::{Share, Shares},
    values::{self, Entry, Finding, Lost, Origin, Outcome, Settled, Values},
};

/// How long a mount waits for another's read while it could be served a last
/// known good value.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sources of one mount that are read at once. A value has 64 KiB at most, so that
/// it is seen in time when a mount's values become too many.
const READ_AT_ONCE: usize = 64;
/// Largest value: a secret's. Parameters are smaller, or refer to a secret.
const MAX_VALUE_BYTES: usize = 64 << 10;

/// Reads for mounts.
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
    /// The values are more than any mount may have, whatever is made of them. The
    /// names and sizes of those that were read.
    #[error("the values are too large")]
    TooLarge(Vec<(String, usize)>),
}

/// The pod that a mount reads for.
pub struct PodAsker<'a> {
    /// Who it acts as.
    pub principal: &'a Principal,
    /// What proves it.
    pub proof: &'a Proof,
    /// Where it reads.
    pub regions: &'a Regions,
    /// How old a value may be; `None` for the operator's interval.
    pub interval: Option<Duration>,
}

/// What a mount reads.
pub struct Read {
    /// One result for each object, in their order.
    pub objects: Vec<values::Found>,
    /// The least fresh origin of them.
    pub origin: Origin,
    /// The entries that the objects came from, for whoever delivers changes.
    pub entries: Vec<Arc<Entry>>,
    /// The memory of the values that were read for this mount.
    pub memory: Option<Share>,
    /// The turn among the mounts that are computed, where nobody was waited for.
    pub turn: Option<Share>,
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

    /// Reads every object. `turn` is held as long as nobody is waited for, and dropped
    /// before AWS is.
    ///
    /// # Errors
    /// When the proof is worth nothing, or there are no credentials and nothing to
    /// serve without them, or the values are too large.
    pub async fn read(&self, asker: &PodAsker<'_>, objects: &Objects, turn: Share) -> Result<Read, NotRead> {
        let mut turn = Some(turn);
        if !self.identity.is_known(asker.principal, asker.proof) {
            turn = None;
        }
        if let Err(error) = self.identity.admit(asker.principal, asker.proof, asker.regions).await {
            if error.is_denial() {
                self.values.forget(asker.principal);
            }
            return Err(error.into());
        }
        let plan = objects.plan();
        let interval = asker.interval.unwrap_or(self.values.settings().interval);
        let wanted: Vec<Wanted<'_>> = plan
            .sources
            .iter()
            .zip(&plan.required)
            .map(|(source, required)| {
                let entry = self.values.entry(asker.principal, asker.regions, source, interval, required);
                Wanted { entry, required }
            })
            .collect();
        let (found, memory) = self.find_all(asker, &wanted, &mut turn).await?;

        let mut origin = Origin::Cache;
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(found.len());
        for found in found {
            match found {
                Ok((outcome, from)) => {
                    origin = origin.max(from);
                    outcomes.push(outcome);
                }
                Err(Lost::Read(outcome)) => {
                    origin = origin.max(Origin::Aws);
                    outcomes.push(outcome);
                }
                Err(Lost::Session(error)) => return Err(error.into()),
            }
        }
        let objects = plan.places.iter().map(|(source, place)| outcomes[*source].found(*place)).collect();
        let entries = wanted.into_iter().map(|wanted| wanted.entry).collect();
        Ok(Read { objects, origin, entries, memory, turn })
    }

    /// Counts entries anew, after something was taken out of their values.
    pub fn recount(&self, entries: &[Arc<Entry>]) {
        entries.iter().for_each(|entry| self.values.recount(entry));
    }

    /// Serves what is fresh, fetches what nobody fetches, and waits for the rest.
    async fn find_all(
        &self,
        asker: &PodAsker<'_>,
        wanted: &[Wanted<'_>],
        turn: &mut Option<Share>,
    ) -> Result<(Vec<Finding>, Option<Share>), NotRead> {
        let mut findings: Vec<Option<Finding>> =
            wanted.iter().map(|wanted| self.serve(wanted).map(Ok)).collect();
        let missing = findings.iter().filter(|finding| finding.is_none()).count();
        if missing == 0 {
            return Ok((findings.into_iter().flatten().collect(), None));
        }
        *turn = None;
        // Before any entry's turn is taken: who waits for memory must not keep others waiting.
        let (namespace, _) = asker.principal.service_account();
        let most = (missing * MAX_VALUE_BYTES).min(self.max_bytes);
        let mut memory = self.memory.take(namespace, most).await;
        let (mut mine, mut others) = (Vec::new(), Vec::new());
        for (index, wanted) in wanted.iter().enumerate() {
            if findings[index].is_some() {
                continue;
            }
            match wanted.entry.slot.try_turn() {
                None => others.push((index, wanted)),
                // Somebody may have ended meanwhile.
                Some(turn) => match self.serve(wanted) {
                    Some(served) => findings[index] = Some(Ok(served)),
                    None => mine.push((index, wanted, turn)),
                },
            }
        }
        let (fetched, waited) = tokio::join!(
            self.fetch_within(asker, mine),
            join_all(others.into_iter().map(async |(index, wanted)| (index, self.wait(asker, wanted).await))),
        );
        let mut bytes = 0;
        for (index, finding) in fetched?.into_iter().chain(waited) {
            bytes += finding.as_ref().map_or(0, |(outcome, _)| outcome.bytes());
            findings[index] = Some(finding);
        }
        memory.shrink_to(bytes);
        Ok((findings.into_iter().flatten().collect(), Some(memory)))
    }

    /// Fetches entries whose turn this mount has, and no more of them once their
    /// values are too large.
    async fn fetch_within(
        &self,
        asker: &PodAsker<'_>,
        mut mine: Vec<(usize, &Wanted<'_>, Turn)>,
    ) -> Result<Vec<(usize, Finding)>, NotRead> {
        let (mut findings, mut sizes) = (Vec::with_capacity(mine.len()), Vec::new());
        let mut left = self.max_bytes;
        while !mine.is_empty() {
            let next: Vec<_> = mine.drain(..mine.len().min(READ_AT_ONCE)).collect();
            let names = next.iter().map(|(_, wanted, _)| wanted.entry.source.to_string());
            let names: Vec<String> = names.collect();
            let fetched = self.fetch(asker, next).await;
            let read = fetched.iter().map(|(_, finding)| finding.as_ref().map_or(0, |(it, _)| it.bytes()));
            let read: Vec<usize> = read.collect();
            let sum = read.iter().sum();
            sizes.extend(names.into_iter().zip(read));
            findings.extend(fetched);
            match left.checked_sub(sum) {
                Some(rest) => left = rest,
                None => return Err(NotRead::TooLarge(sizes)),
            }
        }
        Ok(findings)
    }

    fn serve(&self, wanted: &Wanted<'_>) -> Option<(Outcome, Origin)> {
        wanted.entry.serve(wanted.entry.freshness(wanted.required, self.values.settings()))
    }

    /// Waits for whoever fetches the entry; fetches it, when that one gave up.
    async fn wait(&self, asker: &PodAsker<'_>, wanted: &Wanted<'_>) -> Finding {
        let freshness = wanted.entry.freshness(wanted.required, self.values.settings());
        // Another's refused token says nothing about this mount's.
        let shared = |lost: &Lost| match lost {
            Lost::Read(_) => true,
            Lost::Session(error) => error.is_no_tokens_fault(),
        };
        let found = wanted.entry.slot.wait(|held| freshness.origin_of(held).is_some(), shared);
        tokio::pin!(found);
        let found = match tokio::time::timeout(PATIENCE, &mut found).await {
            Ok(found) => found,
            // AWS that does not answer the poller is an outage before it is known as one.
            Err(_) => match wanted.entry.serve_while_waiting(wanted.required, self.values.settings()) {
                Some(served) => return Ok(served),
                None => found.await,
            },
        };
        match found {
            Found::Result(Ok(held)) => {
                let origin = freshness.origin_of(&held).unwrap_or(Origin::Cache);
                Ok((held.results, origin))
            }
            Found::Result(Err(lost)) => self.serve(wanted).ok_or(lost),
            Found::Turn(turn) => {
                let fetched = self.fetch(asker, vec![(0, wanted, turn)]).await;
                // One was asked for, and one comes back.
                fetched
                    .into_iter()
                    .next()
                    .map_or(Err(Lost::Session(IdentityError::NoToken)), |(_, finding)| finding)
            }
        }
    }

    /// Fetches entries whose turn this mount has.
    async fn fetch(
        &self,
        asker: &PodAsker<'_>,
        mine: Vec<(usize, &Wanted<'_>, Turn)>,
    ) -> Vec<(usize, Finding)> {
        let who = Who::Pod { identity: &self.identity, principal: asker.principal, proof: Some(asker.proof) };
        let began = Instant::now();
        let sources: Vec<&Source> = mine.iter().map(|(_, wanted, _)| &wanted.entry.source).collect();
        let asker = Asker { who, regions: asker.regions, effort: Effort::MOUNT };
        // On the heap: it is large, and a republish, which fetches nothing, would
        // carry its room along.
        let results = Box::pin(fetch(&self.backend, &asker, &sources)).await;
        let results = each(results, mine.len());
        let settled = mine.into_iter().zip(results).map(|((index, wanted, turn), result)| {
            let Settled { result, .. } = self.values.settle(&wanted.entry, turn, began, result);
            (index, result)
        });
        settled.collect()
    }
}

/// An entry and what this mount needs of it.
struct Wanted<'a> {
    entry: Arc<Entry>,
    required: &'a [bool],
}
