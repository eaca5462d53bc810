//! What both STS calls share: the permit, the time limit of the Region, the failover
//! Region in an outage, and the session duration.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials;
use aws_sdk_sts::{
    Client, config::Builder, operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError, types,
};
use aws_smithy_runtime_api::client::{
    interceptors::context::InterceptorContext,
    orchestrator::HttpResponse,
    result::SdkError,
    retries::classifiers::{ClassifyRetry, RetryAction},
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures_util::future::join_all;

use super::{Fetched, RENEWAL_MARGIN};
use crate::{
    aws::{
        Aws, AwsFailure, Effort, FailureKind, Greeting, PerRegion, RetriesCounted, judge, retry_partition,
    },
    metrics::Place,
    model::arn::{Region, Regions},
};

/// The minimum session duration of STS.
const MIN_SESSION: Duration = Duration::from_secs(900);
/// The default maximum of a role, and the hard maximum for role chaining.
const MAX_SESSION: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct Sts {
    aws: Arc<Aws>,
    clients: PerRegion<Client>,
}

/// One call to STS, in the primary or the failover Region.
pub(super) struct Question<'a> {
    pub(super) operation: &'static str,
    /// The namespace whose share of permits the call uses.
    pub(super) namespace: &'a str,
    pub(super) terms: Terms<'a>,
}

/// Where to call STS, how hard to try, and the maximum age of the credentials.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) regions: &'a Regions,
    pub(super) effort: &'a Effort,
    pub(super) age: Duration,
}

/// The SDK's result of one call.
pub(super) type Answer<E> = Result<Option<types::Credentials>, SdkError<E, HttpResponse>>;

/// How long credentials of STS are used that may be used for `age`: their session is as
/// short as STS allows, and they are renewed before it ends.
pub fn sts_credential_life(age: Duration) -> Duration {
    let session = age.clamp(MIN_SESSION, MAX_SESSION);
    age.min(session - RENEWAL_MARGIN)
}

/// `DurationSeconds` for a session that is used for at most `age`.
pub(super) fn session_seconds(age: Duration) -> i32 {
    i32::try_from(age.clamp(MIN_SESSION, MAX_SESSION).as_secs()).unwrap_or(3600)
}

impl Sts {
    pub(super) fn new(aws: Arc<Aws>) -> Self {
        Self { aws, clients: PerRegion::default() }
    }

    /// Opens connections to STS in `region`; ignores failures.
    pub(super) async fn connect_ahead(&self, region: &Region, connections: usize) {
        let client = self.client(region);
        let overrides = || Builder::new().retry_config(RetryConfig::disabled()).interceptor(Greeting);
        let greeting =
            client.assume_role_with_web_identity().role_arn("").role_session_name("").web_identity_token("");
        join_all((0..connections).map(|_| greeting.clone().customize().config_override(overrides()).send()))
            .await;
    }

    /// Counts the retries of a call.
    pub(super) fn retries_counted(&self, operation: &'static str) -> RetriesCounted {
        RetriesCounted::new(operation, self.aws.metrics())
    }

    fn client(&self, region: &Region) -> Client {
        self.clients.get(region, || {
            let config = Builder::from(&self.aws.config_for(region)).retry_partition(retry_partition());
            Client::from_conf(config.retry_classifier(UnverifiedToken).build())
        })
    }

    /// Calls STS in the primary Region, and in the failover Region only in an outage.
    pub(super) async fn ask<E, F>(
        &self,
        question: &Question<'_>,
        call: impl Fn(Client) -> F,
    ) -> Result<Fetched, AwsFailure>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Answer<E>>,
    {
        let primary = (&question.terms.regions.primary, Place::Primary);
        let result = self.ask_in(primary, question, &call).await;
        let Some(failover) = &question.terms.regions.failover else { return result };
        if !result.as_ref().is_err_and(|failure| failure.kind.is_outage()) {
            return result;
        }
        match self.ask_in((failover, Place::Failover), question, &call).await {
            // STS may be inactive in the failover Region. This says nothing about the
            // role, so report the outage of the primary Region.
            Err(failure) if failure.kind == FailureKind::Invalid => result,
            answer => answer,
        }
    }

    async fn ask_in<E, F>(
        &self,
        (region, place): (&Region, Place),
        question: &Question<'_>,
        call: &impl Fn(Client) -> F,
    ) -> Result<Fetched, AwsFailure>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Answer<E>>,
    {
        let client = self.client(region);
        let operation = question.operation;
        let _call = self.aws.permit(question.terms.effort, region, question.namespace).await;
        let work = async {
            let given = call(client).await.map_err(|error| AwsFailure::of(operation, region, &error))?;
            given.ok_or_else(|| AwsFailure::unreadable(operation, region))
        };
        let given = self.aws.call(operation, (region, place), work).await?;
        let credentials = Credentials::new(
            given.access_key_id,
            given.secret_access_key,
            Some(given.session_token),
            SystemTime::try_from(given.expiration).ok(),
            "latchkey-sts",
        );
        Ok(Fetched { credentials, account: None })
    }
}

/// Retries when STS could not get the issuer's keys, which may be available a moment
/// later. AWS's SDK for Go retries this case, the one for Rust does not.
#[derive(Debug)]
struct UnverifiedToken;

impl ClassifyRetry for UnverifiedToken {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(|result| result.err());
        let refused = error
            .and_then(|error| error.as_operation_error())
            .and_then(|error| error.downcast_ref::<AssumeRoleWithWebIdentityError>());
        let Some(refused) = refused else { return RetryAction::NoActionIndicated };
        let (kind, _) = judge(400, refused.code(), refused.message().unwrap_or_default());
        if kind == FailureKind::TokenUnverified {
            RetryAction::server_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "a token that STS could not verify"
    }
}
