//! Parses AWS's access-denied messages: which action on which resource is missing or
//! denied, and in which policy.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>

use crate::model::arn::Arn;

/// Maximum length of an action or ARN in our own message. A parameter's name alone
/// may have 1,011 characters.
const MAX_BYTES: usize = 1200;

/// The content of an access-denied message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// For example `kms:Decrypt`.
    action: String,
    /// The resource's ARN, if AWS names it.
    resource: Option<String>,
    /// The caller, if AWS names it: `role web`.
    caller: Option<String>,
    /// Whether the resource belongs to a different account than the caller.
    is_foreign: bool,
    /// The policy that AWS blames, if any.
    policy: Option<Policy>,
    /// Whether that policy denies the action explicitly, rather than not allowing it.
    is_explicit: bool,
    /// Whether the resource may not exist in this Region at all.
    may_be_absent: bool,
}

/// A kind of policy that AWS blames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Of the calling role or user.
    Identity,
    /// Of the secret, key or role that was requested.
    Resource,
    /// The trust policy of the role to assume.
    RoleTrust,
    /// The permissions boundary of the calling role.
    Boundary,
    /// Of the session.
    Session,
    /// Of the organization, for the caller's account.
    ServiceControl,
    /// Of the organization, for the resource's account.
    ResourceControl,
    /// Of the VPC endpoint that the call passes through.
    VpcEndpoint,
}

/// AWS's names for policies, in lower case and without the ending.
const POLICIES: [(&str, Policy); 8] = [
    ("identity-based polic", Policy::Identity),
    ("resource-based polic", Policy::Resource),
    ("trust polic", Policy::RoleTrust),
    ("permissions boundar", Policy::Boundary),
    ("session polic", Policy::Session),
    ("service control polic", Policy::ServiceControl),
    ("resource control polic", Policy::ResourceControl),
    ("vpc endpoint polic", Policy::VpcEndpoint),
];

impl Denial {
    /// Parses `User: … is not authorized to perform: … on resource: … because no …
    /// policy allows the … action` and its variants. Returns `None` for a message that
    /// names no action.
    pub(crate) fn read(message: &str) -> Option<Self> {
        let (before, rest) = message.split_once("uthorized to perform")?;
        let (action, rest) = word(rest.trim_start_matches(':'))?;
        if !action.contains(':') {
            return None;
        }
        let named =
            rest.trim_start().strip_prefix("on resource").and_then(|it| word(it.trim_start_matches(':')));
        // Only search the reason: the text before it may be a name that a pod author chose.
        let (resource, reason) = named.map_or((None, rest), |(resource, rest)| (Some(resource), rest));
        let resource = resource.filter(|it| it.starts_with("arn:") || *it == "*");
        let caller =
            before.split_once("User: ").and_then(|(_, rest)| word(rest)).and_then(|(arn, _)| Arn::parse(arn));
        let account = |arn: &Arn<'_>| Some(arn.account.to_owned()).filter(|account| !account.is_empty());
        let accounts =
            (caller.as_ref().and_then(account), resource.and_then(Arn::parse).as_ref().and_then(account));
        let reason = reason.to_ascii_lowercase();
        // The first match names the policy; its ARN, which may match too, follows it.
        let blamed = POLICIES.iter().filter_map(|(words, policy)| Some((reason.find(words)?, *policy)));
        Some(Self {
            action: repeated(action),
            resource: resource.map(repeated),
            caller: caller.as_ref().and_then(caller_name),
            is_foreign: matches!(accounts, (Some(caller), Some(owner)) if caller != owner),
            policy: blamed.min_by_key(|(at, _)| *at).map(|(_, policy)| policy),
            is_explicit: reason.contains("explicit deny"),
            may_be_absent: reason.contains("does not exist"),
        })
    }

    pub(crate) fn action(&self) -> &str {
        &self.action
    }

    pub(crate) fn policy(&self) -> Option<Policy> {
        self.policy
    }

    /// Whether a policy denies the action explicitly, so that a grant alone does not
    /// help.
    pub(crate) fn is_explicit(&self) -> bool {
        self.is_explicit
    }

    pub(super) fn is_kms(&self) -> bool {
        self.action.starts_with("kms:")
    }

    /// Says what is missing, or which policy denies it. If AWS names no ARN, the message
    /// uses `requested`, the resource of the called `operation`.
    pub(crate) fn told(&self, operation: &str, requested: &str) -> String {
        let action = &self.action;
        let resource = match &self.resource {
            Some(resource) => resource,
            None if self.is_kms() => "the KMS key that encrypts it",
            None if action == operation => requested,
            None => "this resource",
        };
        let policy = self.policy.map(|policy| self.describe(policy));
        if self.is_explicit {
            let policy = policy.unwrap_or_else(|| "a policy".to_owned());
            return format!(
                "denied: {policy} explicitly denies {action} on {resource}; granting access elsewhere does not help, change that policy"
            );
        }
        let missing = format!("missing: {action} on {resource}");
        if self.may_be_absent {
            let policy = policy.unwrap_or_else(|| "its policy".to_owned());
            return format!("{missing} in {policy}, or it does not exist in this Region");
        }
        match (self.policy, policy) {
            (Some(Policy::Identity), Some(policy)) => format!("{missing} in {policy}"),
            (_, Some(policy)) => format!("{missing} in {policy}; granting it to the role does not help"),
            (_, None) if self.is_foreign => {
                format!(
                    "{missing} in both the caller's policy and the policy of the resource, because the resource belongs to another account"
                )
            }
            (_, None) => missing,
        }
    }

    /// Names a policy and its owner.
    fn describe(&self, policy: Policy) -> String {
        let caller = self.caller.as_deref().unwrap_or("the caller");
        match policy {
            Policy::Identity => format!("an identity-based policy of {caller}"),
            Policy::Resource if self.is_kms() => "the policy of the KMS key".to_owned(),
            Policy::Resource if self.action.starts_with("sts:") => "the trust policy of the role".to_owned(),
            Policy::Resource => "the resource's own policy".to_owned(),
            Policy::RoleTrust => "the trust policy of the role".to_owned(),
            Policy::Boundary => format!("the permissions boundary of {caller}"),
            Policy::Session => {
                "the session policy (Latchkey sets none; a Pod Identity association may)".to_owned()
            }
            Policy::ServiceControl => {
                "a service control policy of the organization (ask its administrators)".to_owned()
            }
            Policy::ResourceControl => {
                "a resource control policy of the organization that owns the resource (ask its administrators)".to_owned()
            }
            Policy::VpcEndpoint => "the policy of the VPC endpoint that the call goes through".to_owned(),
        }
    }
}

/// Splits off the next word, without surrounding quotes and punctuation.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let word = word.trim_matches(|c: char| matches!(c, '"' | '\'' | ',' | '.' | ';' | '(' | ')'));
    (!word.is_empty()).then_some((word, rest))
}

/// Returns `role web` or `user ann` for the ARN of a session or a user.
fn caller_name(arn: &Arn<'_>) -> Option<String> {
    let (kind, name) = arn.resource.split_once('/')?;
    match kind {
        "assumed-role" => Some(format!("role {}", repeated(name.split('/').next()?))),
        "role" | "user" => Some(format!("{kind} {}", repeated(name))),
        _ => None,
    }
}

/// Cleans a part of AWS's message, so that our own message can include it.
fn repeated(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic()).take(MAX_BYTES).collect()
}
