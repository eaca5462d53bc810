//! `latchkey access` on a live cluster.

use std::{path::Path, process::Output};

use serde_json::{Value, json};
use tokio::process::Command;

use super::found;
use crate::harness::{ClusterApi, assert_contains};

const CRDS: &str = "/apis/secrets-store.csi.x-k8s.io/v1";
const ROLE: &str = "arn:aws:iam::111122223333:role/shared";

/// Two namespaces whose classes ask for one secret, as one role.
async fn two_namespaces(folder: &Path) -> ClusterApi {
    let api = ClusterApi::start(folder).await;
    for namespace in ["shop", "billing"] {
        let metadata = |name: &str, annotations: Value| json!({ "name": name, "namespace": namespace, "annotations": annotations });
        let account = metadata("app", json!({ "eks.amazonaws.com/role-arn": ROLE }));
        api.put("/api/v1", "serviceaccounts", json!({ "metadata": account }));
        api.put("/api/v1", "serviceaccounts", json!({ "metadata": metadata("default", json!({})) }));
        let objects = "- {objectName: shared, objectType: secretsmanager}";
        let spec =
            json!({ "provider": "aws", "parameters": { "region": "eu-central-1", "objects": objects } });
        api.put(
            CRDS,
            "secretproviderclasses",
            json!({ "metadata": metadata("db", json!({})), "spec": spec }),
        );
        let csi = json!({ "driver": "secrets-store.csi.k8s.io", "readOnly": true, "volumeAttributes": { "secretProviderClass": "db" } });
        let spec = json!({ "serviceAccountName": "app", "containers": [{ "name": "main" }], "volumes": [{ "name": "s", "csi": csi }] });
        let pod = json!({ "metadata": metadata("app-1", json!({})), "spec": spec, "status": { "phase": "Running" } });
        api.put("/api/v1", "pods", pod);
    }
    api
}

async fn access(api: &ClusterApi, args: &[&str]) -> Output {
    let mut latchkey = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    latchkey.env_clear().arg("access").arg("--kubeconfig").arg(api.kubeconfig());
    latchkey.args(args).output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn what_namespaces_share_is_seen_in_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let api = two_namespaces(folder.path()).await;
    let own = access(&api, &["-o", "json"]).await;
    assert_eq!((text(&own.stderr).as_str(), own.status.code()), ("", Some(0)));
    let document: Value = serde_json::from_slice(&own.stdout).unwrap();
    assert_eq!(
        document["accounts"],
        json!([{ "namespace": "shop", "name": "app", "workloads": ["Pod app-1"] }])
    );
    let all = access(&api, &["-A", "-o", "json"]).await;
    let expected = [
        ("secret-shared".to_owned(), "shared (eu-central-1, 111122223333)".to_owned()),
        ("role-over-namespaces".to_owned(), ROLE.to_owned()),
    ];
    assert_eq!(found(&text(&all.stdout)), expected.into());
    assert_eq!(all.status.code(), Some(1));
}

#[tokio::test]
async fn pods_that_may_not_be_listed_are_told_and_nothing_is_said_to_be_unused() {
    let folder = tempfile::tempdir().unwrap();
    let api = two_namespaces(folder.path()).await;
    api.refuse("pods", 403);
    let output = access(&api, &["-A"]).await;
    assert_contains(&text(&output.stderr), "warning: ");
    assert_contains(&text(&output.stderr), "pods");
    assert_contains(&text(&output.stdout), "2 service accounts with 1 role");
    assert!(!text(&output.stdout).contains("class-unused"));
    api.refuse("secretproviderclasses", 403);
    let output = access(&api, &["-A"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert_contains(&text(&output.stderr), "secretproviderclasses");
}
