//! Builds the world that a store describes, and finds the store's mistakes.

use std::{
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use data_encoding::BASE64;

use super::{ParameterEntry, ParameterVersionEntry, SecretEntry, Store, StoreError, VersionEntry};
use crate::{
    arn::{role_parts, session_arn},
    ids::{stable_suffix, stable_uuid},
    parameters::Parameter,
    principal::{Principal, Rule},
    rules,
    secrets::{CURRENT, Secret, SecretData, Version},
    wire::AwsError,
    world::{DEFAULT_MAX_SESSION, Role, TrustedPrincipal, World, parameter_arn, secret_arn},
};

/// The maximum session duration that a role may have, in seconds
/// (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html>).
const MAX_SESSION: RangeInclusive<u64> = 3600..=43_200;

impl Store {
    /// The world that this store describes.
    pub(crate) fn world(&self, now: SystemTime) -> Result<World, StoreError> {
        let mut world = World::empty();
        for (account, whose) in self.accounts() {
            if !rules::is_account(account) {
                return Err(mistake(whose, format!("the account {account} has not twelve digits")));
            }
        }
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
                add_secret(&mut world, entry, region, now).map_err(reason)?;
            }
        }
        for entry in &self.parameters {
            for region in self.regions(entry.region.as_ref(), &entry.regions) {
                let reason = |reason| mistake(format!("parameter {}", entry.name), reason);
                add_parameter(&mut world, entry, region, now).map_err(reason)?;
            }
        }
        self.add_queues(&mut world, now)?;
        world.events.trail = self.trail;
        Ok(world)
    }

    /// The accounts in the store, each with the entry that names it.
    fn accounts(&self) -> impl Iterator<Item = (&str, String)> {
        let of_store = self.account.as_deref().map(|account| (account, "the store".to_owned()));
        let keys = self
            .static_keys
            .iter()
            .filter_map(|key| Some((key.account.as_deref()?, format!("static key {}", key.access_key_id))));
        let secrets = self
            .secrets
            .iter()
            .filter_map(|entry| Some((entry.account.as_deref()?, format!("secret {}", entry.name))));
        let parameters = self
            .parameters
            .iter()
            .filter_map(|entry| Some((entry.account.as_deref()?, format!("parameter {}", entry.name))));
        let queues = self
            .queues
            .iter()
            .filter_map(|entry| Some((entry.account.as_deref()?, format!("queue {}", entry.name))));
        let rules = self
            .event_rules
            .iter()
            .filter_map(|entry| Some((entry.account.as_deref()?, format!("event rule {}", entry.name))));
        of_store.into_iter().chain(keys).chain(secrets).chain(parameters).chain(queues).chain(rules)
    }

    pub(super) fn regions(&self, one: Option<&String>, several: &[String]) -> Vec<String> {
        let mut regions = several.to_vec();
        regions.extend(one.cloned());
        if regions.is_empty() {
            regions.push(self.region.clone().unwrap_or_else(|| "us-east-1".to_owned()));
        }
        regions
    }

    fn add_identities(&self, world: &mut World) -> Result<(), StoreError> {
        for entry in &self.roles {
            if !role_parts(&entry.arn).is_some_and(|(_, account, _)| rules::is_account(account)) {
                let reason = "is not the ARN of a role (arn:aws:iam::111122223333:role/name)";
                return Err(mistake(format!("role {}", entry.arn), reason));
            }
            let session = entry.max_session_seconds.map_or(DEFAULT_MAX_SESSION, Duration::from_secs);
            if !MAX_SESSION.contains(&session.as_secs()) {
                let reason = "its maxSessionSeconds must be between 3600 and 43200";
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
                tag_session: entry.trust.tag_session,
                rules: rules.collect(),
                max_session: session,
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
                    transitive_tags: false,
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
}

fn add_secret(world: &mut World, entry: &SecretEntry, region: String, now: SystemTime) -> Result<(), String> {
    let account = entry.account.clone().unwrap_or_else(|| world.account.clone());
    let suffix = match &entry.suffix {
        Some(suffix) if suffix.len() == 6 && suffix.chars().all(|c| c.is_ascii_alphanumeric()) => {
            suffix.clone()
        }
        Some(_) => return Err("its suffix must be six letters or digits".to_owned()),
        None => stable_suffix(&[&account, &entry.name]),
    };
    check_region(&region)?;
    rules::secret_name(&entry.name).map_err(refused)?;
    rules::secret_texts(entry.description.as_deref(), entry.kms_key_id.as_deref()).map_err(refused)?;
    rules::tags(&entry.tags).map_err(refused)?;
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
        rules::secret_value(&data).map_err(refused)?;
        rules::stages(&version.labels).map_err(refused)?;
        let id = version.id.clone().unwrap_or_else(|| stable_uuid(&[&key.0, &entry.name, &at.to_string()]));
        if !(32..=64).contains(&id.chars().count()) {
            return Err(format!("the version {id} has an id that is not 32 to 64 characters long"));
        }
        for (at, label) in version.labels.iter().enumerate() {
            if version.labels[..at].contains(label) {
                return Err(format!("the label {label} is on one version twice"));
            }
            if secret.version_with(label).is_some() {
                return Err(format!("the label {label} is on two versions"));
            }
        }
        let version = Version { data, labels: version.labels.clone(), created: now };
        if secret.versions.insert(id.clone(), version).is_some() {
            return Err(format!("the version {id} is there twice"));
        }
    }
    if !secret.versions.is_empty() && secret.version_with(CURRENT).is_none() {
        return Err(format!("none of its versions has the label {CURRENT}, which one always has"));
    }
    if entry.deleted {
        secret.deletion = Some(now + Duration::from_secs(30 * 86_400));
    }
    match world.secrets.insert(key, secret) {
        None => Ok(()),
        Some(_) => Err("is there twice in one account and Region".to_owned()),
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
    check_region(&key.1)?;
    rules::new_parameter_name(&key).map_err(refused)?;
    rules::parameter_key(entry.kind, entry.kms_key_id.as_deref()).map_err(refused)?;
    let mut parameter = Parameter::new(parameter_arn(&key));
    parameter.tier = entry.tier.unwrap_or_default();
    parameter.kms_key_id.clone_from(&entry.kms_key_id);
    parameter.shared_with.clone_from(&entry.shared_with);
    parameter.kms_denied.clone_from(&entry.kms_denied);
    let short = entry.value.clone().map(|value| ParameterVersionEntry { value, labels: Vec::new() });
    if short.is_some() != entry.versions.is_empty() {
        return Err("needs either a value or a list of versions".to_owned());
    }
    for version in short.iter().chain(&entry.versions) {
        rules::parameter_value(&version.value.0, parameter.tier).map_err(refused)?;
        if let Some(label) = version.labels.iter().find(|label| parameter.find(Some(label)).is_some()) {
            return Err(format!("the label {label} is on two versions"));
        }
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

pub(super) fn check_region(region: &str) -> Result<(), String> {
    match rules::is_region(region) {
        true => Ok(()),
        false => Err(format!("{region} is not the name of a Region")),
    }
}

/// AWS's error for the entry.
#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
pub(super) fn refused(error: AwsError) -> String {
    format!("AWS refuses it: {error}")
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

pub(super) fn mistake(entry: String, reason: impl Into<String>) -> StoreError {
    StoreError::Entry { entry, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(yaml: &str) -> String {
        Store::from_yaml(yaml).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn a_store_that_aws_would_refuse_is_refused() {
        let long = "v".repeat(4097);
        let longer = "v".repeat(8193);
        let secret = "v".repeat(65_537);
        let labels: Vec<String> = (0..21).map(|n| format!("l{n}")).collect();
        let labels = labels.join(", ");
        let id = "0a1b2c3d-0000-4000-8000-000000000001";
        for (yaml, says) in [
            (
                "secrets: [{name: a b, value: x}]".to_owned(),
                "secret a b: AWS refuses it: ValidationException",
            ),
            ("secrets: [{name: '', value: x}]".to_owned(), "at 'name'"),
            ("secrets: [{name: a, value: ''}]".to_owned(), "at 'secretString'"),
            ("secrets: [{name: a, binary: ''}]".to_owned(), "at 'secretBinary'"),
            (format!("secrets: [{{name: a, value: {secret}}}]"), "less than or equal to 65536"),
            (
                "secrets: [{name: a, versions: [{id: v1, labels: [AWSCURRENT], value: x}]}]".to_owned(),
                "the version v1 has an id that is not 32 to 64 characters long",
            ),
            ("secrets: [{name: a, versions: [{labels: [blue], value: x}]}]".to_owned(), "AWSCURRENT"),
            (
                "secrets: [{name: a, versions: [{labels: [AWSCURRENT, ''], value: x}]}]".to_owned(),
                "versionStage",
            ),
            (
                format!("secrets: [{{name: a, versions: [{{labels: [AWSCURRENT, {labels}], value: x}}]}}]"),
                "less than or equal to 20",
            ),
            (
                format!(
                    "secrets: [{{name: a, versions: [{{id: {id}, labels: [AWSCURRENT, b, b], value: x}}]}}]"
                ),
                "the label b is on one version twice",
            ),
            ("secrets: [{name: a, value: x, suffix: a-b-c_}]".to_owned(), "six letters or digits"),
            (
                "secrets: [{name: a, value: x, region: nowhere}]".to_owned(),
                "nowhere is not the name of a Region",
            ),
            (
                "secrets: [{name: a, value: x, account: '1'}]".to_owned(),
                "secret a: the account 1 has not twelve",
            ),
            ("secrets: [{name: a, value: x, tags: {'aws:x': y}}]".to_owned(), "reserved"),
            ("account: '12'".to_owned(), "the store: the account 12"),
            ("roles: [{arn: 'arn:aws:iam::1:role/a'}]".to_owned(), "is not the ARN of a role"),
            (
                "roles: [{arn: 'arn:aws:iam::111122223333:role/a', maxSessionSeconds: 60}]".to_owned(),
                "between 3600 and 43200",
            ),
            (
                "parameters: [{name: /shop/empty, value: ''}]".to_owned(),
                "parameter /shop/empty: AWS refuses it",
            ),
            (format!("parameters: [{{name: /{}, value: x}}]", "a/".repeat(16) + "q"), "maximum of 15 levels"),
            ("parameters: [{name: /aws/service/x, value: x}]".to_owned(), "No access to reserved"),
            ("parameters: [{name: ssm-x, value: x}]".to_owned(), "can't be prefixed"),
            ("parameters: [{name: a/b, value: x}]".to_owned(), "fully qualified"),
            (format!("parameters: [{{name: a, value: {long}}}]"), "4096 characters"),
            (format!("parameters: [{{name: a, tier: Advanced, value: {longer}}}]"), "equal to 8192"),
            ("parameters: [{name: a, value: x, kmsKeyId: alias/b}]".to_owned(), "SecureString"),
            (
                "parameters: [{name: a, versions: [{value: x, labels: [l]}, {value: y, labels: [l]}]}]"
                    .to_owned(),
                "the label l is on two versions",
            ),
            ("parameters: [{name: a, versions: [{value: x, labels: [aws-l]}]}]".to_owned(), "not labels"),
            ("parameters: [{name: a, value: x, region: us-east}]".to_owned(), "us-east is not the name"),
        ] {
            let refusal = refusal(&yaml);
            assert!(refusal.contains(says), "{yaml:.80}: {refusal}");
            assert!(refusal.len() < 400, "{refusal}");
        }
    }

    #[test]
    fn a_store_that_aws_would_accept_is_accepted() {
        let long = "v".repeat(8192);
        for yaml in [
            // A secret that has no value yet.
            "secrets: [{name: a}]".to_owned(),
            "secrets: [{name: 'a/b_c+d=e.f@g-h', value: x, region: eusc-de-east-1}]".to_owned(),
            format!("parameters: [{{name: a, tier: Advanced, value: {long}}}]"),
            format!("parameters: [{{name: {}, value: x}}]", "/a".repeat(15)),
        ] {
            assert!(Store::from_yaml(&yaml).is_ok(), "{yaml:.80}");
        }
    }
}
