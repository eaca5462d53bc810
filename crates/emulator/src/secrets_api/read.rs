//! Reading one secret: GetSecretValue, DescribeSecret.

use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    lookup::{OneSecret, permitted, refuse_kms, secret_mut, secret_of},
    replicas,
};
use crate::{
    access::Caller,
    clock::{DAY, json_timestamp},
    secrets::{Secret, SecretData},
    wire::AwsError,
    world::{Key, World},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ReadRequest {
    secret_id: String,
    version_id: Option<String>,
    version_stage: Option<String>,
}

pub(super) fn get_secret_value(
    world: &mut World,
    caller: &Caller,
    request: &ReadRequest,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "GetSecretValue", &request.secret_id)?;
    read(world, caller, &key, request.version_id.as_deref(), request.version_stage.as_deref())
}

/// The answer of GetSecretValue, and an entry of BatchGetSecretValue.
pub(super) fn read(
    world: &mut World,
    caller: &Caller,
    key: &Key,
    version_id: Option<&str>,
    label: Option<&str>,
) -> Result<Value, AwsError> {
    let secret = secret_mut(world, key)?;
    secret.usable()?;
    let (id, version) = secret.find_version(version_id, label)?;
    refuse_kms(secret, caller)?;
    let mut answer = json!({
        "ARN": secret.arn,
        "Name": key.2,
        "VersionId": id,
        "VersionStages": version.labels,
        "CreatedDate": json_timestamp(version.created),
    });
    match &version.data {
        SecretData::Text(text) => answer["SecretString"] = json!(text),
        SecretData::Binary(bytes) => answer["SecretBinary"] = json!(BASE64.encode(bytes)),
    }
    secret.accessed = Some(caller.now);
    Ok(answer)
}

pub(super) fn describe_secret(
    world: &World,
    caller: &Caller,
    request: &OneSecret,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "DescribeSecret", &request.secret_id)?;
    let secret = secret_of(world, &key)?;
    let mut answer = description(&key, secret, "VersionIdsToStages");
    if !secret.replicas.is_empty() {
        answer["ReplicationStatus"] = replicas::status(secret);
    }
    Ok(answer)
}

/// A secret that a parameter refers to, in the form of GetSecretValue. The selector is the
/// id or a label of a version.
pub(crate) fn referenced(
    world: &mut World,
    caller: &Caller,
    name: &str,
    selector: Option<&str>,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "GetSecretValue", name)?;
    let is_id = |id: &&str| world.secrets.get(&key).is_some_and(|secret| secret.versions.contains_key(*id));
    let id = selector.filter(is_id);
    read(world, caller, &key, id, selector.filter(|_| id.is_none()))
}

/// A secret as DescribeSecret and ListSecrets return it, which differ in the name of the
/// field for versions. Versions without a label are deprecated and left out.
pub(super) fn description(key: &Key, secret: &Secret, versions_field: &str) -> Value {
    let versions: Map<String, Value> = secret
        .versions
        .iter()
        .filter(|(_, version)| !version.labels.is_empty())
        .map(|(id, version)| (id.clone(), json!(version.labels)))
        .collect();
    let tags: Vec<Value> =
        secret.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    let mut answer = json!({
        "ARN": secret.arn,
        "Name": key.2,
        "CreatedDate": json_timestamp(secret.created),
        "LastChangedDate": json_timestamp(secret.changed),
        "Tags": tags,
    });
    answer[versions_field] = Value::Object(versions);
    if let Some(description) = &secret.description {
        answer["Description"] = json!(description);
    }
    if let Some(kms_key_id) = &secret.kms_key_id {
        answer["KmsKeyId"] = json!(kms_key_id);
    }
    match &secret.primary {
        Some(primary) => answer["PrimaryRegion"] = json!(primary),
        None if secret.replicas.is_empty() => {}
        None => answer["PrimaryRegion"] = json!(key.1),
    }
    if let Some(accessed) = secret.accessed {
        // AWS returns only the day.
        let since = accessed.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        answer["LastAccessedDate"] = json!(since.as_secs() / DAY.as_secs() * DAY.as_secs());
    }
    if let Some(deletion) = secret.deletion {
        answer["DeletedDate"] = json!(json_timestamp(deletion));
    }
    answer
}
