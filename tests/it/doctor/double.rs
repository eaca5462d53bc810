//! An API server for `latchkey doctor`: a healthy cluster of two nodes whose objects a test
//! changes, and what the pods of Latchkey answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

pub(super) const DRIVER: &str = "secrets-store.csi.k8s.io";
const FOLDER: &str = "/var/run/secrets-store-csi-providers";

/// The cluster, in the state that a test has given it.
#[derive(Clone, Default)]
pub(super) struct Cluster {
    pub(super) csi_driver: Option<Value>,
    /// By plural name: `daemonsets`, `pods`, …
    pub(super) objects: BTreeMap<&'static str, Vec<Value>>,
    /// What `/readyz` of each node's Latchkey answers.
    pub(super) ready: BTreeMap<&'static str, &'static str>,
    pub(super) metrics: BTreeMap<&'static str, String>,
    /// How far a node's clock is ahead, in seconds, as Latchkey's answers show it.
    pub(super) ahead: BTreeMap<&'static str, i64>,
    /// Rights that are missing: `verb resource`, or `verb path`.
    pub(super) denied: BTreeSet<&'static str>,
    /// Plural names that the user may not list.
    pub(super) forbidden: BTreeSet<&'static str>,
    /// Plural names that do not exist.
    pub(super) unknown: BTreeSet<&'static str>,
}

/// What a run printed.
pub(super) struct Run {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Run {
    /// The findings, as `id place: message (fix)`.
    pub(super) fn findings(&self) -> Vec<String> {
        let document: Value =
            serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{} {}", self.out, self.err));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let findings = document["findings"].as_array().unwrap().iter();
        findings
            .map(|one| {
                let object = &one["object"];
                let place = [&object["kind"], &object["namespace"], &object["name"]].map(text).join("/");
                format!("{} {place}: {} ({})", text(&one["id"]), text(&one["message"]), text(&one["fix"]))
            })
            .collect()
    }
}

impl Cluster {
    /// Nothing is wrong here.
    pub(super) fn healthy() -> Self {
        let nodes = ["node-1", "node-2"];
        let mut objects: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
        objects.insert("nodes", nodes.map(node).to_vec());
        objects.insert("csinodes", nodes.map(|name| {
            json!({ "metadata": { "name": name }, "spec": { "drivers": [{ "name": DRIVER, "nodeID": name }] } })
        }).to_vec());
        objects.insert("leases", nodes.map(|name| lease(name, "2026-01-02T03:04:05.250000Z")).to_vec());
        objects.insert("daemonsets", vec![driver(), latchkey()]);
        let pods = nodes.iter().flat_map(|node| {
            [system_pod("driver", "secrets-store-csi-driver", node), system_pod("latchkey", "latchkey", node)]
        });
        objects.insert(
            "pods",
            pods.chain([pod("web", "web", "web"), pod("worker", "worker", "worker")]).collect(),
        );
        objects.insert(
            "serviceaccounts",
            vec![
                account(
                    "web",
                    &json!({ "eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/web" }),
                ),
                account("worker", &json!({})),
            ],
        );
        objects.insert(
            "secretproviderclasses",
            vec![class("web", &json!({})), class("worker", &json!({ "usePodIdentity": "true" }))],
        );
        objects.insert("events", Vec::new());
        objects.insert("networkpolicies", Vec::new());
        Self {
            csi_driver: Some(csi_driver()),
            objects,
            ready: nodes.map(|node| (node, "ok\n")).into(),
            metrics: nodes.map(|node| (node, metrics("0.1.0", "ours", 0, 0))).into(),
            ..Self::default()
        }
    }

    /// The object of a kind and name.
    pub(super) fn object(&mut self, plural: &'static str, name: &str) -> &mut Value {
        let objects = self.objects.get_mut(plural).unwrap();
        objects.iter_mut().find(|object| object["metadata"]["name"] == name).unwrap()
    }

    pub(super) fn add(&mut self, plural: &'static str, object: Value) {
        self.objects.entry(plural).or_default().push(object);
    }

    pub(super) fn remove(&mut self, plural: &'static str, name: &str) {
        self.objects.get_mut(plural).unwrap().retain(|object| object["metadata"]["name"] != name);
    }

    /// Every node listens to change notices, and a pod sends them.
    pub(super) fn with_notices(mut self) -> Self {
        let object = "kube-system/latchkey-notices";
        let args =
            &mut self.object("daemonsets", "latchkey")["spec"]["template"]["spec"]["containers"][0]["args"];
        args.as_array_mut().unwrap().push(json!(format!("--notices={object}")));
        let mut sender = system_pod("latchkey-notices", "latchkey-notices", "node-1");
        sender["spec"]["containers"][0]["args"] = json!(["notices", format!("--object={object}")]);
        self.add("pods", sender);
        self.ready.insert("notices-node-1", "leads\n");
        let text = json!({
            "heartbeat": 7, "number": 3, "nodes": 2, "changes": [],
            "readsPerSecond": { "secretsmanager": 5000, "ssm": 20 },
            "covered": [{ "account": "111122223333", "region": "us-east-1" }],
        });
        self.add(
            "configmaps",
            json!({
                "metadata": { "name": "latchkey-notices", "namespace": "kube-system" },
                "data": { "notices.json": text.to_string() },
            }),
        );
        for metrics in self.metrics.values_mut() {
            metrics.push_str("latchkey_change_notice_areas 1\nlatchkey_changes_untold_total 0\n");
        }
        self
    }

    /// A pod that waits for its volume, with kubelet's event.
    pub(super) fn fail_mount(&mut self, pod: &str, message: &str) {
        self.object("pods", pod)["status"] = json!({ "phase": "Pending" });
        let note = format!(
            "MountVolume.SetUp failed for volume \"secrets\" : rpc error: code = Unknown desc = failed to mount secrets store objects for pod shop/{pod}, err: rpc error: code = Unknown desc = {message}"
        );
        self.add_event(pod, "FailedMount", &note, "2026-01-02T03:04:05Z");
    }

    pub(super) fn add_event(&mut self, pod: &str, reason: &str, note: &str, at: &str) {
        self.add("events", json!({
            "metadata": { "name": format!("{pod}.{}", note.len()), "namespace": "shop", "creationTimestamp": at },
            "regarding": { "kind": "Pod", "namespace": "shop", "name": pod },
            "reason": reason, "note": note, "type": "Warning", "eventTime": null,
            "deprecatedLastTimestamp": at,
        }));
    }

    /// Runs the doctor against it, with these arguments.
    pub(super) async fn run(self, args: &[&str]) -> Run {
        let folder = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let kubeconfig = folder.path().join("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": { "server": server } }],
            "users": [{ "name": "test", "user": {} }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": "shop" } }],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::new(Mutex::new(self)));
        let served = tokio::spawn(axum::serve(listener, router).into_future());
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
        command.arg("doctor").arg("--kubeconfig").arg(&kubeconfig).args(args);
        let run = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        served.abort();
        Run {
            code: run.status.code().unwrap(),
            out: String::from_utf8(run.stdout).unwrap(),
            err: String::from_utf8(run.stderr).unwrap(),
        }
    }
}

async fn answer(State(cluster): State<Arc<Mutex<Cluster>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let cluster = cluster.lock().unwrap();
    let path = head.uri.path();
    if path == "/version" {
        return respond(200, "{}".to_owned());
    }
    if path == "/apis/authorization.k8s.io/v1/subjectaccessreviews" {
        assert_eq!(head.method, Method::POST);
        return cluster.review(&serde_json::from_slice(&body).unwrap());
    }
    // Everything else only reads.
    assert_eq!(head.method, Method::GET, "{path}");
    if let Some((pod, said)) = path.split_once("/proxy") {
        return cluster.proxied(pod.rsplit('/').next().unwrap(), said);
    }
    cluster.read(path, head.uri.query().unwrap_or_default())
}

impl Cluster {
    fn review(&self, review: &Value) -> Response {
        if self.forbidden.contains("subjectaccessreviews") {
            return failure(403, "subjectaccessreviews");
        }
        let spec = &review["spec"];
        assert!(spec["user"].as_str().unwrap().starts_with("system:serviceaccount:kube-system:"), "{spec}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let resource = &spec["resourceAttributes"];
        let path = &spec["nonResourceAttributes"];
        let right = format!(
            "{}{} {}{}",
            text(&resource["verb"]),
            text(&path["verb"]),
            text(&resource["resource"]),
            text(&path["path"])
        );
        let mut answer = review.clone();
        answer["status"] = json!({ "allowed": !self.denied.contains(right.as_str()) });
        respond(201, answer.to_string())
    }

    fn proxied(&self, pod: &str, path: &str) -> Response {
        if self.forbidden.contains("pods/proxy") {
            return failure(403, "pods/proxy");
        }
        let (pod, port) = pod.split_once(':').or_else(|| pod.split_once("%3A")).unwrap();
        assert_eq!(port, "8989");
        let node = pod.trim_start_matches("latchkey-");
        let text = match path {
            "/readyz" => self.ready[node].to_owned(),
            "/metrics" => match self.metrics.get(node) {
                Some(metrics) => metrics.clone(),
                None => return respond(404, String::new()),
            },
            other => panic!("{other}"),
        };
        let mut response = respond(200, text);
        if let Some(seconds) = self.ahead.get(node) {
            let date = k8s_openapi::jiff::Timestamp::now().as_second() + seconds;
            let date = k8s_openapi::jiff::Timestamp::from_second(date).unwrap();
            let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            response.headers_mut().insert(header::DATE, date.parse().unwrap());
        }
        response
    }

    fn read(&self, path: &str, query: &str) -> Response {
        let (folder, last) = path.rsplit_once('/').unwrap();
        if folder.ends_with("/csidrivers") {
            return match &self.csi_driver {
                _ if self.forbidden.contains("csidrivers") => failure(403, "csidrivers"),
                Some(object) => respond(200, object.to_string()),
                None => failure(404, last),
            };
        }
        if folder.ends_with("/configmaps") {
            let maps = self.objects.get("configmaps").into_iter().flatten();
            return match maps.into_iter().find(|map| map["metadata"]["name"] == last) {
                Some(map) => respond(200, map.to_string()),
                None => failure(404, last),
            };
        }
        if self.forbidden.contains(last) {
            return failure(403, last);
        }
        let Some(objects) = self.objects.get(last).filter(|_| !self.unknown.contains(last)) else {
            return failure(404, last);
        };
        let namespace = folder.split_once("/namespaces/").map(|(_, namespace)| namespace);
        let labels: Vec<(&str, &str)> = query
            .split('&')
            .find_map(|parameter| parameter.strip_prefix("labelSelector="))
            .into_iter()
            .flat_map(|selector| selector.split("%2C"))
            .map(|pair| pair.split_once("%3D").unwrap())
            .collect();
        let slash = |text: &str| text.replace("%2F", "/");
        let fits = |object: &&Value| {
            let metadata = &object["metadata"];
            namespace.is_none_or(|namespace| metadata["namespace"] == namespace)
                && labels.iter().all(|(key, value)| metadata["labels"][slash(key)] == slash(value))
        };
        let items: Vec<&Value> = objects.iter().filter(fits).collect();
        respond(200, json!({ "metadata": { "resourceVersion": "1" }, "items": items }).to_string())
    }
}

fn failure(status: u16, what: &str) -> Response {
    let status_object = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": status,
        "message": format!("{what}: said by the test's API server"), "reason": "Forbidden",
    });
    respond(status, status_object.to_string())
}

fn respond(status: u16, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn csi_driver() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": { "name": DRIVER },
        "spec": {
            "podInfoOnMount": true, "attachRequired": false, "requiresRepublish": true,
            "tokenRequests": [{ "audience": "sts.amazonaws.com" }, { "audience": "pods.eks.amazonaws.com" }],
        },
    })
}

pub(super) fn node(name: &str) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/os": "linux" } },
        "spec": {},
        "status": { "conditions": [{ "type": "Ready", "status": "True", "message": "" }] },
    })
}

/// A lease that kubelet renewed at this time, by its clock. By the API server's, it was
/// 03:04:05.
pub(super) fn lease(name: &str, renewed: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "kube-node-lease",
            "managedFields": [{ "manager": "kubelet", "operation": "Update", "time": "2026-01-02T03:04:05Z" }],
        },
        "spec": { "holderIdentity": name, "renewTime": renewed },
    })
}

fn daemon_set(name: &str, labels: &Value, spec: &Value) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "kube-system", "labels": labels },
        "spec": { "selector": { "matchLabels": { "app": labels["app"] } }, "template": { "metadata": {}, "spec": spec } },
        "status": { "desiredNumberScheduled": 2, "numberReady": 2, "updatedNumberScheduled": 2 },
    })
}

fn providers_volume(folder: &str) -> Value {
    json!([{ "name": "providers", "hostPath": { "path": folder, "type": "DirectoryOrCreate" } }])
}

fn driver() -> Value {
    let labels = json!({ "app": "secrets-store-csi-driver", "app.kubernetes.io/version": "1.6.0" });
    let spec = json!({
        "serviceAccountName": "secrets-store-csi-driver",
        "nodeSelector": { "kubernetes.io/os": "linux" },
        "containers": [
            { "name": "node-driver-registrar", "image": "registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.16.0" },
            {
                "name": "secrets-store", "image": "registry.k8s.io/csi-secrets-store/driver:v1.6.0",
                "args": [
                    "--endpoint=$(CSI_ENDPOINT)", "--nodeid=$(KUBE_NODE_NAME)", format!("--provider-volume={FOLDER}"),
                    "--additional-provider-volume-paths=/etc/kubernetes/secrets-store-csi-providers",
                    "--enable-secret-rotation=true", "--rotation-poll-interval=2m",
                ],
                "volumeMounts": [{ "name": "providers", "mountPath": FOLDER }],
            },
        ],
        "volumes": providers_volume(FOLDER),
    });
    daemon_set("driver", &labels, &spec)
}

fn latchkey() -> Value {
    let labels = json!({ "app": "latchkey", "app.kubernetes.io/name": "latchkey" });
    let spec = json!({
        "serviceAccountName": "latchkey",
        "containers": [{
            "name": "latchkey", "image": "ghcr.io/latchkey-aws/latchkey:0.1.0",
            "args": ["serve", format!("--provider-volume={FOLDER}"), "--socket-name=aws.sock"],
            "ports": [{ "name": "http", "containerPort": 8989 }],
            "volumeMounts": [{ "name": "providers", "mountPath": FOLDER }],
        }],
        "volumes": providers_volume("/run/secrets-store-csi-providers/"),
        "tolerations": [{ "operator": "Exists" }],
    });
    daemon_set("latchkey", &labels, &spec)
}

/// The add-on of EKS.
pub(super) fn agent() -> Value {
    let image = "602401143452.dkr.ecr.us-east-1.amazonaws.com/eks/eks-pod-identity-agent:v0.1.33";
    let spec = json!({ "containers": [{ "name": "eks-pod-identity-agent", "image": image }] });
    daemon_set("eks-pod-identity-agent", &json!({ "app": "eks-pod-identity-agent" }), &spec)
}

/// A DaemonSet as AWS's own chart makes it.
pub(super) fn provider_of_aws() -> Value {
    let spec = json!({
        "serviceAccountName": "csi-secrets-store-provider-aws",
        "containers": [{
            "name": "provider-aws-installer",
            "image": "public.ecr.aws/aws-secrets-manager/secrets-store-csi-driver-provider-aws:3.1.1",
            "args": [format!("--provider-volume={FOLDER}")],
        }],
        "volumes": providers_volume(FOLDER),
    });
    daemon_set("aws-secrets-store-csi-driver-provider-aws", &json!({ "app": "aws" }), &spec)
}

pub(super) fn system_pod(set: &str, app: &str, node: &str) -> Value {
    json!({
        "metadata": { "name": format!("{set}-{node}"), "namespace": "kube-system", "labels": { "app": app } },
        "spec": { "nodeName": node, "containers": [{ "name": set, "image": format!("{set}:1") }] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True", "message": "" }] },
    })
}

pub(super) fn pod(name: &str, account: &str, class: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "shop" },
        "spec": {
            "nodeName": "node-1", "serviceAccountName": account,
            "containers": [{ "name": "app", "image": "app:1" }],
            "volumes": [{
                "name": "secrets",
                "csi": { "driver": DRIVER, "readOnly": true, "volumeAttributes": { "secretProviderClass": class } },
            }],
        },
        "status": { "phase": "Running" },
    })
}

fn account(name: &str, annotations: &Value) -> Value {
    json!({ "metadata": { "name": name, "namespace": "shop", "annotations": annotations } })
}

pub(super) fn class(name: &str, parameters: &Value) -> Value {
    let mut parameters = parameters.clone();
    parameters["objects"] = json!("- objectName: shop/db\n  objectType: secretsmanager\n");
    json!({
        "metadata": { "name": name, "namespace": "shop" },
        "spec": { "provider": "aws", "parameters": parameters },
    })
}

pub(super) fn metrics(version: &str, socket: &str, stale: u32, failing: u32) -> String {
    let states = ["starting", "ours", "succeeded", "foreign"];
    let sockets =
        states.map(|state| format!("latchkey_socket{{state=\"{state}\"}} {}\n", u32::from(state == socket)));
    format!(
        "# HELP latchkey_build_info The version that runs\nlatchkey_build_info{{version=\"{version}\"}} 1\n{}latchkey_pods{{state=\"fresh\"}} 2\nlatchkey_pods{{state=\"stale\"}} {stale}\nlatchkey_pods{{state=\"failing\"}} {failing}\n",
        sockets.concat()
    )
}
