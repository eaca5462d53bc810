//! Trust policies: whom a role lets in.

use std::collections::BTreeSet;

use super::{
    graph::{Graph, Means, Route, Settings},
    knowledge::{Knowledge, Role},
    verdict::Verdict,
};
use crate::{
    iam::{Answer, Caller, Context, Policies, Policy, Request, ResourcePolicy},
    model::principal::ExternalId,
};

const WEB_IDENTITY: &str = "sts:AssumeRoleWithWebIdentity";
const ASSUME: &str = "sts:AssumeRole";
const TAG: &str = "sts:TagSession";
const AUDIENCE: &str = "sts.amazonaws.com";
const POD_IDENTITY: &str = "pods.eks.amazonaws.com";
const OIDC_PROVIDER: &str = ":oidc-provider/";

/// A trust policy that lets in more than one service account by a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// Every service account of the cluster.
    Everybody,
    /// Those whose subject matches one of these patterns.
    Matching(BTreeSet<String>),
}

/// Whether each role of the route lets the one before in.
pub(super) fn of_route(graph: &Graph, route: &Route, knowledge: &Knowledge, settings: &Settings) -> Verdict {
    let arns: Vec<&str> = route.roles.iter().map(|role| graph.roles[*role].arn.as_str()).collect();
    let Some(first) = arns.first() else { return Verdict::Unknown };
    let account = &graph.accounts[route.account];
    let mut verdict = match (route.means, knowledge.role(first)) {
        (Means::Irsa, Some(role)) => irsa(role, &account.namespace, &account.name, settings),
        (Means::PodIdentity, Some(role)) => pod_identity(role, &account.namespace, &account.name),
        (Means::Unknown, _) | (_, None) => Verdict::Unknown,
    };
    for (position, pair) in arns.windows(2).enumerate() {
        let step = match (knowledge.role(pair[0]), knowledge.role(pair[1])) {
            (Some(from), Some(to)) => {
                let is_last = position + 2 == arns.len();
                assume(from, to, route.external_id.as_ref().filter(|_| is_last))
            }
            _ => Verdict::Unknown,
        };
        verdict = verdict.and(step);
    }
    verdict
}

/// Whether the role lets a service account's own token in.
pub(super) fn irsa(role: &Role, namespace: &str, account: &str, settings: &Settings) -> Verdict {
    let Some(trust) = &role.trust else {
        return Verdict::depends_on("the trust policy, which was not read");
    };
    let subject = format!("system:serviceaccount:{namespace}:{account}");
    let providers = providers(trust, settings);
    let verdicts: Vec<Verdict> =
        providers.iter().map(|provider| web_identity(role, trust, provider, Some(&subject)).into()).collect();
    let allowed = verdicts.iter().filter(|verdict| **verdict == Verdict::Allowed).count();
    if allowed > 0 && allowed < verdicts.len() {
        return Verdict::depends_on("which OIDC provider is this cluster's (--oidc-provider)");
    }
    let none = Verdict::Denied(match &settings.oidc_provider {
        Some(provider) => format!("the trust policy does not name the OIDC provider {provider}"),
        None => "the trust policy names no OIDC provider".to_owned(),
    });
    match verdicts.into_iter().reduce(Verdict::or) {
        None => none,
        Some(Verdict::Denied(_)) => Verdict::Denied(format!("the trust policy does not let {subject} in")),
        Some(verdict) => verdict,
    }
}

/// Whether the role lets EKS Pod Identity in, for a service account.
pub(super) fn pod_identity(role: &Role, namespace: &str, account: &str) -> Verdict {
    let Some(trust) = &role.trust else {
        return Verdict::depends_on("the trust policy, which was not read");
    };
    let may = |action: &str| {
        let context = tagged_request(namespace, account);
        let caller = Caller::Service(POD_IDENTITY.to_owned());
        let request = Request::new(caller, action, role.arn.as_str(), context);
        match Policies::decide_by_resource_alone(trust, &request) {
            Answer::Denied(_) => {
                Verdict::Denied(format!("the trust policy does not let {POD_IDENTITY} call {action}"))
            }
            answer => answer.into(),
        }
    };
    may(ASSUME).and(may(TAG))
}

/// Whether a session of one role may assume another one.
pub(super) fn assume(from: &Role, to: &Role, external_id: Option<&ExternalId>) -> Verdict {
    let context = match external_id {
        Some(id) => Context::default().with("sts:ExternalId", id.as_str()),
        None => Context::default().without("sts:ExternalId"),
    };
    let caller = Caller::Role { arn: from.arn.clone(), session: None };
    let request = Request::new(caller, ASSUME, to.arn.as_str(), context);
    let policies = Policies {
        identity: &from.policies,
        boundary: from.boundary.as_ref(),
        session: None,
        resource: to.trust.as_ref().map_or(ResourcePolicy::Unknown, ResourcePolicy::Known),
        resource_must_allow: true,
    };
    match policies.decide(&request) {
        Answer::Denied(denial) => {
            Verdict::Denied(format!("{} may not assume {}: {denial}", from.arn, to.arn))
        }
        answer => Verdict::from(answer),
    }
    .unless_missing(from)
}

/// Whom a role lets in by a pattern, or by no condition at all.
pub(super) fn opening(role: &Role, settings: &Settings) -> Option<Opening> {
    const NOBODY: &str = "system:serviceaccount:no-such-namespace:no-such-account";
    let trust = role.trust.as_ref()?;
    let everybody = providers(trust, settings).iter().any(|provider| {
        matches!(web_identity(role, trust, provider, Some(NOBODY)), Answer::Allowed | Answer::Depends(_))
    });
    if everybody {
        return Some(Opening::Everybody);
    }
    let mut patterns = BTreeSet::new();
    for statement in trust.statements() {
        for (operator, key, values) in statement.conditions() {
            let is_subject = key.to_ascii_lowercase().ends_with(":sub");
            let operator = operator.to_ascii_lowercase();
            if is_subject && operator.contains("like") && !operator.contains("not") {
                let wide = values.into_iter().filter(|value| value.contains(['*', '?']));
                patterns.extend(wide.map(str::to_owned));
            }
        }
    }
    (!patterns.is_empty()).then_some(Opening::Matching(patterns))
}

fn web_identity(role: &Role, trust: &Policy, provider: &str, subject: Option<&str>) -> Answer {
    let issuer = provider.split_once(OIDC_PROVIDER).map_or(provider, |(_, issuer)| issuer);
    let mut context =
        Context::default().with(&format!("{issuer}:aud"), AUDIENCE).with("aws:FederatedProvider", provider);
    if let Some(subject) = subject {
        context = context.with(&format!("{issuer}:sub"), subject);
    }
    let caller = Caller::WebIdentity { provider: provider.to_owned() };
    let request = Request::new(caller, WEB_IDENTITY, role.arn.as_str(), context);
    Policies::decide_by_resource_alone(trust, &request)
}

/// The OIDC providers that a trust policy names, or the cluster's if that is known.
fn providers(trust: &Policy, settings: &Settings) -> BTreeSet<String> {
    let named = trust.statements().iter().flat_map(|statement| statement.principals());
    let named = named.filter_map(|principal| {
        let (_, issuer) = principal.split_once(OIDC_PROVIDER)?;
        let is_ours = settings.oidc_provider.as_deref().is_none_or(|ours| ours == issuer);
        is_ours.then(|| principal.to_owned())
    });
    named.collect()
}

/// The tags that EKS gives a session.
fn tagged_request(namespace: &str, account: &str) -> Context {
    Context::default()
        .with("aws:RequestTag/kubernetes-namespace", namespace)
        .with("aws:RequestTag/kubernetes-service-account", account)
}

impl Verdict {
    /// What a role may do is open while some of its policies are not known.
    pub(super) fn unless_missing(self, role: &Role) -> Self {
        let explicit = matches!(&self, Self::Denied(why) if why.contains("explicit deny"));
        if role.missing.is_empty() || explicit {
            return self;
        }
        let missing = role.missing.iter().map(|what| format!("{what}, which was not read"));
        let missing = Self::Depends(missing.collect());
        match self {
            Self::Denied(_) => missing,
            verdict => verdict.and(missing),
        }
    }
}
