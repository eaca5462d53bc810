//! EventBridge's default event bus of each account and Region: events about changes, and
//! the rules that send them to queues.

mod faults;
mod pattern;
mod sources;

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

pub(super) use self::faults::EventFaultBody;
pub use self::faults::{EventFault, EventFaultKind};
use self::{faults::EventFaults, pattern::Pattern};
use super::{
    arn::Arn,
    clock::iso_timestamp,
    queues::Message,
    world::{Key, World},
};

/// How many events are kept for tests to look at.
const REMEMBERED: usize = 10_000;

/// All event buses.
pub(super) struct Events {
    /// By the bus's account and Region, and the rule's name.
    rules: BTreeMap<Key, Rule>,
    pub(super) faults: EventFaults,
    sent: VecDeque<Value>,
    /// Whether a trail exists, so that API calls become events.
    pub(super) trail: bool,
    /// Whether a label that moves in a replica becomes an event of the replica's Region.
    /// AWS does not document it.
    pub(super) of_replicas: bool,
}

/// Sends the events that match its pattern to a queue.
struct Rule {
    pattern: Pattern,
    queue: Key,
}

/// Why a rule is unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("the pattern {0}")]
    Pattern(String),
    #[error("the queue {0} does not exist")]
    NoQueue(String),
}

/// One event, without its id.
pub(super) struct Event<'a> {
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    pub(super) source: &'a str,
    pub(super) detail_type: &'a str,
    pub(super) resources: Vec<String>,
    pub(super) detail: Value,
    pub(super) at: SystemTime,
}

impl Events {
    pub(super) fn new() -> Self {
        Self {
            rules: BTreeMap::new(),
            faults: EventFaults::default(),
            sent: VecDeque::new(),
            trail: false,
            of_replicas: true,
        }
    }

    /// The last events, in the order in which they were sent.
    pub(super) fn sent(&self) -> Vec<Value> {
        self.sent.iter().cloned().collect()
    }

    /// Whether the rule existed.
    pub(super) fn remove_rule(&mut self, key: &Key) -> bool {
        self.rules.remove(key).is_some()
    }
}

impl World {
    /// Adds a rule, or replaces the one of the same name. The queue is named by its ARN or,
    /// in the rule's own account and Region, by its name.
    ///
    /// # Errors
    /// When the pattern has something that the emulator does not have, or the queue does
    /// not exist.
    pub(super) fn add_rule(&mut self, key: Key, pattern: &Value, queue: &str) -> Result<(), RuleError> {
        let pattern = Pattern::parse(pattern).map_err(RuleError::Pattern)?;
        let of_arn = Arn::parse(queue)
            .map(|arn| (arn.account.to_owned(), arn.region.to_owned(), arn.resource.to_owned()));
        let target = of_arn.unwrap_or_else(|| (key.0.clone(), key.1.clone(), queue.to_owned()));
        if !self.queues.contains_key(&target) {
            return Err(RuleError::NoQueue(queue.to_owned()));
        }
        self.events.rules.insert(key, Rule { pattern, queue: target });
        Ok(())
    }

    /// Sends an event to its bus, whose rules send it to queues, at once unless a fault
    /// says otherwise
    /// (<https://docs.aws.amazon.com/eventbridge/latest/ref/overview-event-structure.html>).
    pub(super) fn send_event(&mut self, event: Event<'_>) {
        let Event { account, region, source, detail_type, resources, detail, at } = event;
        let envelope = json!({
            "version": "0",
            "id": self.ids.uuid(),
            "detail-type": detail_type,
            "source": source,
            "account": account,
            "time": iso_timestamp(at),
            "region": region,
            "resources": resources,
            "detail": detail,
        });
        let fault = self.events.faults.take(region, detail_type, &resources);
        if self.events.sent.len() == REMEMBERED {
            self.events.sent.pop_front();
        }
        self.events.sent.push_back(envelope.clone());
        if fault == Some(EventFaultKind::Lose) {
            return;
        }
        let targets = self.events.rules.iter().filter(|((of, within, _), rule)| {
            of == account && within == region && rule.pattern.matches(&envelope)
        });
        for queue in targets.map(|(_, rule)| &rule.queue) {
            let Some(queue) = self.queues.get_mut(queue) else { continue };
            let delay = match fault {
                Some(EventFaultKind::Delay(delay)) => delay,
                _ => Duration::ZERO,
            };
            let copies = if fault == Some(EventFaultKind::Duplicate) { 2 } else { 1 };
            for _ in 0..copies {
                // EventBridge's own account in SQS has no documented id.
                let sender = "events.amazonaws.com".to_owned();
                let message = Message::new(self.ids.uuid(), envelope.to_string(), sender, at, delay);
                queue.push(if fault == Some(EventFaultKind::Swap) { message.swapped() } else { message });
            }
        }
        self.arrivals.notify_waiters();
    }
}
