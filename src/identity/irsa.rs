//! IAM Roles for Service Accounts: STS AssumeRoleWithWebIdentity.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>

use aws_sdk_sts::{Client, config::Builder};

use super::{
    Fetched,
    sts::{Question, Sts, Terms, session_seconds},
};
use crate::{
    aws::AwsFailure,
    model::{arn::RoleArn, principal::role_session_name, token::Token},
};

const OPERATION: &str = "sts:AssumeRoleWithWebIdentity";

pub(super) struct Who<'a> {
    pub(super) namespace: &'a str,
    pub(super) service_account: &'a str,
    pub(super) role: &'a RoleArn,
}

/// Assumes the service account's own role.
pub(super) async fn assume(
    sts: &Sts,
    who: &Who<'_>,
    token: &Token,
    terms: Terms<'_>,
) -> Result<Fetched, AwsFailure> {
    let question = Question { operation: OPERATION, namespace: who.namespace, terms };
    let counted = &sts.retries_counted(OPERATION);
    sts.ask(&question, move |client: Client| async move {
        let answer = client
            .assume_role_with_web_identity()
            .role_arn(who.role.as_str())
            .role_session_name(role_session_name(who.namespace, who.service_account))
            .web_identity_token(token.expose())
            .duration_seconds(session_seconds(terms.age))
            .customize()
            .config_override(Builder::new().retry_config(terms.effort.retries()).interceptor(counted.clone()))
            .send()
            .await?;
        Ok(answer.credentials)
    })
    .await
}
