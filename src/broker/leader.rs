//! What the leader does: takes changes out of the queues, writes them into the object, and
//! deletes their messages after that.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    lease::Standing,
    object::{Object, Written},
    queue::{Message, Queue, Receipt},
    ring::{Added, Around, Ring},
};
use crate::{
    clock::{Time, unix_seconds},
    cluster::{Cluster, watched::ObjectName},
    metrics::{Dropped, NoticesFailure, NoticesMetrics, NoticesService},
    model::reference::Service,
    notices::{Area, Change, Rates},
};

/// Batches of messages between the queues and the object.
const MAX_BATCHES: usize = 64;
/// Time from one count of the nodes to the next.
const COUNT_EVERY: Duration = Duration::from_secs(5 * 60);
/// Pauses after a failed call of Kubernetes. They double from the shortest to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long the end waits for deletes. What is not deleted comes again, and is known.
const DELETE_TIME: Duration = Duration::from_secs(5);
/// The cluster's size if nobody may count its nodes: reads are spread over longer.
const UNKNOWN_NODES: u32 = 1000;

/// What a leader needs. It outlives the time of leading.
pub(super) struct Leader {
    pub(super) cluster: Arc<Cluster>,
    pub(super) queues: Arc<[Queue]>,
    pub(super) object: ObjectName,
    /// Accounts and Regions that no queue's URL names.
    pub(super) covers: Vec<Area>,
    pub(super) rates: Rates,
    pub(super) metrics: Arc<NoticesMetrics>,
    /// For the gauges: nodes, and the last write.
    pub(super) nodes: AtomicU32,
    pub(super) last_write: Mutex<Option<SystemTime>>,
}

/// One time of leading.
struct Term<'a> {
    leader: &'a Leader,
    standing: watch::Receiver<Standing>,
    started: Instant,
    object: Object,
    ring: Ring,
    covered: Vec<Area>,
    /// Of messages whose changes are not written yet.
    held: Vec<Receipt>,
    /// Where each queue's receipts are deleted.
    deletes: Vec<mpsc::UnboundedSender<Vec<Receipt>>>,
    /// After failed writes.
    pause: Option<Duration>,
    not_before: Instant,
}

impl Leader {
    /// Leads until `stop` completes, or until the lease is lost. What was received and not
    /// written yet comes again, to the next leader; before a stop it is written.
    pub(super) async fn lead(&self, standing: watch::Receiver<Standing>, stop: impl Future<Output = ()>) {
        let mut lost = std::pin::pin!(lost(standing.clone()));
        let mut stop = std::pin::pin!(stop);
        let begun = tokio::select! {
            begun = self.begin(standing) => begun,
            () = &mut lost => return,
            () = &mut stop => return,
        };
        let mut term = begun;
        // Ends with this function: nobody receives without leading.
        let mut tasks = JoinSet::new();
        let (sender, mut messages) = mpsc::channel(MAX_BATCHES);
        let mut deletes = JoinSet::new();
        for number in 0..self.queues.len() {
            let (queues, sender) = (Arc::clone(&self.queues), sender.clone());
            tasks.spawn(async move { queues[number].receive(number, sender).await });
            let (sender, receipts) = mpsc::unbounded_channel();
            let queues = Arc::clone(&self.queues);
            deletes.spawn(async move { queues[number].delete(receipts).await });
            term.deletes.push(sender);
        }
        drop(sender);
        let mut next_count = Instant::now() + COUNT_EVERY;
        loop {
            tokio::select! {
                biased;
                () = &mut lost => break,
                () = &mut stop => {
                    tasks.shutdown().await;
                    while let Ok(batch) = messages.try_recv() {
                        term.take(batch);
                    }
                    term.finish().await;
                    break;
                }
                () = sleep_until(term.next_write()) => term.write().await,
                () = sleep_until(next_count) => {
                    self.count_nodes().await;
                    next_count = Instant::now() + COUNT_EVERY;
                }
                Some(batch) = messages.recv() => term.take(batch),
            }
        }
        tasks.shutdown().await;
        self.queues.iter().for_each(Queue::rest);
        // Their messages were told; deleting them is right even without leading.
        drop(term);
        let _ = timeout(DELETE_TIME, async { while deletes.join_next().await.is_some() {} }).await;
    }

    /// Reads the object. Tries again until it succeeds.
    async fn begin(&self, standing: watch::Receiver<Standing>) -> Term<'_> {
        let started = Instant::now();
        let mut object = Object::new(self.object.clone());
        let mut pause = SHORTEST_PAUSE;
        let found = loop {
            match object.read(&self.cluster).await {
                Ok(found) => break found,
                Err(error) => {
                    self.metrics.failures.count(NoticesFailure::Write);
                    if pause == SHORTEST_PAUSE {
                        tracing::error!("no notices: {error}. Latchkey keeps trying");
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        let known = found.as_ref().map_or(UNKNOWN_NODES, |found| found.nodes.max(1));
        self.nodes.store(known, Ordering::Relaxed);
        self.count_nodes().await;
        let first = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let ring = Ring::resume(found, u64::try_from(first).unwrap_or_default(), Duration::ZERO);
        Term {
            leader: self,
            standing,
            started,
            object,
            ring,
            covered: Vec::new(),
            held: Vec::new(),
            deletes: Vec::new(),
            pause: None,
            not_before: started,
        }
    }

    async fn count_nodes(&self) {
        match self.cluster.node_count().await {
            Ok(count) => self.nodes.store(count.max(1), Ordering::Relaxed),
            Err(error) => {
                self.metrics.failures.count(NoticesFailure::Nodes);
                let known = self.nodes.load(Ordering::Relaxed);
                tracing::warn!("reads after notices are spread for {known} nodes: {error}");
            }
        }
    }

    /// What can be received now. Events of other accounts come through any queue.
    fn covered(&self) -> Vec<Area> {
        let receiving = self.queues.iter().filter(|queue| queue.receives());
        let mut covered: BTreeSet<Area> = receiving.map(|queue| queue.url.area()).collect();
        if self.queues.iter().all(Queue::receives) {
            covered.extend(self.covers.iter().cloned());
        }
        covered.into_iter().collect()
    }
}

/// Completes when this process no longer leads.
async fn lost(mut standing: watch::Receiver<Standing>) {
    loop {
        let until = match *standing.borrow_and_update() {
            Standing::Leads { until } if Instant::now() < until => until,
            _ => return,
        };
        tokio::select! {
            changed = standing.changed() => if changed.is_err() { return },
            () = sleep_until(until) => {}
        }
    }
}

impl Term<'_> {
    fn next_write(&self) -> Instant {
        (self.started + self.ring.due()).max(self.not_before)
    }

    /// Takes what one call received.
    fn take(&mut self, batch: Vec<Message>) {
        let metrics = &self.leader.metrics;
        metrics.received.inc_by(batch.len() as u64);
        let mut done: Vec<Receipt> = Vec::new();
        for Message { news, receipt } in batch {
            let news = match news {
                Ok(news) => news,
                Err(reason) => {
                    metrics.dropped.count(reason);
                    done.push(receipt);
                    continue;
                }
            };
            let service = match news.service {
                Service::SecretsManager => NoticesService::SecretsManager,
                Service::ParameterStore => NoticesService::ParameterStore,
            };
            match self.ring.add(news.change(), self.started.elapsed()) {
                Added::New => {
                    metrics.changes.count(service);
                    self.held.push(receipt);
                }
                Added::Known { written } => {
                    metrics.dropped.count(Dropped::Duplicate);
                    if written { done.push(receipt) } else { self.held.push(receipt) }
                }
            }
        }
        self.delete(done);
        if self.leader.covered() != self.covered {
            self.ring.owe();
        }
    }

    /// Writes the next document, if this process still leads.
    async fn write(&mut self) {
        if !self.standing.borrow().leads() {
            // Whoever waits for that sees it at once.
            self.not_before = Instant::now() + SHORTEST_PAUSE;
            return;
        }
        let leader = self.leader;
        self.covered = leader.covered();
        let nodes = leader.nodes.load(Ordering::Relaxed);
        let around = Around { nodes, rates: leader.rates, covered: self.covered.clone() };
        let document = self.ring.compose(&around, self.started.elapsed());
        let written = match self.object.write(&leader.cluster, &document).await {
            Ok(Written::Done) => Ok(()),
            Ok(Written::Conflict) => {
                leader.metrics.failures.count(NoticesFailure::Write);
                let found = self.object.read(&leader.cluster).await;
                return match found {
                    Ok(found) => {
                        tracing::info!("somebody else has written the object; Latchkey goes on from it");
                        self.ring.rebase(found.unwrap_or_default(), self.started.elapsed());
                    }
                    Err(error) => self.failed(&error.to_string()),
                };
            }
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => self.succeeded(),
            Err(error) => self.failed(&error.to_string()),
        }
    }

    fn succeeded(&mut self) {
        let now = SystemTime::now();
        let metrics = &self.leader.metrics;
        metrics.writes.inc();
        *self.leader.last_write.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        for change in self.ring.written() {
            if let Some(lag) = lag(change, now) {
                metrics.told(lag);
            }
        }
        if self.pause.take().is_some() {
            tracing::info!("the object can be written again");
        }
        let held = std::mem::take(&mut self.held);
        self.delete(held);
    }

    fn failed(&mut self, error: &str) {
        self.leader.metrics.failures.count(NoticesFailure::Write);
        if self.pause.is_none() {
            tracing::error!(
                "nodes get no notices, and go back to their normal interval: {error}. Latchkey keeps trying"
            );
        }
        let pause = self.pause.map_or(SHORTEST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
        self.pause = Some(pause);
        self.not_before = Instant::now() + pause;
    }

    /// Writes what waits, once, and gives its messages to those who delete.
    async fn finish(&mut self) {
        if !self.held.is_empty() {
            self.write().await;
        }
    }

    fn delete(&self, receipts: Vec<Receipt>) {
        let mut of_queues: Vec<Vec<Receipt>> = self.deletes.iter().map(|_| Vec::new()).collect();
        for receipt in receipts {
            if let Some(of_queue) = of_queues.get_mut(receipt.queue) {
                of_queue.push(receipt);
            }
        }
        for (delete, receipts) in self.deletes.iter().zip(of_queues) {
            if !receipts.is_empty() {
                // Its task ends after this sender.
                let _ = delete.send(receipts);
            }
        }
    }
}

/// Seconds from the change until now. EventBridge's times are whole seconds.
fn lag(change: &Change, now: SystemTime) -> Option<f64> {
    let at = change.at.as_deref().and_then(Time::parse)?;
    let since = Time::of(now).since(at);
    let part = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64() - unix_seconds(now) as f64;
    Some(since.as_secs_f64() + part)
}
