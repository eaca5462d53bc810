//! The real API server: it has the nodes, the pods and their service accounts, and it
//! signs the pods' tokens.

use std::path::Path;

use http::{Method, Request};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use crate::harness::STS;

/// The namespace of the pods.
pub(crate) const NAMESPACE: &str = "shop";
/// The namespace of the object and of the Lease.
pub(crate) const SYSTEM: &str = "kube-system";
/// The name of both.
pub(crate) const NOTICES: &str = "latchkey-notices";
/// Tokens outlast the run, so that the driver's part needs to fetch none.
const TOKEN_SECONDS: u32 = 4 * 3600;

#[derive(Clone)]
pub(crate) struct Cluster(Client);

/// A pod of the API server, and its token for STS.
pub(crate) struct Bound {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) token: String,
}

impl Cluster {
    pub(crate) async fn connect(kubeconfig: &Path) -> Self {
        let file = Kubeconfig::read_from(kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        Self(Client::try_from(config).unwrap())
    }

    /// The keys that verify the tokens.
    pub(crate) async fn keys(&self) -> String {
        self.0.request_text(request(Method::GET, "/openid/v1/jwks", &Value::Null)).await.unwrap()
    }

    pub(crate) async fn add_namespace(&self) {
        self.post("/api/v1/namespaces", &json!({ "metadata": { "name": NAMESPACE } })).await;
    }

    pub(crate) async fn add_node(&self, name: &str) {
        self.post("/api/v1/nodes", &json!({ "metadata": { "name": name } })).await;
    }

    /// A service account with a role by IRSA.
    pub(crate) async fn add_account(&self, name: &str, role: &str) {
        let annotations = json!({ "eks.amazonaws.com/role-arn": role });
        let account = json!({ "metadata": { "name": name, "annotations": annotations } });
        self.post(&format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts"), &account).await;
    }

    pub(crate) async fn add_pod(&self, name: &str, node: &str, account: &str) -> Bound {
        let container = json!({ "name": "app", "image": "app" });
        let pod = json!({
            "metadata": { "name": name },
            "spec": { "nodeName": node, "serviceAccountName": account, "containers": [container] },
        });
        let pod = self.post(&format!("/api/v1/namespaces/{NAMESPACE}/pods"), &pod).await;
        let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
        let bound = json!({ "apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid });
        let asked = json!({
            "spec": { "audiences": [STS], "expirationSeconds": TOKEN_SECONDS, "boundObjectRef": bound }
        });
        let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token");
        let answer = self.post(&path, &asked).await;
        let token = answer["status"]["token"].as_str().unwrap().to_owned();
        Bound { name: name.to_owned(), uid, token }
    }

    /// Who leads, by the Lease.
    pub(crate) async fn leader(&self) -> Option<String> {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{NOTICES}");
        let lease: Value = self.0.request(request(Method::GET, &path, &Value::Null)).await.ok()?;
        lease["spec"]["holderIdentity"].as_str().filter(|name| !name.is_empty()).map(str::to_owned)
    }

    /// Deletes the object that nodes watch.
    pub(crate) async fn delete_object(&self) {
        let path = format!("/api/v1/namespaces/{SYSTEM}/configmaps/{NOTICES}");
        let _: Value = self.0.request(request(Method::DELETE, &path, &Value::Null)).await.unwrap();
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.0.request(request(Method::POST, path, body)).await.unwrap()
    }
}

fn request(method: Method, path: &str, body: &Value) -> Request<Vec<u8>> {
    let text = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    Request::builder().method(method).uri(path).header("Content-Type", "application/json").body(text).unwrap()
}
