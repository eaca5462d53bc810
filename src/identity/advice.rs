//! What a person does about credentials that are not given: AWS's own words, and
//! where they leave it open, the policies that the way of this identity needs.

use crate::{
    aws::{Advice, AwsFailure, Denial, FailureKind, Policy},
    model::{
        arn::{Arn, RoleArn},
        principal::{AssumedRole, Means, Principal},
    },
};

/// What to do about refused credentials of `principal`, as the end of a message.
pub(super) fn of(principal: &Principal, failure: &AwsFailure) -> String {
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
        // Of its own credentials, if they are refused, the own principal tells.
        (Some(role), _) => of_chain(principal, role, failure, denial),
        (None, Means::Irsa { role }) => of_irsa(principal, role, failure.kind),
        (None, Means::PodIdentity { .. }) => of_pod_identity(principal, failure.kind, denial),
    }
}

/// Whether AWS blames a policy that no advice about roles and trust would mend.
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
            ". The trust policy of {role} must allow sts:AssumeRoleWithWebIdentity to this cluster's OIDC provider with the condition \"<issuer>:sub\" = \"system:serviceaccount:{namespace}:{account}\"; also check that the role exists"
        ),
        FailureKind::TokenRefused => {
            ". The cluster's OIDC issuer must be an IAM identity provider of the role's account, with audience sts.amazonaws.com".to_owned()
        }
        _ => String::new(),
    }
}

fn of_pod_identity(principal: &Principal, kind: FailureKind, denial: Option<&Denial>) -> String {
    let (namespace, account) = principal.service_account();
    if denial.is_some_and(|denial| denial.action().starts_with("eks-auth:")) {
        return ". The role of this node, not the pod's, must allow eks-auth:AssumeRoleForPodIdentity (AWS's policy AmazonEKSWorkerNodePolicy does)".to_owned();
    }
    match kind {
        FailureKind::Denied | FailureKind::NotFound => format!(
            ". A Pod Identity association for service account {namespace}/{account} must exist in this cluster, and its role must trust pods.eks.amazonaws.com with sts:AssumeRole and sts:TagSession"
        ),
        FailureKind::TokenRefused => {
            ". EKS does not take the pod's token: kubelet brings a new one when it tries again. If it lasts, the agent on this node is of another cluster, or the cluster is not an EKS one".to_owned()
        }
        FailureKind::Outage => ". Is the eks-pod-identity-agent running on this node, and does it reach EKS (its log tells)?".to_owned(),
        _ => String::new(),
    }
}

/// Of a role that the service account takes on: AWS's message tells which action
/// is missing, and often in which policy.
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
            ". EKS Pod Identity's session tags are passed on to {target}: its trust policy must allow {base} sts:TagSession beside sts:AssumeRole, and so must the policy of that role; an association with disableSessionTags has no such tags"
        );
    }
    let tags = match principal.means {
        Means::Irsa { .. } => "",
        Means::PodIdentity { .. } => " and, for EKS Pod Identity's session tags, sts:TagSession",
    };
    let grant = format!("the policy of {base} must allow sts:AssumeRole{tags} on {target}");
    let external_id = match role.external_id {
        Some(_) => "if it asks for an external id (sts:ExternalId), for the one of assumeRoleExternalId",
        None => {
            "if it asks for an external id (sts:ExternalId), the class must give it as assumeRoleExternalId"
        }
    };
    let trust =
        format!("the trust policy of {target} must allow {base} sts:AssumeRole{tags} ({external_id})");
    match denial.and_then(Denial::policy) {
        Some(Policy::Identity) => format!(". Missing: {grant}"),
        Some(Policy::Resource | Policy::RoleTrust) => format!(". Missing: {trust}"),
        _ => format!(". Two policies must allow it: {grant}, and {trust}; also check that {target} exists"),
    }
}

/// The role whose credentials asked: the one of IRSA, or the one that AWS names
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
