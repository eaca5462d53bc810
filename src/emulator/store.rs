//! The store: a YAML file that says which secrets, parameters, roles and Pod
//! Identity associations exist when the emulator starts. `examples/store.yaml`
//! shows every key.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use data_encoding::BASE64;
use serde::Deserialize;

use super::{
    access::{Principal, Rule},
    arn::{role_parts, session_arn},
    ids::{stable_suffix, stable_uuid},
    parameters::{Parameter, ParameterType},
    secrets::{CURRENT, Secret, SecretData},
    world::{DEFAULT_MAX_SESSION, Role, TrustedPrincipal, World, parameter_arn, secret_arn},
};

/// What exists when the emulator starts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Store {
    /// The account of everything that names none; `111122223333` by default.
    account: Option<String>,
    /// The Region of everything that names none; `us-east-1` by default.
    region: Option<String>,
    /// The EKS cluster's name in the session names of Pod Identity.
    cluster: Option<String>,
    static_keys: Vec<StaticKey>,
    issuers: Vec<Issuer>,
    roles: Vec<RoleEntry>,
    pod_identity_associations: Vec<Association>,
    /// How long Pod Identity's credentials live, in seconds; 6 hours by default.
    pod_identity_session_seconds: Option<u64>,
    secrets: Vec<SecretEntry>,
    parameters: Vec<ParameterEntry>,
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is not the YAML that a store is written in.
    #[error("the store is not readable YAML")]
    Yaml(#[source] Box<serde_yaml::Error>),
    /// It is YAML, but says something that cannot be.
    #[error("{entry}: {reason}")]
    Entry {
        /// What the mistake is in, such as `secret shop/db`.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StaticKey {
    access_key_id: String,
    /// Kept for the people who read the store: signatures are not verified.
    #[serde(default, rename = "secretAccessKey")]
    _secret_access_key: String,
    role: Option<String>,
    account: Option<String>,
}

/// A token issuer other than the emulator itself, such as a real cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Issuer {
    pub(super) issuer: String,
    /// Must be `unchecked`: its tokens are believed without a look at their signature.
    pub(super) signature: IssuerSignature,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum IssuerSignature {
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
    /// Reads a store and checks that all of it can be.
    ///
    /// # Errors
    /// When the text is not YAML, has a key that no store has, or says something
    /// impossible, such as one label on two versions.
    pub fn from_yaml(text: &str) -> Result<Self, StoreError> {
        let store: Self = serde_yaml::from_str(text).map_err(|error| StoreError::Yaml(Box::new(error)))?;
        store.world(SystemTime::now())?;
        Ok(store)
    }

    pub(super) fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// The world that this store describes.
    pub(super) fn world(&self, now: SystemTime) -> Result<World, StoreError> {
        let mut world = World::empty();
        if let Some(account) = &self.account {
            world.account.clone_from(account);
        }
        if let Some(cluster) = &self.cluster {
            world.cluster.clone_from(cluster);
        }
        if let Some(seconds) = self.pod_identity_session_seconds {
            world.pod_identity_session = Duration::from_secs(seconds);
        }
        self.add_identities(&mut world)?;
        for entry in &self.secrets {
            for region in self.regions(entry.region.as_ref(), &entry.regions) {
                let reason = |reason| mistake(format!("secret {}", entry.name), reason);
                self.add_secret(&mut world, entry, region, now).map_err(reason)?;
            }
        }
        for entry in &self.parameters {
            for region in self.regions(entry.region.as_ref(), &entry.regions) {
                let reason = |reason| mistake(format!("parameter {}", entry.name), reason);
                add_parameter(&mut world, entry, region, now).map_err(reason)?;
            }
        }
        Ok(world)
    }

    fn regions(&self, one: Option<&String>, several: &[String]) -> Vec<String> {
        let mut regions = several.to_vec();
        regions.extend(one.cloned());
        if regions.is_empty() {
            regions.push(self.region.clone().unwrap_or_else(|| "us-east-1".to_owned()));
        }
        regions
    }

    fn add_identities(&self, world: &mut World) -> Result<(), StoreError> {
        for entry in &self.roles {
            if role_parts(&entry.arn).is_none() {
                let reason = "is not the ARN of a role (arn:aws:iam::111122223333:role/name)";
                return Err(mistake(format!("role {}", entry.arn), reason));
            }
            let rules = entry.allow.iter().map(|statement| (false, statement));
            let rules = rules.chain(entry.deny.iter().map(|statement| (true, statement)));
            let rules = rules.map(|(deny, statement)| Rule {
                deny,
                actions: statement.actions.clone(),
                resources: statement.resources.clone(),
            });
            let role = Role {
                service_accounts: entry.trust.service_accounts.clone(),
                principals: entry
                    .trust
                    .roles
                    .iter()
                    .map(|arn| TrustedPrincipal {
                        arn: arn.clone(),
                        external_id: entry.trust.external_id.clone(),
                    })
                    .collect(),
                rules: rules.collect(),
                max_session: entry.max_session_seconds.map_or(DEFAULT_MAX_SESSION, Duration::from_secs),
            };
            if world.roles.insert(entry.arn.clone(), role).is_some() {
                return Err(mistake(format!("role {}", entry.arn), "is there twice"));
            }
        }
        for key in &self.static_keys {
            let principal = match &key.role {
                Some(role) => Principal::Role {
                    session_arn: session_arn(role, "static-key").ok_or_else(|| {
                        mistake(format!("static key {}", key.access_key_id), "its role is not a role's ARN")
                    })?,
                    role_arn: role.clone(),
                },
                None => Principal::Administrator {
                    account: key.account.clone().unwrap_or_else(|| world.account.clone()),
                },
            };
            world.static_keys.insert(key.access_key_id.clone(), principal);
        }
        for entry in &self.pod_identity_associations {
            let of = (entry.namespace.clone(), entry.service_account.clone());
            if role_parts(&entry.role).is_none() {
                let of = format!("association of {}/{}", of.0, of.1);
                return Err(mistake(of, "its role is not a role's ARN"));
            }
            world.associations.insert(of, entry.role.clone());
        }
        Ok(())
    }

    fn add_secret(
        &self,
        world: &mut World,
        entry: &SecretEntry,
        region: String,
        now: SystemTime,
    ) -> Result<(), String> {
        let account = entry.account.clone().unwrap_or_else(|| world.account.clone());
        let suffix = match &entry.suffix {
            Some(suffix) if suffix.len() == 6 => suffix.clone(),
            Some(_) => return Err("its suffix must have six characters".to_owned()),
            None => stable_suffix(&[&account, &entry.name]),
        };
        let key = (account, region, entry.name.clone());
        let mut secret = Secret::new(secret_arn(&key, &suffix), now);
        secret.description.clone_from(&entry.description);
        secret.kms_key_id.clone_from(&entry.kms_key_id);
        secret.tags.clone_from(&entry.tags);
        secret.policy_allows.clone_from(&entry.resource_policy.allow);
        secret.kms_denied.clone_from(&entry.kms_denied);
        let short = VersionEntry {
            id: None,
            labels: vec![CURRENT.to_owned()],
            value: entry.value.clone(),
            json: entry.json.clone(),
            binary: entry.binary.clone(),
        };
        let short = data_of(&short)?.map(|_| &short);
        if short.is_some() && !entry.versions.is_empty() {
            return Err("has both a value of its own and a list of versions".to_owned());
        }
        for (at, version) in short.into_iter().chain(&entry.versions).enumerate() {
            let data = data_of(version)?.ok_or("a version has no value, json or binary")?;
            data.check_size().map_err(|_| "a value has more than 65536 bytes".to_owned())?;
            let id =
                version.id.clone().unwrap_or_else(|| stable_uuid(&[&key.0, &entry.name, &at.to_string()]));
            for label in &version.labels {
                if secret.version_with(label).is_some() {
                    return Err(format!("the label {label} is on two versions"));
                }
            }
            let version = super::secrets::Version { data, labels: version.labels.clone(), created: now };
            if secret.versions.insert(id.clone(), version).is_some() {
                return Err(format!("the version {id} is there twice"));
            }
        }
        if entry.deleted {
            secret.deletion = Some(now + Duration::from_secs(30 * 86_400));
        }
        match world.secrets.insert(key, secret) {
            None => Ok(()),
            Some(_) => Err("is there twice in one account and Region".to_owned()),
        }
    }
}

fn add_parameter(
    world: &mut World,
    entry: &ParameterEntry,
    region: String,
    now: SystemTime,
) -> Result<(), String> {
    let account = entry.account.clone().unwrap_or_else(|| world.account.clone());
    let key = (account, region, entry.name.clone());
    let mut parameter = Parameter::new(parameter_arn(&key));
    parameter.kms_key_id.clone_from(&entry.kms_key_id);
    parameter.shared_with.clone_from(&entry.shared_with);
    parameter.kms_denied.clone_from(&entry.kms_denied);
    let short = entry.value.clone().map(|value| ParameterVersionEntry { value, labels: Vec::new() });
    if short.is_some() != entry.versions.is_empty() {
        return Err("needs either a value or a list of versions".to_owned());
    }
    for version in short.iter().chain(&entry.versions) {
        let number = parameter.put(version.value.0.clone(), entry.kind, now);
        let labelled = parameter.label(&entry.name, Some(number), &version.labels);
        match labelled.map_err(|error| error.to_string())? {
            (refused, _) if refused.is_empty() => {}
            (refused, _) => return Err(format!("{refused:?} are not labels that AWS accepts")),
        }
    }
    match world.parameters.insert(key, parameter) {
        None => Ok(()),
        Some(_) => Err("is there twice in one account and Region".to_owned()),
    }
}

fn data_of(entry: &VersionEntry) -> Result<Option<SecretData>, String> {
    match (&entry.value, &entry.json, &entry.binary) {
        (None, None, None) => Ok(None),
        (Some(text), None, None) => Ok(Some(SecretData::Text(text.0.clone()))),
        (None, Some(json), None) => Ok(Some(SecretData::Text(json.0.to_string()))),
        (None, None, Some(base64)) => BASE64
            .decode(base64.0.trim().as_bytes())
            .map(|bytes| Some(SecretData::Binary(bytes)))
            .map_err(|_| "its binary is not base64".to_owned()),
        _ => Err("only one of value, json and binary can be given".to_owned()),
    }
}

fn mistake(entry: String, reason: impl Into<String>) -> StoreError {
    StoreError::Entry { entry, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_store() {
        let store = Store::from_yaml(include_str!("../../examples/store.yaml")).unwrap();
        let world = store.world(SystemTime::now()).unwrap();
        assert!(world.secrets.len() > 5 && world.parameters.len() > 5);
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
            ("roles: [{arn: nonsense}]", "role nonsense: is not the ARN"),
        ] {
            let error = Store::from_yaml(yaml).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(matches!(Store::from_yaml("nonsense: 1"), Err(StoreError::Yaml(_))));
    }

    #[test]
    fn a_secret_in_two_regions_differs_only_in_the_arns_region() {
        let store = Store::from_yaml("secrets: [{name: a, value: x, regions: [us-east-1, us-west-2]}]");
        let world = store.unwrap().world(SystemTime::now()).unwrap();
        let secrets: Vec<_> = world.secrets.values().collect();
        assert_eq!(secrets[0].arn.replace("us-east-1", "us-west-2"), secrets[1].arn);
        assert!(secrets[0].versions.keys().eq(secrets[1].versions.keys()));
    }

    #[test]
    fn debug_shows_no_value() {
        let store =
            Store::from_yaml("{secrets: [{name: a, value: canary}], parameters: [{name: p, value: canary}]}");
        assert!(!format!("{store:?}").contains("canary"));
    }
}
