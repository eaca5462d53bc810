//! Changes of secrets, and how long they take to reach a node.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    harness::REGION,
    node::Node,
    scene::{ACCOUNTS, SECRETS, Scene, secret},
};

/// A secret with a new value.
pub(crate) struct Change {
    pub(crate) account: usize,
    pub(crate) file: String,
    pub(crate) value: String,
    pub(crate) began: Instant,
}

impl Change {
    /// Changes one secret; a run of numbers changes one after the other.
    pub(crate) fn make(scene: &Scene, number: usize) -> Self {
        let (account, index) = (number % ACCOUNTS, number / ACCOUNTS % SECRETS);
        let (name, value) = (secret(account, index), format!("{number} {:?}", scene.began.elapsed()));
        let began = Instant::now();
        scene.emulator.put_secret(REGION, &name, value.clone());
        Self { account, file: name.replace('/', "_"), value, began }
    }

    /// How long it took until all pods of a node had it; `None` if it took longer than `patience`.
    pub(crate) async fn reaches(&self, node: &Node, patience: Duration) -> Option<Duration> {
        let there = tokio::time::timeout_at(self.began + patience, node.has(self)).await;
        there.ok().map(|at| at - self.began)
    }
}

/// How long changes took.
#[derive(Default)]
pub(crate) struct Times {
    arrived: Vec<Duration>,
    lost: usize,
}

impl Times {
    pub(crate) fn of(times: impl IntoIterator<Item = Option<Duration>>) -> Self {
        let mut all = Self::default();
        for time in times {
            match time {
                Some(time) => all.arrived.push(time),
                None => all.lost += 1,
            }
        }
        all.arrived.sort_unstable();
        all
    }

    pub(crate) fn lost(&self) -> usize {
        self.lost
    }

    /// The time that this share of the changes did not exceed.
    pub(crate) fn at(&self, share: f64) -> Duration {
        let last = self.arrived.len().saturating_sub(1);
        let index = (self.arrived.len() as f64 * share).ceil() as usize;
        self.arrived.get(index.saturating_sub(1).min(last)).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [half, most, all] = [0.5, 0.99, 1.0].map(|share| self.at(share).as_secs_f64());
        write!(f, "{} changes: p50 {half:.2} s, p99 {most:.2} s, max {all:.2} s", self.arrived.len())?;
        if self.lost > 0 { write!(f, ", {} NOT SERVED", self.lost) } else { Ok(()) }
    }
}
