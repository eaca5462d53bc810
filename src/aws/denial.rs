//! AWS's access-denied messages, read: which action on what is missing or denied,
//! and in whose policy.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>

use crate::model::arn::Arn;

/// Longest action and ARN that is repeated. A parameter's ARN has a name of up to
/// 1,011 characters.
const MAX_BYTES: usize = 1200;

/// What an access-denied message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The action, such as `kms:Decrypt`.
    action: String,
    /// The resource, where AWS names an ARN.
    resource: Option<String>,
    /// Who asked, as AWS names them: `role web`.
    caller: Option<String>,
    /// Whether the resource belongs to another account than the caller.
    is_foreign: bool,
    /// The policy that AWS blames, where it does.
    policy: Option<Policy>,
    /// Whether that policy denies it, and does not only fail to allow it.
    is_explicit: bool,
    /// Whether the resource may as well not exist in this Region.
    may_be_absent: bool,
}

/// A kind of policy that AWS blames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Of the role or user who asks.
    Identity,
    /// Of the secret, the key or the role that is asked for.
    Resource,
    /// Who may take on the role.
    RoleTrust,
    /// The boundary of the role who asks.
    Boundary,
    /// Of the session.
    Session,
    /// Of the organization, for the accounts of who asks.
    ServiceControl,
    /// Of the organization, for what is asked for.
    ResourceControl,
    /// Of the VPC endpoint on the way.
    VpcEndpoint,
}

/// As AWS writes them, in lower case.
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
    /// Reads `User: … is not authorized to perform: … on resource: … because no …
    /// policy allows the … action` and its kin; `None` for a message that names no
    /// action.
    pub(crate) fn read(message: &str) -> Option<Self> {
        let (before, rest) = message.split_once("uthorized to perform")?;
        let (action, rest) = word(rest.trim_start_matches(':'))?;
        if !action.contains(':') {
            return None;
        }
        let named =
            rest.trim_start().strip_prefix("on resource").and_then(|it| word(it.trim_start_matches(':')));
        // Whatever stands before the reason may be a name that a pod author chose.
        let (resource, reason) = named.map_or((None, rest), |(resource, rest)| (Some(resource), rest));
        let resource = resource.filter(|it| it.starts_with("arn:") || *it == "*");
        let caller =
            before.split_once("User: ").and_then(|(_, rest)| word(rest)).and_then(|(arn, _)| Arn::parse(arn));
        let account = |arn: &Arn<'_>| Some(arn.account.to_owned()).filter(|account| !account.is_empty());
        let accounts =
            (caller.as_ref().and_then(account), resource.and_then(Arn::parse).as_ref().and_then(account));
        let reason = reason.to_ascii_lowercase();
        // The one that stands first is to blame; an ARN of that policy may follow it.
        let blamed = POLICIES.iter().filter_map(|(words, policy)| Some((reason.find(words)?, *policy)));
        Some(Self {
            action: repeated(action),
            resource: resource.map(repeated),
            caller: caller.as_ref().and_then(named_caller),
            is_foreign: matches!(accounts, (Some(caller), Some(owner)) if caller != owner),
            policy: blamed.min_by_key(|(at, _)| *at).map(|(_, policy)| policy),
            is_explicit: reason.contains("explicit deny"),
            may_be_absent: reason.contains("does not exist"),
        })
    }

    /// The action that AWS names.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// The policy that AWS blames.
    pub fn policy(&self) -> Option<Policy> {
        self.policy
    }

    /// Whether a policy denies it, so that a grant alone does not help.
    pub fn is_explicit(&self) -> bool {
        self.is_explicit
    }

    /// Whether a KMS key is not given.
    pub(super) fn is_of_kms(&self) -> bool {
        self.action.starts_with("kms:")
    }

    /// What is missing or who denies. Where AWS names no ARN, `asked` is the one of
    /// the `operation` that was called.
    pub fn told(&self, operation: &str, asked: &str) -> String {
        let action = &self.action;
        let resource = match &self.resource {
            Some(resource) => resource,
            None if self.is_of_kms() => "the KMS key that encrypts it",
            None if action == operation => asked,
            None => "this resource",
        };
        let policy = self.policy.map(|policy| self.whose(policy));
        if self.is_explicit {
            let policy = policy.unwrap_or_else(|| "a policy".to_owned());
            return format!(
                "denied: {policy} denies {action} on {resource} explicitly; a grant alone does not help, change that policy"
            );
        }
        let missing = format!("missing: {action} on {resource}");
        if self.may_be_absent {
            let policy = policy.unwrap_or_else(|| "its policy".to_owned());
            return format!("{missing} in {policy}, or it does not exist in this Region");
        }
        match (self.policy, policy) {
            (Some(Policy::Identity), Some(policy)) => format!("{missing} in {policy}"),
            (_, Some(policy)) => format!("{missing} in {policy}; a grant to the role does not help"),
            (_, None) if self.is_foreign => {
                format!(
                    "{missing} in the caller's policy, and in that of the resource, which is another account's"
                )
            }
            (_, None) => missing,
        }
    }

    /// A policy, and whose it is.
    fn whose(&self, policy: Policy) -> String {
        let caller = self.caller.as_deref().unwrap_or("the caller");
        match policy {
            Policy::Identity => format!("an identity-based policy of {caller}"),
            Policy::Resource if self.is_of_kms() => "the policy of the KMS key".to_owned(),
            Policy::Resource if self.action.starts_with("sts:") => "the trust policy of the role".to_owned(),
            Policy::Resource => "the resource's own policy".to_owned(),
            Policy::RoleTrust => "the trust policy of the role".to_owned(),
            Policy::Boundary => format!("the permissions boundary of {caller}"),
            Policy::Session => {
                "the session policy (Latchkey gives none; a Pod Identity association may)".to_owned()
            }
            Policy::ServiceControl => {
                "a service control policy of the organization (its administrators change it)".to_owned()
            }
            Policy::ResourceControl => {
                "a resource control policy of the organization that owns the resource (its administrators change it)".to_owned()
            }
            Policy::VpcEndpoint => "the policy of the VPC endpoint that the call goes through".to_owned(),
        }
    }
}

/// The next word, without quotes and punctuation around it, and what follows.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let word = word.trim_matches(|c: char| matches!(c, '"' | '\'' | ',' | '.' | ';' | '(' | ')'));
    (!word.is_empty()).then_some((word, rest))
}

/// `role web` or `user ann`, from the ARN of a session or a user.
fn named_caller(arn: &Arn<'_>) -> Option<String> {
    let (kind, name) = arn.resource.split_once('/')?;
    match kind {
        "assumed-role" => Some(format!("role {}", repeated(name.split('/').next()?))),
        "role" | "user" => Some(format!("{kind} {}", repeated(name))),
        _ => None,
    }
}

/// A part of AWS's message, as it may be repeated.
fn repeated(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic()).take(MAX_BYTES).collect()
}
