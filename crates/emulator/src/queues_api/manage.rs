//! Queues: CreateQueue, DeleteQueue, GetQueueUrl, ListQueues, GetQueueAttributes,
//! SetQueueAttributes, PurgeQueue.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::lookup::{OneQueue, authorized, no_queue, permitted};
use crate::{
    access::Caller,
    clock::unix_seconds,
    queues::Queue,
    rules,
    wire::{AwsError, page_token, read_page_token},
    world::{Key, World},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct CreateRequest {
    queue_name: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// Accepted and ignored: no operation of the emulator returns the tags of a queue.
    #[serde(default, rename = "tags")]
    _tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct UrlRequest {
    queue_name: String,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    owner: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct AttributesRequest {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct SetRequest {
    queue_url: String,
    attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListRequest {
    queue_name_prefix: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

pub(super) fn create_queue(
    world: &mut World,
    caller: &Caller,
    request: CreateRequest,
) -> Result<Value, AwsError> {
    rules::queue_name(&request.queue_name)?;
    let key = own(caller, request.queue_name);
    authorized(world, caller, "CreateQueue", &key)?;
    let mut queue = Queue::new(&key, caller.now);
    queue.set(&request.attributes)?;
    let known = world.queues.entry(key).or_insert(queue);
    // The same call again is no error, unless it names other attributes.
    if let Some((name, _)) =
        request.attributes.iter().find(|(name, value)| known.attributes.get(*name) != Some(value))
    {
        return Err(AwsError::front_end(
            "QueueNameExists",
            format!("A queue already exists with the same name and a different value for attribute {name}"),
        ));
    }
    Ok(json!({ "QueueUrl": known.url }))
}

pub(super) fn delete_queue(
    world: &mut World,
    caller: &Caller,
    request: &OneQueue,
) -> Result<Value, AwsError> {
    let url = permitted(world, caller, "DeleteQueue", &request.queue_url)?.url.clone();
    world.queues.retain(|_, queue| queue.url != url);
    // A long poll of the queue ends with an error.
    world.arrivals.notify_waiters();
    Ok(json!({}))
}

pub(super) fn get_queue_url(world: &World, caller: &Caller, request: &UrlRequest) -> Result<Value, AwsError> {
    let mut key = own(caller, request.queue_name.clone());
    if let Some(owner) = &request.owner {
        key.0.clone_from(owner);
    }
    authorized(world, caller, "GetQueueUrl", &key)?;
    let queue = world.queues.get(&key).ok_or_else(no_queue)?;
    Ok(json!({ "QueueUrl": queue.url }))
}

pub(super) fn get_queue_attributes(
    world: &mut World,
    caller: &Caller,
    request: &AttributesRequest,
) -> Result<Value, AwsError> {
    let queue = permitted(world, caller, "GetQueueAttributes", &request.queue_url)?;
    let depth = queue.depth(caller.now);
    let created = unix_seconds(queue.created).to_string();
    let mut attributes = queue.attributes.clone();
    attributes.extend(
        [
            ("ApproximateNumberOfMessages", depth.visible.to_string()),
            ("ApproximateNumberOfMessagesDelayed", depth.delayed.to_string()),
            ("ApproximateNumberOfMessagesNotVisible", depth.in_flight.to_string()),
            ("CreatedTimestamp", created.clone()),
            ("LastModifiedTimestamp", created),
            ("QueueArn", queue.arn.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let names = &request.attribute_names;
    let all = names.iter().any(|name| name == "All");
    let asked: Map<String, Value> = attributes
        .into_iter()
        .filter(|(name, _)| all || names.contains(name))
        .map(|(name, value)| (name, Value::String(value)))
        .collect();
    Ok(if asked.is_empty() { json!({}) } else { json!({ "Attributes": asked }) })
}

pub(super) fn set_queue_attributes(
    world: &mut World,
    caller: &Caller,
    request: &SetRequest,
) -> Result<Value, AwsError> {
    permitted(world, caller, "SetQueueAttributes", &request.queue_url)?.set(&request.attributes)?;
    Ok(json!({}))
}

pub(super) fn purge_queue(world: &mut World, caller: &Caller, request: &OneQueue) -> Result<Value, AwsError> {
    permitted(world, caller, "PurgeQueue", &request.queue_url)?.purge(caller.now)?;
    Ok(json!({}))
}

pub(super) fn list_queues(world: &World, caller: &Caller, request: &ListRequest) -> Result<Value, AwsError> {
    authorized(world, caller, "ListQueues", &own(caller, String::new()))?;
    let prefix = request.queue_name_prefix.as_deref().unwrap_or_default();
    let most = request.max_results.unwrap_or(1000);
    let start = read_page_token(request.next_token.as_deref())
        .ok_or_else(|| super::messages::invalid("Invalid or expired next token."))?;
    let urls: Vec<&String> = world
        .queues
        .iter()
        .filter(|((account, region, name), _)| {
            account == caller.principal.account() && *region == caller.region && name.starts_with(prefix)
        })
        .map(|(_, queue)| &queue.url)
        .collect();
    let page: Vec<&String> = urls.iter().skip(start).take(most).copied().collect();
    let mut output = json!({});
    if !page.is_empty() {
        output["QueueUrls"] = json!(page);
    }
    // As in AWS, only a request with MaxResults has pages.
    if request.max_results.is_some() && start + page.len() < urls.len() {
        output["NextToken"] = json!(page_token(start + page.len()));
    }
    Ok(output)
}

/// The key of a queue in the caller's account and Region.
fn own(caller: &Caller, name: String) -> Key {
    (caller.principal.account().to_owned(), caller.region.clone(), name)
}
