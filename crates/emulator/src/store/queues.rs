//! The queues and event rules of a store.

use std::{collections::BTreeMap, time::SystemTime};

use serde::Deserialize;

use super::{
    ResourcePolicy, Store, StoreError,
    build::{check_region, mistake, refused},
};
use crate::{events::RuleError, queues::Queue, rules, world::World};

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct QueueEntry {
    pub(super) name: String,
    pub(super) account: Option<String>,
    pub(super) region: Option<String>,
    #[serde(default)]
    pub(super) regions: Vec<String>,
    /// By SQS's names, such as `VisibilityTimeout`.
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) resource_policy: ResourcePolicy,
}

/// A rule of the default event bus of an account and Region.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EventRuleEntry {
    pub(super) name: String,
    pub(super) account: Option<String>,
    pub(super) region: Option<String>,
    #[serde(default)]
    pub(super) regions: Vec<String>,
    /// By EventBridge's names, such as `detail-type`.
    pub(super) pattern: serde_json::Value,
    /// The queue's ARN, or its name in the rule's account and Region.
    pub(super) queue: String,
}

impl Store {
    /// Adds the queues, and then the rules that name them.
    pub(super) fn add_queues(&self, world: &mut World, now: SystemTime) -> Result<(), StoreError> {
        for entry in &self.queues {
            for region in self.regions(entry.region.as_ref(), &entry.regions) {
                let reason = |reason| mistake(format!("queue {}", entry.name), reason);
                add_queue(world, entry, region, now).map_err(reason)?;
            }
        }
        for entry in &self.event_rules {
            let account = entry.account.clone().unwrap_or_else(|| world.account.clone());
            for region in self.regions(entry.region.as_ref(), &entry.regions) {
                let key = (account.clone(), region, entry.name.clone());
                let reason =
                    |reason: RuleError| mistake(format!("event rule {}", entry.name), reason.to_string());
                world.add_rule(key, &entry.pattern, &entry.queue).map_err(reason)?;
            }
        }
        Ok(())
    }
}

fn add_queue(world: &mut World, entry: &QueueEntry, region: String, now: SystemTime) -> Result<(), String> {
    let account = entry.account.clone().unwrap_or_else(|| world.account.clone());
    check_region(&region)?;
    rules::queue_name(&entry.name).map_err(refused)?;
    let key = (account, region, entry.name.clone());
    let mut queue = Queue::new(&key, now);
    queue.set(&entry.attributes).map_err(refused)?;
    queue.policy_allows.clone_from(&entry.resource_policy.allow);
    match world.queues.insert(key, queue) {
        None => Ok(()),
        Some(_) => Err("is there twice in one account and Region".to_owned()),
    }
}
