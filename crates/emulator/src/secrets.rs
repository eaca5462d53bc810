//! A secret, its versions, and how staging labels move between them.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use super::wire::AwsError;

/// The label of the version that is read by default.
pub(super) const CURRENT: &str = "AWSCURRENT";
/// The label of the version that had AWSCURRENT before.
pub(super) const PREVIOUS: &str = "AWSPREVIOUS";
/// The label of the version that a rotation prepares.
const PENDING: &str = "AWSPENDING";

/// The value of a version. Neither `Debug` nor any other formatting shows it.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretData {
    Text(String),
    Binary(Vec<u8>),
}

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl From<&str> for SecretData {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for SecretData {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for SecretData {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

impl From<&[u8]> for SecretData {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(bytes.to_vec())
    }
}

/// One version of a secret.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) data: SecretData,
    pub(super) labels: Vec<String>,
    pub(super) created: SystemTime,
}

/// A secret of one account in one Region.
#[derive(Clone, Debug)]
pub(super) struct Secret {
    pub(super) arn: String,
    pub(super) description: Option<String>,
    pub(super) kms_key_id: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) versions: BTreeMap<String, Version>,
    pub(super) created: SystemTime,
    pub(super) changed: SystemTime,
    pub(super) accessed: Option<SystemTime>,
    pub(super) deletion: Option<SystemTime>,
    /// The roles and accounts that the resource policy allows to read.
    pub(super) policy_allows: Vec<String>,
    /// Roles that KMS refuses.
    pub(super) kms_denied: Vec<String>,
    /// The copies of a primary secret, by Region.
    pub(super) replicas: BTreeMap<String, Replica>,
    /// The Region of the secret that this one is a copy of.
    pub(super) primary: Option<String>,
    /// Labels that have moved, and their new versions, before the events are sent.
    pub(super) moved: Vec<(String, String)>,
}

/// A copy of a secret in another Region.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    pub(super) kms_key_id: Option<String>,
    /// Why the copy could not be created.
    pub(super) failure: Option<String>,
}

impl Secret {
    pub(super) fn new(arn: String, now: SystemTime) -> Self {
        Self {
            arn,
            description: None,
            kms_key_id: None,
            tags: BTreeMap::new(),
            versions: BTreeMap::new(),
            created: now,
            changed: now,
            accessed: None,
            deletion: None,
            policy_allows: Vec::new(),
            kms_denied: Vec::new(),
            replicas: BTreeMap::new(),
            primary: None,
            moved: Vec::new(),
        }
    }

    /// The version with `label`.
    pub(super) fn version_with(&self, label: &str) -> Option<(&String, &Version)> {
        self.versions.iter().find(|(_, version)| version.labels.iter().any(|l| l == label))
    }

    /// Adds a version with `labels`, unless an earlier call with the same token has added
    /// it.
    ///
    /// # Errors
    /// `ResourceExistsException` when the token belongs to another value.
    pub(super) fn put(
        &mut self,
        version_id: &str,
        data: SecretData,
        labels: &[String],
        now: SystemTime,
    ) -> Result<(), AwsError> {
        if let Some(version) = self.versions.get(version_id) {
            if version.data == data {
                return Ok(());
            }
            return Err(AwsError::service(
                "ResourceExistsException",
                format!(
                    "You can't use ClientRequestToken {version_id} because that value is already in use for a version of secret {}.",
                    self.arn
                ),
            ));
        }
        // The first version always has AWSCURRENT, whatever labels it was given.
        let mut labels = labels.to_vec();
        if self.versions.is_empty() && !labels.iter().any(|label| label == CURRENT) {
            labels.push(CURRENT.to_owned());
        }
        let version = Version { data, labels: Vec::new(), created: now };
        self.versions.insert(version_id.to_owned(), version);
        for label in &labels {
            self.attach(label, version_id);
        }
        self.changed = now;
        Ok(())
    }

    /// Moves `label` to a version. AWSPREVIOUS moves to the version that loses AWSCURRENT
    /// (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html>).
    fn attach(&mut self, label: &str, version_id: &str) {
        let left = self.version_with(label).map(|(id, _)| id.clone());
        if left.as_deref() == Some(version_id) {
            return;
        }
        self.detach(label);
        if label == CURRENT
            && let Some(left) = left
        {
            self.detach(PREVIOUS);
            if let Some(version) = self.versions.get_mut(&left) {
                version.labels.push(PREVIOUS.to_owned());
            }
        }
        if let Some(version) = self.versions.get_mut(version_id) {
            version.labels.push(label.to_owned());
        }
        if label != PENDING && label != PREVIOUS {
            self.moved.push((label.to_owned(), version_id.to_owned()));
        }
    }

    fn detach(&mut self, label: &str) {
        for version in self.versions.values_mut() {
            version.labels.retain(|l| l != label);
        }
    }

    /// UpdateSecretVersionStage: moves, adds or removes a label by AWS's rules.
    ///
    /// # Errors
    /// `InvalidParameterException` when another version has the label than the request
    /// names, `ResourceNotFoundException` for an unknown version.
    pub(super) fn move_label(
        &mut self,
        label: &str,
        to: Option<&str>,
        from: Option<&str>,
        now: SystemTime,
    ) -> Result<(), AwsError> {
        let invalid = |message: String| Err(AwsError::service("InvalidParameterException", message));
        for id in [to, from].into_iter().flatten() {
            if !self.versions.contains_key(id) {
                return Err(no_version_id(id));
            }
        }
        let holder = self.version_with(label).map(|(id, _)| id.clone());
        match (&holder, from, to) {
            (_, None, None) => {
                return invalid("You must provide MoveToVersionId, RemoveFromVersionId, or both.".to_owned());
            }
            (Some(holder), None, Some(to)) if holder != to => {
                return invalid(format!(
                    "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
                ));
            }
            (holder, Some(from), _) if holder.as_deref() != Some(from) => {
                return invalid(format!(
                    "The parameter RemoveFromVersionId is not valid. Staging label {label} is not attached to version {from}."
                ));
            }
            (_, Some(_), None) if label == CURRENT => {
                return invalid(format!(
                    "You can only move staging label {CURRENT} to a different secret version. It can't be completely removed."
                ));
            }
            (_, Some(_), None) => self.detach(label),
            (_, _, Some(to)) => self.attach(label, to),
        }
        self.changed = now;
        Ok(())
    }

    /// # Errors
    /// `InvalidRequestException` when it is already scheduled.
    pub(super) fn schedule_deletion(
        &mut self,
        window: Duration,
        now: SystemTime,
    ) -> Result<SystemTime, AwsError> {
        self.usable()?;
        let date = now + window;
        self.deletion = Some(date);
        Ok(date)
    }

    /// # Errors
    /// `InvalidRequestException` when the secret is scheduled for deletion.
    pub(super) fn usable(&self) -> Result<(), AwsError> {
        match self.deletion {
            None => Ok(()),
            Some(_) => Err(AwsError::service(
                "InvalidRequestException",
                "You can't perform this operation on the secret because it was marked for deletion.",
            )),
        }
    }

    /// The version that a read names, or else the version with AWSCURRENT.
    ///
    /// # Errors
    /// `ResourceNotFoundException`, or `InvalidRequestException` when id and
    /// label name different versions.
    pub(super) fn find_version(
        &self,
        id: Option<&str>,
        label: Option<&str>,
    ) -> Result<(&String, &Version), AwsError> {
        let Some(id) = id else {
            let label = label.unwrap_or(CURRENT);
            return self.version_with(label).ok_or_else(|| {
                not_found(format!(
                    "Secrets Manager can't find the specified secret value for staging label: {label}"
                ))
            });
        };
        let found = self.versions.get_key_value(id).ok_or_else(|| no_version_id(id))?;
        if label.is_some_and(|label| !found.1.labels.iter().any(|l| l == label)) {
            return Err(AwsError::service(
                "InvalidRequestException",
                "You provided a VersionStage that is not associated to the provided VersionId.",
            ));
        }
        Ok(found)
    }
}

pub(super) fn not_found(message: impl Into<String>) -> AwsError {
    AwsError::service("ResourceNotFoundException", message)
}

fn no_version_id(id: &str) -> AwsError {
    not_found(format!("Secrets Manager can't find the specified secret value for VersionId: {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::new("arn:aws:secretsmanager:us-east-1:1:secret:a-AbCdEf".into(), SystemTime::UNIX_EPOCH)
    }

    fn put(secret: &mut Secret, id: &str, labels: &[&str]) -> Result<(), AwsError> {
        let labels: Vec<String> = labels.iter().map(|&l| l.to_owned()).collect();
        secret.put(id, id.into(), &labels, SystemTime::UNIX_EPOCH)
    }

    fn holder<'a>(secret: &'a Secret, label: &str) -> Option<&'a str> {
        secret.version_with(label).map(|(id, _)| id.as_str())
    }

    #[test]
    fn awsprevious_follows_awscurrent_and_older_versions_have_no_label() {
        let mut secret = secret();
        for id in ["one", "two", "three"] {
            put(&mut secret, id, &[CURRENT]).unwrap();
        }
        assert_eq!(holder(&secret, CURRENT), Some("three"));
        assert_eq!(holder(&secret, PREVIOUS), Some("two"));
        let oldest = &secret.versions["one"].labels;
        assert!(oldest.is_empty(), "{oldest:?}");
    }

    #[test]
    fn a_pending_version_moves_nothing_until_it_becomes_current() {
        let mut secret = secret();
        put(&mut secret, "one", &[CURRENT]).unwrap();
        put(&mut secret, "two", &["AWSPENDING"]).unwrap();
        assert_eq!(holder(&secret, CURRENT), Some("one"));
        secret.move_label(CURRENT, Some("two"), Some("one"), SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(secret.versions["two"].labels, ["AWSPENDING", CURRENT]);
        assert_eq!(holder(&secret, PREVIOUS), Some("one"));
    }

    #[test]
    fn the_first_version_is_always_current() {
        let mut secret = secret();
        put(&mut secret, "one", &["AWSPENDING"]).unwrap();
        assert_eq!(holder(&secret, CURRENT), Some("one"));
    }

    #[test]
    fn rolling_back_moves_awsprevious_too() {
        let mut secret = secret();
        put(&mut secret, "one", &[CURRENT]).unwrap();
        put(&mut secret, "two", &[CURRENT]).unwrap();
        secret.move_label(CURRENT, Some("one"), Some("two"), SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(secret.versions["one"].labels, [CURRENT]);
        assert_eq!(secret.versions["two"].labels, [PREVIOUS]);
    }

    #[test]
    fn a_label_moves_only_from_the_named_version() {
        let mut secret = secret();
        put(&mut secret, "one", &[CURRENT]).unwrap();
        put(&mut secret, "two", &["blue"]).unwrap();
        let now = SystemTime::UNIX_EPOCH;
        let code = |result: Result<(), AwsError>| result.unwrap_err().code;
        assert_eq!(code(secret.move_label("blue", Some("one"), None, now)), "InvalidParameterException");
        assert_eq!(
            code(secret.move_label("blue", Some("one"), Some("one"), now)),
            "InvalidParameterException"
        );
        assert_eq!(code(secret.move_label(CURRENT, None, Some("one"), now)), "InvalidParameterException");
        assert_eq!(code(secret.move_label("blue", Some("nine"), None, now)), "ResourceNotFoundException");
        secret.move_label("blue", None, Some("two"), now).unwrap();
        assert_eq!(holder(&secret, "blue"), None);
        secret.move_label("blue", Some("one"), None, now).unwrap();
        assert_eq!(holder(&secret, "blue"), Some("one"));
    }

    #[test]
    fn a_request_token_is_idempotent_for_one_value() {
        let mut secret = secret();
        put(&mut secret, "one", &[CURRENT]).unwrap();
        put(&mut secret, "one", &[CURRENT]).unwrap();
        let other = secret.put("one", "other".into(), &[CURRENT.into()], SystemTime::UNIX_EPOCH);
        assert_eq!(other.unwrap_err().code, "ResourceExistsException");
    }

    #[test]
    fn an_id_and_a_label_must_name_the_same_version() {
        let mut secret = secret();
        put(&mut secret, "one", &[CURRENT]).unwrap();
        put(&mut secret, "two", &[CURRENT]).unwrap();
        secret.find_version(Some("one"), Some(PREVIOUS)).unwrap();
        assert_eq!(
            secret.find_version(Some("one"), Some(CURRENT)).unwrap_err().code,
            "InvalidRequestException"
        );
    }

    #[test]
    fn debug_shows_nothing_of_the_value() {
        let mut secret = secret();
        put(&mut secret, "canary", &[CURRENT]).unwrap();
        let data = SecretData::from("canary-7f3a");
        assert_eq!(format!("{data:?}"), "<redacted>");
    }
}
