//! Single messages: SendMessage, ReceiveMessage, DeleteMessage, ChangeMessageVisibility.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Reply, lookup::permitted};
use crate::{
    access::Caller,
    clock::unix_milliseconds,
    queues::{Message, Queue, md5},
    wire::AwsError,
    world::World,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct SendRequest {
    queue_url: String,
    message_body: String,
    delay_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ReceiveRequest {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    /// Accepted and ignored: messages have no attributes of their own.
    #[serde(default, rename = "MessageAttributeNames")]
    _message_attribute_names: Vec<String>,
    max_number_of_messages: Option<usize>,
    visibility_timeout: Option<u64>,
    wait_time_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DeleteRequest {
    queue_url: String,
    receipt_handle: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct VisibilityRequest {
    queue_url: String,
    receipt_handle: String,
    visibility_timeout: u64,
}

pub(super) fn send_message(
    world: &mut World,
    caller: &Caller,
    request: SendRequest,
) -> Result<Value, AwsError> {
    let id = world.ids.uuid();
    let queue = permitted(world, caller, "SendMessage", &request.queue_url)?;
    let output = send(queue, caller, id, request.message_body, request.delay_seconds)?;
    world.arrivals.notify_waiters();
    Ok(output)
}

/// Adds a message to a queue.
///
/// # Errors
/// `InvalidMessageContents`, `InvalidParameterValue`.
pub(super) fn send(
    queue: &mut Queue,
    caller: &Caller,
    id: String,
    body: String,
    delay: Option<u64>,
) -> Result<Value, AwsError> {
    if body.is_empty() {
        return Err(AwsError::front_end(
            "MissingParameter",
            "The request must contain the parameter MessageBody.",
        ));
    }
    let most = queue.number("MaximumMessageSize");
    if body.len() as u64 > most {
        return Err(invalid(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {most} bytes."
        )));
    }
    // The characters of XML 1.0
    // (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html).
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    if !body.chars().all(allowed) {
        return Err(AwsError::front_end(
            "InvalidMessageContents",
            "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF.",
        ));
    }
    let delay = match delay {
        Some(seconds) => within("DelaySeconds", seconds, 900)?,
        None => queue.seconds("DelaySeconds"),
    };
    let output = json!({ "MessageId": id, "MD5OfMessageBody": md5(&body) });
    let sender = caller.principal.arn(&caller.region);
    queue.push(Message::new(id, body, sender, caller.now, delay));
    Ok(output)
}

pub(super) fn receive_message(
    world: &mut World,
    caller: &Caller,
    request: &ReceiveRequest,
    waited: Duration,
) -> Result<Reply, AwsError> {
    let queue = permitted(world, caller, "ReceiveMessage", &request.queue_url)?;
    let most = request.max_number_of_messages.unwrap_or(1);
    if !(1..=10).contains(&most) {
        return Err(invalid(format!(
            "Value {most} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."
        )));
    }
    let wait = match request.wait_time_seconds {
        Some(seconds) => within("WaitTimeSeconds", seconds, 20)?,
        None => queue.seconds("ReceiveMessageWaitTimeSeconds"),
    };
    let timeout = match request.visibility_timeout {
        Some(seconds) => within("VisibilityTimeout", seconds, 43_200)?,
        None => queue.seconds("VisibilityTimeout"),
    };
    let messages = queue.receive(most, timeout, caller.now)?;
    if messages.is_empty() {
        let rest = wait.saturating_sub(waited);
        let next = queue.next_visible(caller.now).unwrap_or(rest);
        return Ok(match rest.is_zero() {
            true => Reply::Body(json!({})),
            false => Reply::Later(rest.min(next)),
        });
    }
    let named: Vec<&String> =
        request.attribute_names.iter().chain(&request.message_system_attribute_names).collect();
    let asked = |name: &str| named.iter().any(|asked| *asked == name || *asked == "All");
    let messages: Vec<Value> = messages.iter().map(|message| output(message, &asked)).collect();
    Ok(Reply::Body(json!({ "Messages": messages })))
}

fn output(message: &Message, asked: &impl Fn(&str) -> bool) -> Value {
    let milliseconds = |time: SystemTime| unix_milliseconds(time).to_string();
    let first = message.first_received.unwrap_or(message.sent);
    let attributes: Map<String, Value> = [
        ("ApproximateFirstReceiveTimestamp", milliseconds(first)),
        ("ApproximateReceiveCount", message.receives.to_string()),
        ("SenderId", message.sender.clone()),
        ("SentTimestamp", milliseconds(message.sent)),
    ]
    .into_iter()
    .filter(|(name, _)| asked(name))
    .map(|(name, value)| (name.to_owned(), Value::String(value)))
    .collect();
    let mut output = json!({
        "MessageId": message.id,
        "ReceiptHandle": message.receipt_handle(),
        "MD5OfBody": md5(&message.body),
        "Body": message.body,
    });
    if !attributes.is_empty() {
        output["Attributes"] = Value::Object(attributes);
    }
    output
}

pub(super) fn delete_message(
    world: &mut World,
    caller: &Caller,
    request: &DeleteRequest,
) -> Result<Value, AwsError> {
    permitted(world, caller, "DeleteMessage", &request.queue_url)?.delete(&request.receipt_handle)?;
    Ok(json!({}))
}

pub(super) fn change_message_visibility(
    world: &mut World,
    caller: &Caller,
    request: &VisibilityRequest,
) -> Result<Value, AwsError> {
    let queue = permitted(world, caller, "ChangeMessageVisibility", &request.queue_url)?;
    let timeout = within("VisibilityTimeout", request.visibility_timeout, 43_200)?;
    queue.change_visibility(&request.receipt_handle, timeout, caller.now)?;
    // A long poll may wait for exactly this message.
    world.arrivals.notify_waiters();
    Ok(json!({}))
}

/// A number of seconds that must not exceed `most`.
pub(super) fn within(parameter: &str, seconds: u64, most: u64) -> Result<Duration, AwsError> {
    match seconds <= most {
        true => Ok(Duration::from_secs(seconds)),
        false => Err(invalid(format!(
            "Value {seconds} for parameter {parameter} is invalid. Reason: Must be >= 0 and <= {most}, if provided."
        ))),
    }
}

pub(super) fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::front_end("InvalidParameterValue", message)
}
