//! Reading parameters: GetParameter, GetParameters, GetParametersByPath.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{lookup::permitted, reference};
use crate::{
    access::{Caller, Resource, authorize},
    clock::json_timestamp,
    parameters::{Parameter, ParameterType, ParameterVersion, no_parameter, no_version, split_selector},
    rules,
    wire::{AwsError, page_token, read_page_token},
    world::{Key, World, parameter_arn},
};

/// The maximum of names in GetParameters and of results on a page of GetParametersByPath.
const PAGE: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetRequest {
    name: String,
    #[serde(default)]
    with_decryption: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetSeveralRequest {
    names: Vec<String>,
    #[serde(default)]
    with_decryption: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ByPathRequest {
    path: String,
    #[serde(default)]
    recursive: bool,
    #[serde(default)]
    with_decryption: bool,
    max_results: Option<usize>,
    next_token: Option<String>,
    #[serde(default)]
    parameter_filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    key: String,
    option: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

impl Filter {
    /// # Errors
    /// `InvalidFilterKey`, `InvalidFilterOption` for what GetParametersByPath does not have
    /// (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterStringFilter.html>).
    fn check(&self) -> Result<(), AwsError> {
        let code = match (self.key.as_str(), self.option.as_deref()) {
            ("Label" | "Type" | "KeyId", None | Some("Equals")) | ("Type" | "KeyId", Some("BeginsWith")) => {
                return Ok(());
            }
            ("Label" | "Type" | "KeyId", _) => "InvalidFilterOption",
            _ => "InvalidFilterKey",
        };
        Err(AwsError::front_end(
            code,
            "GetParametersByPath filters by Label (Equals), and by Type and KeyId (Equals, BeginsWith).",
        ))
    }

    fn fits(&self, text: &str) -> bool {
        self.values.iter().any(|value| match self.option.as_deref() {
            Some("BeginsWith") => text.starts_with(value.as_str()),
            _ => text == value,
        })
    }
}

pub(super) fn get_parameter(
    world: &mut World,
    caller: &Caller,
    request: &GetRequest,
) -> Result<Value, AwsError> {
    let (id, selector) = split_selector(&request.name);
    if let Some(secret) = reference::secret_name(id) {
        let of = (secret, selector);
        let found = reference::read(world, caller, "ssm:GetParameter", of, request.with_decryption)?;
        return Ok(json!({ "Parameter": found.ok_or_else(|| reference::not_found(secret))? }));
    }
    let key = permitted(world, caller, "ssm:GetParameter", id)?;
    let parameter = key.as_ref().and_then(|key| world.parameters.get(key));
    let (Some(key), Some(parameter)) = (key, parameter) else {
        return Err(no_parameter());
    };
    let (number, version) =
        parameter.find(selector).ok_or_else(|| no_version(selector.unwrap_or_default(), id))?;
    refuse_kms(parameter, version, caller, request.with_decryption)?;
    let parameter = entry(&key, parameter, (number, version), selector, request.with_decryption);
    Ok(json!({ "Parameter": parameter }))
}

pub(super) fn get_parameters(
    world: &mut World,
    caller: &Caller,
    request: &GetSeveralRequest,
) -> Result<Value, AwsError> {
    let names = &request.names;
    if names.is_empty() || names.len() > PAGE {
        let bound = if names.is_empty() { "greater than or equal to 1" } else { "less than or equal to 10" };
        return Err(AwsError::validation(format!(
            "1 validation error detected: Value '[{}]' at 'names' failed to satisfy constraint: Member must have length {bound}",
            names.join(", ")
        )));
    }
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        return Err(AwsError::validation(
            "Duplicate parameter names or ARNs are not allowed in one request.",
        ));
    }
    let (mut found, mut invalid) = (Vec::new(), Vec::new());
    for name in names {
        let (id, selector) = split_selector(name);
        if let Some(secret) = reference::secret_name(id) {
            let of = (secret, selector);
            match reference::read(world, caller, "ssm:GetParameters", of, request.with_decryption)? {
                Some(entry) => found.push(((id.to_owned(), 0), entry)),
                None => invalid.push(name),
            }
            continue;
        }
        // If one name may not be read, the whole request is refused.
        let key = permitted(world, caller, "ssm:GetParameters", id)?;
        let hit = key.and_then(|key| {
            let parameter = world.parameters.get(&key)?;
            Some((key, parameter, parameter.find(selector)?))
        });
        match hit {
            Some((key, parameter, version)) => {
                refuse_kms(parameter, version.1, caller, request.with_decryption)?;
                let entry = entry(&key, parameter, version, selector, request.with_decryption);
                found.push(((key.2, version.0), entry));
            }
            None => invalid.push(name),
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    let found: Vec<Value> = found.into_iter().map(|(_, entry)| entry).collect();
    Ok(json!({ "Parameters": found, "InvalidParameters": invalid }))
}

pub(super) fn get_parameters_by_path(
    world: &World,
    caller: &Caller,
    request: &ByPathRequest,
) -> Result<Value, AwsError> {
    if !request.path.starts_with('/') {
        return Err(rules::bad_parameter_name());
    }
    request.parameter_filters.iter().try_for_each(Filter::check)?;
    let own = caller.principal.account();
    let path = request.path.trim_end_matches('/');
    let arn = parameter_arn(&(own.to_owned(), caller.region.clone(), path.to_owned()));
    let resource = Resource {
        named: Some(&format!("{arn}/")),
        candidates: vec![arn.clone(), format!("{arn}/"), path.to_owned(), format!("{path}/")],
        account: own,
        allowed_by_policy: &[],
    };
    authorize(world, caller, "ssm:GetParametersByPath", &resource)?;
    let size = request.max_results.unwrap_or(PAGE);
    if size == 0 || size > PAGE {
        return Err(AwsError::validation(format!(
            "1 validation error detected: Value '{size}' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to {PAGE}"
        )));
    }
    let start = read_page_token(request.next_token.as_deref())
        .ok_or_else(|| AwsError::front_end("InvalidNextToken", "The specified token isn't valid."))?;
    let below = format!("{path}/");
    let mut found = Vec::new();
    for (key, parameter) in &world.parameters {
        let (account, region, name) = key;
        let Some(rest) = name.strip_prefix(&below) else {
            continue;
        };
        if account != own || *region != caller.region || !request.recursive && rest.contains('/') {
            continue;
        }
        // With a filter by label, the answer has the version with that label.
        let label = request.parameter_filters.iter().find(|filter| filter.key == "Label");
        let version = match label {
            None => parameter.find(None),
            Some(label) => label.values.iter().find_map(|label| parameter.find(Some(label))),
        };
        let Some(version) = version else { continue };
        let fits = request.parameter_filters.iter().all(|filter| match filter.key.as_str() {
            "Type" => filter.fits(version.1.kind.name()),
            "KeyId" => parameter.kms_key_id.as_deref().is_some_and(|id| filter.fits(id)),
            _ => true,
        });
        if fits {
            found.push((key, parameter, version));
        }
    }
    let next = (start + size < found.len()).then(|| page_token(start + size));
    let mut page = Vec::new();
    for (key, parameter, version) in found.into_iter().skip(start).take(size) {
        refuse_kms(parameter, version.1, caller, request.with_decryption)?;
        page.push(entry(key, parameter, version, None, request.with_decryption));
    }
    let mut answer = json!({ "Parameters": page });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

/// A parameter in an answer: the name without the selector, and the selector with its
/// colon, as in the request.
fn entry(
    (_, _, name): &Key,
    parameter: &Parameter,
    (number, version): (usize, &ParameterVersion),
    selector: Option<&str>,
    decrypt: bool,
) -> Value {
    let mut entry = json!({
        "ARN": parameter.arn,
        "Name": name,
        "Type": version.kind.name(),
        "Value": version.read(decrypt),
        "Version": number,
        "LastModifiedDate": json_timestamp(version.modified),
        "DataType": "text",
    });
    if let Some(selector) = selector {
        entry["Selector"] = json!(format!(":{selector}"));
    }
    entry
}

fn refuse_kms(
    parameter: &Parameter,
    version: &ParameterVersion,
    caller: &Caller,
    decrypt: bool,
) -> Result<(), AwsError> {
    let role = caller.principal.role_arn();
    let refused = parameter.kms_denied.iter().any(|denied| Some(denied.as_str()) == role);
    if refused && decrypt && version.kind == ParameterType::SecureString {
        return Err(AwsError::service(
            "AccessDeniedException",
            "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.",
        ));
    }
    Ok(())
}
