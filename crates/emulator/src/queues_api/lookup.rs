//! Finding a queue by its URL, and checking what the caller may do to it.

use serde::Deserialize;

use crate::{
    access::{Caller, Resource, authorize},
    queues::Queue,
    wire::AwsError,
    world::{Key, World},
};

/// The input of operations whose only parameter is a queue.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct OneQueue {
    pub(super) queue_url: String,
}

/// Finds the queue of a URL, and checks that the caller may call `operation` for it.
pub(super) fn permitted<'w>(
    world: &'w mut World,
    caller: &Caller,
    operation: &str,
    url: &str,
) -> Result<&'w mut Queue, AwsError> {
    let key = key_of(url, &caller.region)?;
    authorized(world, caller, operation, &key)?;
    world.queues.get_mut(&key).ok_or_else(no_queue)
}

/// Checks that the caller may call `operation` for a queue, which need not exist.
pub(super) fn authorized(world: &World, caller: &Caller, operation: &str, key: &Key) -> Result<(), AwsError> {
    let (account, region, name) = key;
    let arn = format!("arn:{}:sqs:{region}:{account}:{name}", caller.partition());
    let mut candidates = vec![arn.clone()];
    if account == caller.principal.account() {
        // In a store, a rule may name a queue of its own account without an ARN.
        candidates.push(name.clone());
    }
    let allowed_by_policy = world.queues.get(key).map_or(&[][..], |queue| &queue.policy_allows);
    let resource = Resource { named: Some(&arn), candidates, account, allowed_by_policy };
    // SQS writes actions in lower case, and answers 403.
    let action = format!("sqs:{}", operation.to_ascii_lowercase());
    authorize(world, caller, &action, &resource).map_err(|error| error.with_status(403))
}

/// Account, Region and name of `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`. A host
/// that is not AWS's has the Region of the signature.
///
/// # Errors
/// `InvalidAddress` for any other text, and for a queue of another Region than the
/// request is signed for.
fn key_of(url: &str, signed_for: &str) -> Result<Key, AwsError> {
    let invalid = || {
        AwsError::front_end("InvalidAddress", format!("The address {url} is not valid for this endpoint."))
    };
    let (_, rest) = url.split_once("://").ok_or_else(invalid)?;
    let mut parts = rest.split('/');
    let (Some(host), Some(account), Some(name), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(invalid());
    };
    if name.is_empty() || region_of(host).is_some_and(|region| region != signed_for) {
        return Err(invalid());
    }
    Ok((account.to_owned(), signed_for.to_owned(), name.to_owned()))
}

/// The Region of SQS's host names, also of the legacy ones and of VPC endpoints
/// (<https://docs.aws.amazon.com/general/latest/gr/sqs-service.html>).
fn region_of(host: &str) -> Option<&str> {
    if !host.contains(".amazonaws.") && !host.ends_with(".api.aws") {
        return None;
    }
    let labels: Vec<&str> = host.split('.').collect();
    if let Some(at) = labels.iter().position(|label| matches!(*label, "sqs" | "sqs-fips")) {
        return labels.get(at + 1).copied();
    }
    match labels.iter().position(|label| *label == "queue")? {
        0 => Some("us-east-1"),
        at => labels.get(at - 1).copied(),
    }
}

pub(super) fn no_queue() -> AwsError {
    AwsError::front_end("QueueDoesNotExist", "The specified queue does not exist.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queues_url_says_its_account_region_and_name() {
        for (host, region) in [
            ("sqs.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("sqs.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("sqs-fips.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("vpce-0a1b-2c.sqs.eu-west-1.vpce.amazonaws.com", Some("eu-west-1")),
            ("sqs.eu-west-1.api.aws", Some("eu-west-1")),
            ("eu-west-1.queue.amazonaws.com", Some("eu-west-1")),
            ("queue.amazonaws.com", Some("us-east-1")),
            ("127.0.0.1:4566", None),
            ("sqs.localhost", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
        let key = ("111122223333".to_owned(), "eu-west-1".to_owned(), "q".to_owned());
        for host in ["https://sqs.eu-west-1.amazonaws.com", "http://127.0.0.1:4566"] {
            assert_eq!(key_of(&format!("{host}/111122223333/q"), "eu-west-1"), Ok(key.clone()));
        }
        for url in [
            "https://sqs.eu-west-2.amazonaws.com/111122223333/q",
            "https://sqs.eu-west-1.amazonaws.com/q",
            "https://sqs.eu-west-1.amazonaws.com/111122223333/",
            "https://sqs.eu-west-1.amazonaws.com/111122223333/q/r",
            "q",
        ] {
            assert_eq!(key_of(url, "eu-west-1").unwrap_err().code, "InvalidAddress", "{url}");
        }
    }
}
