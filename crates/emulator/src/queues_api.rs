//! SQS's operations, JSON 1.0 in and out.

mod batch;
mod lookup;
mod manage;
mod messages;

use std::time::Duration;

use serde_json::Value;

use super::{
    access::Caller,
    wire::{AwsError, Service, parse},
    world::World,
};

/// An operation's output, or a long poll that goes on.
pub(super) enum Reply {
    Body(Value),
    /// There is no message yet. Ask again when one arrives, or after this time.
    Later(Duration),
}

/// Answers one operation. A long poll has already waited for `waited`.
///
/// # Errors
/// The errors that SQS would return.
pub(super) fn call(
    world: &mut World,
    caller: &Caller,
    operation: &str,
    body: &Value,
    waited: Duration,
) -> Result<Reply, AwsError> {
    let output = match operation {
        "ReceiveMessage" => return messages::receive_message(world, caller, &parse(body)?, waited),
        "SendMessage" => messages::send_message(world, caller, parse(body)?),
        "DeleteMessage" => messages::delete_message(world, caller, &parse(body)?),
        "ChangeMessageVisibility" => messages::change_message_visibility(world, caller, &parse(body)?),
        "SendMessageBatch" => batch::send_message_batch(world, caller, parse(body)?),
        "DeleteMessageBatch" => batch::delete_message_batch(world, caller, &parse(body)?),
        "ChangeMessageVisibilityBatch" => {
            batch::change_message_visibility_batch(world, caller, &parse(body)?)
        }
        "CreateQueue" => manage::create_queue(world, caller, parse(body)?),
        "DeleteQueue" => manage::delete_queue(world, caller, &parse(body)?),
        "GetQueueAttributes" => manage::get_queue_attributes(world, caller, &parse(body)?),
        "GetQueueUrl" => manage::get_queue_url(world, caller, &parse(body)?),
        "ListQueues" => manage::list_queues(world, caller, &parse(body)?),
        "PurgeQueue" => manage::purge_queue(world, caller, &parse(body)?),
        "SetQueueAttributes" => manage::set_queue_attributes(world, caller, &parse(body)?),
        _ => return Err(AwsError::no_operation(Service::Sqs, operation)),
    };
    output.map(Reply::Body)
}
