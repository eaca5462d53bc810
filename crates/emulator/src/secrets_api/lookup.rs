//! Finding a secret, and checking what the caller may do to it.

use serde::Deserialize;

use crate::{
    access::{Caller, Resource, authorize},
    arn::Arn,
    secrets::{Secret, not_found},
    wire::AwsError,
    world::{Key, World},
};

/// The input of operations whose only parameter is a secret.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct OneSecret {
    pub(super) secret_id: String,
}

/// Finds a secret by name, full ARN or ARN without suffix, and checks that the caller may
/// call `operation` for it. The check comes first, also for a secret that does not exist.
pub(super) fn permitted(world: &World, caller: &Caller, operation: &str, id: &str) -> Result<Key, AwsError> {
    if id.is_empty() || id.len() > 2048 {
        let bound = if id.is_empty() { "greater than or equal to 1" } else { "less than or equal to 2048" };
        return Err(AwsError::validation(format!(
            "1 validation error detected: Value '{id}' at 'secretId' failed to satisfy constraint: Member must have length {bound}"
        )));
    }
    let own = caller.principal.account();
    let found = find(world, caller, id);
    let secret = found.as_ref().and_then(|key| world.secrets.get(key));
    let arn = Arn::parse(id).filter(|arn| arn.service == "secretsmanager");
    let account = match (&found, arn) {
        (Some((account, _, _)), _) => account.as_str(),
        (None, Some(arn)) => arn.account,
        (None, None) => own,
    };
    let mut candidates = vec![id.to_owned()];
    let mut allowed_by_policy: &[String] = &[];
    let name = match (&found, arn) {
        (Some((_, _, name)), _) => name.as_str(),
        (None, Some(arn)) => arn.resource.strip_prefix("secret:").unwrap_or(arn.resource),
        (None, None) => id,
    };
    if account == own {
        // In a store, a rule may name a secret of its own account without an ARN.
        candidates.push(name.to_owned());
    }
    candidates.push(format!(
        "arn:{}:secretsmanager:{}:{account}:secret:{name}",
        caller.partition(),
        caller.region
    ));
    if let Some(secret) = secret {
        candidates.push(secret.arn.clone());
        allowed_by_policy = &secret.policy_allows;
    }
    let named = secret.map_or(id, |secret| secret.arn.as_str());
    let resource = Resource { named: Some(named), candidates, account, allowed_by_policy };
    authorize(world, caller, &format!("secretsmanager:{operation}"), &resource)?;
    found.ok_or_else(no_secret)
}

/// Checks that the caller may call an operation that has no resource, which needs a rule
/// for `*`.
pub(super) fn permitted_everywhere(world: &World, caller: &Caller, operation: &str) -> Result<(), AwsError> {
    let resource = Resource {
        named: None,
        candidates: vec!["*".to_owned()],
        account: caller.principal.account(),
        allowed_by_policy: &[],
    };
    authorize(world, caller, &format!("secretsmanager:{operation}"), &resource)
}

fn find(world: &World, caller: &Caller, id: &str) -> Option<Key> {
    let region = caller.region.clone();
    let own = caller.principal.account();
    let Some(arn) = Arn::parse(id) else {
        let key = (own.to_owned(), region, id.to_owned());
        return world.secrets.contains_key(&key).then_some(key);
    };
    if arn.service != "secretsmanager" || arn.region != region || arn.partition != caller.partition() {
        return None;
    }
    let resource = arn.resource.strip_prefix("secret:")?;
    let full = resource.rsplit_once('-').and_then(|(name, _)| {
        let key = (arn.account.to_owned(), region.clone(), name.to_owned());
        world.secrets.get(&key).is_some_and(|secret| secret.arn == id).then_some(key)
    });
    full.or_else(|| {
        // An ARN without the suffix works only within the caller's account, and not when
        // the name itself seems to end with a suffix, which AWS takes for a complete ARN
        // (https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html).
        let suffixed = resource
            .rsplit_once('-')
            .is_some_and(|(_, end)| end.len() == 6 && end.chars().all(|c| c.is_ascii_alphanumeric()));
        if suffixed {
            return None;
        }
        let key = (own.to_owned(), region, resource.to_owned());
        (arn.account == own && world.secrets.contains_key(&key)).then_some(key)
    })
}

pub(super) fn secret_of<'w>(world: &'w World, key: &Key) -> Result<&'w Secret, AwsError> {
    world.secrets.get(key).ok_or_else(no_secret)
}

pub(super) fn secret_mut<'w>(world: &'w mut World, key: &Key) -> Result<&'w mut Secret, AwsError> {
    world.secrets.get_mut(key).ok_or_else(no_secret)
}

/// A secret that may be changed: it is neither scheduled for deletion nor a replica.
pub(super) fn changeable<'w>(world: &'w mut World, key: &Key) -> Result<&'w mut Secret, AwsError> {
    let secret = secret_mut(world, key)?;
    secret.usable()?;
    match secret.primary {
        None => Ok(secret),
        Some(_) => Err(AwsError::service(
            "InvalidRequestException",
            "Operation not permitted on a replica secret. Call must be made in primary secret's region.",
        )),
    }
}

fn no_secret() -> AwsError {
    not_found("Secrets Manager can't find the specified secret.")
}

pub(super) fn refuse_kms(secret: &Secret, caller: &Caller) -> Result<(), AwsError> {
    let role = caller.principal.role_arn();
    if secret.kms_denied.iter().any(|denied| Some(denied.as_str()) == role) {
        return Err(AwsError::kms_denied());
    }
    Ok(())
}
