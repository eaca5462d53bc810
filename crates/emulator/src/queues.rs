//! A queue of SQS, its messages, and when they are visible.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use data_encoding::{BASE64, HEXLOWER};
use md5::{Digest, Md5};

use super::{arn::partition_of, wire::AwsError, world::Key};

/// How many messages of a queue may be in flight
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>).
const MAX_IN_FLIGHT: usize = 120_000;
/// PurgeQueue is refused within this time after the last one.
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// How long a swapped event waits for the event that overtakes it.
const SWAP_WITHIN: Duration = Duration::from_secs(1);

/// The attributes that can be set
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html>).
const ATTRIBUTES: [Attribute; 8] = [
    Attribute::number("DelaySeconds", "0", 0..=900),
    Attribute::number("MaximumMessageSize", "1048576", 1024..=1_048_576),
    Attribute::number("MessageRetentionPeriod", "345600", 60..=1_209_600),
    Attribute::number("ReceiveMessageWaitTimeSeconds", "0", 0..=20),
    Attribute::number("VisibilityTimeout", "30", 0..=43_200),
    // Returned as they were set, and without effect.
    Attribute::text("KmsMasterKeyId"),
    Attribute::text("Policy"),
    Attribute::text("SqsManagedSseEnabled"),
];

struct Attribute {
    name: &'static str,
    default: Option<&'static str>,
    /// The permitted values of a number.
    range: Option<RangeInclusive<u64>>,
}

impl Attribute {
    const fn number(name: &'static str, default: &'static str, range: RangeInclusive<u64>) -> Self {
        Self { name, default: Some(default), range: Some(range) }
    }

    const fn text(name: &'static str) -> Self {
        Self { name, default: None, range: None }
    }
}

/// A standard queue of one account in one Region.
pub(super) struct Queue {
    pub(super) arn: String,
    pub(super) url: String,
    pub(super) attributes: BTreeMap<String, String>,
    /// The roles and accounts that its resource policy allows.
    pub(super) policy_allows: Vec<String>,
    pub(super) created: SystemTime,
    purged: Option<SystemTime>,
    messages: VecDeque<Message>,
}

/// A message. Nothing in it is secret: an event never carries a value.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: String,
    /// The account or session that sent it.
    pub(super) sender: String,
    pub(super) sent: SystemTime,
    pub(super) first_received: Option<SystemTime>,
    pub(super) receives: u32,
    visible: SystemTime,
    /// Whether the next message overtakes it.
    swapped: bool,
}

/// How many messages a queue has, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    pub visible: usize,
    /// Received, and invisible until the visibility timeout ends.
    pub in_flight: usize,
    /// Sent, and not yet visible.
    pub delayed: usize,
}

impl Message {
    pub(super) fn new(id: String, body: String, sender: String, now: SystemTime, delay: Duration) -> Self {
        Self {
            id,
            body,
            sender,
            sent: now,
            first_received: None,
            receives: 0,
            visible: now + delay,
            swapped: false,
        }
    }

    /// A message that the next one of its queue overtakes.
    pub(super) fn swapped(mut self) -> Self {
        self.visible = self.sent + SWAP_WITHIN;
        self.swapped = true;
        self
    }

    /// A handle of its last receipt, opaque to clients.
    pub(super) fn receipt_handle(&self) -> String {
        BASE64.encode(format!("{}/{}", self.id, self.receives).as_bytes())
    }
}

impl Queue {
    /// A queue with the default attributes. Its key is account, Region and name.
    pub(super) fn new((account, region, name): &Key, now: SystemTime) -> Self {
        let (partition, domain) = match partition_of(region) {
            "aws-cn" => ("aws-cn", "amazonaws.com.cn"),
            "aws-eusc" => ("aws-eusc", "amazonaws.eu"),
            other => (other, "amazonaws.com"),
        };
        let defaults = ATTRIBUTES.iter().filter_map(|attribute| Some((attribute.name, attribute.default?)));
        Self {
            arn: format!("arn:{partition}:sqs:{region}:{account}:{name}"),
            url: format!("https://sqs.{region}.{domain}/{account}/{name}"),
            attributes: defaults.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            policy_allows: Vec::new(),
            created: now,
            purged: None,
            messages: VecDeque::new(),
        }
    }

    /// Sets attributes.
    ///
    /// # Errors
    /// `InvalidAttributeName`, `InvalidAttributeValue`.
    pub(super) fn set(&mut self, attributes: &BTreeMap<String, String>) -> Result<(), AwsError> {
        for (name, value) in attributes {
            let Some(attribute) = ATTRIBUTES.iter().find(|known| known.name == name) else {
                let has = ATTRIBUTES.map(|known| known.name).join(", ");
                return Err(AwsError::front_end(
                    "InvalidAttributeName",
                    format!("Unknown Attribute {name}. The emulator has {has}."),
                ));
            };
            let fits = attribute
                .range
                .as_ref()
                .is_none_or(|range| value.parse().is_ok_and(|number: u64| range.contains(&number)));
            if !fits {
                return Err(AwsError::front_end(
                    "InvalidAttributeValue",
                    format!("Invalid value for the parameter {name}."),
                ));
            }
        }
        self.attributes.extend(attributes.clone());
        Ok(())
    }

    pub(super) fn number(&self, attribute: &str) -> u64 {
        self.attributes.get(attribute).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    pub(super) fn seconds(&self, attribute: &str) -> Duration {
        Duration::from_secs(self.number(attribute))
    }

    /// Adds a message. Messages that were to be overtaken follow it.
    pub(super) fn push(&mut self, message: Message) {
        let now = message.sent;
        // Messages to be overtaken are always the last ones.
        let overtakes = !message.swapped && self.messages.back().is_some_and(|last| last.swapped);
        self.messages.push_back(message);
        if !overtakes {
            return;
        }
        let (overtaken, others): (Vec<_>, Vec<_>) = self.messages.drain(..).partition(|it| it.swapped);
        self.messages.extend(others);
        self.messages.extend(overtaken.into_iter().map(|it| Message { visible: now, swapped: false, ..it }));
    }

    /// Receives up to `most` visible messages, which are invisible for `timeout`.
    ///
    /// # Errors
    /// `OverLimit` when too many are in flight.
    pub(super) fn receive(
        &mut self,
        most: usize,
        timeout: Duration,
        now: SystemTime,
    ) -> Result<Vec<Message>, AwsError> {
        let kept = self.seconds("MessageRetentionPeriod");
        self.messages.retain(|message| message.sent + kept > now);
        if self.depth(now).in_flight >= MAX_IN_FLIGHT {
            return Err(AwsError::front_end(
                "OverLimit",
                "Too many messages are in flight. A queue can have at most 120000.",
            ));
        }
        let visible = self.messages.iter_mut().filter(|message| message.visible <= now).take(most);
        let received = visible.map(|message| {
            message.receives += 1;
            message.first_received.get_or_insert(now);
            message.visible = now + timeout;
            message.swapped = false;
            message.clone()
        });
        Ok(received.collect())
    }

    /// How long until a message that exists becomes visible.
    pub(super) fn next_visible(&self, now: SystemTime) -> Option<Duration> {
        self.messages.iter().filter_map(|message| message.visible.duration_since(now).ok()).min()
    }

    /// Deletes a message. A handle of an earlier receipt deletes nothing, and that is no
    /// error
    /// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html>).
    ///
    /// # Errors
    /// `ReceiptHandleIsInvalid`.
    pub(super) fn delete(&mut self, handle: &str) -> Result<(), AwsError> {
        let (id, receives) = read_handle(handle)?;
        let at = self.messages.iter().position(|message| message.id == id && message.receives == receives);
        at.and_then(|at| self.messages.remove(at));
        Ok(())
    }

    /// Makes a message visible again after `timeout`.
    ///
    /// # Errors
    /// `ReceiptHandleIsInvalid`, `MessageNotInflight`; `InvalidParameterValue` for a
    /// message that was deleted.
    pub(super) fn change_visibility(
        &mut self,
        handle: &str,
        timeout: Duration,
        now: SystemTime,
    ) -> Result<(), AwsError> {
        let (id, receives) = read_handle(handle)?;
        let Some(message) = self.messages.iter_mut().find(|message| message.id == id) else {
            return Err(AwsError::front_end(
                "InvalidParameterValue",
                format!(
                    "Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change."
                ),
            ));
        };
        if message.receives != receives || message.visible <= now {
            return Err(AwsError::front_end(
                "MessageNotInflight",
                "The message referred to is not in flight.",
            ));
        }
        message.visible = now + timeout;
        Ok(())
    }

    /// Deletes all messages.
    ///
    /// # Errors
    /// `PurgeQueueInProgress` within 60 seconds after the last purge.
    pub(super) fn purge(&mut self, now: SystemTime) -> Result<(), AwsError> {
        if self.purged.is_some_and(|purged| purged + PURGE_EVERY > now) {
            let name = self.url.rsplit('/').next().unwrap_or_default();
            return Err(AwsError::front_end(
                "PurgeQueueInProgress",
                format!("Only one PurgeQueue operation on {name} is allowed every 60 seconds."),
            ));
        }
        self.messages.clear();
        self.purged = Some(now);
        Ok(())
    }

    pub(super) fn depth(&self, now: SystemTime) -> QueueDepth {
        let mut depth = QueueDepth::default();
        for message in &self.messages {
            match message {
                Message { visible, .. } if *visible <= now => depth.visible += 1,
                Message { receives: 0, .. } => depth.delayed += 1,
                _ => depth.in_flight += 1,
            }
        }
        depth
    }
}

/// The message's id, and the number of its receipt.
fn read_handle(handle: &str) -> Result<(String, u32), AwsError> {
    let read = || {
        let text = String::from_utf8(BASE64.decode(handle.as_bytes()).ok()?).ok()?;
        let (id, receives) = text.split_once('/')?;
        Some((id.to_owned(), receives.parse().ok()?))
    };
    read()
        .ok_or_else(|| AwsError::front_end("ReceiptHandleIsInvalid", "The input receipt handle is invalid."))
}

/// A body's MD5 digest, which some clients verify.
pub(super) fn md5(text: &str) -> String {
    HEXLOWER.encode(&Md5::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;
    const TIMEOUT: Duration = Duration::from_secs(30);

    fn queue(bodies: &[&str]) -> Queue {
        let mut queue = Queue::new(&("1".into(), "eu-west-1".into(), "q".into()), NOW);
        for body in bodies {
            queue.push(message(body));
        }
        queue
    }

    fn message(body: &str) -> Message {
        Message::new(body.to_owned(), body.to_owned(), String::new(), NOW, Duration::ZERO)
    }

    fn bodies(received: &[Message]) -> Vec<&str> {
        received.iter().map(|message| message.body.as_str()).collect()
    }

    #[test]
    fn a_received_message_is_invisible_until_its_timeout_ends() {
        let mut queue = queue(&["a"]);
        let first = queue.receive(10, TIMEOUT, NOW).unwrap();
        assert_eq!(bodies(&first), ["a"]);
        assert_eq!(bodies(&queue.receive(10, TIMEOUT, NOW).unwrap()), [""; 0]);
        assert_eq!(queue.depth(NOW), QueueDepth { in_flight: 1, ..QueueDepth::default() });
        assert_eq!(queue.next_visible(NOW), Some(TIMEOUT));
        let again = queue.receive(10, TIMEOUT, NOW + TIMEOUT).unwrap();
        assert_eq!(again[0].receives, 2);
        queue.delete(&first[0].receipt_handle()).unwrap();
        assert_eq!(queue.depth(NOW + TIMEOUT).in_flight, 1, "an old handle deleted the message");
        queue.delete(&again[0].receipt_handle()).unwrap();
        assert_eq!(queue.depth(NOW + TIMEOUT), QueueDepth::default());
        queue.delete(&again[0].receipt_handle()).unwrap();
        assert_eq!(queue.delete("nonsense").unwrap_err().code, "ReceiptHandleIsInvalid");
    }

    #[test]
    fn visibility_changes_only_in_flight() {
        let mut queue = queue(&["a"]);
        let handle = queue.receive(1, TIMEOUT, NOW).unwrap()[0].receipt_handle();
        queue.change_visibility(&handle, Duration::ZERO, NOW).unwrap();
        assert_eq!(queue.depth(NOW).visible, 1);
        let change = |queue: &mut Queue| queue.change_visibility(&handle, TIMEOUT, NOW).unwrap_err().code;
        assert_eq!(change(&mut queue), "MessageNotInflight");
        queue.delete(&handle).unwrap();
        assert_eq!(change(&mut queue), "InvalidParameterValue");
    }

    #[test]
    fn a_swapped_message_follows_the_next_one_or_comes_a_second_later() {
        let mut both = queue(&[]);
        both.push(message("a").swapped());
        assert_eq!(both.depth(NOW).delayed, 1);
        both.push(message("b"));
        assert_eq!(bodies(&both.receive(10, TIMEOUT, NOW).unwrap()), ["b", "a"]);
        let mut alone = queue(&[]);
        alone.push(message("a").swapped());
        assert_eq!(bodies(&alone.receive(10, TIMEOUT, NOW + SWAP_WITHIN).unwrap()), ["a"]);
    }

    #[test]
    fn a_message_expires_and_a_purge_is_allowed_once_a_minute() {
        let mut queue = queue(&["a"]);
        let late = NOW + Duration::from_secs(345_600);
        assert_eq!(bodies(&queue.receive(10, TIMEOUT, late).unwrap()), [""; 0]);
        queue.purge(late).unwrap();
        assert_eq!(queue.purge(late).unwrap_err().code, "PurgeQueueInProgress");
        queue.purge(late + PURGE_EVERY).unwrap();
    }

    #[test]
    fn attributes_follow_awss_bounds() {
        let mut queue = queue(&[]);
        let mut code = |name: &str, value: &str| {
            queue.set(&[(name.to_owned(), value.to_owned())].into()).map_err(|error| error.code)
        };
        assert_eq!(code("VisibilityTimeout", "43200"), Ok(()));
        assert_eq!(code("VisibilityTimeout", "43201"), Err("InvalidAttributeValue".to_owned()));
        assert_eq!(code("FifoQueue", "true"), Err("InvalidAttributeName".to_owned()));
    }

    #[test]
    fn a_digest_is_md5() {
        assert_eq!(md5("abc"), "900150983cd24fb0d6963f7d28e17f72");
    }
}
