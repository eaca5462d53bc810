//! What to do when STS or the agent returns no credentials. The advice comes from
//! AWS's message or, if that does not help, lists the policies that this kind of
//! identity needs.

use super::Advice;
use crate::{
    aws::{AwsFailure, Denial, FailureKind, Policy},
    model::{
        arn::{Arn, RoleArn},
        principal::{AssumedRole, Means, Principal},
    },
};

/// The advice about `failure` to get credentials of `principal`, to append to its
/// message; empty if there is none.
pub(crate) fn about_principal(principal: &Principal, failure: &AwsFailure) -> String {
    let denial = match failure.advice.as_deref() {
        Some(Advice::Known(advice)) => return format!("; {advice}"),
        Some(Advice::Denial(denial)) => Some(denial),
        None => None,
    };
    if let Some(denial) = denial
        && blames_another(denial)
    {
        return format!("; {}", denial.told(failure.operation, "the role"));
    }
    match (&principal.assumed, &principal.means) {
        // If the service account's own credentials failed, `principal` is its base.
        (Some(role), _) => of_chain(principal, role, failure, denial),
        (None, Means::Irsa { role }) => of_irsa(principal, role, failure.kind),
        (None, Means::PodIdentity { .. }) => of_pod_identity(principal, failure.kind, denial),
    }
}

/// Whether AWS blames a policy that advice about roles and trust would not fix.
fn blames_another(denial: &Denial) -> bool {
    let other = denial.policy().is_some_and(|policy| match policy {
        Policy::Identity | Policy::Resource | Policy::RoleTrust => false,
        Policy::Boundary
        | Policy::Session
        | Policy::ServiceControl
        | Policy::ResourceControl
        | Policy::VpcEndpoint => true,
    });
    other || denial.is_explicit()
}

fn of_irsa(principal: &Principal, role: &RoleArn, kind: FailureKind) -> String {
    let (namespace, account) = principal.service_account();
    match kind {
        FailureKind::Denied => format!(
            ". The trust policy of {role} must allow this cluster's OIDC provider to call sts:AssumeRoleWithWebIdentity, with the condition \"<issuer>:sub\" = \"system:serviceaccount:{namespace}:{account}\"; also check that the role exists"
        ),
        FailureKind::TokenRefused => {
            ". The cluster's OIDC issuer must be an IAM identity provider of the role's account, with the audience sts.amazonaws.com".to_owned()
        }
        _ => String::new(),
    }
}

fn of_pod_identity(principal: &Principal, kind: FailureKind, denial: Option<&Denial>) -> String {
    let (namespace, account) = principal.service_account();
    if denial.is_some_and(|denial| denial.action().starts_with("eks-auth:")) {
        return ". The role of this node, not the pod's role, must allow eks-auth:AssumeRoleForPodIdentity (AWS's policy AmazonEKSWorkerNodePolicy does)".to_owned();
    }
    match kind {
        FailureKind::Denied | FailureKind::NotFound => format!(
            ". A Pod Identity association for service account {namespace}/{account} must exist in this cluster, and its role must trust pods.eks.amazonaws.com with sts:AssumeRole and sts:TagSession"
        ),
        FailureKind::TokenRefused => {
            ". EKS rejected the pod's token: kubelet will send a new one when it retries. If this persists, the agent on this node belongs to another cluster, or this is not an EKS cluster".to_owned()
        }
        FailureKind::Outage | FailureKind::TimedOut => ". Check that the eks-pod-identity-agent is running on this node, and check its log for errors reaching EKS".to_owned(),
        _ => String::new(),
    }
}

/// For a role that the service account assumes. AWS's message names the missing
/// action, and often the policy.
fn of_chain(
    principal: &Principal,
    role: &AssumedRole,
    failure: &AwsFailure,
    denial: Option<&Denial>,
) -> String {
    if failure.kind != FailureKind::Denied {
        return String::new();
    }
    let target = &role.arn;
    let base = base_role(principal, &failure.message);
    if denial.is_some_and(|denial| denial.action() == "sts:TagSession") {
        return format!(
            ". EKS Pod Identity passes its session tags on to {target}: the trust policy of that role must allow {base} to call sts:TagSession as well as sts:AssumeRole, and the policy of {base} must allow both too; disableSessionTags on the association turns the tags off"
        );
    }
    let tags = match principal.means {
        Means::Irsa { .. } => "",
        Means::PodIdentity { .. } => " and, for EKS Pod Identity's session tags, sts:TagSession",
    };
    let grant = format!("the policy of {base} must allow sts:AssumeRole{tags} on {target}");
    let external_id = match role.external_id {
        Some(_) => "if it requires an external id (sts:ExternalId), with the one in assumeRoleExternalId",
        None => "if it requires an external id (sts:ExternalId), set it as assumeRoleExternalId in the class",
    };
    let trust = format!(
        "the trust policy of {target} must allow {base} to call sts:AssumeRole{tags} ({external_id})"
    );
    match denial.and_then(Denial::policy) {
        Some(Policy::Identity) => format!(". Missing: {grant}"),
        Some(Policy::Resource | Policy::RoleTrust) => format!(". Missing: {trust}"),
        _ => format!(". Two policies must allow it: {grant}, and {trust}; also check that {target} exists"),
    }
}

/// The role that made the call: the IRSA role, or the one in AWS's message
/// (`User: arn:aws:sts::111122223333:assumed-role/<role>/<session> is not …`).
fn base_role(principal: &Principal, message: &str) -> String {
    if let Means::Irsa { role } = &principal.means {
        return format!("role {role}");
    }
    let caller = message.split_once("User: ").and_then(|(_, rest)| rest.split_whitespace().next());
    let arn = caller.and_then(Arn::parse);
    let role =
        arn.and_then(|arn| Some((arn, arn.resource.strip_prefix("assumed-role/")?.split('/').next()?)));
    match role {
        Some((arn, role)) => format!("role {role} of account {}", arn.account),
        None => "the role of the Pod Identity association".to_owned(),
    }
}
