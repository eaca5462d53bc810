//! Plays the Secrets Store CSI Driver for the demo and the benchmarks: it sends the
//! driver's requests over the provider's socket.

use std::{
    hash::{BuildHasher, RandomState},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use serde_json::json;
use tonic::transport::{Channel, Endpoint};

use latchkey_emulator::Emulator;

use crate::protocol::{
    MountRequest, MountResponse, VersionRequest, csi_driver_provider_client::CsiDriverProviderClient,
};

/// The version of the protocol that the driver speaks.
const PROTOCOL_VERSION: &str = "v1alpha1";
/// The audience of the token for STS, as the chart's CSIDriver object has it.
const STS_AUDIENCE: &str = "sts.amazonaws.com";
/// The audience of the token for the EKS Pod Identity agent.
const POD_IDENTITY_AUDIENCE: &str = "pods.eks.amazonaws.com";
/// kubelet's tokens are valid for an hour or longer.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// How long to wait for a socket that does not exist yet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often to look for the socket.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// A pod with one volume.
#[derive(Clone, Copy, Debug)]
pub struct Pod<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub uid: &'a str,
    pub service_account: &'a str,
    /// The SecretProviderClass's parameters.
    pub parameters: &'a [(&'a str, &'a str)],
}

/// The driver's side of the socket: one connection, which clones share.
#[derive(Clone, Debug)]
pub struct Driver {
    client: CsiDriverProviderClient<Channel>,
}

impl Driver {
    /// Connects as soon as the provider serves.
    ///
    /// # Errors
    /// When the provider does not serve within five seconds.
    pub async fn connect(socket: &Path) -> anyhow::Result<Self> {
        let endpoint = Endpoint::try_from(format!("unix://{}", socket.display()))?;
        let connected = async {
            loop {
                match endpoint.connect().await {
                    Ok(channel) => return CsiDriverProviderClient::new(channel),
                    Err(_) => tokio::time::sleep(LOOK_INTERVAL).await,
                }
            }
        };
        let client = tokio::time::timeout(CONNECT_TIMEOUT, connected)
            .await
            .context("the provider does not answer on its socket")?;
        Ok(Self { client })
    }

    /// The provider's name and version.
    ///
    /// # Errors
    /// When the provider does not answer.
    pub async fn version(&mut self) -> anyhow::Result<String> {
        let request = VersionRequest { version: PROTOCOL_VERSION.to_owned() };
        let answer = self.client.version(request).await?.into_inner();
        Ok(format!("{} {}", answer.runtime_name, answer.runtime_version))
    }

    /// Mounts a volume, as the driver does when a pod starts and at every republish.
    ///
    /// # Errors
    /// The provider's refusal.
    pub async fn mount(&mut self, request: MountRequest) -> Result<MountResponse, tonic::Status> {
        self.client.mount(request).await.map(tonic::Response::into_inner)
    }
}

impl Pod<'_> {
    /// The driver's request for the pod's volume, with a token for each audience.
    pub fn request(&self, emulator: &Emulator) -> MountRequest {
        let Pod { namespace, name, uid, service_account, parameters } = *self;
        let token = |audience| {
            let token = emulator.token(namespace, service_account, audience, name, uid, TOKEN_LIFE);
            json!({ "token": token, "expirationTimestamp": "2100-01-01T00:00:00Z" })
        };
        let tokens = json!({
            STS_AUDIENCE: token(STS_AUDIENCE),
            POD_IDENTITY_AUDIENCE: token(POD_IDENTITY_AUDIENCE),
        });
        let mut attributes = json!({
            "csi.storage.k8s.io/pod.name": name,
            "csi.storage.k8s.io/pod.namespace": namespace,
            "csi.storage.k8s.io/pod.uid": uid,
            "csi.storage.k8s.io/serviceAccount.name": service_account,
            "csi.storage.k8s.io/serviceAccount.tokens": tokens.to_string(),
            "csi.storage.k8s.io/ephemeral": "true",
            "secretProviderClass": "class",
        });
        for (key, value) in parameters {
            attributes[*key] = json!(value);
        }
        MountRequest {
            attributes: attributes.to_string(),
            secrets: "null".to_owned(),
            target_path: format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~csi/secrets-store/mount"),
            permission: "420".to_owned(),
            current_object_version: Vec::new(),
        }
    }
}

/// A private folder for a provider's socket, removed when this is dropped.
pub struct SocketFolder(PathBuf);

impl SocketFolder {
    /// Creates a folder that only this user may open.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn new() -> anyhow::Result<Self> {
        let unique = RandomState::new().hash_one(std::process::id());
        let path = std::env::temp_dir().join(format!("latchkey-{unique:x}"));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
