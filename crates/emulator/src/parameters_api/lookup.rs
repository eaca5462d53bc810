//! Finding a parameter, and checking what the caller may do to it.

use crate::{
    access::{Caller, Resource, authorize},
    arn::Arn,
    rules,
    wire::AwsError,
    world::{Key, World, parameter_arn},
};

/// Checks the caller's permission for a name or ARN without selector; `None` if the caller
/// has it but the parameter does not exist. Systems Manager knows the ARN of a parameter
/// that does not exist, so it always checks the permission first.
pub(super) fn permitted(
    world: &World,
    caller: &Caller,
    action: &str,
    id: &str,
) -> Result<Option<Key>, AwsError> {
    let own = caller.principal.account();
    let key = match Arn::parse(id) {
        Some(arn) => {
            let name = arn.resource.strip_prefix("parameter/").unwrap_or(arn.resource);
            let slashed = format!("/{name}");
            let of = |name: &str| (arn.account.to_owned(), arn.region.to_owned(), name.to_owned());
            // An ARN does not show whether the name starts with a slash.
            let plain = of(name);
            if world.parameters.contains_key(&plain) { plain } else { of(&slashed) }
        }
        None => {
            rules::parameter_name(id)?;
            (own.to_owned(), caller.region.clone(), id.to_owned())
        }
    };
    authorized(world, caller, action, &key)?;
    Ok((key.1 == caller.region && world.parameters.contains_key(&key)).then_some(key))
}

/// Checks the caller's permission for a parameter, which need not exist.
pub(super) fn authorized(world: &World, caller: &Caller, action: &str, key: &Key) -> Result<(), AwsError> {
    let parameter = world.parameters.get(key).filter(|_| key.1 == caller.region);
    let arn = parameter_arn(key);
    let mut candidates = vec![arn.clone()];
    if key.0 == caller.principal.account() {
        candidates.push(key.2.clone());
    }
    let resource = Resource {
        named: Some(&arn),
        candidates,
        account: &key.0,
        allowed_by_policy: parameter.map_or(&[], |parameter| &parameter.shared_with),
    };
    authorize(world, caller, action, &resource)
}
