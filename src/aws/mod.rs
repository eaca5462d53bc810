//! What every AWS call shares: one HTTPS client, time-outs and retries, the
//! bound on calls at once, and one way to judge a failure.

mod effort;
mod failure;
mod per_region;

use std::{path::PathBuf, time::Duration};

pub use self::{
    effort::Effort,
    failure::{AwsFailure, FailureKind},
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
use aws_smithy_http_client::{
    Connector,
    proxy::ProxyConfig,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector, http_client_fn};
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// Longest wait for a TCP and TLS connection. All clients use the same value,
/// because different ones would open different connection pools.
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
            max_calls: 64,
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
    /// When the CA bundle or the user agent cannot be used.
    pub async fn load(settings: &AwsSettings) -> Result<Self, AwsSetupError> {
        let context = tls_context(settings)?;
        let connector = |context: TlsContext| {
            Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .tls_context(context)
                .connector_settings(
                    aws_smithy_runtime_api::client::http::HttpConnectorSettings::builder()
                        .connect_timeout(CONNECT_TIMEOUT)
                        .build(),
                )
        };
        let proxied = connector(context.clone()).proxy_config(ProxyConfig::from_env()).build();
        let direct = connector(context).build();
        let app_name = AppName::new(settings.app_name.clone())
            .map_err(|_| AwsSetupError::AppName(settings.app_name.clone()))?;
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(shared(proxied))
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
            direct: shared(direct),
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

fn shared(connector: Connector) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(connector);
    http_client_fn(move |_, _| connector.clone())
}

/// Standard retries with a short first wait.
pub fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(Duration::from_millis(250))
        .with_max_backoff(Duration::from_secs(3))
}

/// Explicit time-outs for one operation that may take `whole`.
pub fn timeouts(whole: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT.min(whole))
        .operation_timeout(whole)
        .build()
}

/// The system's roots and the bundle's. Everything is parsed here, because the
/// HTTPS client panics at a certificate that it cannot use.
fn tls_context(settings: &AwsSettings) -> Result<TlsContext, AwsSetupError> {
    let native = rustls_native_certs::load_native_certs();
    let mut trust = if native.certs.is_empty() {
        tracing::warn!(errors = ?native.errors, "no CA roots found (SSL_CERT_FILE, SSL_CERT_DIR); HTTPS calls will fail");
        TrustStore::empty()
    } else {
        TrustStore::default()
    };
    if let Some(path) = &settings.ca_bundle {
        let pem =
            std::fs::read(path).map_err(|source| AwsSetupError::ReadBundle { path: path.clone(), source })?;
        let bad = |problem: String| AwsSetupError::BadBundle { path: path.clone(), problem };
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| bad(format!("is not PEM: {error}")))?;
            roots
                .add(certificate)
                .map_err(|error| bad(format!("has a certificate that cannot be used: {error}")))?;
        }
        if roots.is_empty() {
            return Err(bad("holds no certificate".to_owned()));
        }
        trust = trust.with_pem_certificate(pem);
    }
    // The builder of the HTTPS client declares an error that it never returns.
    TlsContext::builder().with_trust_store(trust).build().map_err(|error| AwsSetupError::BadBundle {
        path: settings.ca_bundle.clone().unwrap_or_default(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bad_ca_bundle_is_a_start_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let settings = AwsSettings { ca_bundle: Some(path.clone()), ..AwsSettings::default() };
        assert!(matches!(Aws::load(&settings).await, Err(AwsSetupError::ReadBundle { .. })));
        for bad in [
            "",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n",
        ] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(Aws::load(&settings).await, Err(AwsSetupError::BadBundle { .. })), "{bad:?}");
        }
    }
}
