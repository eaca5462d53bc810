//! Up to ten messages at once: SendMessageBatch, DeleteMessageBatch,
//! ChangeMessageVisibilityBatch. Each entry succeeds or fails by itself.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    lookup::permitted,
    messages::{send, within},
};
use crate::{access::Caller, wire::AwsError, world::World};

/// How many entries a batch may have.
const MAX_ENTRIES: usize = 10;
/// The maximum length of all bodies of a batch, in bytes.
const MAX_BYTES: usize = 1_048_576;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct BatchRequest<E> {
    queue_url: String,
    entries: Vec<E>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct SendEntry {
    id: String,
    message_body: String,
    delay_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DeleteEntry {
    id: String,
    receipt_handle: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct VisibilityEntry {
    id: String,
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: u64,
}

pub(super) fn send_message_batch(
    world: &mut World,
    caller: &Caller,
    request: BatchRequest<SendEntry>,
) -> Result<Value, AwsError> {
    let message_ids: Vec<String> = request.entries.iter().map(|_| world.ids.uuid()).collect();
    let queue = permitted(world, caller, "SendMessage", &request.queue_url)?;
    check(request.entries.iter().map(|entry| &entry.id))?;
    let bytes: usize = request.entries.iter().map(|entry| entry.message_body.len()).sum();
    if bytes > MAX_BYTES {
        return Err(AwsError::front_end(
            "BatchRequestTooLong",
            format!("Batch requests cannot be longer than {MAX_BYTES} bytes. You have sent {bytes} bytes."),
        ));
    }
    let results = request.entries.into_iter().zip(message_ids).map(|(entry, message_id)| {
        let sent = send(queue, caller, message_id, entry.message_body, entry.delay_seconds);
        (entry.id, sent)
    });
    let output = output(results);
    world.arrivals.notify_waiters();
    Ok(output)
}

pub(super) fn delete_message_batch(
    world: &mut World,
    caller: &Caller,
    request: &BatchRequest<DeleteEntry>,
) -> Result<Value, AwsError> {
    let queue = permitted(world, caller, "DeleteMessage", &request.queue_url)?;
    check(request.entries.iter().map(|entry| &entry.id))?;
    let results = request.entries.iter().map(|entry| {
        let deleted = queue.delete(&entry.receipt_handle);
        (entry.id.clone(), deleted.map(|()| json!({})))
    });
    Ok(output(results))
}

pub(super) fn change_message_visibility_batch(
    world: &mut World,
    caller: &Caller,
    request: &BatchRequest<VisibilityEntry>,
) -> Result<Value, AwsError> {
    let queue = permitted(world, caller, "ChangeMessageVisibility", &request.queue_url)?;
    check(request.entries.iter().map(|entry| &entry.id))?;
    let results = request.entries.iter().map(|entry| {
        let changed = within("VisibilityTimeout", entry.visibility_timeout, 43_200)
            .and_then(|timeout| queue.change_visibility(&entry.receipt_handle, timeout, caller.now));
        (entry.id.clone(), changed.map(|()| json!({})))
    });
    let output = output(results);
    world.arrivals.notify_waiters();
    Ok(output)
}

/// Checks the number of entries and their ids.
fn check<'a>(ids: impl Iterator<Item = &'a String>) -> Result<(), AwsError> {
    let ids: Vec<&String> = ids.collect();
    if ids.is_empty() {
        return Err(AwsError::front_end(
            "EmptyBatchRequest",
            "There should be at least one entry in the request.",
        ));
    }
    if ids.len() > MAX_ENTRIES {
        return Err(AwsError::front_end(
            "TooManyEntriesInBatchRequest",
            format!("Maximum number of entries per request are {MAX_ENTRIES}. You have sent {}.", ids.len()),
        ));
    }
    for (at, id) in ids.iter().enumerate() {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if id.is_empty() || id.len() > 80 || !id.chars().all(allowed) {
            return Err(AwsError::front_end(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
            ));
        }
        if ids[..at].contains(id) {
            return Err(AwsError::front_end("BatchEntryIdsNotDistinct", format!("Id {id} repeated.")));
        }
    }
    Ok(())
}

fn output(results: impl Iterator<Item = (String, Result<Value, AwsError>)>) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, result) in results {
        match result {
            Ok(mut output) => {
                output["Id"] = json!(id);
                successful.push(output);
            }
            Err(error) => failed.push(json!({
                "Id": id,
                "SenderFault": true,
                "Code": error.code,
                "Message": error.message,
            })),
        }
    }
    let mut output = json!({ "Successful": successful });
    if !failed.is_empty() {
        output["Failed"] = Value::Array(failed);
    }
    output
}
