//! Secrets Manager's operations, JSON 1.1 in and out.

use std::time::Duration;

use data_encoding::BASE64;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{
    access::{Caller, Resource, authorize},
    arn::Arn,
    clock::json_timestamp,
    ids::stable_suffix,
    secrets::{CURRENT, Secret, SecretData, not_found},
    wire::AwsError,
    world::{Key, World, secret_arn},
};

const DAY: Duration = Duration::from_secs(86_400);
/// ListSecrets gives this many unless asked for fewer.
const LIST_PAGE: usize = 100;
/// BatchGetSecretValue's most.
const BATCH_PAGE: usize = 20;

/// Answers one operation.
///
/// # Errors
/// What Secrets Manager would answer.
pub(super) fn call(
    world: &mut World,
    caller: &Caller,
    operation: &str,
    body: &Value,
) -> Result<Value, AwsError> {
    match operation {
        "GetSecretValue" => get_secret_value(world, caller, &parse(body)?),
        "DescribeSecret" => describe_secret(world, caller, &parse(body)?),
        "BatchGetSecretValue" => batch_get_secret_value(world, caller, &parse(body)?),
        "ListSecrets" => list_secrets(world, caller, &parse(body)?),
        "PutSecretValue" => put_secret_value(world, caller, parse(body)?),
        "UpdateSecretVersionStage" => update_secret_version_stage(world, caller, &parse(body)?),
        "CreateSecret" => create_secret(world, caller, parse(body)?),
        "DeleteSecret" => delete_secret(world, caller, &parse(body)?),
        "RestoreSecret" => restore_secret(world, caller, &parse(body)?),
        _ => Err(AwsError::front_end("UnknownOperationException", "")),
    }
}

/// Reads a request's body into its fields.
pub(super) fn parse<T: DeserializeOwned>(body: &Value) -> Result<T, AwsError> {
    T::deserialize(body).map_err(|_| {
        AwsError::front_end(
            "SerializationException",
            "The request body cannot be read as this operation's input.",
        )
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReadRequest {
    secret_id: String,
    version_id: Option<String>,
    version_stage: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WriteRequest {
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
struct StageRequest {
    secret_id: String,
    version_stage: String,
    move_to_version_id: Option<String>,
    remove_from_version_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteRequest {
    secret_id: String,
    recovery_window_in_days: Option<u64>,
    #[serde(default)]
    force_delete_without_recovery: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SearchRequest {
    secret_id_list: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<usize>,
    next_token: Option<String>,
    #[serde(default)]
    include_planned_deletion: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: String,
    #[serde(default)]
    values: Vec<String>,
}

fn get_secret_value(world: &mut World, caller: &Caller, request: &ReadRequest) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "secretsmanager:GetSecretValue", &request.secret_id)?;
    read(world, caller, &key, request.version_id.as_deref(), request.version_stage.as_deref())
}

/// The answer of GetSecretValue and each entry of BatchGetSecretValue.
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

fn describe_secret(world: &World, caller: &Caller, request: &ReadRequest) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "secretsmanager:DescribeSecret", &request.secret_id)?;
    let secret = secret_of(world, &key)?;
    Ok(description(&key, secret, "VersionIdsToStages"))
}

/// What DescribeSecret and ListSecrets tell of a secret; they name the versions
/// differently. Versions without a label are deprecated and not told of.
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
    if let Some(accessed) = secret.accessed {
        // AWS tells the day only.
        let since = accessed.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        answer["LastAccessedDate"] = json!(since.as_secs() / DAY.as_secs() * DAY.as_secs());
    }
    if let Some(deletion) = secret.deletion {
        answer["DeletedDate"] = json!(json_timestamp(deletion));
    }
    answer
}

fn batch_get_secret_value(
    world: &mut World,
    caller: &Caller,
    request: &SearchRequest,
) -> Result<Value, AwsError> {
    permitted_everywhere(world, caller, "secretsmanager:BatchGetSecretValue")?;
    let (ids, next) = match (&request.secret_id_list, &request.filters) {
        (Some(ids), None) => {
            if ids.is_empty() || ids.len() > BATCH_PAGE {
                return Err(AwsError::validation(format!(
                    "1 validation error detected: Value at 'secretIdList' failed to satisfy constraint: Member must have length less than or equal to {BATCH_PAGE}"
                )));
            }
            (ids.clone(), None)
        }
        (None, Some(filters)) => {
            permitted_everywhere(world, caller, "secretsmanager:ListSecrets")?;
            let found = search(world, caller, filters, false)?;
            let (page, next) = page(request, BATCH_PAGE, found)?;
            (page.into_iter().map(|(_, secret)| secret.arn.clone()).collect(), next)
        }
        _ => {
            return Err(AwsError::service(
                "InvalidParameterException",
                "Either 'SecretIdList' or 'Filters' must be provided, but not both.",
            ));
        }
    };
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for id in &ids {
        let one = permitted(world, caller, "secretsmanager:GetSecretValue", id)
            .and_then(|key| read(world, caller, &key, None, None));
        match one {
            Ok(value) => values.push(value),
            Err(error) => errors.push(json!({
                "SecretId": id,
                "ErrorCode": error.code,
                "Message": error.message.unwrap_or_default(),
            })),
        }
    }
    let mut answer = json!({ "SecretValues": values, "Errors": errors });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

fn list_secrets(world: &World, caller: &Caller, request: &SearchRequest) -> Result<Value, AwsError> {
    permitted_everywhere(world, caller, "secretsmanager:ListSecrets")?;
    let filters = request.filters.as_deref().unwrap_or_default();
    let found = search(world, caller, filters, request.include_planned_deletion)?;
    let (page, next) = page(request, LIST_PAGE, found)?;
    let list: Vec<Value> =
        page.into_iter().map(|(key, secret)| description(key, secret, "SecretVersionsToStages")).collect();
    let mut answer = json!({ "SecretList": list });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

/// The caller's secrets that fit every filter. A filter fits by any of its
/// values as a prefix; `!` turns a value round
/// (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html>).
fn search<'w>(
    world: &'w World,
    caller: &Caller,
    filters: &[Filter],
    planned_deletion: bool,
) -> Result<Vec<(&'w Key, &'w Secret)>, AwsError> {
    for filter in filters {
        if !matches!(filter.key.as_str(), "name" | "description" | "tag-key" | "tag-value" | "all") {
            return Err(AwsError::validation(format!(
                "1 validation error detected: Value '{}' at 'filters.1.member.key' failed to satisfy constraint: Member must satisfy enum value set: [all, name, tag-key, description, tag-value]",
                filter.key
            )));
        }
    }
    let mine = world.secrets.iter().filter(|((account, region, _), _)| {
        account == caller.principal.account() && *region == caller.region
    });
    Ok(mine
        .filter(|(_, secret)| planned_deletion || secret.deletion.is_none())
        .filter(|(key, secret)| {
            filters.iter().all(|filter| {
                filter.values.iter().any(|value| match value.strip_prefix('!') {
                    Some(value) => !fits(&filter.key, value, key, secret),
                    None => fits(&filter.key, value, key, secret),
                })
            })
        })
        .collect())
}

fn fits(field: &str, value: &str, (_, _, name): &Key, secret: &Secret) -> bool {
    let description = secret.description.as_deref().unwrap_or_default();
    match field {
        "name" => name.starts_with(value),
        "description" => description.to_lowercase().starts_with(&value.to_lowercase()),
        "tag-key" => secret.tags.keys().any(|key| key.starts_with(value)),
        "tag-value" => secret.tags.values().any(|tag| tag.starts_with(value)),
        _ => {
            let value = value.to_lowercase();
            let mut texts = vec![name.as_str(), description];
            texts.extend(secret.tags.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]));
            texts.iter().any(|text| text.to_lowercase().contains(&value))
        }
    }
}

/// One page of what was found, and the token of the next.
fn page<T>(
    request: &SearchRequest,
    most: usize,
    found: Vec<T>,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let size = request.max_results.unwrap_or(most);
    if size == 0 || size > most {
        return Err(AwsError::validation(format!(
            "1 validation error detected: Value '{size}' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to {most}"
        )));
    }
    let start = read_page_token(request.next_token.as_deref())
        .ok_or_else(|| AwsError::service("InvalidNextTokenException", "The NextToken value is invalid."))?;
    let next = (start + size < found.len()).then(|| page_token(start + size));
    Ok((found.into_iter().skip(start).take(size).collect(), next))
}

/// A token for a page that starts at `offset`.
pub(super) fn page_token(offset: usize) -> String {
    BASE64.encode(format!("page:{offset}").as_bytes())
}

/// The offset of a page token; 0 without one, `None` when it is none of ours.
pub(super) fn read_page_token(token: Option<&str>) -> Option<usize> {
    let Some(token) = token else { return Some(0) };
    let bytes = BASE64.decode(token.as_bytes()).ok()?;
    std::str::from_utf8(&bytes).ok()?.strip_prefix("page:")?.parse().ok()
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

fn put_secret_value(world: &mut World, caller: &Caller, request: WriteRequest) -> Result<Value, AwsError> {
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

fn update_secret_version_stage(
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

fn create_secret(world: &mut World, caller: &Caller, request: WriteRequest) -> Result<Value, AwsError> {
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

fn delete_secret(world: &mut World, caller: &Caller, request: &DeleteRequest) -> Result<Value, AwsError> {
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

fn restore_secret(world: &mut World, caller: &Caller, request: &ReadRequest) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "secretsmanager:RestoreSecret", &request.secret_id)?;
    let secret = secret_mut(world, &key)?;
    secret.deletion = None;
    Ok(json!({ "ARN": secret.arn, "Name": key.2 }))
}

/// Finds a secret by name, full ARN or ARN without suffix, and checks that the
/// caller may do this to it. The check comes first, also for what is not there.
fn permitted(world: &World, caller: &Caller, action: &str, id: &str) -> Result<Key, AwsError> {
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
        // In a store a rule may name a secret of its own account without an ARN.
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
    authorize(world, caller, action, &resource)?;
    found.ok_or_else(no_secret)
}

/// Actions without a resource scope need a rule for `*`.
fn permitted_everywhere(world: &World, caller: &Caller, action: &str) -> Result<(), AwsError> {
    let resource = Resource {
        named: None,
        candidates: vec!["*".to_owned()],
        account: caller.principal.account(),
        allowed_by_policy: &[],
    };
    authorize(world, caller, action, &resource)
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
        // Without the suffix only within one's own account.
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

fn no_secret() -> AwsError {
    not_found("Secrets Manager can't find the specified secret.")
}
