//! Calls the Kubernetes API. Reads a service account's role, the node's Region, and the
//! cluster's token-signing keys. Sends events, and removes the node's startup taint.

pub mod events;
pub mod stored;
pub mod taint;
pub mod watched;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::{
    Api, Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
    core::Status,
};
use tokio::sync::OnceCell;

use crate::{
    metrics::{KubernetesOutcome, KubernetesRequest, Metrics},
    model::{
        arn::{Region, RoleArn},
        foreign::{reason, said},
        message::quoted,
        reason::Reason,
    },
};

/// The annotation with a service account's IAM role.
pub(crate) const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";
const REGION_LABEL: &str = "topology.kubernetes.io/region";
/// The API server's keys. By default, every service account may read them, through
/// the ClusterRole system:service-account-issuer-discovery:
/// <https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery>.
const KEYS_PATH: &str = "/openid/v1/jwks";
/// Maximum size of the response with the keys; an RSA key takes about 400 bytes.
const MAX_KEYS_BYTES: usize = 256 << 10;
/// Timeout for the Kubernetes API; the client has no default.
const TIMEOUT: Duration = Duration::from_secs(10);

const NO_CONFIGURATION: &str = "found neither the pod's own service account (/var/run/secrets/kubernetes.io/serviceaccount) nor a usable kubeconfig";

#[derive(Clone, Debug, Default)]
pub struct ClusterSettings {
    /// `None` means the pod's own service account or, outside a cluster, `KUBECONFIG`
    /// or the user's default file.
    pub kubeconfig: Option<PathBuf>,
    pub node_name: Option<String>,
}

/// Why a call failed. `action` is the attempted call, as in "get node n1".
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no usable configuration.
    #[error("cannot set up a Kubernetes client to {action}: {cause}")]
    Setup { action: String, cause: String },
    /// Latchkey lacks a permission. `message` is from the API server.
    #[error("Kubernetes does not allow Latchkey's own service account to {action}: {message}. {remedy}")]
    Forbidden { action: String, message: String, remedy: &'static str },
    #[error("cannot {action}: Kubernetes has no such object")]
    NotFound { action: String },
    /// A write is invalid (422), or conflicts with the object as it is now (409).
    #[error("cannot {action}: Kubernetes rejects it with HTTP {status}: {message}")]
    Rejected { action: String, status: u16, message: String },
    /// The API server did not respond, or responded with an error.
    #[error("cannot {action}: the Kubernetes API failed: {cause}")]
    Unreachable { action: String, cause: String },
    /// The annotation's text, `found`, is not the ARN of a role. `service_account` is
    /// `namespace/name`.
    #[error(
        "the annotation {ROLE_ANNOTATION} of service account {service_account} is {found}, not arn:<partition>:iam::<account>:role/<name>"
    )]
    BadAnnotation { service_account: String, found: String },
    /// Nothing names a Region.
    #[error("no Region: set region in the SecretProviderClass, or AWS_REGION on Latchkey ({0})")]
    NoRegion(String),
}

impl ClusterError {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Setup { .. } | Self::Unreachable { .. } | Self::Rejected { .. } => Reason::KubernetesOutage,
            Self::Forbidden { .. } => Reason::KubernetesForbidden,
            Self::NotFound { .. } => Reason::KubernetesNotFound,
            Self::BadAnnotation { .. } => Reason::BadAnnotation,
            Self::NoRegion(_) => Reason::NoRegion,
        }
    }
}

/// The Kubernetes API. The first read creates the client.
#[derive(Default)]
pub struct Cluster {
    settings: ClusterSettings,
    /// Dropped after a read without a response: its settings may be the cause.
    client: Mutex<Option<Client>>,
    region: OnceCell<Region>,
    metrics: Arc<Metrics>,
}

impl Cluster {
    /// Does not use the network.
    pub fn new(settings: ClusterSettings, metrics: Arc<Metrics>) -> Self {
        Self { settings, client: Mutex::new(None), region: OnceCell::new(), metrics }
    }

    /// Returns the role in the service account's annotation. `Ok(None)` means that the
    /// account was read and has no annotation.
    ///
    /// # Errors
    /// If the read fails, or the annotation is not the ARN of a role.
    pub(crate) async fn role_of(
        &self,
        namespace: &str,
        service_account: &str,
    ) -> Result<Option<RoleArn>, ClusterError> {
        let action = format!("get service account {namespace}/{service_account}");
        let remedy = "Grant get on serviceaccounts (chart value rbac.serviceAccounts), or set usePodIdentity or roleArn (requires --allow-role-arn) in the SecretProviderClass";
        let account = self.ask(KubernetesRequest::ServiceAccount, &action, remedy, async |client| {
            Api::<ServiceAccount>::namespaced(client, namespace).get_metadata(service_account).await
        });
        let account = account.await?;
        let annotations = account.metadata.annotations.unwrap_or_default();
        let Some(found) = annotations.get(ROLE_ANNOTATION).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        RoleArn::parse(found).map(Some).ok_or_else(|| ClusterError::BadAnnotation {
            service_account: format!("{namespace}/{service_account}"),
            found: quoted(found).to_string(),
        })
    }

    /// Returns the Region in the label of this process's node. Reads it once.
    ///
    /// # Errors
    /// If the node cannot be read or has no such label.
    pub(crate) async fn region_of_node(&self) -> Result<Region, ClusterError> {
        self.region.get_or_try_init(|| self.read_region()).await.cloned()
    }

    async fn read_region(&self) -> Result<Region, ClusterError> {
        let name = self.settings.node_name.as_deref().ok_or_else(|| {
            ClusterError::NoRegion("cannot read the node's label: --node-name is not set".to_owned())
        })?;
        let action = format!("get node {name} for its Region");
        let remedy = "Grant get on nodes, or set AWS_REGION on Latchkey (chart value awsRegion)";
        let node = self.ask(KubernetesRequest::Node, &action, remedy, async |client| {
            Api::<Node>::all(client).get_metadata(name).await
        });
        let node = node.await?;
        let label = node.metadata.labels.unwrap_or_default().remove(REGION_LABEL).unwrap_or_default();
        Region::parse(&label).ok_or_else(|| {
            ClusterError::NoRegion(format!("the label {REGION_LABEL} of node {name} is {}", quoted(&label)))
        })
    }

    /// Returns the cluster's token-signing keys as JSON, at most 256 KiB.
    pub(crate) async fn token_keys(&self) -> Result<Bytes, ClusterError> {
        let action = "read the cluster's token-signing keys (get on the path /openid/v1/jwks)";
        let remedy = "Bind the ClusterRole system:service-account-issuer-discovery to it (Kubernetes does this by default for all service accounts)";
        let unreadable = |cause: String| ClusterError::Unreachable { action: action.to_owned(), cause };
        let answer = self.ask(KubernetesRequest::TokenKeys, action, remedy, async |client| {
            let request =
                http::Request::get(KEYS_PATH).body(Body::empty()).map_err(kube::Error::HttpError)?;
            let (head, body) = client.send(request).await?.into_parts();
            if !head.status.is_success() {
                let status = head.status.as_u16();
                let refused = Status::failure(&format!("HTTP {status}"), "").with_code(status);
                return Err(kube::Error::Api(refused.boxed()));
            }
            Ok(Limited::new(body, MAX_KEYS_BYTES).collect().await)
        });
        match answer.await? {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(unreadable(format!("the response has more than {MAX_KEYS_BYTES} bytes")))
            }
            Err(_) => Err(unreadable("the connection broke during the response".to_owned())),
        }
    }

    /// Writes `body`. Does not look at the response's object.
    async fn write(
        &self,
        kind: KubernetesRequest,
        action: &str,
        remedy: &'static str,
        request: http::request::Builder,
        body: &serde_json::Value,
    ) -> Result<(), ClusterError> {
        self.ask(kind, action, remedy, async |client| {
            let request = request.body(body.to_string().into_bytes()).map_err(kube::Error::HttpError)?;
            client.request_text(request).await
        })
        .await
        .map(drop)
    }

    /// Makes one call within [`TIMEOUT`]. Drops the client if the call got no response,
    /// so that the next one sees a fixed kubeconfig or a renewed CA.
    async fn ask<T>(
        &self,
        request: KubernetesRequest,
        action: &str,
        remedy: &'static str,
        call: impl AsyncFnOnce(Client) -> Result<T, kube::Error>,
    ) -> Result<T, ClusterError> {
        let client = match self.client(action).await {
            Ok(client) => client,
            Err(error) => {
                self.metrics.kubernetes.count((request, KubernetesOutcome::Outage));
                return Err(error);
            }
        };
        let result = self.counted(request, action, remedy, call(client)).await;
        if matches!(result, Err(ClusterError::Unreachable { .. })) {
            *self.made() = None;
        }
        result
    }

    /// Makes one call within [`TIMEOUT`], and counts it.
    async fn counted<T>(
        &self,
        request: KubernetesRequest,
        action: &str,
        remedy: &'static str,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ClusterError> {
        let result = within(action, remedy, call).await;
        let outcome = match &result {
            // The API server worked.
            Ok(_)
            | Err(
                ClusterError::Rejected { .. }
                | ClusterError::BadAnnotation { .. }
                | ClusterError::NoRegion(_),
            ) => KubernetesOutcome::Ok,
            Err(ClusterError::Forbidden { .. }) => KubernetesOutcome::Forbidden,
            Err(ClusterError::NotFound { .. }) => KubernetesOutcome::NotFound,
            Err(ClusterError::Setup { .. } | ClusterError::Unreachable { .. }) => KubernetesOutcome::Outage,
        };
        self.metrics.kubernetes.count((request, outcome));
        result
    }

    async fn client(&self, action: &str) -> Result<Client, ClusterError> {
        if let Some(client) = self.made().clone() {
            return Ok(client);
        }
        let client = self.connect(action, TIMEOUT).await?;
        *self.made() = Some(client.clone());
        Ok(client)
    }

    /// Makes a client whose connections may be silent for `silence`.
    async fn connect(&self, action: &str, silence: Duration) -> Result<Client, ClusterError> {
        let failed = |cause: String| ClusterError::Setup { action: action.to_owned(), cause };
        let mut config = match &self.settings.kubeconfig {
            None => Config::infer().await.map_err(|_| failed(NO_CONFIGURATION.to_owned()))?,
            Some(path) => {
                let kubeconfig = Kubeconfig::read_from(path).map_err(|error| failed(unusable(&error)))?;
                Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                    .await
                    .map_err(|error| failed(unusable(&error)))?
            }
        };
        config.connect_timeout = Some(TIMEOUT);
        config.read_timeout = Some(silence);
        // Run in a separate task: kube panics if the token is not a valid header value.
        match tokio::spawn(async move { Client::try_from(config) }).await {
            Ok(client) => client.map_err(|error| failed(cause_of(&error))),
            Err(_) => Err(failed(
                "its credentials cannot be sent: check that the token is a single line".to_owned(),
            )),
        }
    }

    fn made(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn within<T>(
    action: &str,
    remedy: &'static str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    let action = action.to_owned();
    match tokio::time::timeout(TIMEOUT, call).await {
        Err(_) => Err(ClusterError::Unreachable {
            action,
            cause: format!("no response within {} s", TIMEOUT.as_secs()),
        }),
        Ok(Ok(object)) => Ok(object),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
            Err(ClusterError::Forbidden { action, message: said(&status.message), remedy })
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(ClusterError::NotFound { action }),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 409 | 422) => {
            Err(ClusterError::Rejected { action, status: status.code, message: said(&status.message) })
        }
        Ok(Err(error)) => Err(ClusterError::Unreachable { action, cause: cause_of(&error) }),
    }
}

/// What is wrong with a kubeconfig. The parser's own message may quote a token.
fn unusable(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, path) => {
            format!("cannot read the kubeconfig {}: {}", path.display(), reason(error))
        }
        KubeconfigError::Parse(_) => "the kubeconfig is not valid YAML for a kubeconfig".to_owned(),
        KubeconfigError::CurrentContextNotSet => "the kubeconfig has no current-context".to_owned(),
        KubeconfigError::LoadContext(_) | KubeconfigError::LoadClusterOfContext(_) => {
            "the kubeconfig does not contain its current context, or that context's cluster".to_owned()
        }
        _ => "the kubeconfig's cluster or user is unusable".to_owned(),
    }
}

/// Why the API server did not respond properly. Contains neither credentials nor
/// the response.
fn cause_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.reason.is_empty() => said(&status.message),
        kube::Error::Api(status) => format!("HTTP {} {}", status.code, said(&status.message)),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => "its response could not be read".to_owned(),
        kube::Error::Auth(_) => {
            "cannot get credentials for it (token file or exec plugin of the kubeconfig)".to_owned()
        }
        other => reason(other),
    }
}
