//! Secrets in several Regions: ReplicateSecretToRegions, RemoveRegionsFromReplication,
//! StopReplicationToReplica, and how a change reaches the replicas.

use serde::Deserialize;
use serde_json::{Value, json};

use super::lookup::{OneSecret, changeable, permitted, secret_mut, secret_of};
use crate::{
    access::Caller,
    rules,
    secrets::{Replica, Secret},
    wire::AwsError,
    world::{Key, World},
};

/// A Region to replicate to, also in the input of CreateSecret.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ReplicaRegion {
    region: String,
    kms_key_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ReplicateRequest {
    secret_id: String,
    add_replica_regions: Vec<ReplicaRegion>,
    #[serde(default)]
    force_overwrite_replica_secret: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct RemoveRequest {
    secret_id: String,
    remove_replica_regions: Vec<String>,
}

pub(super) fn replicate_secret_to_regions(
    world: &mut World,
    caller: &Caller,
    request: &ReplicateRequest,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "ReplicateSecretToRegions", &request.secret_id)?;
    check(&request.add_replica_regions, &key.1)?;
    changeable(world, &key)?;
    add(world, &key, &request.add_replica_regions, request.force_overwrite_replica_secret)?;
    answer(world, &key)
}

pub(super) fn remove_regions_from_replication(
    world: &mut World,
    caller: &Caller,
    request: &RemoveRequest,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "RemoveRegionsFromReplication", &request.secret_id)?;
    let secret = changeable(world, &key)?;
    let is_elsewhere = |region: &&String| !secret.replicas.contains_key(*region);
    if let Some(region) = request.remove_replica_regions.iter().find(is_elsewhere) {
        return Err(AwsError::service(
            "InvalidParameterException",
            format!("The secret is not replicated to {region}."),
        ));
    }
    for region in &request.remove_replica_regions {
        let removed = secret_mut(world, &key)?.replicas.remove(region);
        if removed.is_some_and(|replica| replica.failure.is_none()) {
            world.secrets.remove(&in_region(&key, region));
        }
    }
    answer(world, &key)
}

/// Called in the replica's Region. The replica becomes an independent secret.
pub(super) fn stop_replication_to_replica(
    world: &mut World,
    caller: &Caller,
    request: &OneSecret,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "StopReplicationToReplica", &request.secret_id)?;
    let secret = secret_mut(world, &key)?;
    let Some(primary) = secret.primary.take() else {
        return Err(AwsError::service("InvalidRequestException", "The secret is not a replica."));
    };
    let arn = secret.arn.clone();
    if let Some(primary) = world.secrets.get_mut(&in_region(&key, &primary)) {
        primary.replicas.remove(&key.1);
    }
    Ok(json!({ "ARN": arn }))
}

/// Checks that a secret in `home` may be replicated to all of these.
///
/// # Errors
/// `InvalidParameterException` for anything but another Region of the partition.
pub(super) fn check(regions: &[ReplicaRegion], home: &str) -> Result<(), AwsError> {
    if regions.is_empty() {
        return Err(AwsError::validation(
            "1 validation error detected: Value at 'addReplicaRegions' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ));
    }
    regions.iter().try_for_each(|replica| rules::replica_region(&replica.region, home))
}

/// Creates the replicas. Where a secret of that name already exists, the replica fails
/// unless `overwrite` is set.
pub(super) fn add(
    world: &mut World,
    key: &Key,
    regions: &[ReplicaRegion],
    overwrite: bool,
) -> Result<(), AwsError> {
    for ReplicaRegion { region, kms_key_id } in regions {
        let there = world.secrets.get(&in_region(key, region));
        let is_ours = there.is_some_and(|secret| secret.primary.as_ref() == Some(&key.1));
        let failure = (there.is_some() && !is_ours && !overwrite)
            .then(|| format!("Replication failed: Secret name {} already exists in region {region}.", key.2));
        if failure.is_none() && !is_ours {
            world.secrets.remove(&in_region(key, region));
        }
        let replica = Replica { kms_key_id: kms_key_id.clone(), failure };
        secret_mut(world, key)?.replicas.insert(region.clone(), replica);
    }
    world.replicate(key);
    Ok(())
}

/// The `ReplicationStatus` of a primary secret.
pub(super) fn status(secret: &Secret) -> Value {
    let replicas = secret.replicas.iter().map(|(region, replica)| {
        let mut status = json!({
            "Region": region,
            "KmsKeyId": replica.kms_key_id.as_deref().unwrap_or("alias/aws/secretsmanager"),
            "Status": if replica.failure.is_none() { "InSync" } else { "Failed" },
        });
        if let Some(failure) = &replica.failure {
            status["StatusMessage"] = json!(failure);
        }
        status
    });
    replicas.collect()
}

fn answer(world: &World, key: &Key) -> Result<Value, AwsError> {
    let secret = secret_of(world, key)?;
    Ok(json!({ "ARN": secret.arn, "ReplicationStatus": status(secret) }))
}

fn in_region((account, _, name): &Key, region: &str) -> Key {
    (account.clone(), region.to_owned(), name.clone())
}

impl World {
    /// Copies a secret's state to its replicas, at once. Replicas have their own resource
    /// policies and keys.
    pub(crate) fn replicate(&mut self, key: &Key) {
        let Some(primary) = self.secrets.get(key).filter(|secret| !secret.replicas.is_empty()).cloned()
        else {
            return;
        };
        for (region, replica) in primary.replicas.iter().filter(|(_, replica)| replica.failure.is_none()) {
            let arn = primary.arn.replacen(&format!(":{}:", key.1), &format!(":{region}:"), 1);
            let copy = self
                .secrets
                .entry(in_region(key, region))
                .or_insert_with(|| Secret::new(arn, primary.changed));
            copy.primary = Some(key.1.clone());
            copy.kms_key_id.clone_from(&replica.kms_key_id);
            copy.description.clone_from(&primary.description);
            copy.tags.clone_from(&primary.tags);
            copy.versions.clone_from(&primary.versions);
            copy.changed = primary.changed;
        }
    }
}
