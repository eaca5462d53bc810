//! Parameter Store's operations, JSON 1.1 in and out.

mod lookup;
mod read;
mod reference;
mod write;

use serde_json::Value;

use super::{
    access::Caller,
    wire::{AwsError, Service, parse},
    world::World,
};

/// Answers one operation.
///
/// # Errors
/// The errors that Systems Manager would return.
pub(super) fn call(
    world: &mut World,
    caller: &Caller,
    operation: &str,
    body: &Value,
) -> Result<Value, AwsError> {
    match operation {
        "GetParameter" => read::get_parameter(world, caller, &parse(body)?),
        "GetParameters" => read::get_parameters(world, caller, &parse(body)?),
        "GetParametersByPath" => read::get_parameters_by_path(world, caller, &parse(body)?),
        "DeleteParameter" => write::delete_parameter(world, caller, &parse(body)?),
        "PutParameter" => write::put_parameter(world, caller, parse(body)?),
        "LabelParameterVersion" => write::label_parameter_version(world, caller, &parse(body)?),
        _ => Err(AwsError::no_operation(Service::Ssm, operation)),
    }
}
