//! A sender of change notices, and the node that listens to it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use latchkey::{cluster::watched::ObjectName, notices::KEY};
use latchkey_emulator::{Fault, FaultKind};
use serde_json::json;
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    harness::{Kubernetes, REGION},
    scene::{Process, Scene},
};

/// The case whose node listens.
pub(crate) const CASE: &str = "notices";
const NAMESPACE: &str = "kube-system";
const NAME: &str = "latchkey-notices";

/// A process of `latchkey notices`. Secrets change all the time, and what it writes reaches
/// the API server of the node.
pub(crate) struct Sender {
    scene: Arc<Scene>,
    process: Process,
    carrier: JoinHandle<()>,
}

pub(crate) fn object() -> ObjectName {
    ObjectName { namespace: NAMESPACE.to_owned(), name: NAME.to_owned() }
}

impl Sender {
    pub(crate) async fn start(kubernetes: Kubernetes) -> Self {
        let scene = Arc::new(Scene::start(1).await);
        let process = scene.process("sender").await;
        let carrier = tokio::spawn(carry(Arc::clone(&scene), kubernetes));
        Self { scene, process, carrier }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// From now on the queue cannot be received from.
    pub(crate) fn fail(&self) {
        let failing = Fault::new(FaultKind::InternalError).region(REGION).operation("ReceiveMessage");
        self.scene.emulator.inject(failing);
        self.scene.emulator.reset_connections();
    }

    pub(crate) fn heal(&self) {
        self.scene.emulator.clear_faults();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

async fn carry(scene: Arc<Scene>, kubernetes: Kubernetes) {
    let mut heartbeat = None;
    loop {
        scene.change("shop/other");
        sleep(Duration::from_millis(500)).await;
        let Some(document) = scene.api.document() else { continue };
        if heartbeat.replace(document.heartbeat) != Some(document.heartbeat) {
            kubernetes.put_config_map(NAMESPACE, NAME, &json!({ KEY: document.to_json() }));
        }
    }
}
