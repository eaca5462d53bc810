//! What all AWS calls share: the HTTPS client, timeouts and retries, the limit on
//! concurrent calls, and the classification of failures.

mod advice;
mod ahead;
mod bypass;
mod denial;
mod effort;
mod endpoint;
mod environment;
mod failure;
mod https;
mod per_region;
mod proxy;
mod retries_counted;

use std::{path::PathBuf, sync::Arc, time::Duration};

pub(crate) use self::advice::{about_object, about_principal, judge};
pub use self::{
    advice::Advice,
    ahead::Greeting,
    denial::{Denial, Policy},
    effort::Effort,
    endpoint::{UrlError, check_endpoint},
    failure::{AwsFailure, FailureKind, unreached},
    per_region::PerRegion,
    retries_counted::RetriesCounted,
};
use crate::{
    metrics::{Metrics, Place},
    model::arn::Region,
    permits::{Call, Load, Permit, Permits, Urgency},
};
use aws_config::{
    AppName, BehaviorVersion, SdkConfig, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_runtime::client::retries::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tokio::time::Instant;

/// Timeout for the TCP and TLS handshakes of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Timeout for the response to one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(6);
/// Total attempts of a mount's call, as the SDK's standard retry mode counts them.
const MAX_ATTEMPTS: u32 = 3;

/// How to reach AWS. AWS's own environment variables (`AWS_ENDPOINT_URL…`,
/// `AWS_USE_FIPS_ENDPOINT`, …) set what is `None` here.
#[derive(Clone, Debug)]
pub struct AwsSettings {
    /// A single endpoint for Secrets Manager, Parameter Store and STS.
    pub endpoint_url: Option<String>,
    /// A PEM file with additional trusted roots (`AWS_CA_BUNDLE`).
    pub ca_bundle: Option<PathBuf>,
    /// Maximum number of concurrent AWS calls.
    pub max_calls: usize,
    /// Maximum time for one read in one Region, including retries.
    pub region_timeout: Duration,
    /// The name in the user agent: `latchkey-<version>`.
    pub(crate) app_name: String,
}

impl Default for AwsSettings {
    fn default() -> Self {
        Self {
            endpoint_url: None,
            ca_bundle: None,
            max_calls: 96,
            region_timeout: Duration::from_secs(20),
            app_name: concat!("latchkey-", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum AwsSetupError {
    #[error("cannot read the CA bundle {path} (AWS_CA_BUNDLE)")]
    ReadBundle { path: PathBuf, source: std::io::Error },
    /// The bundle contains no certificate, or an invalid one.
    #[error("the CA bundle {path} (AWS_CA_BUNDLE) {problem}")]
    BadBundle { path: PathBuf, problem: String },
    /// An endpoint or proxy URL is invalid. `name` is the environment variable.
    #[error("{name} {problem}")]
    Url { name: &'static str, problem: UrlError },
    /// An environment variable is neither true nor false.
    #[error("{name} must be true or false")]
    Boolean { name: &'static str },
    #[error("cannot create the HTTPS client")]
    Client,
    /// The name has characters that AWS does not allow.
    #[error("{0:?} is not allowed in a user agent")]
    AppName(String),
}

/// The shared client configuration and the permits for AWS calls.
#[derive(Debug)]
pub struct Aws {
    config: SdkConfig,
    direct: SharedHttpClient,
    permits: Permits,
    region_timeout: Duration,
    metrics: Arc<Metrics>,
}

impl Aws {
    /// Loads AWS's environment variables and the trusted roots. Does not use the
    /// network.
    ///
    /// # Errors
    /// If an endpoint, a proxy, the CA bundle or the user agent is invalid.
    pub async fn load(settings: &AwsSettings, metrics: Arc<Metrics>) -> Result<Self, AwsSetupError> {
        let variable = |name: &str| std::env::var_os(name).map(|url| url.to_string_lossy().into_owned());
        environment::check(variable)?;
        let proxies = proxy::Proxies::from_variables(variable)
            .map_err(|(name, problem)| AwsSetupError::Url { name, problem })?;
        if let Some(url) = &settings.endpoint_url {
            check_endpoint(url).map_err(|problem| AwsSetupError::Url { name: "the endpoint", problem })?;
        }
        let context = https::tls_context(settings)?;
        let client = |proxy| https::client(context.clone(), proxy, settings.max_calls);
        let direct = client(ProxyConfig::disabled())?;
        let proxied = proxies.client(&direct, client)?;
        let app_name = AppName::new(settings.app_name.clone())
            .map_err(|_| AwsSetupError::AppName(settings.app_name.clone()))?;
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(proxied)
            .app_name(app_name)
            .no_credentials()
            // Each call names its own Region. Without this one, the SDK would query the node's metadata service.
            .region(aws_config::Region::new("us-east-1"))
            .retry_config(retries())
            .timeout_config(timeouts(settings.region_timeout))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(url) = &settings.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        Ok(Self {
            config: loader.load().await,
            direct,
            permits: Permits::new(settings.max_calls),
            region_timeout: settings.region_timeout,
            metrics,
        })
    }

    pub(crate) fn config_for(&self, region: &Region) -> SdkConfig {
        self.config.to_builder().region(aws_config::Region::new(region.as_str().to_owned())).build()
    }

    /// The credentials of this process itself, by the SDK's own chain. `region` is asked for
    /// those of a web identity.
    pub(crate) async fn own_credentials(&self, region: &Region) -> Option<SharedCredentialsProvider> {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(aws_config::Region::new(region.as_str().to_owned()))
            .timeout_config(timeouts(self.region_timeout));
        if let Some(client) = self.config.http_client() {
            loader = loader.http_client(client);
        }
        loader.load().await.credentials_provider()
    }

    /// A client that never uses a proxy, for the Pod Identity agent on this node.
    pub(crate) fn direct_client(&self) -> SharedHttpClient {
        self.direct.clone()
    }

    pub fn region_timeout(&self) -> Duration {
        self.region_timeout
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Makes one call within the Region's time-out, and counts it. The caller holds its
    /// permit: waiting for that is not AWS's failure.
    pub(crate) async fn call<T>(
        &self,
        operation: &'static str,
        (region, place): (&Region, Place),
        work: impl Future<Output = Result<T, AwsFailure>>,
    ) -> Result<T, AwsFailure> {
        let (call, limit) = (self.metrics.aws.call(operation, place), self.region_timeout);
        let result = tokio::time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(AwsFailure::timed_out(operation, region, limit)));
        call.ended(result.as_ref().err().map(|failure| failure.kind.reason()));
        result
    }

    /// Waits for a permit for one call of `namespace` to `region`. Callers take it
    /// before they call the SDK, because calls that queue inside the SDK use far more
    /// memory.
    pub(crate) async fn permit(&self, effort: &Effort, region: &Region, namespace: &str) -> Call {
        self.admit(effort, region, namespace).await.call().await
    }

    /// Waits for a permit for several sequential calls ([`Effort::within`]).
    pub(crate) async fn admit(&self, effort: &Effort, region: &Region, namespace: &str) -> Permit {
        match effort.permit() {
            Some(permit) => permit.clone(),
            None => self.take(effort.urgency(), namespace, region).await,
        }
    }

    /// The calls that run and wait now, by namespace.
    pub(crate) fn calls_by_namespace(&self) -> Load {
        self.permits.load()
    }

    /// Waits for a permit for one poll of `namespace` ([`Effort::poll`]).
    pub(crate) async fn admit_poll(&self, region: &Region, namespace: &str) -> Permit {
        self.take(Urgency::Poll, namespace, region).await
    }

    async fn take(&self, urgency: Urgency, namespace: &str, region: &Region) -> Permit {
        let began = Instant::now();
        let permit = self.permits.take(urgency, namespace, region.as_str()).await;
        let urgency = match urgency {
            Urgency::Mount => "mount",
            Urgency::Poll => "poll",
        };
        self.metrics.aws.waited(urgency, began.elapsed());
        permit
    }
}

/// Standard retries with a short first delay.
pub(crate) fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(Duration::from_millis(250))
        .with_max_backoff(Duration::from_secs(3))
}

/// Retries without the SDK's quota. All callers in the process would share it, so
/// one tenant's failing calls would use up the retries of the others. The limits on
/// attempts and concurrent calls are enough.
pub(crate) fn retry_partition() -> RetryPartition {
    RetryPartition::custom("latchkey").token_bucket(TokenBucket::unlimited()).build()
}

/// Timeouts for one operation whose answer AWS may hold back for `wait`.
pub(crate) fn timeouts_beyond(wait: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(wait + ATTEMPT_TIMEOUT)
        .operation_timeout(wait + ATTEMPT_TIMEOUT + CONNECT_TIMEOUT)
        .build()
}

/// Timeouts for one operation that may take `whole` in total.
pub(crate) fn timeouts(whole: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT.min(whole))
        .operation_timeout(whole)
        .build()
}
