//! Changing secrets: PutSecretValue, UpdateSecretVersionStage, CreateSecret,
//! DeleteSecret, RestoreSecret.

use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{DAY, ReadRequest, permitted, refuse_kms, secret_mut};
use crate::emulator::{
    access::{Caller, Resource, authorize},
    clock::json_timestamp,
    ids::stable_suffix,
    secrets::{CURRENT, Secret, SecretData},
    wire::AwsError,
    world::{World, secret_arn},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WriteRequest {
    /// PutSecretValue's.
    secret_id: Option<String>,
    /// CreateSecret's.
    name: Option<String>,
    client_request_token: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    version_stages: Option<Vec<String>>,
    description: Option<String>,
    kms_key_id: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StageRequest {
    secret_id: String,
    version_stage: String,
    move_to_version_id: Option<String>,
    remove_from_version_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteRequest {
    secret_id: String,
    recovery_window_in_days: Option<u64>,
    #[serde(default)]
    force_delete_without_recovery: bool,
}

impl WriteRequest {
    fn data(&self) -> Result<Option<SecretData>, AwsError> {
        let data = match (&self.secret_string, &self.secret_binary) {
            (None, None) => return Ok(None),
            (Some(text), None) => SecretData::Text(text.clone()),
            (None, Some(base64)) => {
                let bytes = BASE64.decode(base64.as_bytes()).map_err(|_| {
                    AwsError::front_end("SerializationException", "SecretBinary is not base64.")
                })?;
                SecretData::Binary(bytes)
            }
            (Some(_), Some(_)) => {
                return Err(AwsError::service(
                    "InvalidParameterException",
                    "You can't specify both a binary secret value and a string secret value in the same secret.",
                ));
            }
        };
        data.check_size()?;
        Ok(Some(data))
    }

    /// The version id of what is written: SDKs send a token with each call.
    fn version_id(&self, world: &World) -> Result<String, AwsError> {
        match &self.client_request_token {
            None => Ok(world.ids.uuid()),
            Some(token) if (32..=64).contains(&token.len()) => Ok(token.clone()),
            Some(_) => Err(AwsError::service(
                "InvalidParameterException",
                "ClientRequestToken must be 32-64 characters long.",
            )),
        }
    }
}

pub(super) fn put_secret_value(
    world: &mut World,
    caller: &Caller,
    request: WriteRequest,
) -> Result<Value, AwsError> {
    let id = request.secret_id.as_deref().unwrap_or_default();
    let key = permitted(world, caller, "secretsmanager:PutSecretValue", id)?;
    let version_id = request.version_id(world)?;
    let data = request.data()?.ok_or_else(|| {
        AwsError::service("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
    })?;
    let labels = request.version_stages.unwrap_or_else(|| vec![CURRENT.to_owned()]);
    if labels.is_empty() || labels.len() > 20 {
        return Err(AwsError::validation(
            "1 validation error detected: Value at 'versionStages' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ));
    }
    let secret = secret_mut(world, &key)?;
    secret.usable()?;
    refuse_kms(secret, caller)?;
    secret.put(&version_id, data, &labels, caller.now)?;
    Ok(json!({
        "ARN": secret.arn,
        "Name": key.2,
        "VersionId": version_id,
        "VersionStages": secret.versions.get(&version_id).map(|version| &version.labels),
    }))
}

pub(super) fn update_secret_version_stage(
    world: &mut World,
    caller: &Caller,
    request: &StageRequest,
) -> Result<Value, AwsError> {
    let action = "secretsmanager:UpdateSecretVersionStage";
    let key = permitted(world, caller, action, &request.secret_id)?;
    let secret = secret_mut(world, &key)?;
    secret.usable()?;
    secret.move_label(
        &request.version_stage,
        request.move_to_version_id.as_deref(),
        request.remove_from_version_id.as_deref(),
        caller.now,
    )?;
    Ok(json!({ "ARN": secret.arn, "Name": key.2 }))
}

pub(super) fn create_secret(
    world: &mut World,
    caller: &Caller,
    request: WriteRequest,
) -> Result<Value, AwsError> {
    let name = request.name.clone().unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-!".contains(c);
    if name.is_empty() || name.len() > 512 || !name.chars().all(allowed) {
        return Err(AwsError::validation(
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
        ));
    }
    let key = (caller.principal.account().to_owned(), caller.region.clone(), name);
    let arn = secret_arn(&key, &stable_suffix(&[&key.0, &key.2]));
    let resource = Resource {
        named: Some(&key.2),
        candidates: vec![key.2.clone(), arn.clone()],
        account: &key.0,
        allowed_by_policy: &[],
    };
    authorize(world, caller, "secretsmanager:CreateSecret", &resource)?;
    let version_id = request.version_id(world)?;
    let data = request.data()?;
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
    secret.tags = request.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    let mut answer = json!({ "ARN": secret.arn, "Name": key.2 });
    if let Some(data) = data {
        secret.put(&version_id, data, &[CURRENT.to_owned()], caller.now)?;
        answer["VersionId"] = json!(version_id);
    }
    world.secrets.insert(key, secret);
    Ok(answer)
}

pub(super) fn delete_secret(
    world: &mut World,
    caller: &Caller,
    request: &DeleteRequest,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "secretsmanager:DeleteSecret", &request.secret_id)?;
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
    let arn = secret.arn.clone();
    let date = if force {
        world.secrets.remove(&key);
        caller.now
    } else {
        secret.schedule_deletion(DAY * u32::try_from(days).unwrap_or(30), caller.now)?
    };
    Ok(json!({ "ARN": arn, "Name": key.2, "DeletionDate": json_timestamp(date) }))
}

pub(super) fn restore_secret(
    world: &mut World,
    caller: &Caller,
    request: &ReadRequest,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "secretsmanager:RestoreSecret", &request.secret_id)?;
    let secret = secret_mut(world, &key)?;
    secret.deletion = None;
    Ok(json!({ "ARN": secret.arn, "Name": key.2 }))
}
