//! What reading secrets costs: calls and dollars a day, against AWS's quotas, for the classes
//! and pods of an estate. The model counts what the provider does: each principal on each
//! node reads each value once an interval.

mod advice;
mod calls;
mod dollars;
mod json;
mod prices;
mod scenario;
mod table;
mod usage;

use std::time::Duration;

pub use self::{
    advice::{RULES, findings},
    calls::{Calls, Operation, Totals},
    json::json,
    prices::{Prices, SOURCES, Source as PriceSource},
    scenario::{Scenario, scenarios},
    table::{markdown, table},
    usage::{Skipped, Usage},
};
use crate::model::arn::Region;

/// What the model assumes where an estate does not say.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Nodes of the cluster, for pods whose node is unknown.
    pub nodes: Option<u32>,
    /// Pods of each class that no workload mounts.
    pub pods: u32,
    /// `--rotation-poll-interval` of the provider.
    pub interval: Duration,
    /// Whether change notices cover everything, so that classes' own intervals do not count.
    pub notices: bool,
    /// Pods that start each day, in addition to those that run.
    pub churn: u32,
    /// The Region of classes that name none.
    pub region: Option<Region>,
    /// Whether secrets and parameters are encrypted with customer-managed KMS keys.
    pub customer_keys: bool,
    /// Whether Parameter Store's higher throughput is switched on.
    pub higher_throughput: bool,
    /// How often AWS's own provider reads everything again for each pod.
    pub republish: Duration,
    pub prices: Prices,
}
