//! Changes to the emulated world without HTTP, for tests and the demo.

mod notices;

use std::{collections::BTreeMap, time::SystemTime};

use serde_json::json;

use super::{
    Emulator,
    arn::Arn,
    clock::DAY,
    ids::stable_suffix,
    parameters::{Parameter, ParameterType, no_parameter},
    principal::{Principal, Rule},
    secrets::{CURRENT, Secret, SecretData, not_found},
    wire::AwsError,
    world::{Key, TrustedPrincipal, World, parameter_arn, secret_arn},
};

impl Emulator {
    /// Adds a version with AWSCURRENT to a secret and returns the version's id. Creates
    /// the secret if it does not exist. `id` is a name in the store's account, or a full
    /// ARN.
    pub fn put_secret(&self, region: &str, id: &str, value: impl Into<SecretData>) -> String {
        let version_id = self.inner.world().ids.uuid();
        // This cannot fail: the only error is a version id that is already in use.
        let _ = self.put_secret_version(region, id, &version_id, value, &[CURRENT]);
        version_id
    }

    /// Adds a version with this id and these labels, such as only AWSPENDING.
    ///
    /// # Errors
    /// `ResourceExistsException` when the id belongs to another value.
    pub fn put_secret_version(
        &self,
        region: &str,
        id: &str,
        version_id: &str,
        value: impl Into<SecretData>,
        labels: &[&str],
    ) -> Result<(), AwsError> {
        let now = self.now();
        let mut world = self.inner.world();
        let key = secret_key(&world, region, id);
        let is_new = !world.secrets.contains_key(&key);
        let secret = world
            .secrets
            .entry(key.clone())
            .or_insert_with_key(|key| Secret::new(secret_arn(key, &stable_suffix(&[&key.0, &key.2])), now));
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        secret.put(version_id, value.into(), &labels, now)?;
        if is_new {
            // A label of a new secret has not moved.
            secret.moved.clear();
        }
        world.secret_changed(&key, now);
        Ok(())
    }

    /// Moves a staging label to a version, as UpdateSecretVersionStage does. AWSPREVIOUS
    /// follows AWSCURRENT.
    ///
    /// # Errors
    /// `ResourceNotFoundException` for an unknown secret or version.
    pub fn move_label(&self, region: &str, id: &str, label: &str, to_version: &str) -> Result<(), AwsError> {
        self.change_secret(region, id, |secret, now| {
            let from = secret.version_with(label).map(|(id, _)| id.clone());
            secret.move_label(label, Some(to_version), from.as_deref(), now)
        })?
    }

    /// Schedules a secret's deletion in 30 days. Reads are refused at once.
    ///
    /// # Errors
    /// `ResourceNotFoundException`, or `InvalidRequestException` when the deletion is already
    /// scheduled.
    pub fn delete_secret(&self, region: &str, id: &str) -> Result<(), AwsError> {
        self.change_secret(region, id, |secret, now| secret.schedule_deletion(30 * DAY, now).map(drop))??;
        self.tell_trail(region, id, "DeleteSecret");
        Ok(())
    }

    /// Cancels a scheduled deletion.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn restore_secret(&self, region: &str, id: &str) -> Result<(), AwsError> {
        self.change_secret(region, id, |secret, _| secret.deletion = None)?;
        self.tell_trail(region, id, "RestoreSecret");
        Ok(())
    }

    /// Removes a secret as if it had never existed.
    pub fn remove_secret(&self, region: &str, id: &str) {
        let mut world = self.inner.world();
        let key = secret_key(&world, region, id);
        world.secrets.remove(&key);
    }

    /// Sets whether KMS refuses to decrypt a secret for a role.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn set_kms_denied(
        &self,
        region: &str,
        id: &str,
        role_arn: &str,
        denied: bool,
    ) -> Result<(), AwsError> {
        self.change_secret(region, id, |secret, _| {
            secret.kms_denied.retain(|role| role != role_arn);
            if denied {
                secret.kms_denied.push(role_arn.to_owned());
            }
        })
    }

    /// Sets the roles and accounts that a secret's resource policy allows.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn set_resource_policy(&self, region: &str, id: &str, allow: &[&str]) -> Result<(), AwsError> {
        self.change_secret(region, id, |secret, _| {
            secret.policy_allows = allow.iter().map(|&role| role.to_owned()).collect();
        })?;
        self.tell_trail(region, id, "PutResourcePolicy");
        Ok(())
    }

    pub fn secret_arn(&self, region: &str, id: &str) -> Option<String> {
        let world = self.inner.world();
        world.secrets.get(&secret_key(&world, region, id)).map(|secret| secret.arn.clone())
    }

    /// The labels of a secret's versions, by version id.
    pub fn secret_versions(&self, region: &str, id: &str) -> BTreeMap<String, Vec<String>> {
        let world = self.inner.world();
        let secret = world.secrets.get(&secret_key(&world, region, id));
        let versions = secret.into_iter().flat_map(|secret| &secret.versions);
        versions.map(|(id, version)| (id.clone(), version.labels.clone())).collect()
    }

    /// Adds a version to a parameter of the store's account and returns the version's
    /// number. Creates the parameter if it does not exist.
    pub fn put_parameter(&self, region: &str, name: &str, kind: ParameterType, value: &str) -> usize {
        let now = self.now();
        let mut world = self.inner.world();
        let key = (world.account.clone(), region.to_owned(), name.to_owned());
        let operation = if world.parameters.contains_key(&key) { "Update" } else { "Create" };
        let parameter =
            world.parameters.entry(key.clone()).or_insert_with_key(|key| Parameter::new(parameter_arn(key)));
        let version = parameter.put(value.to_owned(), kind, now);
        world.parameter_changed(&key, operation, now);
        version
    }

    /// Moves a label to a version of a parameter.
    ///
    /// # Errors
    /// `ParameterNotFound`, `ParameterVersionNotFound`; `ValidationException` for
    /// a label that AWS does not accept.
    pub fn label_parameter(
        &self,
        region: &str,
        name: &str,
        version: usize,
        label: &str,
    ) -> Result<(), AwsError> {
        let now = self.now();
        let mut world = self.inner.world();
        let key = (world.account.clone(), region.to_owned(), name.to_owned());
        let parameter = world.parameters.get_mut(&key).ok_or_else(no_parameter)?;
        let (refused, _) = parameter.label(name, Some(version), &[label.to_owned()])?;
        match refused.is_empty() {
            true => {
                world.parameter_changed(&key, "LabelParameterVersion", now);
                Ok(())
            }
            false => Err(AwsError::validation(format!("{label} is not a label"))),
        }
    }

    pub fn remove_parameter(&self, region: &str, name: &str) {
        let now = self.now();
        let mut world = self.inner.world();
        let key = (world.account.clone(), region.to_owned(), name.to_owned());
        world.parameter_changed(&key, "Delete", now);
        world.parameters.remove(&key);
    }

    /// Allows a role an action, such as `secretsmanager:GetSecretValue`, on a resource: a
    /// name in the role's account, or an ARN. Both may contain the wildcards `*` and `?`.
    /// Replaces a [`deny`](Self::deny) with the same arguments.
    pub fn allow(&self, role_arn: &str, action: &str, resource: &str) {
        self.set_rule(role_arn, false, action, resource);
    }

    /// Explicitly denies a role an action on a resource. Replaces an
    /// [`allow`](Self::allow) with the same arguments.
    pub fn deny(&self, role_arn: &str, action: &str, resource: &str) {
        self.set_rule(role_arn, true, action, resource);
    }

    /// Removes all rules of a role, which implicitly denies it everything.
    pub fn clear_policy(&self, role_arn: &str) {
        self.inner.world().role_mut(role_arn).rules.clear();
    }

    /// Sets the service accounts (`system:serviceaccount:namespace:name`) that may assume a
    /// role by IRSA. Open sessions stay open, as in AWS.
    pub fn set_trust(&self, role_arn: &str, service_accounts: &[&str]) {
        let subjects = service_accounts.iter().map(|&subject| subject.to_owned()).collect();
        self.inner.world().role_mut(role_arn).service_accounts = subjects;
    }

    /// Sets the roles that may assume a role by AssumeRole, and the external id that they
    /// must send.
    pub fn set_role_trust(&self, role_arn: &str, roles: &[&str], external_id: Option<&str>) {
        let principals = roles.iter().map(|&arn| TrustedPrincipal {
            arn: arn.to_owned(),
            external_id: external_id.map(str::to_owned),
        });
        self.inner.world().role_mut(role_arn).principals = principals.collect();
    }

    /// Sets whether a role's trust policy allows `sts:TagSession`, which roles of Pod
    /// Identity need to assume it.
    pub fn set_tag_session(&self, role_arn: &str, allowed: bool) {
        self.inner.world().role_mut(role_arn).tag_session = allowed;
    }

    /// Associates a service account with a role for Pod Identity, or removes the
    /// association.
    pub fn set_association(&self, namespace: &str, service_account: &str, role: Option<&str>) {
        let of = (namespace.to_owned(), service_account.to_owned());
        let mut world = self.inner.world();
        match role {
            Some(role) => world.associations.insert(of, role.to_owned()),
            None => world.associations.remove(&of),
        };
    }

    /// Expires all sessions.
    pub fn expire_sessions(&self) {
        let now = self.now();
        for session in self.inner.world().sessions.values_mut() {
            session.expires = session.expires.min(now);
        }
    }

    fn set_rule(&self, role_arn: &str, deny: bool, action: &str, resource: &str) {
        let of = |deny| Rule { deny, actions: vec![action.to_owned()], resources: vec![resource.to_owned()] };
        let mut world = self.inner.world();
        let rules = &mut world.role_mut(role_arn).rules;
        rules.retain(|rule| *rule != of(true) && *rule != of(false));
        rules.push(of(deny));
    }

    /// Sends the event of an API call, as if the administrator of the secret's account had
    /// made it.
    fn tell_trail(&self, region: &str, id: &str, operation: &str) {
        let now = self.now();
        let mut world = self.inner.world();
        let key = secret_key(&world, region, id);
        let Some(arn) = world.secrets.get(&key).map(|secret| secret.arn.clone()) else { return };
        let principal = Principal::Administrator { account: key.0.clone() };
        let elements = json!({ "arn": arn, "name": key.2 });
        world.api_call(&principal, &key, operation, &json!({ "secretId": id }), &elements, now);
    }

    fn change_secret<T>(
        &self,
        region: &str,
        id: &str,
        change: impl FnOnce(&mut Secret, SystemTime) -> T,
    ) -> Result<T, AwsError> {
        let now = self.now();
        let mut world = self.inner.world();
        let key = secret_key(&world, region, id);
        let secret = world
            .secrets
            .get_mut(&key)
            .ok_or_else(|| not_found("Secrets Manager can't find the specified secret."))?;
        let changed = change(secret, now);
        world.secret_changed(&key, now);
        Ok(changed)
    }
}

/// The key of a name in the store's account, or of a full ARN.
fn secret_key(world: &World, region: &str, id: &str) -> Key {
    let full = Arn::parse(id).and_then(|arn| {
        let (name, _) = arn.resource.strip_prefix("secret:")?.rsplit_once('-')?;
        Some((arn.account.to_owned(), arn.region.to_owned(), name.to_owned()))
    });
    full.unwrap_or_else(|| (world.account.clone(), region.to_owned(), id.to_owned()))
}
