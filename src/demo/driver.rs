//! Plays the Secrets Store CSI Driver: makes the requests that it makes, over
//! the socket that it uses.

use std::{path::Path, time::Duration};

use anyhow::Context;
use serde_json::json;
use tonic::transport::{Channel, Endpoint};

use crate::{
    emulator::Emulator,
    grpc::{
        PROTOCOL_VERSION,
        protocol::{
            MountRequest, MountResponse, VersionRequest, csi_driver_provider_client::CsiDriverProviderClient,
        },
    },
    model::token::{POD_IDENTITY_AUDIENCE, STS_AUDIENCE},
};

/// kubelet's tokens live an hour or longer.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// The driver waits while the socket is not there yet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A pod with one volume.
pub(super) struct DemoPod {
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    pub(super) uid: &'static str,
    pub(super) service_account: &'static str,
    /// The SecretProviderClass's parameters.
    pub(super) parameters: &'static [(&'static str, &'static str)],
}

/// The driver's side of the socket.
pub(super) struct Driver {
    client: CsiDriverProviderClient<Channel>,
}

impl Driver {
    /// Connects, as soon as the provider serves.
    pub(super) async fn connect(socket: &Path) -> anyhow::Result<Self> {
        let endpoint = Endpoint::try_from(format!("unix://{}", socket.display()))?;
        let connected = async {
            loop {
                match endpoint.connect().await {
                    Ok(channel) => return CsiDriverProviderClient::new(channel),
                    Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
        };
        let client =
            tokio::time::timeout(CONNECT_TIMEOUT, connected).await.context("the provider does not serve")?;
        Ok(Self { client })
    }

    /// Name and version of the provider.
    pub(super) async fn version(&mut self) -> anyhow::Result<String> {
        let request = VersionRequest { version: PROTOCOL_VERSION.to_owned() };
        let answer = self.client.version(request).await?.into_inner();
        Ok(format!("{} {}", answer.runtime_name, answer.runtime_version))
    }

    /// Mounts the pod's volume, as at its start and at every republish.
    pub(super) async fn mount(
        &mut self,
        emulator: &Emulator,
        pod: &DemoPod,
    ) -> Result<MountResponse, tonic::Status> {
        let token = |audience| {
            let token =
                emulator.token(pod.namespace, pod.service_account, audience, pod.name, pod.uid, TOKEN_LIFE);
            json!({ "token": token, "expirationTimestamp": "2100-01-01T00:00:00Z" })
        };
        let tokens = json!({
            STS_AUDIENCE: token(STS_AUDIENCE),
            POD_IDENTITY_AUDIENCE: token(POD_IDENTITY_AUDIENCE),
        });
        let mut attributes = json!({
            "csi.storage.k8s.io/pod.name": pod.name,
            "csi.storage.k8s.io/pod.namespace": pod.namespace,
            "csi.storage.k8s.io/pod.uid": pod.uid,
            "csi.storage.k8s.io/serviceAccount.name": pod.service_account,
            "csi.storage.k8s.io/serviceAccount.tokens": tokens.to_string(),
            "csi.storage.k8s.io/ephemeral": "true",
            "secretProviderClass": "demo",
        });
        for (key, value) in pod.parameters {
            attributes[*key] = json!(value);
        }
        let request = MountRequest {
            attributes: attributes.to_string(),
            secrets: "null".to_owned(),
            target_path: format!(
                "/var/lib/kubelet/pods/{}/volumes/kubernetes.io~csi/secrets-store/mount",
                pod.uid
            ),
            permission: "420".to_owned(),
            current_object_version: Vec::new(),
        };
        self.client.mount(request).await.map(tonic::Response::into_inner)
    }
}
