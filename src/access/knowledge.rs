//! What is known about AWS: roles and their policies, secrets and parameters, resource
//! policies, key policies, Pod Identity associations. It comes from files that AWS's
//! command line prints (which command printed a file is seen by its keys), or from AWS
//! itself.

mod answers;
mod asked;
mod roles;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

pub use self::asked::Asking;
pub(super) use self::roles::Role;
use super::secret_id::SecretId;
use crate::{
    estate::Association,
    iam::{Policy, PolicyError},
    model::reference::Service,
};

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Knowledge {
    /// By ARN.
    pub(super) roles: HashMap<String, Role>,
    pub(super) secrets: HashMap<SecretId, Listed>,
    /// By the ARN of the secret; `None` for a secret without a policy.
    pub(super) resource_policies: HashMap<String, Option<Policy>>,
    /// Secrets, and Regions in which AWS did not say which policies secrets have.
    refused_policies: HashSet<String>,
    /// By the key's ARN.
    pub(super) key_policies: HashMap<String, Policy>,
    pub(super) associations: Vec<Association>,
    /// What could not be used, in sentences.
    pub warnings: Vec<String>,
}

/// A secret or parameter in AWS's own list.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    /// Empty for a parameter whose list has none.
    pub(super) arn: String,
    /// As AWS prints it; `None` for the key of the service, which needs no permission.
    pub(super) key: Option<String>,
    /// `None` if the list has none, as for parameters.
    pub(super) tags: Option<Vec<(String, String)>>,
    /// The day of the last read, for secrets.
    pub(super) last_read: Option<String>,
}

/// A file that is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    #[error("{file} is not JSON (line {line}, column {column}); print it with aws … --output json")]
    NotJson { file: String, line: usize, column: usize },
    #[error(
        "{file} contains nothing that is known here; expected what one of these commands prints: aws iam get-account-authorization-details, aws secretsmanager list-secrets, aws ssm describe-parameters, aws secretsmanager get-resource-policy, aws kms get-key-policy (with the key's KeyId), aws eks describe-pod-identity-association"
    )]
    Unknown { file: String },
    #[error("{file}: the policy of {owner}: {source}")]
    Policy { file: String, owner: String, source: PolicyError },
}

impl Knowledge {
    /// Adds what a file says: one JSON document, or several one after the other.
    ///
    /// # Errors
    /// If it is not JSON, or contains nothing that is known here.
    pub fn read(&mut self, file: &str, text: &str) -> Result<(), KnowledgeError> {
        let mut known = false;
        for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
            let document = document.map_err(|error| KnowledgeError::NotJson {
                file: file.to_owned(),
                line: error.line(),
                column: error.column(),
            })?;
            known |= self.add(file, &document)?;
        }
        if known { Ok(()) } else { Err(KnowledgeError::Unknown { file: file.to_owned() }) }
    }

    /// Whether any role is known.
    pub fn has_roles(&self) -> bool {
        !self.roles.is_empty()
    }

    /// Whether AWS refused to say which resource policy the secret has.
    pub(super) fn is_policy_refused(&self, secret: &SecretId, arn: &str) -> bool {
        let refused = |what: &str| self.refused_policies.contains(what);
        secret.service == Service::SecretsManager && (refused(arn) || refused(&secret.region))
    }

    pub(super) fn role(&self, arn: &str) -> Option<&Role> {
        self.roles.get(arn)
    }
}

/// A string in an object.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A list in an object; empty without it.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `Tags` as AWS prints them.
fn tags(value: &Value) -> Option<Vec<(String, String)>> {
    let tags = value.get("Tags")?.as_array()?;
    let pair = |tag: &Value| {
        let value = tag.get("Value").and_then(Value::as_str).unwrap_or_default();
        Some((text(tag, "Key")?.to_owned(), value.to_owned()))
    };
    Some(tags.iter().filter_map(pair).collect())
}
