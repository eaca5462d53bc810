//! Changes to parameters: PutParameter, LabelParameterVersion, DeleteParameter.

use serde::Deserialize;
use serde_json::{Value, json};

use super::lookup::permitted;
use crate::{
    access::Caller,
    parameters::{Parameter, ParameterType, Tier, no_parameter},
    rules,
    wire::AwsError,
    world::{World, parameter_arn},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PutRequest {
    name: String,
    value: String,
    r#type: Option<String>,
    tier: Option<String>,
    key_id: Option<String>,
    data_type: Option<String>,
    #[serde(default)]
    overwrite: bool,
    /// Only events show it.
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct LabelRequest {
    name: String,
    parameter_version: Option<usize>,
    labels: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DeleteRequest {
    name: String,
}

pub(super) fn put_parameter(
    world: &mut World,
    caller: &Caller,
    request: PutRequest,
) -> Result<Value, AwsError> {
    let key = (caller.principal.account().to_owned(), caller.region.clone(), request.name);
    rules::new_parameter_name(&key)?;
    permitted(world, caller, "ssm:PutParameter", &key.2)?;
    let kind = request.r#type.as_deref().map(parameter_type).transpose()?;
    if let Some(other) = request.data_type.filter(|data_type| data_type != "text") {
        return Err(AwsError::validation(format!(
            "the emulator does not have the DataType {other}; it has text"
        )));
    }
    let known = world.parameters.get(&key);
    if known.is_some() && !request.overwrite {
        return Err(AwsError::front_end(
            "ParameterAlreadyExists",
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
        ));
    }
    let tier = tier(request.tier.as_deref(), known.map(|known| known.tier), &request.value)?;
    rules::parameter_value(&request.value, tier)?;
    let known_kind = known.and_then(|known| Some(known.find(None)?.1.kind));
    let kind = match (kind, known_kind) {
        (Some(kind), Some(known)) if kind != known => {
            return Err(AwsError::front_end(
                "HierarchyTypeMismatchException",
                format!(
                    "Parameter Store does not support changing a parameter's type from {} to {}.",
                    known.name(),
                    kind.name()
                ),
            ));
        }
        (Some(kind), _) | (None, Some(kind)) => kind,
        (None, None) => {
            return Err(AwsError::validation("A parameter type is required when you create a parameter."));
        }
    };
    rules::parameter_key(kind, request.key_id.as_deref())?;
    let arn = parameter_arn(&key);
    let operation = if known.is_some() { "Update" } else { "Create" };
    let parameter = world.parameters.entry(key.clone()).or_insert_with(|| Parameter::new(arn));
    parameter.description = request.description.or(parameter.description.take());
    parameter.kms_key_id = request.key_id.or(parameter.kms_key_id.take());
    parameter.tier = tier;
    let number = parameter.put(request.value, kind, caller.now);
    world.parameter_changed(&key, operation, caller.now);
    Ok(json!({ "Version": number, "Tier": tier.name() }))
}

pub(super) fn label_parameter_version(
    world: &mut World,
    caller: &Caller,
    request: &LabelRequest,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "ssm:LabelParameterVersion", &request.name)?;
    let key = key.ok_or_else(no_parameter)?;
    let parameter = world.parameters.get_mut(&key).ok_or_else(no_parameter)?;
    let (invalid, number) = parameter.label(&request.name, request.parameter_version, &request.labels)?;
    if invalid.len() < request.labels.len() {
        world.parameter_changed(&key, "LabelParameterVersion", caller.now);
    }
    Ok(json!({ "InvalidLabels": invalid, "ParameterVersion": number }))
}

pub(super) fn delete_parameter(
    world: &mut World,
    caller: &Caller,
    request: &DeleteRequest,
) -> Result<Value, AwsError> {
    let key = permitted(world, caller, "ssm:DeleteParameter", &request.name)?;
    let key = key.filter(|key| world.parameters.contains_key(key)).ok_or_else(no_parameter)?;
    world.parameter_changed(&key, "Delete", caller.now);
    world.parameters.remove(&key);
    Ok(json!({}))
}

/// The tier of a new value: the tier in the request, or else the parameter's own, or else
/// Standard. A parameter cannot go back from Advanced
/// (<https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html>).
fn tier(asked: Option<&str>, known: Option<Tier>, value: &str) -> Result<Tier, AwsError> {
    match (asked, known) {
        (Some("Standard"), Some(Tier::Advanced)) => Err(AwsError::validation(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced parameter and recreate it as a standard parameter.",
        )),
        (None | Some("Intelligent-Tiering"), Some(Tier::Advanced)) | (Some("Advanced"), _) => {
            Ok(Tier::Advanced)
        }
        (None | Some("Standard"), _) => Ok(Tier::Standard),
        (Some("Intelligent-Tiering"), _) => Ok(rules::tier_for(value)),
        (Some(other), _) => Err(AwsError::validation(format!(
            "1 validation error detected: Value '{other}' at 'tier' failed to satisfy constraint: Member must satisfy enum value set: [Standard, Advanced, Intelligent-Tiering]"
        ))),
    }
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
