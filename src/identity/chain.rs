//! Role chaining (`assumeRoleArn`): STS AssumeRole, called with the service
//! account's own credentials.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>

use aws_credential_types::Credentials;
use aws_sdk_sts::{Client, config::Builder};

use super::{
    Fetched,
    sts::{Question, Sts, Terms, session_seconds},
};
use crate::{
    aws::AwsFailure,
    model::principal::{AssumedRole, Principal, role_session_name},
};

const OPERATION: &str = "sts:AssumeRole";

/// Assumes `role` with `base`, the own credentials of the principal's service
/// account. The session name is that of the service account, so that the owner of
/// the role can identify the reader in CloudTrail.
pub(super) async fn assume(
    sts: &Sts,
    (principal, role): (&Principal, &AssumedRole),
    base: &Credentials,
    terms: Terms<'_>,
) -> Result<Fetched, AwsFailure> {
    let (namespace, service_account) = principal.service_account();
    let question = Question { operation: OPERATION, namespace, terms };
    let counted = &sts.retries_counted(OPERATION);
    sts.ask(&question, move |client: Client| async move {
        let overrides = Builder::new()
            .credentials_provider(base.clone())
            .retry_config(terms.effort.retries())
            .interceptor(counted.clone());
        let answer = client
            .assume_role()
            .role_arn(role.arn.as_str())
            .role_session_name(role_session_name(namespace, service_account))
            .set_external_id(role.external_id.as_ref().map(|id| id.as_str().to_owned()))
            .duration_seconds(session_seconds(terms.age))
            .customize()
            .config_override(overrides)
            .send()
            .await?;
        Ok(answer.credentials)
    })
    .await
}
