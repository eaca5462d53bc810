//! Secrets that GetParameter and GetParameters read under `/aws/reference/secretsmanager/`
//! (<https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html>).

use serde_json::{Value, json};

use crate::{access::Caller, arn::Arn, secrets_api, wire::AwsError, world::World};

use super::lookup::authorized;

const PREFIX: &str = "/aws/reference/secretsmanager/";

/// The secret's name, if a name or ARN without selector is such a reference.
pub(super) fn secret_name(id: &str) -> Option<&str> {
    match Arn::parse(id) {
        Some(arn) => arn.resource.strip_prefix("parameter")?.strip_prefix(PREFIX),
        None => id.strip_prefix(PREFIX),
    }
}

/// The parameter that refers to a secret; `None` if the secret or its version does not
/// exist. The caller must be allowed to read both.
///
/// # Errors
/// `ValidationException` without decryption, and the errors of Secrets Manager.
pub(super) fn read(
    world: &mut World,
    caller: &Caller,
    action: &str,
    (name, selector): (&str, Option<&str>),
    decrypt: bool,
) -> Result<Option<Value>, AwsError> {
    let parameter = format!("{PREFIX}{name}");
    let key = (caller.principal.account().to_owned(), caller.region.clone(), parameter.clone());
    authorized(world, caller, action, &key)?;
    if !decrypt {
        return Err(AwsError::validation(
            "WithDecryption flag must be True for retrieving a Secret Manager secret.",
        ));
    }
    let secret = match secrets_api::referenced(world, caller, name, selector) {
        Ok(secret) => secret,
        Err(error) if error.code == "ResourceNotFoundException" => return Ok(None),
        Err(error) => {
            let message = error.message.unwrap_or_default();
            let text =
                format!("An error occurred ({}) when referencing Secrets Manager: {message}", error.code);
            return Err(AwsError { message: Some(text), ..AwsError::service(&error.code, "") });
        }
    };
    let Some(value) = secret["SecretString"].as_str() else {
        return Err(AwsError::validation(format!(
            "{parameter} refers to a secret with a binary value, which the emulator does not read through Parameter Store."
        )));
    };
    let mut entry = json!({
        "ARN": secret["ARN"],
        "Name": parameter,
        "Type": "SecureString",
        "Value": value,
        "Version": 0,
        "SourceResult": secret.to_string(),
        "LastModifiedDate": secret["CreatedDate"],
        "DataType": "text",
    });
    if let Some(selector) = selector {
        entry["Selector"] = json!(format!(":{selector}"));
    }
    Ok(Some(entry))
}

/// The error of GetParameter for a reference to a secret that does not exist.
pub(super) fn not_found(name: &str) -> AwsError {
    AwsError::front_end(
        "ParameterNotFound",
        format!(
            "An error occurred (ParameterNotFound) when referencing Secrets Manager: Secret {PREFIX}{name} not found."
        ),
    )
}
