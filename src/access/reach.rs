//! What a role can do with a secret: read, write, decrypt.

use std::collections::{BTreeSet, HashMap};

use super::{
    graph::{Ask, Graph, Means, Reach, Route, Secret},
    knowledge::{Knowledge, Role},
    secret_id::SecretId,
    verdict::Verdict,
};
use crate::{
    iam::{Answer, Caller, Context, Denial, Effect, Policies, Request, ResourcePolicy, covers},
    model::{arn::Arn, reference::Service},
};

const GET_SECRET: &str = "secretsmanager:GetSecretValue";
/// What Latchkey calls.
const GET_PARAMETERS: &str = "ssm:GetParameters";
/// What else returns a parameter's value.
const GET_PARAMETER: [&str; 4] =
    [GET_PARAMETERS, "ssm:GetParameter", "ssm:GetParametersByPath", "ssm:GetParameterHistory"];
const WRITE_SECRET: [&str; 2] = ["secretsmanager:PutSecretValue", "secretsmanager:UpdateSecret"];
const WRITE_PARAMETER: [&str; 1] = ["ssm:PutParameter"];
const DECRYPT: &str = "kms:Decrypt";
const ENCRYPT: &str = "kms:GenerateDataKey";
/// Stands for the six characters in the ARN of a secret that no file lists.
const SUFFIX: &str = "000000";
/// The session tags of EKS Pod Identity whose values nobody here knows.
const UNKNOWN_TAGS: [&str; 4] =
    ["eks-cluster-arn", "eks-cluster-name", "kubernetes-pod-name", "kubernetes-pod-uid"];

/// Decides with the policies of all roles.
pub(super) struct Evaluator<'a> {
    knowledge: &'a Knowledge,
}

/// A role in the hands of a service account.
#[derive(Clone)]
pub(super) struct Session<'a> {
    role: &'a Role,
    context: Context,
}

/// What can be done with a secret, as far as a role's compromise matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Powers {
    pub(super) read: Verdict,
    pub(super) write: Verdict,
    /// `None` if no key of the customer's own protects the value.
    pub(super) decrypt: Option<Verdict>,
}

/// Begins of the resources that a role's policies allow an action on. A cheap look ahead:
/// most roles have nothing to do with most secrets.
struct Begins(Vec<String>);

impl<'a> Evaluator<'a> {
    pub(super) fn new(knowledge: &'a Knowledge) -> Self {
        Self { knowledge }
    }

    /// Whether the role of the ask may read exactly what the class asks for.
    pub(super) fn ask(&self, graph: &Graph, ask: &Ask) -> Verdict {
        let route = &graph.routes[ask.route];
        let Some(session) = self.session(graph, route) else { return Verdict::Unknown };
        let secret = &graph.secrets[ask.secret];
        let read = match secret.id.service {
            Service::SecretsManager => self.may(&session, &[GET_SECRET], secret),
            Service::ParameterStore => self.may(&session, &[GET_PARAMETERS], secret),
        };
        let read = read.and(self.decrypt(&session, secret, DECRYPT).unwrap_or(Verdict::Allowed));
        if !ask.through_parameter_store {
            return read;
        }
        let reference = secret.id.reference_arn();
        read.and(decide(&session, GET_PARAMETERS, &reference, session.context.clone(), ResourcePolicy::None))
    }

    /// Everything that each route of the graph can read, and nobody asks it to.
    pub(super) fn reach(&self, graph: &Graph) -> Vec<Reach> {
        let mut asked: HashMap<usize, BTreeSet<usize>> = HashMap::new();
        for ask in &graph.asks {
            asked.entry(ask.route).or_default().insert(ask.secret);
        }
        // Routes to one role read the same, unless its policies look at who came.
        let mut of_roles: HashMap<usize, Reach> = HashMap::new();
        let of_route = |(index, route): (usize, &Route)| {
            let (Some(last), Some(session)) = (route.roles.last(), self.session(graph, route)) else {
                return Reach::default();
            };
            let everything = if session.role.names_principal_tags.is_empty() {
                of_roles.entry(*last).or_insert_with(|| self.all(&session, graph)).clone()
            } else {
                self.all(&session, graph)
            };
            let own = asked.get(&index);
            let is_beyond = |secret: &usize| own.is_none_or(|own| !own.contains(secret));
            Reach {
                allowed: everything.allowed.into_iter().filter(is_beyond).collect(),
                depends: everything.depends.into_iter().filter(|(secret, _)| is_beyond(secret)).collect(),
            }
        };
        graph.routes.iter().enumerate().map(of_route).collect()
    }

    fn all(&self, session: &Session<'_>, graph: &Graph) -> Reach {
        let begins = [Service::SecretsManager, Service::ParameterStore]
            .map(|service| Begins::of(session.role, read_actions(service)));
        let mut reach = Reach::default();
        for (index, secret) in graph.secrets.iter().enumerate() {
            let of_service = match secret.id.service {
                Service::SecretsManager => &begins[0],
                Service::ParameterStore => &begins[1],
            };
            if !self.may_matter(session, of_service, secret) {
                continue;
            }
            match self.read(session, secret) {
                Verdict::Allowed => drop(reach.allowed.insert(index)),
                Verdict::Depends(on) => drop(reach.depends.insert(index, on)),
                Verdict::Denied(_) | Verdict::Unknown => {}
            }
        }
        reach
    }

    /// Whether the value can be had, by whichever call.
    pub(super) fn read(&self, session: &Session<'_>, secret: &Secret) -> Verdict {
        let read = self.may(session, read_actions(secret.id.service), secret);
        if matches!(read, Verdict::Denied(_)) {
            return read;
        }
        read.and(self.decrypt(session, secret, DECRYPT).unwrap_or(Verdict::Allowed))
    }

    /// Everything that can be done with the secret.
    pub(super) fn powers(&self, session: &Session<'_>, secret: &Secret) -> Powers {
        let writes = match secret.id.service {
            Service::SecretsManager => WRITE_SECRET.as_slice(),
            Service::ParameterStore => WRITE_PARAMETER.as_slice(),
        };
        let encrypt = self.decrypt(session, secret, ENCRYPT).unwrap_or(Verdict::Allowed);
        Powers {
            read: self.read(session, secret),
            write: self.may(session, writes, secret).and(encrypt),
            decrypt: self.decrypt(session, secret, DECRYPT),
        }
    }

    /// What the session can do with each secret that it can do anything with.
    pub(super) fn all_powers(&self, session: &Session<'_>, graph: &Graph) -> Vec<(usize, Powers)> {
        let actions = [&[GET_SECRET][..], &GET_PARAMETER, &WRITE_SECRET, &WRITE_PARAMETER].concat();
        let begins = Begins::of(session.role, &actions);
        let secrets = graph.secrets.iter().enumerate();
        let matter = secrets.filter(|(_, secret)| self.may_matter(session, &begins, secret));
        let powers = matter.map(|(index, secret)| (index, self.powers(session, secret)));
        let is_no = |verdict: &Verdict| matches!(verdict, Verdict::Denied(_));
        powers.filter(|(_, powers)| !(is_no(&powers.read) && is_no(&powers.write))).collect()
    }

    /// The session of a route's last role; `None` if the role is unknown.
    pub(super) fn session(&self, graph: &Graph, route: &Route) -> Option<Session<'a>> {
        let role = self.knowledge.role(&graph.reader(route)?.arn)?;
        let account = &graph.accounts[route.account];
        let tagged = (route.means == Means::PodIdentity)
            .then_some((account.namespace.as_str(), account.name.as_str()));
        Some(self.session_of(role, tagged))
    }

    /// A session of a role, with the tags that EKS Pod Identity gives it for a service
    /// account.
    pub(super) fn session_of(&self, role: &'a Role, tagged: Option<(&str, &str)>) -> Session<'a> {
        let mut context = Context::default()
            .with("aws:SecureTransport", "true")
            .with("aws:ViaAWSService", "false")
            .without("aws:MultiFactorAuthPresent")
            .without("aws:MultiFactorAuthAge");
        for key in &role.names_principal_tags {
            let is_session_tag = tagged.is_some() && UNKNOWN_TAGS.contains(&key.as_str());
            if !is_session_tag {
                context = context.without(&format!("aws:PrincipalTag/{key}"));
            }
        }
        for (key, value) in &role.tags {
            context = context.with(&format!("aws:PrincipalTag/{key}"), value);
        }
        if let Some((namespace, account)) = tagged {
            context = context
                .with("aws:PrincipalTag/kubernetes-namespace", namespace)
                .with("aws:PrincipalTag/kubernetes-service-account", account);
        }
        Session { role, context }
    }

    /// Whether one of the actions is allowed on the secret.
    fn may(&self, session: &Session<'_>, actions: &[&str], secret: &Secret) -> Verdict {
        if secret.id.region.is_empty() {
            return Verdict::depends_on("the Region, which the class leaves to the node (--region)");
        }
        let context = self.context(session, secret);
        let certain = certain_arn(secret);
        let arn = certain.clone().unwrap_or_else(|| secret.id.arn(SUFFIX));
        let policy = self.resource_policy(session, secret, &arn);
        let any = |arn: &str| {
            let of = |action: &&str| decide(session, action, arn, context.clone(), policy);
            actions.iter().map(of).reduce(Verdict::or).unwrap_or(Verdict::Unknown)
        };
        let verdict = any(&arn);
        let named = if certain.is_some() { BTreeSet::new() } else { named_arns(session.role, &secret.id) };
        if named.iter().all(|other| any(other) == verdict) {
            return verdict;
        }
        Verdict::depends_on("the secret's ARN, which is in no list that was read")
    }

    /// Whether a call for the value's own key is allowed. `None` if no such key is known.
    fn decrypt(&self, session: &Session<'_>, secret: &Secret, action: &str) -> Option<Verdict> {
        let listed = secret.listed.as_ref()?;
        let key = key_arn(listed.key.as_deref()?, &secret.id);
        let Some(key) = key else {
            let named = listed.key.as_deref().unwrap_or_default();
            return Some(Verdict::depends_on(format!("the key behind {named}")));
        };
        let (service, arn_key) = match secret.id.service {
            Service::SecretsManager => ("secretsmanager", "SecretARN"),
            Service::ParameterStore => ("ssm", "PARAMETER_ARN"),
        };
        let via = format!("{service}.{}.amazonaws.com", secret.id.region);
        let account = Arn::parse(session.role.arn.as_str()).map_or("", |arn| arn.account);
        let context = self
            .context(session, secret)
            .with("kms:ViaService", &via)
            .with("kms:CallerAccount", account)
            .with(&format!("kms:EncryptionContext:{arn_key}"), &certain_arn(secret)?);
        let is_own = Arn::parse(&key).is_none_or(|arn| arn.account == account);
        let policy = self.knowledge.key_policies.get(&key);
        let policies = Policies {
            resource: policy.map_or(ResourcePolicy::None, ResourcePolicy::Known),
            resource_must_allow: policy.is_some(),
            ..of_role(session.role)
        };
        let unknown = || Verdict::depends_on(format!("the policy of the key {key}"));
        let caller = Caller::Role { arn: session.role.arn.clone(), session: None };
        // Between accounts the evaluation asks for the key's policy by itself; the policy
        // that is not known must not count as one that does not exist.
        let policies = match (policy, is_own) {
            (None, false) => Policies { resource: ResourcePolicy::Unknown, ..policies },
            _ => policies,
        };
        let verdict = match policies.decide(&Request::new(caller, action, &key, context)) {
            Answer::Denied(Denial::NotAllowed { .. }) if policy.is_none() && is_own => unknown(),
            Answer::Depends(_) if policy.is_none() && !is_own => unknown(),
            Answer::Denied(denial) => Verdict::Denied(format!("{action} on {key}: {denial}")),
            answer => answer.into(),
        };
        Some(verdict.unless_missing(session.role))
    }

    fn context(&self, session: &Session<'_>, secret: &Secret) -> Context {
        let mut context = session.context.clone();
        let names = &session.role.names_resource_tags;
        let Some(tags) = secret.listed.as_ref().and_then(|listed| listed.tags.as_ref()) else {
            return context;
        };
        let namespaces = ["aws:ResourceTag", "secretsmanager:ResourceTag"];
        for namespace in namespaces {
            for name in names {
                context = context.without(&format!("{namespace}/{name}"));
            }
            for (key, value) in tags.iter().filter(|(key, _)| names.contains(&key.to_ascii_lowercase())) {
                context = context.with(&format!("{namespace}/{key}"), value);
            }
        }
        context
    }

    fn resource_policy(&self, session: &Session<'_>, secret: &Secret, arn: &str) -> ResourcePolicy<'a> {
        match self.knowledge.resource_policies.get(arn) {
            Some(Some(policy)) => ResourcePolicy::Known(policy),
            Some(None) => ResourcePolicy::None,
            None => {
                let role = Arn::parse(session.role.arn.as_str());
                let is_own = role.is_some_and(|role| role.account == secret.id.account);
                let is_taken_for_none = is_own && !self.knowledge.is_policy_refused(&secret.id, arn);
                if is_taken_for_none { ResourcePolicy::None } else { ResourcePolicy::Unknown }
            }
        }
    }

    /// Whether the answer can be anything but no.
    fn may_matter(&self, session: &Session<'_>, begins: &Begins, secret: &Secret) -> bool {
        let has_policy = secret
            .listed
            .as_ref()
            .is_some_and(|listed| matches!(self.knowledge.resource_policies.get(&listed.arn), Some(Some(_))));
        let known = !secret.id.region.is_empty() && !secret.id.account.is_empty();
        known && (has_policy || !session.role.missing.is_empty() || begins.fit(&secret.begin))
    }
}

/// The actions that return the value.
fn read_actions(service: Service) -> &'static [&'static str] {
    match service {
        Service::SecretsManager => &[GET_SECRET],
        Service::ParameterStore => &GET_PARAMETER,
    }
}

fn of_role(role: &Role) -> Policies<'_> {
    Policies { identity: &role.policies, boundary: role.boundary.as_ref(), ..Policies::default() }
}

fn decide(
    session: &Session<'_>,
    action: &str,
    arn: &str,
    context: Context,
    resource: ResourcePolicy<'_>,
) -> Verdict {
    let caller = Caller::Role { arn: session.role.arn.clone(), session: None };
    let policies = Policies { resource, ..of_role(session.role) };
    match policies.decide(&Request::new(caller, action, arn, context)) {
        Answer::Denied(denial) => Verdict::Denied(format!("{action} on {arn}: {denial}")),
        answer => answer.into(),
    }
    .unless_missing(session.role)
}

/// The ARN, if nothing about it is unknown.
fn certain_arn(secret: &Secret) -> Option<String> {
    let listed = secret.listed.as_ref().map(|listed| listed.arn.clone()).filter(|arn| !arn.is_empty());
    let whole = |arn: &&String| arn.len() == secret.id.arn(SUFFIX).len();
    match secret.id.service {
        Service::SecretsManager => listed.or_else(|| secret.arns.iter().find(whole).cloned()),
        Service::ParameterStore => Some(listed.unwrap_or_else(|| secret.id.arn(""))),
    }
}

/// Whole ARNs of this secret that the role's policies name.
fn named_arns(role: &Role, id: &SecretId) -> BTreeSet<String> {
    if id.service == Service::ParameterStore {
        return BTreeSet::new();
    }
    let (base, length) = (id.arn(""), id.arn(SUFFIX).len());
    let statements = role.policies.iter().flat_map(|policy| policy.statements());
    let resources = statements.flat_map(|statement| statement.resources().unwrap_or_default());
    let whole = resources
        .filter(|text| text.len() == length && text.starts_with(&base) && !text.contains(['*', '?', '$']));
    whole.cloned().collect()
}

/// The key's ARN. `None` for an alias: only AWS knows which key is behind it.
fn key_arn(key: &str, id: &SecretId) -> Option<String> {
    if key.contains("alias/") {
        return None;
    }
    if key.starts_with("arn:") {
        return Some(key.to_owned());
    }
    let partition = id.arn("").split(':').nth(1).unwrap_or("aws").to_owned();
    Some(format!("arn:{partition}:kms:{}:{}:key/{key}", id.region, id.account))
}

impl Begins {
    fn of(role: &Role, actions: &[&str]) -> Self {
        let mut begins = Vec::new();
        for statement in role.policies.iter().flat_map(|policy| policy.statements()) {
            let names = |pattern: &String| {
                let pattern = pattern.to_ascii_lowercase();
                actions.iter().any(|action| covers(&pattern, &action.to_ascii_lowercase()))
            };
            let concerns = statement.actions().is_none_or(|actions| actions.iter().any(names));
            if statement.effect() != Effect::Allow || !concerns {
                continue;
            }
            match statement.resources() {
                None => begins.push(String::new()),
                Some(resources) => begins.extend(resources.iter().map(|resource| {
                    let end = resource.find(['*', '?', '$']).unwrap_or(resource.len());
                    resource[..end].to_owned()
                })),
            }
        }
        Self(begins)
    }

    /// Whether one of them can be the begin of an ARN that itself begins like this.
    fn fit(&self, arn: &str) -> bool {
        self.0.iter().any(|begin| arn.starts_with(begin.as_str()) || begin.starts_with(arn))
    }
}
