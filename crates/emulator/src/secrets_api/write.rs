//! Changes to secrets: CreateSecret, PutSecretValue, UpdateSecret,
//! UpdateSecretVersionStage, DeleteSecret, RestoreSecret.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    lookup::{OneSecret, changeable, permitted, refuse_kms, secret_mut},
    replicas::{self, ReplicaRegion},
};
use crate::{
    access::{Caller, Resource, authorize},
    clock::{DAY, iso_timestamp, json_timestamp},
    ids::stable_suffix,
    rules,
    secrets::{CURRENT, Secret, SecretData},
    wire::AwsError,
    world::{World, secret_arn},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct CreateRequest {
    name: String,
    client_request_token: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    add_replica_regions: Option<Vec<ReplicaRegion>>,
    #[serde(default)]
    force_overwrite_replica_secret: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PutRequest {
    secret_id: String,
    client_request_token: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    version_stages: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct UpdateRequest {
    secret_id: String,
    client_request_token: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct StageRequest {
    secret_id: String,
    version_stage: String,
    move_to_version_id: Option<String>,
    remove_from_version_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DeleteRequest {
    secret_id: String,
    recovery_window_in_days: Option<u64>,
    #[serde(default)]
    force_delete_without_recovery: bool,
}

/// The value in a request, if it has one.
fn data(text: Option<&String>, base64: Option<&String>) -> Result<Option<SecretData>, AwsError> {
    let data = match (text, base64) {
        (None, None) => return Ok(None),
        (Some(text), None) => SecretData::Text(text.clone()),
        (None, Some(base64)) => {
            let bytes = BASE64
                .decode(base64.as_bytes())
                .map_err(|_| AwsError::front_end("SerializationException", "SecretBinary is not base64."))?;
            SecretData::Binary(bytes)
        }
        (Some(_), Some(_)) => {
            return Err(AwsError::service(
                "InvalidParameterException",
                "You can't specify both a binary secret value and a string secret value in the same secret.",
            ));
        }
    };
    rules::secret_value(&data)?;
    Ok(Some(data))
}

/// The id of the new version: the token of the request, which SDKs always send.
fn version_id(token: Option<&String>, world: &World) -> Result<String, AwsError> {
    let Some(token) = token else { return Ok(world.ids.uuid()) };
    rules::version_id(token)?;
    Ok(token.clone())
}

pub(super) fn put_secret_value(
    world: &mut World,
    caller: &Caller,
    request: &PutRequest,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "PutSecretValue", &request.secret_id)?;
    let version_id = version_id(request.client_request_token.as_ref(), world)?;
    let data = data(request.secret_string.as_ref(), request.secret_binary.as_ref())?.ok_or_else(|| {
        AwsError::service("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
    })?;
    let labels = request.version_stages.clone().unwrap_or_else(|| vec![CURRENT.to_owned()]);
    if labels.is_empty() {
        return Err(AwsError::validation(
            "1 validation error detected: Value at 'versionStages' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ));
    }
    rules::stages(&labels)?;
    let secret = changeable(world, &key)?;
    refuse_kms(secret, caller)?;
    secret.put(&version_id, data, &labels, caller.now)?;
    let answer = json!({
        "ARN": secret.arn,
        "Name": key.2,
        "VersionId": version_id,
        "VersionStages": secret.versions.get(&version_id).map(|version| &version.labels),
    });
    world.secret_changed(&key, caller.now);
    Ok(answer)
}

/// Adds a version with AWSCURRENT if the request has a value, and sets its other fields.
pub(super) fn update_secret(
    world: &mut World,
    caller: &Caller,
    request: UpdateRequest,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "UpdateSecret", &request.secret_id)?;
    let version_id = version_id(request.client_request_token.as_ref(), world)?;
    let data = data(request.secret_string.as_ref(), request.secret_binary.as_ref())?;
    rules::secret_texts(request.description.as_deref(), request.kms_key_id.as_deref())?;
    let secret = changeable(world, &key)?;
    refuse_kms(secret, caller)?;
    let mut answer = json!({ "ARN": secret.arn, "Name": key.2 });
    if let Some(data) = data {
        secret.put(&version_id, data, &[CURRENT.to_owned()], caller.now)?;
        answer["VersionId"] = json!(version_id);
    }
    secret.description = request.description.or(secret.description.take());
    secret.kms_key_id = request.kms_key_id.or(secret.kms_key_id.take());
    secret.changed = caller.now;
    world.secret_changed(&key, caller.now);
    Ok(answer)
}

pub(super) fn update_secret_version_stage(
    world: &mut World,
    caller: &Caller,
    request: &StageRequest,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "UpdateSecretVersionStage", &request.secret_id)?;
    let secret = changeable(world, &key)?;
    rules::stages(std::slice::from_ref(&request.version_stage))?;
    secret.move_label(
        &request.version_stage,
        request.move_to_version_id.as_deref(),
        request.remove_from_version_id.as_deref(),
        caller.now,
    )?;
    let answer = json!({ "ARN": secret.arn, "Name": key.2 });
    world.secret_changed(&key, caller.now);
    Ok(answer)
}

pub(super) fn create_secret(
    world: &mut World,
    caller: &Caller,
    request: CreateRequest,
) -> Result<Value, AwsError> {
    rules::secret_name(&request.name)?;
    rules::secret_texts(request.description.as_deref(), request.kms_key_id.as_deref())?;
    let tags: BTreeMap<_, _> = request.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    rules::tags(&tags)?;
    if let Some(regions) = &request.add_replica_regions {
        replicas::check(regions, &caller.region)?;
    }
    let key = (caller.principal.account().to_owned(), caller.region.clone(), request.name);
    let arn = secret_arn(&key, &stable_suffix(&[&key.0, &key.2]));
    let resource = Resource {
        named: Some(&key.2),
        candidates: vec![key.2.clone(), arn.clone()],
        account: &key.0,
        allowed_by_policy: &[],
    };
    authorize(world, caller, "secretsmanager:CreateSecret", &resource)?;
    if !tags.is_empty() {
        authorize(world, caller, "secretsmanager:TagResource", &resource)?;
    }
    if request.add_replica_regions.is_some() {
        authorize(world, caller, "secretsmanager:ReplicateSecretToRegions", &resource)?;
    }
    let version_id = version_id(request.client_request_token.as_ref(), world)?;
    let data = data(request.secret_string.as_ref(), request.secret_binary.as_ref())?;
    if let Some(known) = world.secrets.get(&key) {
        if known.deletion.is_some() {
            return Err(AwsError::service(
                "InvalidRequestException",
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            ));
        }
        let repeated =
            known.versions.get(&version_id).is_some_and(|version| Some(&version.data) == data.as_ref());
        if repeated {
            return Ok(json!({ "ARN": known.arn, "Name": key.2, "VersionId": version_id }));
        }
        return Err(AwsError::service(
            "ResourceExistsException",
            format!("The operation failed because the secret {} already exists.", key.2),
        ));
    }
    let mut secret = Secret::new(arn, caller.now);
    secret.description = request.description;
    secret.kms_key_id = request.kms_key_id;
    secret.tags = tags;
    let mut answer = json!({ "ARN": secret.arn, "Name": key.2 });
    if let Some(data) = data {
        secret.put(&version_id, data, &[CURRENT.to_owned()], caller.now)?;
        // A label of a new secret has not moved.
        secret.moved.clear();
        answer["VersionId"] = json!(version_id);
    }
    world.secrets.insert(key.clone(), secret);
    if let Some(regions) = &request.add_replica_regions {
        replicas::add(world, &key, regions, request.force_overwrite_replica_secret)?;
        answer["ReplicationStatus"] = replicas::status(secret_mut(world, &key)?);
    }
    Ok(answer)
}

pub(super) fn delete_secret(
    world: &mut World,
    caller: &Caller,
    request: &DeleteRequest,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "DeleteSecret", &request.secret_id)?;
    let force = request.force_delete_without_recovery;
    let days = request.recovery_window_in_days;
    if force && days.is_some() {
        return Err(AwsError::service(
            "InvalidParameterException",
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        ));
    }
    let days = days.unwrap_or(30);
    if !(7..=30).contains(&days) {
        return Err(AwsError::service(
            "InvalidParameterException",
            "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
        ));
    }
    let secret = secret_mut(world, &key)?;
    let in_regions: Vec<_> = secret.replicas.keys().map(String::as_str).collect();
    if !in_regions.is_empty() || secret.primary.is_some() {
        return Err(AwsError::service(
            "InvalidRequestException",
            match &secret.primary {
                Some(primary) => format!(
                    "You can't delete a replica of a secret. Call RemoveRegionsFromReplication in {primary}."
                ),
                None => format!(
                    "You can't delete a secret that is replicated to other Regions ({}). Call RemoveRegionsFromReplication first.",
                    in_regions.join(", ")
                ),
            },
        ));
    }
    let arn = secret.arn.clone();
    let date = if force {
        world.secrets.remove(&key);
        caller.now
    } else {
        secret.schedule_deletion(DAY * u32::try_from(days).unwrap_or(30), caller.now)?
    };
    let mut parameters = json!({ "secretId": request.secret_id });
    if force {
        parameters["forceDeleteWithoutRecovery"] = json!(true);
    } else {
        parameters["recoveryWindowInDays"] = json!(days);
    }
    let elements = json!({ "arn": arn, "name": key.2, "deletionDate": iso_timestamp(date) });
    world.api_call(&caller.principal, &key, "DeleteSecret", &parameters, &elements, caller.now);
    Ok(json!({ "ARN": arn, "Name": key.2, "DeletionDate": json_timestamp(date) }))
}

pub(super) fn restore_secret(
    world: &mut World,
    caller: &Caller,
    request: &OneSecret,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "RestoreSecret", &request.secret_id)?;
    let secret = secret_mut(world, &key)?;
    secret.deletion = None;
    let arn = secret.arn.clone();
    let parameters = json!({ "secretId": request.secret_id });
    let elements = json!({ "arn": arn, "name": key.2 });
    world.api_call(&caller.principal, &key, "RestoreSecret", &parameters, &elements, caller.now);
    Ok(json!({ "ARN": arn, "Name": key.2 }))
}
