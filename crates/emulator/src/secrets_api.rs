//! Secrets Manager's operations, JSON 1.1 in and out.

mod lookup;
mod read;
mod replicas;
mod search;
mod write;

use serde_json::Value;

pub(super) use self::read::referenced;
use super::{
    access::Caller,
    wire::{AwsError, Service, parse},
    world::World,
};

/// Answers one operation.
///
/// # Errors
/// The errors that Secrets Manager would return.
pub(super) fn call(
    world: &mut World,
    caller: &Caller,
    operation: &str,
    body: &Value,
) -> Result<Value, AwsError> {
    match operation {
        "GetSecretValue" => read::get_secret_value(world, caller, &parse(body)?),
        "DescribeSecret" => read::describe_secret(world, caller, &parse(body)?),
        "BatchGetSecretValue" => search::batch_get_secret_value(world, caller, &parse(body)?),
        "ListSecrets" => search::list_secrets(world, caller, &parse(body)?),
        "PutSecretValue" => write::put_secret_value(world, caller, &parse(body)?),
        "UpdateSecret" => write::update_secret(world, caller, parse(body)?),
        "UpdateSecretVersionStage" => write::update_secret_version_stage(world, caller, &parse(body)?),
        "CreateSecret" => write::create_secret(world, caller, parse(body)?),
        "DeleteSecret" => write::delete_secret(world, caller, &parse(body)?),
        "RestoreSecret" => write::restore_secret(world, caller, &parse(body)?),
        "ReplicateSecretToRegions" => replicas::replicate_secret_to_regions(world, caller, &parse(body)?),
        "RemoveRegionsFromReplication" => {
            replicas::remove_regions_from_replication(world, caller, &parse(body)?)
        }
        "StopReplicationToReplica" => replicas::stop_replication_to_replica(world, caller, &parse(body)?),
        _ => Err(AwsError::no_operation(Service::SecretsManager, operation)),
    }
}
