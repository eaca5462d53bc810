//! What every AWS call shares: one HTTPS client, time-outs and retries, the
//! bound on calls at once, and one way to judge a failure.

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

use std::{path::PathBuf, time::Duration};

pub(crate) use self::advice::judge;
pub use self::{
    advice::{ABSENT_PARAMETER, Advice, absent_secret},
    ahead::Greeting,
    denial::{Denial, Policy},
    effort::Effort,
    endpoint::{UrlError, check_endpoint},
    failure::{AwsFailure, FailureKind, unreached},
    per_region::PerRegion,
};
use crate::{
    model::arn::Region,
    permits::{Call, Permit, Permits, Urgency},
};
use aws_config::{
    AppName, BehaviorVersion, SdkConfig, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_runtime::client::retries::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// Longest wait for a TCP and TLS connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for one attempt's answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(6);
/// Attempts of a mount's call in all, as the SDK's standard retry mode counts them.
const MAX_ATTEMPTS: u32 = 3;

/// How AWS is reached. What is `None` comes from AWS's own environment
/// variables (`AWS_ENDPOINT_URL…`, `AWS_USE_FIPS_ENDPOINT`, …).
#[derive(Clone, Debug)]
pub struct AwsSettings {
    /// One endpoint for Secrets Manager, Parameter Store and STS.
    pub endpoint_url: Option<String>,
    /// More roots to trust, a PEM file (`AWS_CA_BUNDLE`).
    pub ca_bundle: Option<PathBuf>,
    /// Most AWS calls at once.
    pub max_calls: usize,
    /// The most that one Region may take for one read, retries and all.
    pub region_timeout: Duration,
    /// What the user agent says: `latchkey-<version>`.
    pub app_name: String,
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

/// Why AWS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum AwsSetupError {
    /// The bundle is not there or not readable.
    #[error("cannot read the CA bundle {path} (AWS_CA_BUNDLE)")]
    ReadBundle {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bundle holds no certificate, or a broken one.
    #[error("the CA bundle {path} (AWS_CA_BUNDLE) {problem}")]
    BadBundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An endpoint or a proxy is no URL that can be used.
    #[error("{name} {problem}")]
    Url {
        /// The environment variable, or what else holds it.
        name: &'static str,
        /// What is wrong with it.
        problem: UrlError,
    },
    /// A setting is neither true nor false.
    #[error("{name} must be true or false")]
    Boolean {
        /// The environment variable.
        name: &'static str,
    },
    /// The HTTPS client.
    #[error("the HTTPS client cannot be made")]
    Client,
    /// The user agent's name has characters that AWS does not take.
    #[error("{0:?} cannot be part of a user agent")]
    AppName(String),
}

/// The shared means of calling AWS.
#[derive(Debug)]
pub struct Aws {
    config: SdkConfig,
    direct: SharedHttpClient,
    permits: Permits,
    region_timeout: Duration,
}

impl Aws {
    /// Loads AWS's environment variables and the roots to trust. Reaches no network.
    ///
    /// # Errors
    /// When an endpoint, a proxy, the CA bundle or the user agent cannot be used.
    pub async fn load(settings: &AwsSettings) -> Result<Self, AwsSetupError> {
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
            // Each call names its Region; without one here, the SDK would ask the node's metadata service.
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
        })
    }

    /// Configuration of a client for `region`.
    pub fn config_for(&self, region: &Region) -> SdkConfig {
        self.config.to_builder().region(aws_config::Region::new(region.as_str().to_owned())).build()
    }

    /// A client that never uses a proxy, for the node's own Pod Identity agent.
    pub fn direct_client(&self) -> SharedHttpClient {
        self.direct.clone()
    }

    /// The most that one Region may take.
    pub fn region_timeout(&self) -> Duration {
        self.region_timeout
    }

    /// Waits for a place for one call of `namespace` to `region`. It is taken
    /// before the SDK is called, because calls that queue inside the SDK cost far
    /// more memory.
    pub async fn permit(&self, effort: &Effort, region: &Region, namespace: &str) -> Call {
        self.admit(effort, region, namespace).await.call().await
    }

    /// Waits for a place for several calls, one after another ([`Effort::within`]).
    pub async fn admit(&self, effort: &Effort, region: &Region, namespace: &str) -> Permit {
        match effort.permit() {
            Some(permit) => permit.clone(),
            None => self.permits.take(effort.urgency(), namespace, region.as_str()).await,
        }
    }

    /// Waits for the place of one poll of `namespace` ([`Effort::poll`]).
    pub async fn admit_poll(&self, region: &Region, namespace: &str) -> Permit {
        self.permits.take(Urgency::Poll, namespace, region.as_str()).await
    }
}

/// Standard retries with a short first wait.
pub fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(Duration::from_millis(250))
        .with_max_backoff(Duration::from_secs(3))
}

/// Retries without the SDK's quota, which all callers of the process would share:
/// whoever lets calls fail would take retries from the others. Attempts and calls
/// at once are bounded as it is.
pub fn retry_partition() -> RetryPartition {
    RetryPartition::custom("latchkey").token_bucket(TokenBucket::unlimited()).build()
}

/// Explicit time-outs for one operation that may take `whole`.
pub fn timeouts(whole: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT.min(whole))
        .operation_timeout(whole)
        .build()
}
