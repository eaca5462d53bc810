//! Kubernetes: a service account's role, a node's Region, and the keys that the
//! cluster signs tokens with.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::{
    Api, Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use tokio::sync::OnceCell;

use crate::model::{
    arn::{Region, RoleArn},
    foreign::{reason, said},
    message::quoted,
};

/// The annotation that names a service account's IAM role.
pub const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";
/// The label that names a node's Region.
const REGION_LABEL: &str = "topology.kubernetes.io/region";
/// Where the API server serves its keys. Every service account may read them, by
/// the ClusterRole system:service-account-issuer-discovery:
/// <https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery>.
const KEYS_PATH: &str = "/openid/v1/jwks";
/// Longest answer with keys; one of RSA takes about 400 bytes.
const MAX_KEYS_BYTES: usize = 256 << 10;
/// Longest wait for the Kubernetes API; the client has none of its own.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is told when there is nothing to reach Kubernetes by.
const NO_CONFIGURATION: &str = "neither the pod's own service account (/var/run/secrets/kubernetes.io/serviceaccount) nor a kubeconfig can be used";

/// How Kubernetes is reached.
#[derive(Clone, Debug, Default)]
pub struct ClusterSettings {
    /// A kubeconfig file; else the pod's own service account, else `KUBECONFIG`
    /// or the user's default file.
    pub kubeconfig: Option<PathBuf>,
    /// The node that this process runs on.
    pub node_name: Option<String>,
}

/// Why Kubernetes did not tell.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no usable configuration.
    #[error("cannot set up a Kubernetes client to {action}: {cause}")]
    Setup {
        /// What was wanted.
        action: String,
        /// What is missing.
        cause: String,
    },
    /// Latchkey's own permission is missing.
    #[error("Kubernetes forbids Latchkey's own service account to {action}: {message}. {remedy}")]
    Forbidden {
        /// What was wanted.
        action: String,
        /// What the API server said.
        message: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The object is not there.
    #[error("cannot {action}: Kubernetes has no such object")]
    NotFound {
        /// What was wanted.
        action: String,
    },
    /// The API server did not answer, or with an error.
    #[error("Kubernetes did not answer to {action}: {cause}")]
    Unreachable {
        /// What was wanted.
        action: String,
        /// What happened.
        cause: String,
    },
    /// The annotation is there and names no role.
    #[error(
        "the annotation {ROLE_ANNOTATION} of service account {service_account} is {found}, not arn:<partition>:iam::<account>:role/<name>"
    )]
    BadAnnotation {
        /// `namespace/name`.
        service_account: String,
        /// The annotation's text.
        found: String,
    },
    /// Nothing names a Region.
    #[error("no Region: set region in the SecretProviderClass, or AWS_REGION on Latchkey ({0})")]
    NoRegion(String),
}

/// The Kubernetes API, connected when it is first asked.
#[derive(Default)]
pub struct Cluster {
    settings: ClusterSettings,
    /// Made anew after a read that got no answer: its settings may be what is wrong.
    client: Mutex<Option<Client>>,
    region: OnceCell<Region>,
}

impl Cluster {
    /// Connects to nothing yet.
    pub fn new(settings: ClusterSettings) -> Self {
        Self { settings, client: Mutex::new(None), region: OnceCell::new() }
    }

    /// The role that the service account is annotated with.
    ///
    /// # Errors
    /// Anything but a successful read; `Ok(None)` means that the service account
    /// was read and carries no annotation.
    pub async fn role_of(
        &self,
        namespace: &str,
        service_account: &str,
    ) -> Result<Option<RoleArn>, ClusterError> {
        let action = format!("get service account {namespace}/{service_account}");
        let remedy = "Grant get on serviceaccounts (chart value rbac.serviceAccounts), or set usePodIdentity, or roleArn (with --allow-role-arn), in the SecretProviderClass";
        let account = self.ask(&action, remedy, async |client| {
            Api::<ServiceAccount>::namespaced(client, namespace).get(service_account).await
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

    /// The Region of our own node, by its label; read once.
    ///
    /// # Errors
    /// When the node cannot be read or has no such label.
    pub async fn region_of_node(&self) -> Result<Region, ClusterError> {
        self.region.get_or_try_init(|| self.read_region()).await.cloned()
    }

    async fn read_region(&self) -> Result<Region, ClusterError> {
        let name = self.settings.node_name.as_deref().ok_or_else(|| {
            ClusterError::NoRegion("the node's label was not read: --node-name is not set".to_owned())
        })?;
        let action = format!("get node {name} for its Region");
        let remedy = "Grant get on nodes, or set AWS_REGION on Latchkey (chart value awsRegion)";
        let node = self.ask(&action, remedy, async |client| Api::<Node>::all(client).get(name).await).await?;
        let label = node.metadata.labels.unwrap_or_default().remove(REGION_LABEL).unwrap_or_default();
        Region::parse(&label).ok_or_else(|| {
            ClusterError::NoRegion(format!("the label {REGION_LABEL} of node {name} is {}", quoted(&label)))
        })
    }

    /// The cluster's token-signing keys, as JSON.
    ///
    /// # Errors
    /// Anything but a successful read of at most 256 KiB.
    pub async fn token_keys(&self) -> Result<Bytes, ClusterError> {
        let action = "read the cluster's token-signing keys (get on the path /openid/v1/jwks)";
        let remedy = "Bind the ClusterRole system:service-account-issuer-discovery to it, as Kubernetes does by default for all service accounts";
        let unreadable = |cause: String| ClusterError::Unreachable { action: action.to_owned(), cause };
        let answer = self.ask(action, remedy, async |client| {
            let request =
                http::Request::get(KEYS_PATH).body(Body::empty()).map_err(kube::Error::HttpError)?;
            let (head, body) = client.send(request).await?.into_parts();
            Ok((head.status, Limited::new(body, MAX_KEYS_BYTES).collect().await))
        });
        let (status, body) = answer.await?;
        match status.as_u16() {
            200 => {}
            403 => {
                return Err(ClusterError::Forbidden {
                    action: action.to_owned(),
                    message: "HTTP 403".to_owned(),
                    remedy,
                });
            }
            404 => return Err(ClusterError::NotFound { action: action.to_owned() }),
            status => return Err(unreadable(format!("HTTP {status}"))),
        }
        match body {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(unreadable(format!("the answer has more than {MAX_KEYS_BYTES} bytes")))
            }
            Err(_) => Err(unreadable("the answer broke off".to_owned())),
        }
    }

    /// One read within [`TIMEOUT`]. A client whose read got no answer is not used
    /// again: a repaired kubeconfig or a renewed authority counts at the next one.
    async fn ask<T>(
        &self,
        action: &str,
        remedy: &'static str,
        read: impl AsyncFnOnce(Client) -> Result<T, kube::Error>,
    ) -> Result<T, ClusterError> {
        let client = self.client(action).await?;
        let result = within(action, remedy, read(client)).await;
        if matches!(result, Err(ClusterError::Unreachable { .. })) {
            *self.made() = None;
        }
        result
    }

    async fn client(&self, action: &str) -> Result<Client, ClusterError> {
        if let Some(client) = self.made().clone() {
            return Ok(client);
        }
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
        config.read_timeout = Some(TIMEOUT);
        // In a task of its own: kube panics over a token that is no header value.
        let client = match tokio::spawn(async move { Client::try_from(config) }).await {
            Ok(client) => client.map_err(|error| failed(cause_of(&error)))?,
            Err(_) => {
                return Err(failed("its credentials cannot be sent: is the token one line?".to_owned()));
            }
        };
        *self.made() = Some(client.clone());
        Ok(client)
    }

    fn made(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn within<T>(
    action: &str,
    remedy: &'static str,
    read: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    let action = action.to_owned();
    match tokio::time::timeout(TIMEOUT, read).await {
        Err(_) => Err(ClusterError::Unreachable {
            action,
            cause: format!("no answer within {} s", TIMEOUT.as_secs()),
        }),
        Ok(Ok(object)) => Ok(object),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
            Err(ClusterError::Forbidden { action, message: said(&status.message), remedy })
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(ClusterError::NotFound { action }),
        Ok(Err(error)) => Err(ClusterError::Unreachable { action, cause: cause_of(&error) }),
    }
}

/// What is wrong with a kubeconfig. Its parser's own words may quote a token.
fn unusable(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, path) => {
            format!("the kubeconfig {} cannot be read: {}", path.display(), reason(error))
        }
        KubeconfigError::Parse(_) => "the kubeconfig is not the YAML of one".to_owned(),
        KubeconfigError::CurrentContextNotSet => "the kubeconfig has no current-context".to_owned(),
        KubeconfigError::LoadContext(_) | KubeconfigError::LoadClusterOfContext(_) => {
            "the kubeconfig does not hold its current context, or that context's cluster".to_owned()
        }
        _ => "the kubeconfig's cluster or user cannot be used".to_owned(),
    }
}

/// Why the API server did not answer as it should, in words that hold neither
/// credentials nor what it answered.
fn cause_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("HTTP {} {}", status.code, said(&status.message)),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => "its answer could not be read".to_owned(),
        kube::Error::Auth(_) => {
            "the credentials to ask it with cannot be had (token file or exec plugin of the kubeconfig)"
                .to_owned()
        }
        other => reason(other),
    }
}
