//! A fleet against AWS's quotas: thousands of nodes as state machines, hours within seconds.
//!
//! The nodes run the code that the provider runs for its pacing (`pacing`). AWS is a token
//! bucket for each service. What is modelled and what is not stands in `docs/src/at-scale.md`.

mod agenda;
mod bucket;
mod chance;
mod fleet;
mod mounts;
mod notices;
mod outcome;
mod polls;
mod text;
mod world;

use std::time::Duration;

use serde::Serialize;

use self::world::World;
pub use self::{
    outcome::{Ages, Changes, Mounts, Outcome, ServiceOutcome, Summary, json},
    text::text,
};
use crate::cost::Prices;

/// Time since the start.
type Micros = u64;

const SECOND: Micros = 1_000_000;
const MINUTE: Micros = 60 * SECOND;

/// The fleet, and what happens to it.
#[derive(Clone, Debug)]
pub struct Settings {
    pub nodes: u32,
    /// Principals on each node.
    pub accounts_per_node: u32,
    /// Secrets of each principal.
    pub values: u32,
    /// Parameters of each principal; ten are read in a call.
    pub parameters: u32,
    pub interval: Duration,
    pub max_refresh_interval: Duration,
    /// The interval while notices flow; `None` without notices.
    pub notified_poll_interval: Option<Duration>,
    /// Pods that start on each node in an hour, each with a principal that is new to the node.
    pub pod_starts: f64,
    /// Calls of GetSecretValue a second that AWS answers.
    pub secrets_manager_quota: f64,
    /// Calls of GetParameters a second that AWS answers.
    pub parameter_store_quota: f64,
    pub scenario: Scenario,
    pub length: Duration,
    pub seed: u64,
}

/// What happens to the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// Nothing but starting pods.
    Steady,
    /// After ten minutes, all nodes restart within one minute.
    Restart,
    /// After ten minutes, AWS answers nothing for ten minutes.
    Outage,
    /// From the tenth minute on, a secret that all nodes hold changes every five minutes.
    Change,
}

impl Settings {
    /// Simulates the whole time.
    pub fn run(&self, prices: &Prices) -> Outcome {
        World::new(self).run().outcome(prices)
    }

    /// Calls that read everything on all nodes once.
    pub fn calls(&self) -> u64 {
        let of_principal = u64::from(self.values) + u64::from(self.parameters.div_ceil(PARAMETERS_AT_ONCE));
        u64::from(self.nodes) * u64::from(self.accounts_per_node) * of_principal
    }

    /// Calls a second of the whole fleet if nothing were stretched: for secrets, and for
    /// parameters.
    pub fn asked(&self) -> [f64; 2] {
        let interval = self.notified_poll_interval.unwrap_or(self.interval).as_secs_f64();
        let principals = f64::from(self.nodes) * f64::from(self.accounts_per_node);
        let calls = [self.values, self.parameters.div_ceil(PARAMETERS_AT_ONCE)];
        calls.map(|calls| principals * f64::from(calls) / interval)
    }
}

/// Maximum of what is read on all nodes together, so that a simulation fits into memory.
pub const MAX_CALLS: u64 = 10_000_000;

/// Parameters of a principal that are read in one call (`backend::BATCH`).
const PARAMETERS_AT_ONCE: u32 = crate::backend::BATCH as u32;

#[cfg(test)]
mod tests;
