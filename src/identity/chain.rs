//! Role chaining (`assumeRoleArn`): STS AssumeRole with the service account's
//! own credentials.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_sts::{Client, config::Builder};

use super::{
    Fetched,
    sts::{Question, Sts, session_seconds},
};
use crate::{
    aws::{Aws, AwsFailure, Effort, FailureKind},
    model::{
        arn::{Arn, Regions, RoleArn},
        principal::{AssumedRole, Means, Principal, role_session_name},
    },
};

const OPERATION: &str = "sts:AssumeRole";

/// Takes on `role` as the service account of `principal`, with its own
/// credentials. The session name is that of the service account, so that the
/// owner of the role sees in CloudTrail who reads.
pub(super) async fn assume(
    sts: &Sts,
    aws: &Aws,
    regions: &Regions,
    (principal, role): (&Principal, &AssumedRole),
    base: &Credentials,
    age: Duration,
    effort: &Effort,
) -> Result<Fetched, AwsFailure> {
    let (namespace, service_account) = principal.service_account();
    let question = Question { operation: OPERATION, namespace, regions, effort };
    sts.ask(aws, &question, move |client: Client| async move {
        let overrides = Builder::new().credentials_provider(base.clone()).retry_config(effort.retries());
        let answer = client
            .assume_role()
            .role_arn(role.arn.as_str())
            .role_session_name(role_session_name(namespace, service_account))
            .set_external_id(role.external_id.as_ref().map(|id| id.as_str().to_owned()))
            .duration_seconds(session_seconds(age))
            .customize()
            .config_override(overrides)
            .send()
            .await?;
        Ok(answer.credentials)
    })
    .await
}

/// What to do about a role that cannot be taken on. AWS's message tells which
/// action is missing, and from 2021 on often in which policy; nothing here says
/// otherwise (<https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>).
pub(super) fn advice(principal: &Principal, role: &AssumedRole, failure: &AwsFailure) -> String {
    let message = failure.message.as_str();
    if failure.kind != FailureKind::Denied {
        return String::new();
    }
    let target = &role.arn;
    let base = base_role(principal, message);
    if message.contains("explicit deny") {
        return ". That policy denies it explicitly: a grant alone does not help".to_owned();
    }
    if message.contains("sts:TagSession") {
        return format!(
            ". EKS Pod Identity's session tags are passed on to {target}: its trust policy must allow {base} sts:TagSession beside sts:AssumeRole, and so must the policy of that role; an association with disableSessionTags has no such tags"
        );
    }
    let tags = match principal.means {
        Means::Irsa { .. } => "",
        Means::PodIdentity { .. } => " and, for EKS Pod Identity's session tags, sts:TagSession",
    };
    let grant = format!("the policy of {base} must allow sts:AssumeRole{tags} on {target}");
    if message.contains("identity-based policy") {
        return format!(". Missing: {grant}");
    }
    let external_id = match role.external_id {
        Some(_) => "if it asks for an external id (sts:ExternalId), for the one of assumeRoleExternalId",
        None => {
            "if it asks for an external id (sts:ExternalId), the class must give it as assumeRoleExternalId"
        }
    };
    let trust =
        format!("the trust policy of {target} must allow {base} sts:AssumeRole{tags} ({external_id})");
    if message.contains("resource-based policy") || message.contains("trust policy") {
        return format!(". Missing: {trust}");
    }
    format!(". Two policies must allow it: {grant}, and {trust}; also check that {target} exists")
}

/// The role whose credentials asked: the one of IRSA, or the one that AWS names
/// (`User: arn:aws:sts::111122223333:assumed-role/<role>/<session> is not …`).
fn base_role(principal: &Principal, message: &str) -> String {
    if let Means::Irsa { role } = &principal.means {
        return named(role);
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

fn named(role: &RoleArn) -> String {
    format!("role {role}")
}
