//! Queues, rules and events without HTTP, for tests and the demo.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    Emulator,
    events::{EventFault, RuleError},
    queues::{Message, Queue, QueueDepth},
    world::{Key, World},
};

impl Emulator {
    pub(crate) fn account(&self) -> String {
        self.inner.world().account.clone()
    }

    /// Creates a queue in the store's account, unless it exists, and returns its URL.
    pub fn create_queue(&self, region: &str, name: &str) -> String {
        let now = self.now();
        let mut world = self.inner.world();
        let key = (world.account.clone(), region.to_owned(), name.to_owned());
        world.queues.entry(key).or_insert_with_key(|key| Queue::new(key, now)).url.clone()
    }

    /// Removes a queue of the store's account.
    pub fn remove_queue(&self, region: &str, name: &str) {
        let mut world = self.inner.world();
        let key = (world.account.clone(), region.to_owned(), name.to_owned());
        world.queues.remove(&key);
        // A long poll of the queue ends with an error.
        world.arrivals.notify_waiters();
    }

    /// Creates a queue, and a rule of the same name that sends it all events about secrets
    /// and parameters of the store's account and this Region. Returns the queue's URL.
    pub fn queue_of_changes(&self, region: &str, name: &str) -> String {
        let url = self.create_queue(region, name);
        let pattern = json!({ "source": ["aws.secretsmanager", "aws.ssm"] });
        // This cannot fail: the pattern is valid, and the queue exists.
        let _ = self.add_event_rule(region, name, &pattern, name);
        url
    }

    /// Adds a rule to the event bus of the store's account in this Region, or replaces it.
    /// `queue` is the queue's ARN, or its name in the same account and Region.
    ///
    /// # Errors
    /// When the queue does not exist, or the pattern has something that the emulator does
    /// not have: it has lists of exact values, and `prefix`.
    pub fn add_event_rule(
        &self,
        region: &str,
        name: &str,
        pattern: &Value,
        queue: &str,
    ) -> Result<(), RuleError> {
        let mut world = self.inner.world();
        let key = (world.account.clone(), region.to_owned(), name.to_owned());
        world.add_rule(key, pattern, queue)
    }

    /// Removes a rule. Returns whether it existed.
    pub fn remove_event_rule(&self, region: &str, name: &str) -> bool {
        let mut world = self.inner.world();
        let key = (world.account.clone(), region.to_owned(), name.to_owned());
        world.events.remove_rule(&key)
    }

    /// Sends a message to a queue, such as a forged or malformed event. Returns whether the
    /// queue exists.
    pub fn send_message(&self, queue_url: &str, body: &str) -> bool {
        let now = self.now();
        let mut world = self.inner.world();
        let (id, sender) = (world.ids.uuid(), world.account.clone());
        let message = Message::new(id, body.to_owned(), sender, now, Duration::ZERO);
        let arrivals = world.arrivals.clone();
        let queue = queue_at(&mut world, queue_url);
        let exists = queue.map(|queue| queue.push(message)).is_some();
        arrivals.notify_waiters();
        exists
    }

    /// How many messages a queue has; none if it does not exist.
    pub fn queue_depth(&self, queue_url: &str) -> QueueDepth {
        let now = self.now();
        queue_at(&mut self.inner.world(), queue_url).map(|queue| queue.depth(now)).unwrap_or_default()
    }

    /// The last 10,000 events of all buses, in the order in which they were sent. Lost
    /// events are among them.
    pub fn events(&self) -> Vec<Value> {
        self.inner.world().events.sent()
    }

    /// Loses, duplicates, delays or swaps events. If several faults match an event, the
    /// oldest applies.
    pub fn inject_event_fault(&self, fault: EventFault) {
        self.inner.world().events.faults.inject(fault);
    }

    pub fn clear_event_faults(&self) {
        self.inner.world().events.faults.clear();
    }

    /// Sets whether a trail exists, so that DeleteSecret, RestoreSecret and
    /// PutResourcePolicy become events. By default there is none.
    pub fn set_trail(&self, exists: bool) {
        self.inner.world().events.trail = exists;
    }

    /// Sets whether a label that moves also becomes an event in the Regions of the
    /// secret's replicas, as by default. AWS does not document whether it does.
    pub fn set_replica_events(&self, sent: bool) {
        self.inner.world().events.of_replicas = sent;
    }
}

fn queue_at<'w>(world: &'w mut World, url: &str) -> Option<&'w mut Queue> {
    let key: Option<Key> =
        world.queues.iter().find(|(_, queue)| queue.url == url).map(|(key, _)| key.clone());
    world.queues.get_mut(&key?)
}
