//! AWS's rules for names, sizes, labels and tags. Write operations and the store check
//! against the same rules.

use std::collections::BTreeMap;

use super::{
    arn::partition_of,
    parameters::{ParameterType, Tier},
    secrets::SecretData,
    wire::AwsError,
    world::{Key, parameter_arn},
};

/// The maximum length of a SecretString or SecretBinary, in bytes.
const MAX_SECRET_BYTES: usize = 65_536;
/// How many labels a version of a secret may have.
const MAX_STAGES: usize = 20;
/// How many tags a secret may have.
const MAX_TAGS: usize = 50;
/// The maximum length of a parameter's ARN, which limits its name, in characters.
const MAX_PARAMETER_ARN: usize = 1011;
/// How many parts a parameter's path may have.
const MAX_LEVELS: usize = 15;
/// The maximum length of a standard parameter's value, in characters.
const MAX_STANDARD: usize = 4096;
/// The maximum length of an advanced parameter's value, in characters.
const MAX_ADVANCED: usize = 8192;

/// A new secret's name
/// (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>).
pub(super) fn secret_name(name: &str) -> Result<(), AwsError> {
    length("name", name, 1, 512)?;
    match name.chars().all(|c| c.is_ascii_alphanumeric() || "/_+=.@-!".contains(c)) {
        true => Ok(()),
        false => Err(AwsError::validation(
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
        )),
    }
}

/// The value of a version of a secret.
pub(super) fn secret_value(data: &SecretData) -> Result<(), AwsError> {
    let (field, bytes) = match data {
        SecretData::Text(text) => ("secretString", text.len()),
        SecretData::Binary(bytes) => ("secretBinary", bytes.len()),
    };
    bounds(field, bytes, 1, MAX_SECRET_BYTES)
}

/// The id of a secret's version, which is the token of the request that created it.
pub(super) fn version_id(id: &str) -> Result<(), AwsError> {
    match (32..=64).contains(&id.chars().count()) {
        true => Ok(()),
        false => Err(AwsError::service(
            "InvalidParameterException",
            "ClientRequestToken must be 32-64 characters long.",
        )),
    }
}

/// The staging labels of a version, or a label that moves.
pub(super) fn stages(labels: &[String]) -> Result<(), AwsError> {
    bounds("versionStages", labels.len(), 0, MAX_STAGES)?;
    labels.iter().try_for_each(|label| length("versionStage", label, 1, 256))
}

/// A secret's description and the key that encrypts it.
pub(super) fn secret_texts(description: Option<&str>, kms_key_id: Option<&str>) -> Result<(), AwsError> {
    length("description", description.unwrap_or_default(), 0, 2048)?;
    length("kmsKeyId", kms_key_id.unwrap_or_default(), 0, 2048)
}

/// A secret's tags
/// (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Tag.html>).
pub(super) fn tags(tags: &BTreeMap<String, String>) -> Result<(), AwsError> {
    if tags.len() > MAX_TAGS {
        return Err(AwsError::service("InvalidParameterException", "A secret can have at most 50 tags."));
    }
    for (key, value) in tags {
        length("tags.1.member.key", key, 1, 128)?;
        length("tags.1.member.value", value, 0, 256)?;
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(AwsError::service(
                "InvalidParameterException",
                format!("Invalid tag key: {key}. The prefix aws: is reserved."),
            ));
        }
    }
    Ok(())
}

/// A Region that a secret in `home` may be replicated to.
pub(super) fn replica_region(region: &str, home: &str) -> Result<(), AwsError> {
    match is_region(region) && region != home && partition_of(region) == partition_of(home) {
        true => Ok(()),
        false => {
            Err(AwsError::service("InvalidParameterException", format!("Invalid replica region: {region}.")))
        }
    }
}

/// `^([a-z]+-)+\d+$`, as in Secrets Manager's reference. All parts but the last may also
/// have digits, for partitions such as `us-iso2-east-1`.
pub(super) fn is_region(text: &str) -> bool {
    let Some((parts, number)) = text.rsplit_once('-') else { return false };
    let digits = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    let word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    digits && parts.split('-').all(word)
}

/// Twelve digits.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.chars().all(|c| c.is_ascii_digit())
}

/// A new queue's name. The emulator has no FIFO queues, whose names end with `.fifo`
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html>).
pub(super) fn queue_name(name: &str) -> Result<(), AwsError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match (1..=80).contains(&name.len()) && name.chars().all(allowed) {
        true => Ok(()),
        false => Err(AwsError::front_end(
            "InvalidParameterValue",
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        )),
    }
}

/// A name in a read request: letters, digits, `.`, `-`, `_` and `/`.
pub(super) fn parameter_name(name: &str) -> Result<(), AwsError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    let first = name.trim_start_matches('/').to_ascii_lowercase();
    if name.is_empty() || name.len() > 2048 || !name.chars().all(allowed) || first.starts_with("ssm") {
        return Err(bad_parameter_name());
    }
    Ok(())
}

/// A new parameter's name
/// (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>).
pub(super) fn new_parameter_name(key: &Key) -> Result<(), AwsError> {
    let name = key.2.as_str();
    parameter_name(name)?;
    let first = name.trim_start_matches('/').to_ascii_lowercase();
    // Also `/aws-anything/x`: AWS compares letters, not whole parts.
    if name.starts_with('/') && first.starts_with("aws") && name.matches('/').count() > 1 {
        return Err(AwsError::service(
            "AccessDeniedException",
            format!("No access to reserved parameter name: {name}."),
        ));
    }
    if first.starts_with("aws") {
        return Err(AwsError::validation(
            "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive).",
        ));
    }
    if name.contains('/') && !name.starts_with('/') {
        return Err(AwsError::validation("Parameter name must be a fully qualified name."));
    }
    if name.ends_with('/') {
        return Err(AwsError::validation("Parameter name must not end with slash."));
    }
    if name.contains("//") {
        return Err(bad_parameter_name());
    }
    if name.matches('/').count() > MAX_LEVELS {
        return Err(AwsError::front_end(
            "HierarchyLevelLimitExceededException",
            "A hierarchy can have a maximum of 15 levels.",
        ));
    }
    if parameter_arn(key).len() > MAX_PARAMETER_ARN {
        return Err(AwsError::validation(format!(
            "Parameter name: the parameter's ARN can have at most {MAX_PARAMETER_ARN} characters."
        )));
    }
    Ok(())
}

/// A parameter's value, which must not be longer than its tier allows
/// (<https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html>).
pub(super) fn parameter_value(value: &str, tier: Tier) -> Result<(), AwsError> {
    length("value", value, 1, MAX_ADVANCED)?;
    match tier {
        Tier::Standard if value.chars().count() > MAX_STANDARD => Err(AwsError::validation(
            "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, see https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html",
        )),
        Tier::Standard | Tier::Advanced => Ok(()),
    }
}

/// The tier that Intelligent-Tiering chooses for a new value.
pub(super) fn tier_for(value: &str) -> Tier {
    if value.chars().count() > MAX_STANDARD { Tier::Advanced } else { Tier::Standard }
}

/// The KMS key of a parameter. Only a SecureString has one.
pub(super) fn parameter_key(kind: ParameterType, kms_key_id: Option<&str>) -> Result<(), AwsError> {
    match (kind, kms_key_id) {
        (ParameterType::SecureString, Some(id)) => length("keyId", id, 1, 256),
        (_, Some(_)) => Err(AwsError::validation("KeyId is required for SecureString type parameter only.")),
        (_, None) => Ok(()),
    }
}

pub(super) fn bad_parameter_name() -> AwsError {
    AwsError::validation(
        "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_",
    )
}

fn length(field: &str, text: &str, least: usize, most: usize) -> Result<(), AwsError> {
    bounds(field, text.chars().count(), least, most)
}

/// The front end's error for a wrong length. It does not repeat the value, which may be
/// secret.
fn bounds(field: &str, actual: usize, least: usize, most: usize) -> Result<(), AwsError> {
    let bound = match actual {
        _ if actual < least => format!("greater than or equal to {least}"),
        _ if actual > most => format!("less than or equal to {most}"),
        _ => return Ok(()),
    };
    Err(AwsError::validation(format!(
        "1 validation error detected: Value at '{field}' failed to satisfy constraint: Member must have length {bound}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_names_follow_awss_rules() {
        let check = |name: &str| new_parameter_name(&("1".into(), "us-east-1".into(), name.into()));
        let deep = "/x".repeat(15);
        for name in ["a", "/a", "/a/b", "a.b-c_D9", "/shop/aws", &deep] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        let (deeper, long) = (format!("{deep}/x"), "x".repeat(1000));
        for (name, says) in [
            ("", "sub-path"),
            ("a b", "sub-path"),
            ("/a//b", "sub-path"),
            ("a:b", "sub-path"),
            ("SSM-x", "\"ssm\""),
            ("/ssm/x", "\"ssm\""),
            ("awsome", "\"aws\""),
            ("/awsome", "\"aws\""),
            ("/aws/service/x", "No access to reserved"),
            ("/aws-shop/x", "No access to reserved"),
            ("a/b", "fully qualified"),
            ("/a/", "end with slash"),
            (&deeper, "15 levels"),
            (&long, "1011"),
        ] {
            let error = check(name).unwrap_err().to_string();
            assert!(error.contains(says), "{name}: {error}");
        }
    }

    #[test]
    fn a_value_fits_its_tier() {
        for (tier, characters, fits) in [
            (Tier::Standard, 0, false),
            (Tier::Standard, 4096, true),
            (Tier::Standard, 4097, false),
            (Tier::Advanced, 8192, true),
            (Tier::Advanced, 8193, false),
        ] {
            let result = parameter_value(&"é".repeat(characters), tier);
            assert_eq!(result.is_ok(), fits, "{characters} characters, {tier:?}: {result:?}");
        }
    }

    #[test]
    fn regions_look_like_regions() {
        for region in ["us-east-1", "ap-southeast-12", "us-gov-west-1", "us-isob-east-1", "eusc-de-east-1"] {
            assert!(is_region(region), "{region}");
        }
        for text in ["", "us", "us-east", "US-east-1", "us_east_1", "us-east-1a", "-1", "us--1"] {
            assert!(!is_region(text), "{text}");
        }
    }

    #[test]
    fn an_errors_message_never_shows_the_value() {
        let canary = "canary".repeat(20_000);
        let errors = [
            secret_value(&canary.as_str().into()).unwrap_err(),
            parameter_value(&canary, Tier::Advanced).unwrap_err(),
        ];
        for error in errors {
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
