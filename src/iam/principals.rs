//! Who asks, and whom a statement names.

use super::{context::Context, document::PolicyError, json::Json, truth::Truth};
use crate::model::arn::{Arn, RoleArn, is_account};

/// Who asks.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A session of a role; its name may be unknown.
    Role { arn: RoleArn, session: Option<String> },
    /// A token of an OpenID Connect provider, by the provider's ARN.
    WebIdentity { provider: String },
    /// An AWS service, such as `pods.eks.amazonaws.com`.
    Service(String),
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Request {
    pub caller: Caller,
    /// Such as `secretsmanager:GetSecretValue`.
    pub action: String,
    /// The ARN.
    pub resource: String,
    pub context: Context,
}

impl Request {
    /// Adds to `context` what follows from the caller and the resource: the keys
    /// `aws:PrincipalArn`, `aws:PrincipalAccount`, `aws:PrincipalType`,
    /// `aws:PrincipalIsAWSService`, `aws:ResourceAccount` and `aws:RequestedRegion`.
    pub fn new(caller: Caller, action: &str, resource: &str, mut context: Context) -> Self {
        match &caller {
            Caller::Role { arn, .. } => {
                context.set_default("aws:PrincipalArn", arn.as_str());
                context.set_default("aws:PrincipalType", "AssumedRole");
                if let Some(account) = account_of(arn.as_str()) {
                    context.set_default("aws:PrincipalAccount", account);
                }
            }
            Caller::WebIdentity { .. } => {}
            Caller::Service(_) => context.set_default("aws:PrincipalIsAWSService", "true"),
        }
        context.set_default("aws:PrincipalIsAWSService", "false");
        if let Some(arn) = Arn::parse(resource) {
            if let Some(account) = account_of(resource) {
                context.set_default("aws:ResourceAccount", account);
            }
            if !arn.region.is_empty() {
                context.set_default("aws:RequestedRegion", arn.region);
            }
        }
        Self { caller, action: action.to_owned(), resource: resource.to_owned(), context }
    }

    /// Whether caller and resource belong to one account. An ARN without an account
    /// belongs to the caller's.
    pub(super) fn is_within_account(&self) -> bool {
        let Caller::Role { arn, .. } = &self.caller else { return true };
        account_of(&self.resource).is_none_or(|account| Some(account) == account_of(arn.as_str()))
    }
}

/// Whom a statement of a resource policy is about.
#[derive(Clone, Debug)]
pub(super) struct Principals {
    /// `NotPrincipal`
    pub(super) excluded: bool,
    named: Vec<Named>,
}

#[derive(Clone, Debug, PartialEq)]
enum Named {
    /// `*`
    Everybody,
    /// An account, by its number or by the ARN of its root.
    Account(String),
    /// `AWS`: an ARN, or the id of a deleted role.
    Arn(String),
    Federated(String),
    Service(String),
    /// `CanonicalUser`: never a role.
    Other(String),
}

/// How closely a resource policy names the caller. The closer, the less limits the grant:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closeness {
    /// By its account: the account's own policies must allow the request too.
    Account,
    /// By its role, or as everybody.
    Role,
    /// By its session: a boundary and session policies do not limit it.
    Session,
}

impl Principals {
    /// # Errors
    /// The place of an element that is not a principal.
    pub(super) fn parse(node: &Json, place: &str, excluded: bool) -> Result<Self, PolicyError> {
        let mut named = Vec::new();
        match node {
            Json::Text(text) if text == "*" => named.push(Named::Everybody),
            Json::Map(kinds) => {
                for (kind, values) in kinds {
                    let place = format!("{place}.{kind}");
                    let values = values.texts(&place)?;
                    let of = |text: String| {
                        Ok(match kind.as_str() {
                            _ if text == "*" => Named::Everybody,
                            "AWS" => aws(text),
                            "Federated" => Named::Federated(text),
                            "Service" => Named::Service(text),
                            "CanonicalUser" => Named::Other(text),
                            _ => {
                                let problem = "must be AWS, Federated, Service or CanonicalUser";
                                return Err(PolicyError::new(&place, problem));
                            }
                        })
                    };
                    named.extend(values.into_iter().map(of).collect::<Result<Vec<_>, _>>()?);
                }
            }
            Json::Null | Json::Text(_) | Json::List(_) => {
                let problem = "must be \"*\" or an object with AWS, Federated, Service or CanonicalUser";
                return Err(PolicyError::new(place, problem));
            }
        }
        Ok(Self { excluded, named })
    }

    /// Whether the statement is about the caller, if only names of at least this closeness
    /// count.
    pub(super) fn include(&self, caller: &Caller, least: Closeness) -> Truth {
        let names = |least| Truth::any(self.named.iter().map(|named| named.is(caller, least)));
        if !self.excluded {
            return names(least);
        }
        // AWS exempts a session from a NotPrincipal only if the session, its role and its
        // account are named:
        // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
        let by_account = self.named.iter().any(|named| named.is_only_account_of(caller));
        match names(Closeness::Account) {
            Truth::No => Truth::Yes,
            Truth::Yes if by_account && names(Closeness::Role) == Truth::Yes => Truth::No,
            Truth::Yes if self.named.contains(&Named::Everybody) => Truth::No,
            Truth::Yes if !matches!(caller, Caller::Role { .. }) => Truth::No,
            Truth::Yes | Truth::Depends(_) => Truth::depends_on("NotPrincipal"),
        }
    }

    /// How to name them in a sentence.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|named| match named {
            Named::Everybody => "*",
            Named::Account(text)
            | Named::Arn(text)
            | Named::Federated(text)
            | Named::Service(text)
            | Named::Other(text) => text,
        })
    }
}

impl Named {
    fn is(&self, caller: &Caller, least: Closeness) -> Truth {
        match (self, caller) {
            (Self::Everybody, _) => Truth::from(least <= Closeness::Role),
            (Self::Service(name), Caller::Service(caller)) => name.eq_ignore_ascii_case(caller).into(),
            (Self::Federated(name), Caller::WebIdentity { provider }) => (name == provider).into(),
            (Self::Account(account), Caller::Role { arn, .. }) => {
                Truth::from(least == Closeness::Account && account_of(arn.as_str()) == Some(account.as_str()))
            }
            (Self::Arn(text), Caller::Role { arn, session }) => {
                if text == arn.as_str() {
                    return Truth::from(least <= Closeness::Role);
                }
                let Some(sessions) = sessions_of(arn) else { return Truth::No };
                match (text.strip_prefix(&sessions), session) {
                    (None, _) => Truth::No,
                    (Some(named), Some(session)) => (named == session).into(),
                    (Some(_), None) => Truth::depends_on("sts:RoleSessionName"),
                }
            }
            _ => Truth::No,
        }
    }

    fn is_only_account_of(&self, caller: &Caller) -> bool {
        matches!((self, caller), (Self::Account(account), Caller::Role { arn, .. })
            if account_of(arn.as_str()) == Some(account.as_str()))
    }
}

/// `arn:…:sts::ACCOUNT:assumed-role/NAME/`: the ARNs of a role's sessions, without the path.
fn sessions_of(role: &RoleArn) -> Option<String> {
    let arn = Arn::parse(role.as_str())?;
    let name = arn.resource.rsplit('/').next()?;
    Some(format!("arn:{}:sts::{}:assumed-role/{name}/", arn.partition, arn.account))
}

fn aws(text: String) -> Named {
    if is_account(&text) {
        return Named::Account(text);
    }
    match Arn::parse(&text) {
        Some(arn) if arn.service == "iam" && arn.resource == "root" => Named::Account(arn.account.to_owned()),
        Some(_) | None => Named::Arn(text),
    }
}

/// The account of an ARN.
pub(super) fn account_of(arn: &str) -> Option<&str> {
    let account = arn.split(':').nth(4)?;
    is_account(account).then_some(account)
}
