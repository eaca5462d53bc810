//! Reads every rendered manifest as strictly as Kubernetes does: a field that is misspelled, stands in the
//! wrong place, or has the wrong type, fails here instead of in a cluster.
//!
//! The manifests are `deploy/*.yaml` and, if `LATCHKEY_RENDERED_DIR` is set, the `*.yaml` files in that folder
//! (`tests/chart` renders the chart there, once for each set of values).

#![cfg(test)]

use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[test]
fn every_manifest_has_only_fields_that_kubernetes_knows() {
    let mut mistakes = Vec::new();
    for path in manifests() {
        for object in objects(&path) {
            let name = format!("{}: {}", path.display(), object["kind"].as_str().unwrap_or("(no kind)"));
            match as_kubernetes_reads(&object) {
                Ok(read) => lost("", &object, &read, &mut |field| mistakes.push(format!("{name}{field}"))),
                Err(cause) => mistakes.push(format!("{name}: {cause}")),
            }
        }
    }
    assert!(mistakes.is_empty(), "Kubernetes would not take these as they stand:\n{}", mistakes.join("\n"));
}

#[test]
fn a_misspelled_field_is_found() {
    let account: Value = serde_json::json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": "latchkey", "labells": {} },
    });
    let mut mistakes = Vec::new();
    lost("", &account, &as_kubernetes_reads(&account).unwrap(), &mut |field| mistakes.push(field));
    assert_eq!(mistakes, [".metadata.labells"]);
}

#[test]
fn the_default_manifest_requests_only_what_it_needs() {
    let pod = pod_of("deploy/latchkey.yaml");
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    assert_eq!(security["capabilities"], serde_json::json!({ "drop": ["ALL"] }));
    assert_eq!(security["privileged"], false);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    for field in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
        assert_eq!(pod[field], Value::Null, "{field}");
    }
    assert_eq!(container["ports"][0]["hostPort"], Value::Null, "a host port forbids maxSurge");
    assert_eq!(host_folders(&pod), ["/var/run/secrets-store-csi-providers"]);
}

#[test]
fn the_kubelet_folder_is_mounted_only_for_provider_writes() {
    let pod = pod_of("deploy/latchkey-provider-writes.yaml");
    assert_eq!(host_folders(&pod), ["/var/run/secrets-store-csi-providers", "/var/lib/kubelet/pods"]);
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let pods = mounts.iter().find(|mount| mount["name"] == "pods").unwrap();
    assert_eq!(pods["mountPropagation"], "HostToContainer");
    assert_eq!(pods["mountPath"], "/var/lib/kubelet/pods");
}

#[test]
fn the_program_accepts_the_arguments_of_every_manifest() {
    let mut read = 0;
    for object in manifests().iter().flat_map(|path| objects(path)) {
        let Some(args) = object["spec"]["template"]["spec"]["containers"][0]["args"].as_array() else {
            continue;
        };
        let args = args.iter().map(|arg| arg.as_str().unwrap().replace("$(NODE_NAME)", "node-1").into());
        let args = std::iter::once("latchkey".into()).chain(args);
        if let Err(error) = latchkey::cli::Cli::try_from_args(args) {
            panic!("{error}");
        }
        read += 1;
    }
    assert!(read >= 2, "only {read} manifests with arguments");
}

/// The folders of the node that a pod sees, in the order of its volumes.
fn host_folders(pod: &Value) -> Vec<&str> {
    let volumes = pod["volumes"].as_array().unwrap();
    volumes.iter().filter_map(|volume| volume["hostPath"]["path"].as_str()).collect()
}

/// The pod of a manifest's DaemonSet.
fn pod_of(manifest: &str) -> Value {
    let daemon_set = objects(&root().join(manifest)).into_iter().find(|object| object["kind"] == "DaemonSet");
    daemon_set.unwrap()["spec"]["template"]["spec"].take()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files to read.
fn manifests() -> Vec<PathBuf> {
    let mut folders = vec![root().join("deploy")];
    folders.extend(std::env::var_os("LATCHKEY_RENDERED_DIR").map(PathBuf::from));
    let mut found = Vec::new();
    for folder in folders {
        let before = found.len();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                found.push(path);
            }
        }
        assert!(found.len() > before, "no manifest in {}", folder.display());
    }
    found
}

/// The objects of one file; empty documents are none.
fn objects(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let documents: Vec<Value> =
        serde_yaml::from_multiple(&text).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// The object after a round trip through its Kubernetes type.
fn as_kubernetes_reads(object: &Value) -> Result<Value, String> {
    fn through<T: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, String> {
        let read: T = serde_json::from_value(object.clone()).map_err(|cause| cause.to_string())?;
        serde_json::to_value(read).map_err(|cause| cause.to_string())
    }
    match object["kind"].as_str() {
        Some("DaemonSet") => through::<DaemonSet>(object),
        Some("NetworkPolicy") => through::<NetworkPolicy>(object),
        Some("ServiceAccount") => through::<ServiceAccount>(object),
        Some("Deployment") => through::<Deployment>(object),
        Some("PodDisruptionBudget") => through::<PodDisruptionBudget>(object),
        Some("Role") => through::<Role>(object),
        Some("RoleBinding") => through::<RoleBinding>(object),
        Some("ClusterRole") => through::<ClusterRole>(object),
        Some("ClusterRoleBinding") => through::<ClusterRoleBinding>(object),
        Some("ConfigMap") => through::<ConfigMap>(object),
        Some("Service") => through::<Service>(object),
        // tests/alerts/run checks these against the Prometheus Operator's own definitions.
        Some("PodMonitor" | "ServiceMonitor" | "PrometheusRule") => Ok(object.clone()),
        other => Err(format!("a kind that this test does not know: {other:?}")),
    }
}

/// Reports every field of `written` that is missing or different in `read`.
fn lost(field: &str, written: &Value, read: &Value, report: &mut dyn FnMut(String)) {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            for (key, value) in written {
                lost(&format!("{field}.{key}"), value, read.get(key).unwrap_or(&Value::Null), report);
            }
        }
        (Value::Array(written), Value::Array(read)) if written.len() == read.len() => {
            for (index, (written, read)) in written.iter().zip(read).enumerate() {
                lost(&format!("{field}[{index}]"), written, read, report);
            }
        }
        _ if written == read => {}
        _ => report(field.to_owned()),
    }
}
