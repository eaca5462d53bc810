//! Operations on several secrets at once: BatchGetSecretValue, ListSecrets, their filters
//! and pages.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    lookup::{permitted, permitted_everywhere},
    read::{description, read},
};
use crate::{
    access::Caller,
    secrets::Secret,
    wire::{AwsError, page_token, read_page_token},
    world::{Key, World},
};

/// The default page size of ListSecrets, and its maximum.
const LIST_PAGE: usize = 100;
/// The maximum of secrets in a BatchGetSecretValue.
const BATCH_PAGE: usize = 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct SearchRequest {
    /// BatchGetSecretValue's.
    secret_id_list: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<usize>,
    next_token: Option<String>,
    #[serde(default)]
    include_planned_deletion: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    key: String,
    #[serde(default)]
    values: Vec<String>,
}

pub(super) fn batch_get_secret_value(
    world: &mut World,
    caller: &Caller,
    request: &SearchRequest,
) -> Result<Value, AwsError> {
    permitted_everywhere(world, caller, "BatchGetSecretValue")?;
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
            permitted_everywhere(world, caller, "ListSecrets")?;
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
        let one = permitted(world, caller, "GetSecretValue", id)
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

pub(super) fn list_secrets(
    world: &World,
    caller: &Caller,
    request: &SearchRequest,
) -> Result<Value, AwsError> {
    permitted_everywhere(world, caller, "ListSecrets")?;
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

/// The caller's secrets that match every filter. A filter matches if any of its values is
/// a prefix; `!` negates a value
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

/// One page of the secrets found, and the token of the next page.
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
