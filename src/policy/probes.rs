//! The calls that a role's policies must allow, as requests.

use super::plan::{AccountPlan, Identity, RolePlan, Settings};
use crate::{
    iam::{Caller, Context, Need, Policy, Request, covers},
    model::{
        arn::{Arn, RoleArn},
        reference::Service,
    },
};

/// Stands for the six characters of a secret that only its name is known of.
const SUFFIX: &str = "AbCdEf";
/// Stands for an account that nobody knows.
const ACCOUNT: &str = "000000000000";

/// A call that must be allowed, in one of several variants.
pub(super) struct Probe {
    pub(super) what: String,
    pub(super) variants: Vec<Request>,
}

/// The reads, the uses of KMS keys, and the roles to assume.
pub(super) fn of_policies(
    plans: &[(&AccountPlan, &RolePlan)],
    identity: &[Policy],
    settings: &Settings,
) -> Vec<Probe> {
    let mut probes = Vec::new();
    for (_, role) in plans {
        for need in &role.reads {
            probes.push(Probe {
                what: format!("{} on {}", need.action(), need.resource),
                variants: resources(need, role, identity)
                    .iter()
                    .map(|resource| request(role, need.action(), resource, Context::default()))
                    .collect(),
            });
            for key in settings.keys.iter().filter(|key| key.region() == need.region) {
                probes.push(Probe {
                    what: format!("kms:Decrypt with {} for {}", key.arn(), need.resource),
                    variants: resources(need, role, identity)
                        .iter()
                        .map(|resource| request(role, "kms:Decrypt", key.arn(), encryption(need, resource)))
                        .collect(),
                });
            }
        }
        for assumed in &role.assumes {
            let actions =
                if role.tags { &["sts:AssumeRole", "sts:TagSession"][..] } else { &["sts:AssumeRole"] };
            probes.extend(actions.iter().map(|action| Probe {
                what: format!("{action} on {assumed}"),
                variants: vec![request(role, action, assumed.as_str(), Context::default())],
            }));
        }
    }
    probes
}

/// How each service account assumes the role.
pub(super) fn of_trust(plans: &[(&AccountPlan, &RolePlan)], settings: &Settings) -> Vec<Probe> {
    let mut probes = Vec::new();
    for (plan, role) in plans {
        let target = role.arn.as_ref().map_or("*", RoleArn::as_str);
        let subject = format!("system:serviceaccount:{}:{}", plan.namespace, plan.name);
        match role.identity {
            Identity::Irsa => {
                let (Some(provider), Some(account)) = (&settings.oidc_provider, &role.account) else {
                    continue;
                };
                let partition = Arn::parse(target).map_or("aws", |arn| arn.partition);
                let context = Context::default()
                    .with(&provider.key("sub"), &subject)
                    .with(&provider.key("aud"), "sts.amazonaws.com");
                let caller = Caller::WebIdentity { provider: provider.arn(partition, account) };
                let action = "sts:AssumeRoleWithWebIdentity";
                probes.push(Probe {
                    what: format!("{action} with a token of {subject}"),
                    variants: vec![Request::new(caller, action, target, context)],
                });
            }
            Identity::PodIdentity => {
                for action in ["sts:AssumeRole", "sts:TagSession"] {
                    let context = Context::default()
                        .with("aws:RequestTag/kubernetes-namespace", &plan.namespace)
                        .with("aws:RequestTag/kubernetes-service-account", &plan.name);
                    let context = match &settings.cluster {
                        Some(cluster) => context
                            .with("aws:SourceArn", cluster.arn())
                            .with("aws:SourceAccount", cluster.account()),
                        None => context,
                    };
                    let caller = Caller::Service("pods.eks.amazonaws.com".to_owned());
                    probes.push(Probe {
                        what: format!("{action} by EKS Pod Identity for {subject}"),
                        variants: vec![Request::new(caller, action, target, context)],
                    });
                }
            }
            Identity::AssumedRole => {
                let by = plan
                    .roles
                    .iter()
                    .filter(|by| role.arn.as_ref().is_some_and(|arn| by.assumes.contains(arn)));
                for by in by {
                    let Some(arn) = by.arn.clone() else { continue };
                    let context = match &role.external_id {
                        Some(id) => Context::default().with("sts:ExternalId", id.as_str()),
                        None => Context::default().without("sts:ExternalId"),
                    };
                    let caller = Caller::Role { arn: arn.clone(), session: None };
                    probes.push(Probe {
                        what: format!("sts:AssumeRole by {arn}"),
                        variants: vec![Request::new(caller, "sts:AssumeRole", target, context)],
                    });
                }
            }
        }
    }
    probes
}

/// A role of the resource's account.
pub(super) fn somebody(resource: &str) -> Caller {
    let account = Arn::parse(resource).map(|arn| arn.account).filter(|account| account.len() == 12);
    caller(&format!("arn:aws:iam::{}:role/unknown", account.unwrap_or(ACCOUNT)))
}

fn caller(arn: &str) -> Caller {
    match RoleArn::parse(arn) {
        Some(arn) => Caller::Role { arn, session: None },
        // The texts above are ARNs of roles.
        None => Caller::Service(String::new()),
    }
}

fn request(role: &RolePlan, action: &str, resource: &str, context: Context) -> Request {
    let caller = match &role.arn {
        Some(arn) => Caller::Role { arn: arn.clone(), session: None },
        None => somebody(resource),
    };
    // Latchkey calls AWS over HTTPS only, and nothing calls on its behalf.
    let context = context.with("aws:SecureTransport", "true");
    Request::new(caller, action, resource, context)
}

/// The resources that may be meant: those that the policies name in full, and one with six
/// characters that nobody would name.
fn resources(need: &Need, role: &RolePlan, identity: &[Policy]) -> Vec<String> {
    let named =
        identity.iter().flat_map(Policy::statements).filter_map(|statement| statement.resources()).flatten();
    let literal = named.filter(|named| !named.contains(['*', '?', '$']) && covers(&need.resource, named));
    let account = role.account.as_deref().unwrap_or(ACCOUNT);
    let usual = need.resource.replace("??????", SUFFIX).replace(":*:", &format!(":{account}:"));
    std::iter::once(usual).chain(literal.cloned()).collect()
}

/// What KMS sees when the service decrypts.
fn encryption(need: &Need, resource: &str) -> Context {
    let (service, key) = match need.service {
        Service::SecretsManager => ("secretsmanager", "SecretARN"),
        Service::ParameterStore => ("ssm", "PARAMETER_ARN"),
    };
    Context::default()
        .with("kms:ViaService", &format!("{service}.{}.amazonaws.com", need.region))
        .with(&format!("kms:EncryptionContext:{key}"), resource)
}
