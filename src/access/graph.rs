//! The graph: service accounts, the roles that they act as, and the secrets that they ask
//! for or can read.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    asks::Asks,
    knowledge::{Knowledge, Listed},
    reach::Evaluator,
    secret_id::SecretId,
    trust,
    verdict::Verdict,
};
use crate::{
    estate::Estate,
    findings::Place,
    model::{arn::Region, principal::ExternalId},
};

/// What the caller knows that no file says.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The Region of classes that do not name one.
    pub region: Option<Region>,
    /// The cluster's OIDC issuer, without `https://`.
    pub oidc_provider: Option<String>,
}

/// Indices refer to the other lists of the same graph.
#[derive(Debug, Default)]
pub struct Graph {
    pub(super) accounts: Vec<Account>,
    pub(super) roles: Vec<RoleNode>,
    pub(super) secrets: Vec<Secret>,
    pub(super) classes: Vec<ClassNode>,
    pub(super) routes: Vec<Route>,
    pub(super) asks: Vec<Ask>,
    /// What each route can read, in the order of `routes`.
    pub(super) reach: Vec<Reach>,
    /// Service accounts without a role and without a class, by namespace and name: only a
    /// trust policy can let them in.
    pub(super) bystanders: BTreeSet<(String, String)>,
    /// Whether any pod is known. Without pods, nobody can say that a class is unused.
    pub(super) has_workloads: bool,
    /// What was taken for granted, in sentences.
    pub(super) assumptions: Vec<String>,
}

/// A service account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) place: Place,
    pub(super) namespace: String,
    pub(super) name: String,
    /// Names of its pods with volumes, or of what makes them.
    pub(super) workloads: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct RoleNode {
    pub(super) arn: String,
    /// Whether its policies are known.
    pub(super) known: bool,
}

#[derive(Debug)]
pub(super) struct Secret {
    pub(super) id: SecretId,
    /// Its ARN, as far as the name determines it.
    pub(super) begin: String,
    /// ARNs by which classes name it.
    pub(super) arns: BTreeSet<String>,
    /// Its entry in AWS's list, if that is known.
    pub(super) listed: Option<Listed>,
}

#[derive(Debug)]
pub(super) struct ClassNode {
    pub(super) place: Place,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) used: bool,
    /// Whether it cannot be mounted at all.
    pub(super) invalid: bool,
}

/// How a service account gets to a role.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) account: usize,
    pub(super) means: Means,
    /// The service account's own role first; each assumes the next. Empty if the files do
    /// not say which it is.
    pub(super) roles: Vec<usize>,
    /// `assumeRoleExternalId` for the last role.
    pub(super) external_id: Option<ExternalId>,
    /// Whether all roles let the one before in.
    pub(super) trust: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Means {
    Irsa,
    PodIdentity,
    /// No annotation, no association, no `roleArn`.
    Unknown,
}

/// A secret that a mounted class asks for.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) route: usize,
    pub(super) class: usize,
    pub(super) secret: usize,
    /// Only read during an outage of the primary Region.
    pub(super) failover: bool,
    /// Read by Parameter Store, as a reference to the secret.
    pub(super) through_parameter_store: bool,
    pub(super) read: Verdict,
}

/// What a route can read beyond what is asked for.
#[derive(Debug, Default, Clone)]
pub(super) struct Reach {
    pub(super) allowed: BTreeSet<usize>,
    /// With what each depends on.
    pub(super) depends: BTreeMap<usize, BTreeSet<String>>,
}

impl Means {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Irsa => "irsa",
            Self::PodIdentity => "pod_identity",
            Self::Unknown => "unknown",
        }
    }
}

impl Secret {
    pub(super) fn new(id: SecretId, listed: Option<Listed>) -> Self {
        Self { begin: id.arn(""), id, arns: BTreeSet::new(), listed }
    }
}

impl Account {
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl ClassNode {
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Graph {
    /// Joins what is asked for with what is allowed.
    pub fn build(estate: &Estate, knowledge: &Knowledge, settings: &Settings) -> Self {
        let mut graph = Asks::of(estate, knowledge, settings).into_graph();
        graph.assumptions = assumptions(&graph, knowledge, settings);
        let trust: Vec<Verdict> =
            graph.routes.iter().map(|route| trust::of_route(&graph, route, knowledge, settings)).collect();
        graph.routes.iter_mut().zip(trust).for_each(|(route, trust)| route.trust = trust);
        let evaluator = Evaluator::new(knowledge);
        let reads: Vec<Verdict> = graph.asks.iter().map(|ask| evaluator.ask(&graph, ask)).collect();
        graph.asks.iter_mut().zip(reads).for_each(|(ask, read)| ask.read = read);
        graph.reach = evaluator.reach(&graph);
        graph
    }

    /// The role that reads for a route.
    pub(super) fn reader(&self, route: &Route) -> Option<&RoleNode> {
        route.roles.last().map(|role| &self.roles[*role])
    }

    /// The position of a service account.
    pub(super) fn account(&self, namespace: &str, name: &str) -> Option<usize> {
        self.accounts.iter().position(|account| account.namespace == namespace && account.name == name)
    }

    /// Namespace and name of every service account that is known.
    pub(super) fn everybody(&self) -> impl Iterator<Item = (&str, &str)> {
        let accounts =
            self.accounts.iter().map(|account| (account.namespace.as_str(), account.name.as_str()));
        accounts.chain(self.bystanders.iter().map(|(namespace, name)| (namespace.as_str(), name.as_str())))
    }

    /// `shop/web`, and so on, once each.
    pub(super) fn account_names(&self, accounts: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
        accounts.into_iter().map(|account| self.accounts[account].full_name()).collect()
    }

    /// The Regions of what classes ask for.
    pub fn regions(&self) -> BTreeSet<Region> {
        self.secrets.iter().filter_map(|secret| Region::parse(&secret.id.region)).collect()
    }

    pub(super) fn secret_names(&self, secrets: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
        secrets.into_iter().map(|secret| self.secrets[secret].id.name.clone()).collect()
    }
}

/// What the answers take for granted, because no file says it.
fn assumptions(graph: &Graph, knowledge: &Knowledge, settings: &Settings) -> Vec<String> {
    let mut assumptions = Vec::new();
    if !knowledge.has_roles() {
        return assumptions;
    }
    assumptions.push(
        "No service control policy, resource control policy or VPC endpoint policy forbids more.".to_owned(),
    );
    if settings.oidc_provider.is_none() {
        assumptions.push(
            "The OIDC provider in the trust policies is this cluster's; name it with --oidc-provider."
                .to_owned(),
        );
    }
    let secrets = graph.secrets.iter().filter(|secret| secret.id.kind() == "secret");
    let unknown = secrets.filter(|secret| {
        let arn = secret.listed.as_ref().map_or("", |listed| &listed.arn);
        !knowledge.resource_policies.contains_key(arn) && !knowledge.is_policy_refused(&secret.id, arn)
    });
    match unknown.count() {
        0 => {}
        unknown => assumptions.push(format!(
            "{} in the role's own account {} no resource policy (aws secretsmanager get-resource-policy shows it).",
            super::verdict::count(unknown, "secret"),
            if unknown == 1 { "has" } else { "have" }
        )),
    }
    let unlisted = graph.secrets.iter().filter(|secret| secret.listed.is_none()).count();
    if unlisted > 0 {
        assumptions.push(format!(
            "{} in no list that was read: no permission for a KMS key is needed for {}.",
            match unlisted {
                1 => "1 secret or parameter is".to_owned(),
                more => format!("{more} secrets and parameters are"),
            },
            if unlisted == 1 { "it" } else { "them" }
        ));
    }
    let keys: BTreeSet<&str> = graph
        .secrets
        .iter()
        .filter_map(|secret| secret.listed.as_ref()?.key.as_deref())
        .filter(|key| !knowledge.key_policies.contains_key(*key))
        .collect();
    if !keys.is_empty() {
        assumptions.push(format!(
            "The policies of {} leave the decision to IAM, as a new key's does.",
            super::verdict::count(keys.len(), "KMS key")
        ));
    }
    assumptions
}
