//! The store: a YAML file that says which secrets, parameters, queues, roles and Pod
//! Identity associations exist when the emulator starts. `examples/store.yaml`
//! shows every key.

mod build;
mod queues;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::Deserialize;

use self::queues::{EventRuleEntry, QueueEntry};
use super::{
    jwks::Jwks,
    parameters::{ParameterType, Tier},
};

/// What exists when the emulator starts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Store {
    /// The default account; `111122223333` unless the store says otherwise.
    account: Option<String>,
    /// The default Region; `us-east-1` unless the store says otherwise.
    region: Option<String>,
    /// The EKS cluster's name in the session names of Pod Identity.
    cluster: Option<String>,
    static_keys: Vec<StaticKey>,
    issuers: Vec<Issuer>,
    roles: Vec<RoleEntry>,
    pod_identity_associations: Vec<Association>,
    /// The lifetime of Pod Identity's credentials, in seconds; 6 hours by default.
    pod_identity_session_seconds: Option<u64>,
    secrets: Vec<SecretEntry>,
    parameters: Vec<ParameterEntry>,
    queues: Vec<QueueEntry>,
    event_rules: Vec<EventRuleEntry>,
    /// Whether a trail exists, so that API calls become events.
    trail: bool,
}

/// Why a store is unusable.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    /// The text is not YAML with the keys of a store.
    #[error("the store is not valid YAML")]
    Yaml(#[source] Box<serde_yaml::Error>),
    /// The store contains something impossible.
    #[error("{entry}: {reason}")]
    Entry {
        /// The entry with the mistake, such as `secret shop/db`.
        entry: String,
        reason: String,
    },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StaticKey {
    access_key_id: String,
    /// Only for people who read the store: signatures are not verified.
    #[serde(default, rename = "secretAccessKey")]
    _secret_access_key: String,
    role: Option<String>,
    account: Option<String>,
}

/// A token issuer other than the emulator itself, such as a real cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Issuer {
    issuer: String,
    /// A file with the issuer's keys, as its `/openid/v1/jwks` serves them. The path is
    /// absolute or relative to the store.
    jwks_file: Option<PathBuf>,
    /// `unchecked`: the issuer's tokens are accepted without verifying their signatures.
    signature: Option<IssuerSignature>,
    /// The result of the two keys above, once the file is read.
    #[serde(skip)]
    trust: Option<IssuerTrust>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum IssuerSignature {
    Unchecked,
}

/// How the signatures of an issuer's tokens are verified.
#[derive(Clone, Debug)]
pub(super) enum IssuerTrust {
    /// With these keys.
    Keys(Jwks),
    /// Not at all.
    Unchecked,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RoleEntry {
    arn: String,
    #[serde(default)]
    trust: Trust,
    #[serde(default)]
    allow: Vec<Statement>,
    #[serde(default)]
    deny: Vec<Statement>,
    max_session_seconds: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Trust {
    service_accounts: Vec<String>,
    roles: Vec<String>,
    external_id: Option<String>,
    tag_session: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Statement {
    actions: Vec<String>,
    #[serde(default = "everything")]
    resources: Vec<String>,
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Association {
    namespace: String,
    service_account: String,
    role: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SecretEntry {
    name: String,
    account: Option<String>,
    region: Option<String>,
    #[serde(default)]
    regions: Vec<String>,
    suffix: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    value: Option<Concealed<String>>,
    json: Option<Concealed<serde_json::Value>>,
    binary: Option<Concealed<String>>,
    #[serde(default)]
    versions: Vec<VersionEntry>,
    #[serde(default)]
    resource_policy: ResourcePolicy,
    #[serde(default)]
    kms_denied: Vec<String>,
    #[serde(default)]
    deleted: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ResourcePolicy {
    allow: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VersionEntry {
    id: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    value: Option<Concealed<String>>,
    json: Option<Concealed<serde_json::Value>>,
    binary: Option<Concealed<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ParameterEntry {
    name: String,
    account: Option<String>,
    region: Option<String>,
    #[serde(default)]
    regions: Vec<String>,
    #[serde(default, rename = "type")]
    kind: ParameterType,
    tier: Option<Tier>,
    kms_key_id: Option<String>,
    value: Option<Concealed<String>>,
    #[serde(default)]
    versions: Vec<ParameterVersionEntry>,
    #[serde(default)]
    shared_with: Vec<String>,
    #[serde(default)]
    kms_denied: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ParameterVersionEntry {
    value: Concealed<String>,
    #[serde(default)]
    labels: Vec<String>,
}

/// A value of the store that `Debug` does not show.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
struct Concealed<T>(T);

impl<T> std::fmt::Debug for Concealed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<redacted>")
    }
}

impl Store {
    /// Reads a store from a file.
    ///
    /// # Errors
    /// The errors of [`from_yaml`](Self::from_yaml), and when a file cannot be read.
    pub fn from_file(path: &Path) -> Result<Self, StoreError> {
        Self::parse(&read(path)?, path.parent().unwrap_or(Path::new("")))
    }

    /// Reads a store and checks all of it. Paths in it are relative to the working
    /// directory.
    ///
    /// # Errors
    /// When the text is not YAML, has an unknown key, or contains something impossible,
    /// such as one label on two versions.
    pub fn from_yaml(text: &str) -> Result<Self, StoreError> {
        Self::parse(text, Path::new(""))
    }

    fn parse(text: &str, folder: &Path) -> Result<Self, StoreError> {
        let mut store: Self =
            serde_yaml::from_str(text).map_err(|error| StoreError::Yaml(Box::new(error)))?;
        for issuer in &mut store.issuers {
            issuer.trust = Some(issuer.read_trust(folder)?);
        }
        store.world(SystemTime::now())?;
        Ok(store)
    }

    /// The issuers whose tokens are accepted, and how they are verified.
    pub(super) fn issuers(&self) -> impl Iterator<Item = (&str, &IssuerTrust)> {
        self.issuers.iter().filter_map(|issuer| Some((issuer.issuer.as_str(), issuer.trust.as_ref()?)))
    }
}

impl Issuer {
    fn read_trust(&self, folder: &Path) -> Result<IssuerTrust, StoreError> {
        let wrong = |reason| StoreError::Entry { entry: format!("issuer {}", self.issuer), reason };
        match (&self.jwks_file, self.signature) {
            (None, Some(IssuerSignature::Unchecked)) => Ok(IssuerTrust::Unchecked),
            (Some(file), None) => {
                let path = folder.join(file);
                let keys = Jwks::from_json(&read(&path)?);
                keys.map(IssuerTrust::Keys).map_err(|error| wrong(format!("{} {error}", path.display())))
            }
            (None, None) | (Some(_), Some(_)) => {
                Err(wrong("needs either `jwksFile` or `signature: unchecked`".to_owned()))
            }
        }
    }
}

fn read(path: &Path) -> Result<String, StoreError> {
    std::fs::read_to_string(path).map_err(|source| StoreError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_store_is_valid() {
        let store = Store::from_yaml(include_str!("../../../examples/store.yaml")).unwrap();
        let world = store.world(SystemTime::now()).unwrap();
        assert!(world.secrets.len() > 5, "only {} secrets", world.secrets.len());
        assert!(world.parameters.len() > 5, "only {} parameters", world.parameters.len());
    }

    #[test]
    fn mistakes_name_the_entry() {
        for (yaml, expected) in [
            ("secrets: [{name: a, value: x, binary: eA==}]", "secret a: only one of"),
            ("secrets: [{name: a, binary: '%'}]", "secret a: its binary is not base64"),
            (
                "secrets: [{name: a, versions: [{value: x, labels: [L]}, {value: y, labels: [L]}]}]",
                "secret a: the label L is on two versions",
            ),
            ("secrets: [{name: a, value: x}, {name: a, value: y}]", "secret a: is there twice"),
            ("parameters: [{name: a}]", "parameter a: needs either"),
            ("queues: [{name: a b}]", "queue a b: AWS refuses it: InvalidParameterValue"),
            ("queues: [{name: a, attributes: {VisibilityTimeout: 43201}}]", "queue a: AWS refuses it"),
            ("queues: [{name: a}, {name: a}]", "queue a: is there twice"),
            (
                "eventRules: [{name: a, pattern: {source: [x]}, queue: q}]",
                "event rule a: the queue q does not",
            ),
            (
                "{queues: [{name: q}], eventRules: [{name: a, pattern: {source: x}, queue: q}]}",
                "event rule a: the pattern has no list",
            ),
            ("roles: [{arn: nonsense}]", "role nonsense: is not the ARN"),
            ("issuers: [{issuer: https://a}]", "issuer https://a: needs either"),
            ("issuers: [{issuer: b, jwksFile: x, signature: unchecked}]", "issuer b: needs either"),
            ("issuers: [{issuer: c, jwksFile: Cargo.toml}]", "issuer c: Cargo.toml is no JSON Web Key Set"),
            ("issuers: [{issuer: d, jwksFile: no/such}]", "cannot read no/such"),
        ] {
            let error = Store::from_yaml(yaml).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = Store::from_yaml("nonsense: 1").unwrap_err();
        assert!(matches!(error, StoreError::Yaml(_)), "{error}");
    }

    #[test]
    fn an_issuers_keys_are_read_relative_to_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.yaml");
        std::fs::write(&path, "issuers: [{issuer: https://cluster, jwksFile: keys.json}]").unwrap();
        let error = Store::from_file(&path).unwrap_err();
        assert!(matches!(error, StoreError::Read { .. }), "{error}");
        std::fs::write(folder.path().join("keys.json"), include_str!("jwks/keys.json")).unwrap();
        let store = Store::from_file(&path).unwrap();
        let trusted: Vec<_> = store.issuers().collect();
        let issuers: Vec<_> = trusted.iter().map(|(issuer, _)| *issuer).collect();
        assert_eq!(issuers, ["https://cluster"]);
        assert!(matches!(trusted[0].1, IssuerTrust::Keys(_)), "its signatures are not checked");
    }

    #[test]
    fn a_secret_in_two_regions_differs_only_in_the_arns_region() {
        let store = Store::from_yaml("secrets: [{name: a, value: x, regions: [us-east-1, us-west-2]}]");
        let world = store.unwrap().world(SystemTime::now()).unwrap();
        let secrets: Vec<_> = world.secrets.values().collect();
        assert_eq!(secrets[0].arn.replace("us-east-1", "us-west-2"), secrets[1].arn);
        let versions = secrets.iter().map(|secret| secret.versions.keys().collect::<Vec<_>>());
        let versions: Vec<_> = versions.collect();
        assert_eq!(versions[0], versions[1]);
    }

    #[test]
    fn debug_shows_no_value() {
        let store =
            Store::from_yaml("{secrets: [{name: a, value: canary}], parameters: [{name: p, value: canary}]}");
        let text = format!("{store:?}");
        assert!(!text.contains("canary"), "{text}");
    }

    #[test]
    fn values_and_accounts_may_be_unquoted() {
        let store = Store::from_yaml(
            "{account: 012345678901, parameters: [{name: p, value: 10}, {name: q, value: on},
              {name: r, value: 1.10}]}",
        );
        let world = store.unwrap().world(SystemTime::now()).unwrap();
        assert_eq!(world.account, "012345678901");
        let values: Vec<_> = world.parameters.values().map(|p| p.versions[0].read(true)).collect();
        assert_eq!(values, ["10", "on", "1.10"]);
    }
}
