//! A parameter, its versions and their labels.

use std::time::SystemTime;

use data_encoding::BASE64;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::wire::AwsError;

/// How many labels a version may have.
const MAX_LABELS: usize = 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ParameterType {
    /// Plain text.
    #[default]
    String,
    /// Plain text, separated by commas.
    StringList,
    /// Encrypted. A read without `WithDecryption` returns the ciphertext.
    SecureString,
}

impl ParameterType {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::StringList => "StringList",
            Self::SecureString => "SecureString",
        }
    }
}

/// The tier, which limits the size of the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Tier {
    #[default]
    Standard,
    Advanced,
}

impl Tier {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Standard => "Standard",
            Self::Advanced => "Advanced",
        }
    }
}

/// One version of a parameter; the first is 1.
#[derive(Clone)]
pub(super) struct ParameterVersion {
    pub(super) value: String,
    pub(super) kind: ParameterType,
    pub(super) labels: Vec<String>,
    pub(super) modified: SystemTime,
}

impl ParameterVersion {
    /// The value, or a stand-in for the ciphertext of an encrypted value.
    pub(super) fn read(&self, decrypt: bool) -> String {
        match self.kind {
            ParameterType::SecureString if !decrypt => {
                format!("AQICAH{}", BASE64.encode(&Sha256::digest(self.value.as_bytes())))
            }
            _ => self.value.clone(),
        }
    }
}

/// A parameter of one account in one Region.
#[derive(Clone)]
pub(super) struct Parameter {
    pub(super) arn: String,
    pub(super) description: Option<String>,
    pub(super) kms_key_id: Option<String>,
    pub(super) tier: Tier,
    /// Version n is at index n - 1.
    pub(super) versions: Vec<ParameterVersion>,
    /// The accounts and roles that it is shared with.
    pub(super) shared_with: Vec<String>,
    /// Roles that KMS refuses.
    pub(super) kms_denied: Vec<String>,
}

impl Parameter {
    pub(super) fn new(arn: String) -> Self {
        Self {
            arn,
            description: None,
            kms_key_id: None,
            tier: Tier::Standard,
            versions: Vec::new(),
            shared_with: Vec::new(),
            kms_denied: Vec::new(),
        }
    }

    /// Adds a version and returns its number.
    pub(super) fn put(&mut self, value: String, kind: ParameterType, now: SystemTime) -> usize {
        self.versions.push(ParameterVersion { value, kind, labels: Vec::new(), modified: now });
        self.versions.len()
    }

    /// The version that a selector (a number or a label) names, or else the newest
    /// version.
    pub(super) fn find(&self, selector: Option<&str>) -> Option<(usize, &ParameterVersion)> {
        let numbered = || self.versions.iter().enumerate().map(|(at, version)| (at + 1, version));
        match selector {
            None => numbered().next_back(),
            Some(selector) => match selector.parse::<usize>() {
                Ok(number) => numbered().find(|(n, _)| *n == number),
                Err(_) => numbered().find(|(_, v)| v.labels.iter().any(|l| l == selector)),
            },
        }
    }

    /// Moves labels to a version, and returns the labels that AWS does not accept.
    ///
    /// # Errors
    /// `ParameterVersionNotFound`, `ParameterVersionLabelLimitExceeded`.
    pub(super) fn label(
        &mut self,
        name: &str,
        version: Option<usize>,
        labels: &[String],
    ) -> Result<(Vec<String>, usize), AwsError> {
        let number = version.unwrap_or(self.versions.len());
        if self.find(Some(&number.to_string())).is_none() {
            return Err(no_version(&number.to_string(), name));
        }
        let (good, bad): (Vec<String>, Vec<String>) =
            labels.iter().cloned().partition(|label| is_label(label));
        let held = &self.versions[number - 1].labels;
        if held.len() + good.iter().filter(|label| !held.contains(label)).count() > MAX_LABELS {
            return Err(AwsError::front_end(
                "ParameterVersionLabelLimitExceeded",
                "A parameter version can have maximum 10 labels. Move one or more labels to another version and try again.",
            ));
        }
        for version in &mut self.versions {
            version.labels.retain(|label| !good.contains(label));
        }
        self.versions[number - 1].labels.extend(good);
        Ok((bad, number))
    }
}

/// Splits `name:selector`, also at the end of an ARN.
pub(super) fn split_selector(id: &str) -> (&str, Option<&str>) {
    let start = if id.starts_with("arn:") { id.find(":parameter").map_or(id.len(), |at| at + 1) } else { 0 };
    match id[start..].find(':') {
        Some(at) => (&id[..start + at], Some(&id[start + at + 1..])),
        None => (id, None),
    }
}

pub(super) fn no_version(selector: &str, name: &str) -> AwsError {
    AwsError::front_end(
        "ParameterVersionNotFound",
        format!(
            "Systems Manager could not find version {selector} of {name}. Verify the version and try again."
        ),
    )
}

/// Letters, digits, `.`, `-` and `_`, without a leading digit or a reserved prefix
/// (<https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-labels.html>).
fn is_label(label: &str) -> bool {
    let lower = label.to_ascii_lowercase();
    !label.is_empty()
        && label.len() <= 100
        && !label.starts_with(|c: char| c.is_ascii_digit())
        && !lower.starts_with("aws")
        && !lower.starts_with("ssm")
        && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

/// AWS sends no message with this code.
pub(super) fn no_parameter() -> AwsError {
    AwsError { status: 400, code: "ParameterNotFound".to_owned(), message: None, capital: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(versions: usize) -> Parameter {
        let mut parameter = Parameter::new("arn".into());
        for n in 1..=versions {
            parameter.put(format!("v{n}"), ParameterType::String, SystemTime::UNIX_EPOCH);
        }
        parameter
    }

    #[test]
    fn a_selector_is_a_version_a_label_or_absent() {
        let mut parameter = parameter(3);
        parameter.label("p", Some(2), &["blue".into()]).unwrap();
        for (selector, number) in [(None, 3), (Some("1"), 1), (Some("blue"), 2)] {
            assert_eq!(parameter.find(selector).unwrap().0, number, "{selector:?}");
        }
        for absent in ["4", "0", "green"] {
            assert!(parameter.find(Some(absent)).is_none(), "{absent}");
        }
    }

    #[test]
    fn a_label_belongs_to_one_version_and_reserved_labels_are_returned() {
        let mut parameter = parameter(2);
        parameter.label("p", Some(1), &["blue".into()]).unwrap();
        let (bad, number) =
            parameter.label("p", None, &["blue".into(), "aws-x".into(), "1st".into()]).unwrap();
        assert_eq!(bad, ["aws-x", "1st"]);
        assert_eq!(number, 2);
        let left = &parameter.versions[0].labels;
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(parameter.label("p", Some(9), &[]).unwrap_err().code, "ParameterVersionNotFound");
    }

    #[test]
    fn selectors_are_split_from_names_and_arns() {
        for (id, expected) in [
            ("/a/b", ("/a/b", None)),
            ("/a/b:3", ("/a/b", Some("3"))),
            ("arn:aws:ssm:us-east-1:1:parameter/x", ("arn:aws:ssm:us-east-1:1:parameter/x", None)),
            (
                "arn:aws:ssm:us-east-1:1:parameter/x:blue",
                ("arn:aws:ssm:us-east-1:1:parameter/x", Some("blue")),
            ),
        ] {
            assert_eq!(split_selector(id), expected, "{id}");
        }
    }

    #[test]
    fn an_encrypted_value_is_not_read_without_decryption() {
        let mut parameter = parameter(0);
        parameter.put("plain".into(), ParameterType::SecureString, SystemTime::UNIX_EPOCH);
        let version = &parameter.versions[0];
        let encrypted = version.read(false);
        assert!(!encrypted.contains("plain"), "{encrypted}");
        assert_eq!(version.read(true), "plain");
    }
}
