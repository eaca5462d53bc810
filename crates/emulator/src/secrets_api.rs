//! Secrets Manager's operations, JSON 1.1 in and out.

mod replicas;
mod search;
mod write;

use std::time::Duration;

use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    access::{Caller, Resource, authorize},
    arn::Arn,
    clock::json_timestamp,
    secrets::{Secret, SecretData, not_found},
    wire::{AwsError, Service, parse},
    world::{Key, World},
};

const DAY: Duration = Duration::from_secs(86_400);

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
        "GetSecretValue" => get_secret_value(world, caller, &parse(body)?),
        "DescribeSecret" => describe_secret(world, caller, &parse(body)?),
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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ReadRequest {
    secret_id: String,
    version_id: Option<String>,
    version_stage: Option<String>,
}

/// The input of operations whose only parameter is a secret.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OneSecret {
    secret_id: String,
}

fn get_secret_value(world: &mut World, caller: &Caller, request: &ReadRequest) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "GetSecretValue", &request.secret_id)?;
    read(world, caller, &key, request.version_id.as_deref(), request.version_stage.as_deref())
}

/// The answer of GetSecretValue, and an entry of BatchGetSecretValue.
fn read(
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

fn describe_secret(world: &World, caller: &Caller, request: &OneSecret) -> Result<Value, AwsError> {
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
pub(super) fn referenced(
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
fn description(key: &Key, secret: &Secret, versions_field: &str) -> Value {
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

/// Finds a secret by name, full ARN or ARN without suffix, and checks that the caller may
/// call `operation` for it. The check comes first, also for a secret that does not exist.
fn permitted(world: &World, caller: &Caller, operation: &str, id: &str) -> Result<Key, AwsError> {
    if id.is_empty() || id.len() > 2048 {
        let bound = if id.is_empty() { "greater than or equal to 1" } else { "less than or equal to 2048" };
        return Err(AwsError::validation(format!(
            "1 validation error detected: Value '{id}' at 'secretId' failed to satisfy constraint: Member must have length {bound}"
        )));
    }
    let own = caller.principal.account();
    let found = find(world, caller, id);
    let secret = found.as_ref().and_then(|key| world.secrets.get(key));
    let arn = Arn::parse(id).filter(|arn| arn.service == "secretsmanager");
    let account = match (&found, arn) {
        (Some((account, _, _)), _) => account.as_str(),
        (None, Some(arn)) => arn.account,
        (None, None) => own,
    };
    let mut candidates = vec![id.to_owned()];
    let mut allowed_by_policy: &[String] = &[];
    let name = match (&found, arn) {
        (Some((_, _, name)), _) => name.as_str(),
        (None, Some(arn)) => arn.resource.strip_prefix("secret:").unwrap_or(arn.resource),
        (None, None) => id,
    };
    if account == own {
        // In a store, a rule may name a secret of its own account without an ARN.
        candidates.push(name.to_owned());
    }
    candidates.push(format!(
        "arn:{}:secretsmanager:{}:{account}:secret:{name}",
        caller.partition(),
        caller.region
    ));
    if let Some(secret) = secret {
        candidates.push(secret.arn.clone());
        allowed_by_policy = &secret.policy_allows;
    }
    let named = secret.map_or(id, |secret| secret.arn.as_str());
    let resource = Resource { named: Some(named), candidates, account, allowed_by_policy };
    authorize(world, caller, &format!("secretsmanager:{operation}"), &resource)?;
    found.ok_or_else(no_secret)
}

/// Checks that the caller may call an operation that has no resource, which needs a rule
/// for `*`.
fn permitted_everywhere(world: &World, caller: &Caller, operation: &str) -> Result<(), AwsError> {
    let resource = Resource {
        named: None,
        candidates: vec!["*".to_owned()],
        account: caller.principal.account(),
        allowed_by_policy: &[],
    };
    authorize(world, caller, &format!("secretsmanager:{operation}"), &resource)
}

fn find(world: &World, caller: &Caller, id: &str) -> Option<Key> {
    let region = caller.region.clone();
    let own = caller.principal.account();
    let Some(arn) = Arn::parse(id) else {
        let key = (own.to_owned(), region, id.to_owned());
        return world.secrets.contains_key(&key).then_some(key);
    };
    if arn.service != "secretsmanager" || arn.region != region || arn.partition != caller.partition() {
        return None;
    }
    let resource = arn.resource.strip_prefix("secret:")?;
    let full = resource.rsplit_once('-').and_then(|(name, _)| {
        let key = (arn.account.to_owned(), region.clone(), name.to_owned());
        world.secrets.get(&key).is_some_and(|secret| secret.arn == id).then_some(key)
    });
    full.or_else(|| {
        // An ARN without the suffix works only within the caller's account, and not when
        // the name itself seems to end with a suffix, which AWS takes for a complete ARN
        // (https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html).
        let suffixed = resource
            .rsplit_once('-')
            .is_some_and(|(_, end)| end.len() == 6 && end.chars().all(|c| c.is_ascii_alphanumeric()));
        if suffixed {
            return None;
        }
        let key = (own.to_owned(), region, resource.to_owned());
        (arn.account == own && world.secrets.contains_key(&key)).then_some(key)
    })
}

fn refuse_kms(secret: &Secret, caller: &Caller) -> Result<(), AwsError> {
    let role = caller.principal.role_arn();
    if secret.kms_denied.iter().any(|denied| Some(denied.as_str()) == role) {
        return Err(AwsError::kms_denied());
    }
    Ok(())
}

fn secret_of<'w>(world: &'w World, key: &Key) -> Result<&'w Secret, AwsError> {
    world.secrets.get(key).ok_or_else(no_secret)
}

fn secret_mut<'w>(world: &'w mut World, key: &Key) -> Result<&'w mut Secret, AwsError> {
    world.secrets.get_mut(key).ok_or_else(no_secret)
}

/// A secret that may be changed: it is neither scheduled for deletion nor a replica.
fn changeable<'w>(world: &'w mut World, key: &Key) -> Result<&'w mut Secret, AwsError> {
    let secret = secret_mut(world, key)?;
    secret.usable()?;
    match secret.primary {
        None => Ok(secret),
        Some(_) => Err(AwsError::service(
            "InvalidRequestException",
            "Operation not permitted on a replica secret. Call must be made in primary secret's region.",
        )),
    }
}

fn no_secret() -> AwsError {
    not_found("Secrets Manager can't find the specified secret.")
}
