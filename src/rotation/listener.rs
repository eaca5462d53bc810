//! Hears change notices: it watches the object that carries them, and has the poller read
//! what they name.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    cluster::{Cluster, ClusterError, watched::ObjectName},
    notices::{Document, KEY, News},
    report::Report,
    values::Values,
};

/// Pauses after failures. They double from the shortest to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Listens until it is dropped.
pub struct Listener {
    pub cluster: Arc<Cluster>,
    pub values: Arc<Values>,
    pub report: Arc<Report>,
    pub object: ObjectName,
}

impl Listener {
    /// Watches the object, forever.
    pub async fn run(self) {
        let random = RandomState::new();
        let mut pause = SHORTEST_PAUSE;
        loop {
            let began = Instant::now();
            match self.watch().await {
                // The watch may be dead without knowing it.
                Ok(()) => {}
                Err(error) => self.report.notices_failed(&self.object, &error),
            }
            if began.elapsed() > LONGEST_PAUSE {
                pause = SHORTEST_PAUSE;
            }
            // All nodes lose the API server at once, and must not come back at once.
            let part = (random.hash_one(began.elapsed()) % 1000) as f64 / 1000.0;
            let next = sleep(pause.mul_f64(0.5 + part));
            tokio::pin!(next);
            while let Some(end) = self.values.heard().flows_until() {
                tokio::select! {
                    () = &mut next => break,
                    () = sleep_until(end) => self.lapse(),
                }
            }
            next.await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Listens until the object has not changed for too long.
    async fn watch(&self) -> Result<(), ClusterError> {
        let mut watched = self.cluster.watch(&self.object, KEY).await?;
        loop {
            let end = self.values.heard().flows_until();
            let text = tokio::select! {
                text = watched.next() => text?,
                () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => {
                    self.lapse();
                    return Ok(());
                }
            };
            match text.as_deref().map(Document::parse) {
                None => self.report.notices_absent(&self.object),
                Some(Err(error)) => self.report.notices_unreadable(&self.object, error),
                Some(Ok(document)) => {
                    let news = self.values.heard().take(document, Instant::now());
                    self.act(&news);
                }
            }
        }
    }

    fn lapse(&self) {
        let news = self.values.heard().lapse(Instant::now());
        self.act(&news);
    }

    fn act(&self, news: &News) {
        if !news.broken.is_empty() {
            self.values.fall_back(&news.broken);
        }
        let told = self.values.tell(&news.changes);
        self.report.noticed(news, told);
    }
}
