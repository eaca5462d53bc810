//! IAM Roles for Service Accounts: STS AssumeRoleWithWebIdentity.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_sts::{Client, config::Builder};

use super::Fetched;
use crate::{
    aws::{Aws, AwsFailure, Effort, FailureKind, PerRegion},
    model::{
        arn::{Region, Regions, RoleArn},
        principal::role_session_name,
        token::Token,
    },
};

const OPERATION: &str = "sts:AssumeRoleWithWebIdentity";
/// The shortest session that STS gives.
const MIN_SESSION: Duration = Duration::from_secs(900);
/// The longest session of a role whose maximum nobody raised.
const MAX_SESSION: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(super) struct Irsa {
    clients: PerRegion<Client>,
}

/// The service account and its role.
pub(super) struct Who<'a> {
    pub(super) namespace: &'a str,
    pub(super) service_account: &'a str,
    pub(super) role: &'a RoleArn,
}

impl Irsa {
    /// Asks STS of the primary Region; of the failover Region only in an outage.
    pub(super) async fn assume(
        &self,
        aws: &Aws,
        regions: &Regions,
        who: &Who<'_>,
        token: &Token,
        age: Duration,
        effort: &Effort,
    ) -> Result<Fetched, AwsFailure> {
        let result = self.assume_in(aws, &regions.primary, who, token, age, effort).await;
        let Some(failover) = &regions.failover else { return result };
        if !result.as_ref().is_err_and(|failure| failure.kind.is_outage()) {
            return result;
        }
        match self.assume_in(aws, failover, who, token, age, effort).await {
            // STS may be off in that Region: it says nothing about the role, and the
            // primary Region's outage remains.
            Err(failure) if failure.kind == FailureKind::Invalid => result,
            answer => answer,
        }
    }

    async fn assume_in(
        &self,
        aws: &Aws,
        region: &Region,
        who: &Who<'_>,
        token: &Token,
        age: Duration,
        effort: &Effort,
    ) -> Result<Fetched, AwsFailure> {
        let client = self.clients.get(region, || Client::new(&aws.config_for(region)));
        let seconds = age.clamp(MIN_SESSION, MAX_SESSION).as_secs();
        let call = async {
            client
                .assume_role_with_web_identity()
                .role_arn(who.role.as_str())
                .role_session_name(role_session_name(who.namespace, who.service_account))
                .web_identity_token(token.expose())
                .duration_seconds(i32::try_from(seconds).unwrap_or(3600))
                .customize()
                .config_override(Builder::new().retry_config(effort.retries()))
                .send()
                .await
        };
        let limit = aws.region_timeout();
        let _call = aws.permit(effort, region, who.namespace).await;
        let answer = tokio::time::timeout(limit, call)
            .await
            .map_err(|_| AwsFailure::timed_out(OPERATION, region, limit))?
            .map_err(|error| AwsFailure::of(OPERATION, region, &error))?;
        let given = answer.credentials.ok_or_else(|| AwsFailure::unreadable(OPERATION, region))?;
        let expiry = SystemTime::try_from(given.expiration).ok();
        let credentials = Credentials::new(
            given.access_key_id,
            given.secret_access_key,
            Some(given.session_token),
            expiry,
            "latchkey-irsa",
        );
        Ok(Fetched { credentials, account: None })
    }
}
