//! Parameter Store's operations, JSON 1.1 in and out.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    access::{Caller, Resource, authorize},
    arn::Arn,
    clock::json_timestamp,
    parameters::{Parameter, ParameterType, ParameterVersion, no_version, split_selector},
    wire::{AwsError, page_token, parse, read_page_token},
    world::{Key, World, parameter_arn},
};

/// Names in one GetParameters, and results on one page of GetParametersByPath.
const PAGE: usize = 10;

/// Answers one operation.
///
/// # Errors
/// What Systems Manager would answer.
pub(super) fn call(
    world: &mut World,
    caller: &Caller,
    operation: &str,
    body: &Value,
) -> Result<Value, AwsError> {
    match operation {
        "GetParameter" => get_parameter(world, caller, &parse(body)?),
        "GetParameters" => get_parameters(world, caller, &parse(body)?),
        "GetParametersByPath" => get_parameters_by_path(world, caller, &parse(body)?),
        "PutParameter" => put_parameter(world, caller, parse(body)?),
        "LabelParameterVersion" => label_parameter_version(world, caller, &parse(body)?),
        _ => Err(AwsError::front_end("UnknownOperationException", "")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetRequest {
    name: String,
    #[serde(default)]
    with_decryption: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetSeveralRequest {
    names: Vec<String>,
    #[serde(default)]
    with_decryption: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ByPathRequest {
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
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: String,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRequest {
    name: String,
    value: String,
    r#type: Option<String>,
    key_id: Option<String>,
    #[serde(default)]
    overwrite: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LabelRequest {
    name: String,
    parameter_version: Option<usize>,
    labels: Vec<String>,
}

fn get_parameter(world: &World, caller: &Caller, request: &GetRequest) -> Result<Value, AwsError> {
    let (id, selector) = split_selector(&request.name);
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

fn get_parameters(world: &World, caller: &Caller, request: &GetSeveralRequest) -> Result<Value, AwsError> {
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
        // One name that may not be read refuses the whole request.
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

fn get_parameters_by_path(
    world: &World,
    caller: &Caller,
    request: &ByPathRequest,
) -> Result<Value, AwsError> {
    if !request.path.starts_with('/') {
        return Err(bad_name());
    }
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
        // A filter by label gives the version that carries it.
        let label = request.parameter_filters.iter().find(|filter| filter.key == "Label");
        let version = match label {
            None => parameter.find(None),
            Some(label) => label.values.iter().find_map(|label| parameter.find(Some(label))),
        };
        let Some(version) = version else { continue };
        let fits = request.parameter_filters.iter().all(|filter| match filter.key.as_str() {
            "Type" => filter.values.iter().any(|kind| kind == version.1.kind.name()),
            "KeyId" => filter.values.iter().any(|id| Some(id) == parameter.kms_key_id.as_ref()),
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

fn put_parameter(world: &mut World, caller: &Caller, request: PutRequest) -> Result<Value, AwsError> {
    check_name(&request.name)?;
    permitted(world, caller, "ssm:PutParameter", &request.name)?;
    let kind = request.r#type.as_deref().map(parameter_type).transpose()?;
    if request.value.is_empty() {
        return Err(AwsError::validation(
            "1 validation error detected: Value '' at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1.",
        ));
    }
    let name = request.name;
    let key = (caller.principal.account().to_owned(), caller.region.clone(), name);
    let number = match world.parameters.get_mut(&key) {
        Some(_) if !request.overwrite => {
            return Err(AwsError::front_end(
                "ParameterAlreadyExists",
                "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
            ));
        }
        Some(parameter) => {
            let kind = kind.or_else(|| Some(parameter.find(None)?.1.kind)).unwrap_or_default();
            parameter.put(request.value, kind, caller.now)
        }
        None => {
            let kind = kind.ok_or_else(|| {
                AwsError::validation("A parameter type is required when you create a parameter.")
            })?;
            let mut parameter = Parameter::new(parameter_arn(&key));
            parameter.kms_key_id = request.key_id;
            let number = parameter.put(request.value, kind, caller.now);
            world.parameters.insert(key, parameter);
            number
        }
    };
    Ok(json!({ "Version": number, "Tier": "Standard" }))
}

fn label_parameter_version(
    world: &mut World,
    caller: &Caller,
    request: &LabelRequest,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "ssm:LabelParameterVersion", &request.name)?;
    let parameter = key.and_then(|key| world.parameters.get_mut(&key)).ok_or_else(no_parameter)?;
    let (invalid, number) = parameter.label(&request.name, request.parameter_version, &request.labels)?;
    Ok(json!({ "InvalidLabels": invalid, "ParameterVersion": number }))
}

fn parameter_type(name: &str) -> Result<ParameterType, AwsError> {
    [ParameterType::String, ParameterType::StringList, ParameterType::SecureString]
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| {
            AwsError::validation(format!(
                "1 validation error detected: Value '{name}' at 'type' failed to satisfy constraint: Member must satisfy enum value set: [SecureString, StringList, String]"
            ))
        })
}

/// One parameter as an answer shows it: the name without its selector, and the
/// selector with its colon, as it was asked for.
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

/// Checks the caller's permission for a name or ARN without selector; `None`
/// when it is permitted and not there. Systems Manager knows the ARN of a
/// parameter that does not exist, so that permission always comes first.
fn permitted(world: &World, caller: &Caller, action: &str, id: &str) -> Result<Option<Key>, AwsError> {
    let own = caller.principal.account();
    let key = match Arn::parse(id) {
        Some(arn) => {
            let name = arn.resource.strip_prefix("parameter/").unwrap_or(arn.resource);
            let slashed = format!("/{name}");
            let of = |name: &str| (arn.account.to_owned(), arn.region.to_owned(), name.to_owned());
            // An ARN does not tell whether the name starts with a slash.
            let plain = of(name);
            if world.parameters.contains_key(&plain) { plain } else { of(&slashed) }
        }
        None => {
            check_name(id)?;
            (own.to_owned(), caller.region.clone(), id.to_owned())
        }
    };
    let parameter = world.parameters.get(&key).filter(|_| key.1 == caller.region);
    let arn = parameter_arn(&key);
    let mut candidates = vec![arn.clone()];
    if key.0 == own {
        candidates.push(key.2.clone());
    }
    let resource = Resource {
        named: Some(&arn),
        candidates,
        account: &key.0,
        allowed_by_policy: parameter.map_or(&[], |parameter| &parameter.shared_with),
    };
    authorize(world, caller, action, &resource)?;
    Ok(parameter.map(|_| key.clone()))
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

fn check_name(name: &str) -> Result<(), AwsError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    let first = name.trim_start_matches('/').to_ascii_lowercase();
    if name.is_empty() || name.len() > 1011 || !name.chars().all(allowed) || first.starts_with("ssm") {
        return Err(bad_name());
    }
    Ok(())
}

fn bad_name() -> AwsError {
    AwsError::validation(
        "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_",
    )
}

/// AWS gives no message with this code.
pub(super) fn no_parameter() -> AwsError {
    AwsError { status: 400, code: "ParameterNotFound".to_owned(), message: None, capital: false }
}
