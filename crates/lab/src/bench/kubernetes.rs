//! A Kubernetes API that serves service accounts and the keys of their tokens, and
//! counts the reads of service accounts.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, Response, header::CONTENT_TYPE},
    routing::get,
};
use latchkey_emulator::Emulator;
use serde_json::json;
use tokio::net::TcpListener;

/// The annotation of a service account that names its IAM role.
const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";
/// The role of every service account.
pub(super) const ROLE: &str = "arn:aws:iam::111122223333:role/bench";

/// Every service account exists. Clones share the count.
#[derive(Clone)]
pub(super) struct Kubernetes {
    /// Signs the tokens.
    emulator: Emulator,
    reads: Arc<AtomicU64>,
    latency: Duration,
}

impl Kubernetes {
    /// An API that answers each request after `latency`.
    pub(super) fn new(emulator: Emulator, latency: Duration) -> Self {
        Self { emulator, reads: Arc::default(), latency }
    }

    /// Serves until the process ends.
    pub(super) async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        let path = "/api/v1/namespaces/{namespace}/serviceaccounts/{name}";
        let router = Router::new()
            .route(path, get(service_account))
            .route("/openid/v1/jwks", get(token_keys))
            .with_state(self);
        axum::serve(listener, router).await
    }

    /// Reads since the start or the last reset.
    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Counts from zero again.
    pub(super) fn reset(&self) {
        self.reads.store(0, Ordering::Relaxed);
    }
}

/// Every service account has the role.
async fn service_account(
    State(kubernetes): State<Kubernetes>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response<Body> {
    kubernetes.reads.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(kubernetes.latency).await;
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": { "namespace": namespace, "name": name, "annotations": { ROLE_ANNOTATION: ROLE } },
    });
    let mut response = Response::new(Body::from(account.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The keys of the pods' tokens.
async fn token_keys(State(kubernetes): State<Kubernetes>) -> String {
    tokio::time::sleep(kubernetes.latency).await;
    kubernetes.emulator.token_keys()
}

/// A kubeconfig file for the API at `address`.
pub(super) fn kubeconfig(address: SocketAddr, authority: Option<&PathBuf>) -> String {
    let server = format!("http://{address}");
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "bench", "cluster": { "server": server, "certificate-authority": authority } }],
        "users": [{ "name": "bench", "user": {} }],
        "contexts": [{ "name": "bench", "context": { "cluster": "bench", "user": "bench" } }],
        "current-context": "bench",
    });
    // JSON is YAML.
    config.to_string()
}
