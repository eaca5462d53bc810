//! The HTTPS client for AWS: the roots it trusts, and how many connections it opens
//! and keeps.

use std::time::Duration;

use aws_smithy_http_client::{
    pool::{Client, ConnectionPool},
    proxy::ProxyConfig,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::{AwsSettings, AwsSetupError};

/// How long an unused connection stays open. AWS may close its end first; the pool
/// handles that.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// Creates a client with at most `max_connections` to each host. A call waits for a
/// free connection rather than for another handshake. TLS sessions are resumed.
pub(super) fn client(
    context: TlsContext,
    proxies: ProxyConfig,
    max_connections: usize,
) -> Result<SharedHttpClient, AwsSetupError> {
    let pool = ConnectionPool::builder()
        .max_connections_per_host(max_connections.max(1))
        .idle_timeout(IDLE_TIMEOUT)
        .proxy_config(proxies)
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context)
        .build_https()
        .map_err(|_| AwsSetupError::Client)?;
    Ok(SharedHttpClient::new(Client::new(&pool).map_err(|_| AwsSetupError::Client)?))
}

/// Trusts the system's roots and those of the bundle. Everything is parsed here,
/// because the HTTPS client panics on an invalid certificate.
pub(super) fn tls_context(settings: &AwsSettings) -> Result<TlsContext, AwsSetupError> {
    let native = rustls_native_certs::load_native_certs();
    let mut trust = if native.certs.is_empty() {
        tracing::warn!(errors = ?native.errors, "no CA certificates found (SSL_CERT_FILE, SSL_CERT_DIR); HTTPS calls will fail");
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
                .map_err(|error| bad(format!("contains an invalid certificate: {error}")))?;
        }
        if roots.is_empty() {
            return Err(bad("contains no certificate".to_owned()));
        }
        trust = trust.with_pem_certificate(pem);
    }
    // The builder never returns the error that it declares.
    TlsContext::builder().with_trust_store(trust).build().map_err(|error| AwsSetupError::BadBundle {
        path: settings.ca_bundle.clone().unwrap_or_default(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{super::Aws, *};

    #[tokio::test]
    async fn a_bad_ca_bundle_is_a_start_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let settings = AwsSettings { ca_bundle: Some(path.clone()), ..AwsSettings::default() };
        let error = Aws::load(&settings, Arc::default()).await.err().unwrap();
        assert!(matches!(error, AwsSetupError::ReadBundle { .. }), "{error:?}");
        for bad in [
            "",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n",
        ] {
            std::fs::write(&path, bad).unwrap();
            assert!(
                matches!(Aws::load(&settings, Arc::default()).await, Err(AwsSetupError::BadBundle { .. })),
                "{bad:?}"
            );
        }
    }

    /// A CONNECT proxy and the number of tunnels it has opened.
    async fn proxy() -> (String, Arc<std::sync::atomic::AtomicU32>) {
        use std::sync::atomic::AtomicU32;
        use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let tunnels = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&tunnels);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(client.read_u8().await.unwrap());
                    }
                    let head = String::from_utf8(head).unwrap();
                    let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
                    let mut server = tokio::net::TcpStream::connect(target).await.unwrap();
                    count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                    // Either side may close first.
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        (url, tunnels)
    }

    #[tokio::test]
    async fn tls_uses_the_proxy_except_for_no_proxy_hosts() {
        use aws_config::{BehaviorVersion, Region};
        use aws_credential_types::Credentials;
        use latchkey_emulator::{Authority, Emulator, Store};
        use std::sync::atomic::Ordering;

        let emulator = Emulator::new(Store::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let authority = Authority::new().unwrap();
        let server = authority.server(&["127.0.0.1".to_owned()]).unwrap();
        tokio::spawn(emulator.clone().serve_tls(listener, server, Duration::ZERO, std::future::pending()));
        let trust = TrustStore::empty().with_pem_certificate(authority.pem());
        let context = TlsContext::builder().with_trust_store(trust).build().unwrap();
        let (proxy, tunnels) = proxy().await;
        let through = ProxyConfig::https(&proxy).unwrap();
        for (proxies, made) in [(through.clone(), 1), (through.no_proxy("127.0.0.1"), 1)] {
            let config = aws_sdk_sts::Config::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new("eu-central-1"))
                .endpoint_url(&url)
                .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
                .http_client(client(context.clone(), proxies, 4).unwrap())
                .build();
            let called = aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await;
            assert!(called.as_ref().is_err_and(|error| error.raw_response().is_some()), "{:?}", called.err());
            assert_eq!(tunnels.load(Ordering::Relaxed), made);
        }
        assert_eq!(emulator.connections().full_handshakes, 2);
    }
}
