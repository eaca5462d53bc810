//! Commands answer the same about a live cluster as about its manifests.

#![cfg(feature = "tools")]

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Output, Stdio},
};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::ClusterApi;

const CRDS: &str = "/apis/secrets-store.csi.x-k8s.io/v1";

/// A class with a mistake, a class without one, and pods on two nodes that mount them.
fn objects() -> Vec<(&'static str, &'static str, Value)> {
    let metadata = |name: &str| json!({ "name": name, "namespace": "shop" });
    let class = |name: &str, objects: &str| {
        let parameters = json!({ "region": "eu-central-1", "objects": objects });
        let spec = json!({ "provider": "aws", "parameters": parameters });
        let kind = "SecretProviderClass";
        let object = json!({ "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": kind, "metadata": metadata(name), "spec": spec });
        (CRDS, "secretproviderclasses", object)
    };
    let pod = |name: &str, node: &str, account: &str, class: &str| {
        let attributes = json!({ "secretProviderClass": class });
        let csi =
            json!({ "driver": "secrets-store.csi.k8s.io", "readOnly": true, "volumeAttributes": attributes });
        let container = json!({ "name": "main", "volumeMounts": [{ "name": "secrets", "mountPath": "/s", "subPath": "x" }] });
        let volumes = json!([{ "name": "secrets", "csi": csi }]);
        let spec = json!({ "serviceAccountName": account, "nodeName": node, "containers": [container], "volumes": volumes });
        let object = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata(name), "spec": spec, "status": { "phase": "Running" } });
        ("/api/v1", "pods", object)
    };
    let mut account = metadata("web");
    account["annotations"] = json!({ "eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/web" });
    vec![
        class(
            "db",
            "- {objectName: shop/db, objectType: secretsmanager}\n- {objectName: /shop/url, objectType: ssmparameter}",
        ),
        class("bad", "- {objectName: shop/db, objectType: secretmanager}"),
        (
            "/api/v1",
            "serviceaccounts",
            json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": account }),
        ),
        pod("web-1", "node-1", "web", "db"),
        pod("web-2", "node-2", "web", "db"),
        pod("bad-1", "node-2", "bad", "bad"),
    ]
}

async fn latchkey(args: &[&str]) -> Output {
    let mut latchkey = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    latchkey.env_clear().stdin(Stdio::null()).args(args).output().await.unwrap()
}

/// What a command answers about the manifests, and about the cluster.
async fn both(folder: &Path, args: &[&str]) -> [(Value, Option<i32>); 2] {
    let api = ClusterApi::start(folder).await;
    let mut manifests = Vec::new();
    for (root, plural, object) in objects() {
        manifests.push(object.clone());
        api.put(root, plural, object);
    }
    let file = folder.join("all.json");
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": manifests });
    std::fs::write(&file, list.to_string()).unwrap();
    let answer = async |source: &[&str]| {
        let output = latchkey(&[args, source].concat()).await;
        let document = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{args:?}: {}", String::from_utf8_lossy(&output.stderr)));
        (document, output.status.code())
    };
    let files = answer(&[file.to_str().unwrap()]).await;
    [files, answer(&["--kubeconfig", api.kubeconfig().to_str().unwrap()]).await]
}

#[tokio::test]
async fn the_least_policy_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let [files, cluster] =
        both(folder.path(), &["policy", "--service-account", "shop/web", "-o", "json"]).await;
    assert_eq!(files, cluster);
    let policies = files.0.to_string();
    assert!(policies.contains("secret:shop/db-??????"), "{policies}");
    assert!(policies.contains("parameter/shop/url"), "{policies}");
}

#[tokio::test]
async fn the_calls_and_dollars_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let answers = both(folder.path(), &["cost", "-o", "json"]).await;
    let [files, cluster] = answers.map(|(mut document, code)| {
        let skipped = document["skipped"].take();
        let problem = skipped[0]["problem"].as_str().unwrap();
        assert!(problem.contains("secretmanager") && !problem.contains("secretProviderClass"), "{problem}");
        (document, code)
    });
    assert_eq!(files, cluster);
    assert_eq!((&files.0["pods"], &files.0["nodes"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn the_findings_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let answers = both(folder.path(), &["check", "-o", "json"]).await;
    let [files, cluster] = answers.map(|(document, code)| {
        let findings = document["findings"].as_array().unwrap().iter();
        let findings =
            findings.map(|finding| ["id", "object", "message"].map(|key| finding[key].to_string()).join(" "));
        (findings.collect::<BTreeSet<_>>(), code)
    });
    assert_eq!(files, cluster);
    assert_eq!(files.1, Some(1));
    for (rule, place) in [("sub-path", "web-1"), ("secretmanager", "bad")] {
        assert!(files.0.iter().any(|found| found.contains(rule) && found.contains(place)), "{files:?}");
    }
}
