//! What each service account's roles must be allowed.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    classes::{self, AccountName},
    names::policy_name,
    roles::Roles,
};
use crate::{
    estate::Estate,
    iam::{
        Document, Grants, Home, KmsKey, Need, NoRegion, WrittenStatement, least_documents,
        trust::{ClusterArn, OidcProvider},
    },
    model::{
        arn::{Region, RoleArn},
        principal::ExternalId,
    },
};

/// Maximum number of managed policies on a role, unless AWS has raised it:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
const MAX_ATTACHED: usize = 10;

/// What the manifests do not tell.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The only service account of interest: namespace and name.
    pub account: Option<(String, String)>,
    /// The only namespace of interest.
    pub namespace: Option<String>,
    /// Where roles and names are, if no ARN says so.
    pub home: Home,
    /// For classes that name no Region.
    pub region: Option<Region>,
    pub keys: Vec<KmsKey>,
    pub oidc_provider: Option<OidcProvider>,
    pub cluster: Option<ClusterArn>,
}

/// A service account.
#[derive(Clone, Debug)]
pub struct AccountPlan {
    pub namespace: String,
    pub name: String,
    /// The roles that it reads as. A role comes after the one that assumes it.
    pub roles: Vec<RolePlan>,
    /// What a person should know.
    pub notes: BTreeSet<String>,
}

/// A role.
#[derive(Clone, Debug)]
pub struct RolePlan {
    /// `None` if no manifest names it.
    pub arn: Option<RoleArn>,
    /// The last part of its ARN, or a name for it.
    pub name: String,
    /// The name of its policies, without a number.
    pub policy_name: String,
    pub identity: Identity,
    pub account: Option<String>,
    pub reads: BTreeSet<Need>,
    /// What its trust policy demands of the role that assumes it.
    pub external_id: Option<ExternalId>,
    /// The roles that it assumes, by their ARNs.
    pub assumes: BTreeSet<RoleArn>,
    /// Whether the sessions that it assumes have tags.
    pub tags: bool,
    pub policies: Vec<Document>,
    /// `None` if the manifests and flags do not tell enough.
    pub trust: Option<Document>,
}

/// How the service account gets the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    Irsa,
    PodIdentity,
    /// Another of its roles assumes it.
    AssumedRole,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("{0}")]
    Invalid(String),
    #[error("the classes of service account {account} do not tell what they read")]
    NoRegion { account: String, source: NoRegion },
    #[error("there is no SecretProviderClass of provider aws")]
    NoClass,
    #[error("no SecretProviderClass in namespace {namespace}, for service account {namespace}/{name}")]
    NoClassFor { namespace: String, name: String },
    #[error(
        "no pod here mounts a SecretProviderClass such as {namespace}/{class}: add the manifests of the pods, or name the service account with --service-account {namespace}/NAME"
    )]
    NobodyMounts { namespace: String, class: String },
    #[error(
        "the annotation or association of service account {account} does not name a role: {text}; expected arn:aws:iam::ACCOUNT:role/NAME"
    )]
    NotARole { account: String, text: String },
}

impl RolePlan {
    /// The path of its ARN, such as `/apps/`.
    pub(super) fn path(&self) -> Option<String> {
        let (_, named) = self.arn.as_ref()?.as_str().split_once(":role/")?;
        named.rsplit_once('/').map(|(path, _)| format!("/{path}/"))
    }
}

impl Identity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Irsa => "irsa",
            Self::PodIdentity => "pod-identity",
            Self::AssumedRole => "assumed-role",
        }
    }
}

/// The plan of every service account whose pods mount a class, by namespace and name.
///
/// # Errors
/// If a class is invalid, or the manifests do not tell enough.
pub fn plan(estate: &Estate, settings: &Settings) -> Result<Vec<AccountPlan>, PlanError> {
    let accounts = classes::by_account(estate, settings)?;
    let plans: Result<Vec<AccountPlan>, PlanError> = accounts
        .into_iter()
        .map(|(account, classes)| {
            let mut roles = Roles::new(estate, settings, &account)?;
            for class in &classes {
                roles.add(class)?;
            }
            Ok(finished(&account, &roles, settings))
        })
        .collect();
    let mut plans = plans?;
    share_trust(&mut plans);
    Ok(plans)
}

/// A role that several service accounts share must trust all of them.
fn share_trust(plans: &mut [AccountPlan]) {
    let mut shared: BTreeMap<RoleArn, Vec<WrittenStatement>> = BTreeMap::new();
    for role in plans.iter().flat_map(|plan| &plan.roles) {
        if let (Some(arn), Some(trust)) = (&role.arn, &role.trust) {
            let known = shared.entry(arn.clone()).or_default();
            for statement in &trust.statements {
                let same = |other: &WrittenStatement| {
                    WrittenStatement { sid: statement.sid.clone(), ..other.clone() } == *statement
                };
                if known.iter().any(same) {
                    continue;
                }
                let taken = known.iter().filter(|other| other.sid.starts_with(&statement.sid)).count();
                let number = if taken == 0 { String::new() } else { (taken + 1).to_string() };
                known.push(WrittenStatement {
                    sid: format!("{}{number}", statement.sid),
                    ..statement.clone()
                });
            }
        }
    }
    for role in plans.iter_mut().flat_map(|plan| &mut plan.roles) {
        let all = role.arn.as_ref().and_then(|arn| shared.get(arn));
        if let (Some(all), Some(_)) = (all, &role.trust) {
            role.trust = Some(Document::of(all.clone()));
        }
    }
}

fn finished(account: &AccountName, roles: &Roles<'_>, settings: &Settings) -> AccountPlan {
    let (namespace, name) = account;
    let mut notes = roles.notes.clone();
    let mut plans = Vec::new();
    for role in roles.planned() {
        let grants = Grants {
            reads: role.reads.iter().collect(),
            keys: &settings.keys,
            roles: role.assumes.iter().collect(),
            tags: role.tags,
        };
        let policies = least_documents(&grants);
        let own_name = role.name.clone();
        if policies.len() > 1 {
            let count = policies.len();
            let many = if count > MAX_ATTACHED {
                format!("; a role has at most {MAX_ATTACHED} managed policies, unless AWS raises that quota")
            } else {
                String::new()
            };
            notes.insert(format!("the policy of role {own_name} is split into {count} documents, because a managed policy has at most 6,144 characters{many}"));
        }
        if role.account.is_none() && role.reads.iter().any(|need| need.resource.contains(":*:")) {
            notes.insert("the account is unknown, so that the ARNs have * instead: set --account".to_owned());
        }
        if role.trust.is_none() {
            notes.insert(no_trust(&own_name, role.identity, settings));
        }
        let suffix = if plans.is_empty() { None } else { Some(own_name.as_str()) };
        plans.push(RolePlan { policy_name: policy_name(namespace, name, suffix), policies, ..role });
    }
    unused_keys(&plans, settings, &mut notes);
    AccountPlan { namespace: namespace.clone(), name: name.clone(), roles: plans, notes }
}

fn no_trust(role: &str, identity: Identity, settings: &Settings) -> String {
    let needed = match identity {
        Identity::Irsa if settings.oidc_provider.is_none() => "--oidc-provider (the cluster's issuer)",
        Identity::Irsa | Identity::PodIdentity | Identity::AssumedRole => "--account",
    };
    format!("no trust policy for role {role}: it needs {needed}")
}

fn unused_keys(plans: &[RolePlan], settings: &Settings, notes: &mut BTreeSet<String>) {
    for key in &settings.keys {
        let read = plans.iter().flat_map(|plan| &plan.reads).any(|need| need.region == key.region());
        if !read {
            notes.insert(format!(
                "key {} is not granted: nothing is read from its Region {}",
                key.arn(),
                key.region()
            ));
        }
    }
}
