//! `latchkey rotation`: what it says of a cluster, and that it waits for the last pod.

#![cfg(feature = "tools")]

use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use latchkey_emulator::{Emulator, Store};
use serde_json::{Value, json};
use tokio::{process::Command, task::JoinHandle, time::sleep};

use crate::harness::{ClusterApi, REGION, assert_contains, assert_lacks, kubeconfig_for, serve_emulator};

const CRDS: &str = "/apis/secrets-store.csi.x-k8s.io/v1";
const STATUSES: &str = "secretproviderclasspodstatuses";
const OLD: &str = "11111111-aaaa-4aaa-8aaa-111111111111";
const NEW: &str = "22222222-bbbb-4bbb-8bbb-222222222222";
/// When pods were started, and when some were rotated.
const STARTED: &str = "2026-02-03T04:00:00Z";
const ROTATED: &str = "2026-02-03T05:00:00Z";

/// A cluster, and an AWS.
struct Desk {
    api: ClusterApi,
    emulator: Emulator,
    aws_url: String,
    folder: tempfile::TempDir,
}

/// How the command ended, and what it printed.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    #[track_caller]
    fn assert(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

impl Desk {
    /// A class shop/db with the secret shop/database as password and user.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let api = ClusterApi::start(folder.path()).await;
        let key = "staticKeys: [{accessKeyId: AKIDEXAMPLE, secretAccessKey: x, account: '111122223333'}]";
        let emulator = Emulator::new(Store::from_yaml(key).unwrap());
        let aws_url = serve_emulator(&emulator).await;
        let desk = Self { api, emulator, aws_url, folder };
        desk.class("db", "shop/database");
        desk
    }

    fn class(&self, name: &str, secret: &str) {
        let objects = format!(
            "- objectName: {secret}\n  objectType: secretsmanager\n  objectAlias: password\n  jmesPath: [{{path: user, objectAlias: user}}]\n"
        );
        self.api.put(
            CRDS,
            "secretproviderclasses",
            json!({
                "metadata": { "name": name, "namespace": "shop" },
                "spec": { "provider": "aws", "parameters": { "region": REGION, "objects": objects } },
            }),
        );
    }

    /// A running pod, whose container mounts the volume at this subPath if it is not empty.
    fn pod(&self, name: &str, sub_path: &str) {
        let mut mount = json!({ "name": "secrets", "mountPath": "/mnt/secrets" });
        if !sub_path.is_empty() {
            mount["subPath"] = json!(sub_path);
        }
        self.api.put(
            "/api/v1",
            "pods",
            json!({
                "metadata": { "name": name, "namespace": "shop", "uid": format!("uid-{name}") },
                "spec": {
                    "nodeName": "node-1",
                    "volumes": [{ "name": "secrets", "csi": {
                        "driver": "secrets-store.csi.k8s.io", "readOnly": true,
                        "volumeAttributes": { "secretProviderClass": "db" },
                    } }],
                    "containers": [{ "name": "app", "volumeMounts": [mount] }],
                },
                "status": { "phase": "Running", "containerStatuses": [
                    { "name": "app", "state": { "running": { "startedAt": STARTED } } },
                ] },
            }),
        );
    }

    /// The driver's status of a pod: this version, since then.
    fn holds(&self, pod: &str, version: &str, since: &str) {
        self.api.put(CRDS, STATUSES, json!({
            "metadata": {
                "name": format!("{pod}-shop-db"), "namespace": "shop", "creationTimestamp": STARTED,
                "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod", "name": pod, "uid": format!("uid-{pod}") }],
                "managedFields": [{ "manager": "driver", "operation": "Update", "time": since, "fieldsV1": {} }],
            },
            "status": {
                "podName": pod, "secretProviderClassName": "db", "mounted": true, "targetPath": "/x",
                "objects": [{ "id": "password", "version": version }, { "id": "user", "version": version }],
            },
        }));
    }

    /// A pod that holds the old version, and one that holds the new one.
    fn half_rotated(&self) {
        self.pod("web-1", "");
        self.holds("web-1", OLD, STARTED);
        self.pod("web-2", "");
        self.holds("web-2", NEW, ROTATED);
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
        command.arg("rotation").args(args).env_clear();
        command.env("KUBECONFIG", self.api.kubeconfig()).env("HOME", "/nonexistent");
        command.env("AWS_ENDPOINT_URL", &self.aws_url).env("AWS_REGION", REGION);
        command.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "x");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn run(&self, args: &[&str]) -> Said {
        Said::of(&self.command(args).output().await.unwrap())
    }

    /// Starts the command, and returns once it follows the cluster.
    async fn start(&self, args: &[&str]) -> JoinHandle<Said> {
        let mut command = self.command(args);
        let running = tokio::spawn(async move { Said::of(&command.output().await.unwrap()) });
        while !self.api.reads().iter().any(|read| read.contains("watch=true") && read.contains(STATUSES)) {
            assert!(!running.is_finished(), "{}", running.await.unwrap().err);
            sleep(Duration::from_millis(20)).await;
        }
        // Time to look at what is there.
        sleep(Duration::from_millis(300)).await;
        running
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_shown_with_their_pods_and_who_waits() {
    let desk = Desk::new().await;
    desk.half_rotated();
    let said = desk.run(&[]).await;
    said.assert(0);
    for says in ["shop/database (us-east-1)", "newest", "WAITING POD", "shop/web-1", "node-1 has not mounted"]
    {
        assert_contains(&said.out, says);
    }
    let wide = desk.run(&["-o", "wide"]).await;
    assert_contains(&wide.assert(0).out, "shop       web-2  node-1");
    let json = desk.run(&["-ojson"]).await.assert(0).json();
    assert_eq!(json["version"], 1);
    let object = &json["objects"][0];
    assert_eq!((&object["id"], &object["service"]), (&json!("shop/database"), &json!("secretsmanager")));
    assert_eq!(object["target"], json!({ "version": NEW, "source": "newest" }));
    assert_eq!(object["versions"][0]["pods"][0]["name"], "web-2");
    assert_eq!(object["versions"][1]["pods"][0]["since"], STARTED);
    assert_eq!(object["waiting"][0]["name"], "web-1");
    assert_eq!(object["waiting"][0]["reasons"][0]["id"], "rotation-not-remounted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_with_sub_path_waits_although_the_pods_status_is_new() {
    let desk = Desk::new().await;
    desk.pod("web-1", "password");
    desk.holds("web-1", NEW, ROTATED);
    desk.pod("web-2", "other-file");
    desk.holds("web-2", NEW, ROTATED);
    desk.pod("web-3", "password");
    desk.holds("web-3", NEW, STARTED);
    let said = desk.run(&["shop/database"]).await;
    assert_contains(&said.assert(0).out, "container app mounts subPath password");
    let json = desk.run(&["shop/database", "-ojson"]).await.json();
    let waiting = json["objects"][0]["waiting"].as_array().unwrap();
    assert_eq!(waiting.len(), 1, "{json}");
    assert_eq!((&waiting[0]["name"], &waiting[0]["stale_container"]), (&json!("web-1"), &json!("app")));
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_pod_waits_is_said_by_latchkeys_event_and_by_the_driver() {
    let desk = Desk::new().await;
    desk.half_rotated();
    let event = |name: &str, controller: &str, note: &str| {
        desk.api.put(
            "/apis/events.k8s.io/v1",
            "events",
            json!({
                "metadata": { "name": name, "namespace": "shop" },
                "type": "Warning", "reason": "SecretAccessLost", "note": note,
                "eventTime": "2026-02-03T05:00:00.000000Z", "reportingController": controller,
                "regarding": { "kind": "Pod", "name": "web-1", "uid": "uid-web-1" },
            }),
        );
    };
    event("a", "latchkey", "AWS denies it");
    event("b", "kubelet", "somebody else's");
    desk.api.put(
        "/apis/storage.k8s.io/v1",
        "csidrivers",
        json!({
            "metadata": { "name": "secrets-store.csi.k8s.io" }, "spec": { "requiresRepublish": false },
        }),
    );
    let said = desk.run(&[]).await;
    assert_contains(&said.assert(0).out, "SecretAccessLost: AWS denies it; the driver's rotation is off");
    assert_lacks(&said.out, "somebody else's");
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_says_which_version_is_current_and_whether_the_previous_one_is_free() {
    let desk = Desk::new().await;
    desk.emulator.put_secret(REGION, "shop/database", r#"{"user": "a"}"#.to_owned());
    desk.emulator.put_secret(REGION, "shop/database", r#"{"user": "b"}"#.to_owned());
    let described = desk.run(&["--aws", "-ojson"]).await;
    assert_eq!(described.assert(0).json()["objects"], json!([]));
    desk.half_rotated();
    let said = desk.run(&["shop/database", "--aws"]).await;
    let current = said.assert(0).out.lines().find(|line| line.starts_with("No pod holds ")).unwrap();
    let current = current.split(' ').nth(3).unwrap();
    assert_contains(&said.out, "AWSPREVIOUS of shop/database (us-east-1) is free");
    let json = desk.run(&["shop/database", "--aws", "-ojson"]).await.json();
    assert_eq!(json["objects"][0]["target"], json!({ "version": current, "source": "aws" }));
    let previous = json["objects"][0]["previous"]["version"].as_str().unwrap();

    desk.holds("web-1", previous, STARTED);
    desk.holds("web-2", current, ROTATED);
    let said = desk.run(&["shop/database", "--aws"]).await;
    assert_contains(&said.out, "AWSCURRENT");
    assert_contains(&said.out, "AWSPREVIOUS of shop/database (us-east-1) is in use: 1 pod");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_until_the_last_running_pod_has_the_version() {
    let desk = Desk::new().await;
    desk.half_rotated();
    desk.pod("ends", "");
    desk.holds("ends", OLD, STARTED);
    let wait = ["shop/database", "--wait", "--timeout=30s", "--version", NEW];
    let running = desk.start(&wait).await;
    // A pod that starts meanwhile with the old version is waited for, too.
    desk.pod("starts", "");
    desk.holds("starts", OLD, ROTATED);
    desk.holds("web-1", NEW, ROTATED);
    desk.api.remove("/api/v1", "shop", "pods", "ends");
    sleep(Duration::from_millis(600)).await;
    assert!(!running.is_finished());
    desk.holds("starts", NEW, "2026-02-03T05:10:00Z");
    let said = running.await.unwrap();
    assert_contains(&said.assert(0).out, "All 3 running pods with shop/database");
    assert_contains(&said.err, "2 of 3 pods wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_time_is_over_the_pods_are_named_with_the_reason() {
    let desk = Desk::new().await;
    desk.pod("web-1", "password");
    desk.holds("web-1", NEW, ROTATED);
    desk.pod("web-2", "");
    desk.holds("web-2", NEW, ROTATED);
    let said = desk.run(&["shop/database", "--wait", "--timeout=1s", "--version", NEW]).await;
    said.assert(1);
    assert_contains(&said.out, "container app mounts subPath password");
    assert_contains(&said.err, "latchkey: 1 pod still waits after 1s: shop/web-1");
    let json = desk.run(&["shop/database", "--wait", "--timeout=1s", "--version", NEW, "-ojson"]).await;
    assert_eq!(json.assert(1).json()["reached"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_version_it_waits_for_the_one_that_aws_calls_current() {
    let desk = Desk::new().await;
    desk.half_rotated();
    let args = ["shop/database", "--wait", "--timeout=20s", "-ojson"];
    let said = desk.run(&args).await;
    assert_contains(&said.assert(2).err, "secretsmanager:DescribeSecret in us-east-1 failed");
    desk.emulator.put_secret(REGION, "shop/database", r#"{"user": "a"}"#.to_owned());
    let said = desk.run(&["shop/database", "--wait", "--timeout=1s", "-ojson"]).await;
    let current = said.assert(1).json()["objects"][0]["target"]["version"].as_str().unwrap().to_owned();
    let running = desk.start(&args).await;
    for pod in ["web-1", "web-2"] {
        desk.holds(pod, &current, "2026-02-03T05:10:00Z");
    }
    let said = running.await.unwrap();
    assert_eq!(said.assert(0).json()["reached"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_waited_for_is_refused() {
    let desk = Desk::new().await;
    desk.half_rotated();
    desk.class("other", "shop/other");
    for (args, says) in [
        (&["password", "--wait", "--version", NEW][..], "password means 2 objects"),
        (&["shop/databse", "--wait", "--version", NEW], "did you mean shop/database?"),
        (&["--wait"], "<NAME>"),
        (&["shop/database", "--timeout", "1s"], "--wait"),
        (&["shop/database", "--wait", "--watch"], "--watch"),
        (&["shop/database", "--wait", "--timeout", "soon"], "duration"),
    ] {
        let said = desk.run(args).await;
        assert_contains(&said.assert(2).err, says);
    }
    // No pod mounts it, so that all have it.
    let said = desk.run(&["shop/other", "--wait", "--version", NEW]).await;
    assert_contains(&said.assert(0).out, "No running pod in namespace shop mounts shop/other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_that_watches_gets_a_line_for_each_change() {
    let desk = Desk::new().await;
    desk.half_rotated();
    let mut child = desk.command(&["--watch"]).spawn().unwrap();
    let mut lines =
        tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stdout.take().unwrap()));
    let mut until = async |says: &str| loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if line.contains(says) {
            return line;
        }
    };
    until("has not mounted").await;
    desk.holds("web-1", NEW, ROTATED);
    let line = until("shop/web-1: ").await;
    assert_contains(&line, &format!("shop/database (us-east-1): {OLD} → {NEW}"));
    desk.api.remove("/api/v1", "shop", "pods", "web-2");
    assert_contains(&until("shop/web-2: ").await, "→ gone");
    // The reader has seen enough.
    drop(lines);
    desk.holds("web-1", OLD, ROTATED);
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages_and_start_again_when_their_place_is_forgotten() {
    let desk = Desk::new().await;
    for number in 0..1100 {
        let name = format!("web-{number}");
        desk.pod(&name, "");
        desk.holds(&name, OLD, STARTED);
    }
    desk.api.expire(1);
    let json = desk.run(&["-ojson"]).await.assert(0).json();
    assert_eq!(json["objects"][0]["versions"][0]["pod_count"], 1100);
    let pages = desk.api.reads().iter().filter(|read| read.contains("/pods?limit=500")).count();
    assert!(pages >= 3, "{:?}", desk.api.reads());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_cluster_and_one_without_the_driver_are_told_apart() {
    let desk = Desk::new().await;
    let said = desk.run(&["-A"]).await;
    assert_contains(&said.assert(0).out, "No running pod in all namespaces has mounted");
    desk.api.refuse(STATUSES, 404);
    let said = desk.run(&[]).await;
    assert_contains(&said.assert(2).err, "Install the Secrets Store CSI Driver");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_list_names_the_verb_the_resource_the_namespace_and_the_user() {
    let desk = Desk::new().await;
    desk.api.refuse("pods", 403);
    let said = desk.run(&[]).await;
    let expected = "does not allow you to list pods in namespace shop: pods is forbidden: User \"jane\" cannot list resource. Ask for a Role";
    assert_contains(&said.assert(2).err, expected);
    assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    desk.api.refuse("pods", 401);
    assert_contains(&desk.run(&[]).await.assert(2).err, "does not accept your credentials (HTTP 401)");
}

/// A kubeconfig for this user, and what the command says with it.
async fn with_user(desk: &Desk, url: &str, user: &Value) -> Said {
    let path = desk.folder.path().join("other");
    std::fs::write(&path, kubeconfig_for(url, user)).unwrap();
    let path = path.to_str().unwrap();
    let said = desk.run(&["--kubeconfig", path]).await;
    assert_lacks(&said.err, "canary");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_kubeconfig_is_a_sentence() {
    let desk = Desk::new().await;
    let said = desk.run(&["--context", "tset"]).await;
    assert_contains(&said.assert(2).err, "has no context \"tset\". Choose one with --context: test");
    let said = with_user(&desk, "http://127.0.0.1:1", &json!({})).await;
    assert_contains(
        &said.assert(2).err,
        "cannot list secretproviderclasses.secrets-store.csi.x-k8s.io in namespace shop at http://127.0.0.1:1: tcp connect error",
    );
    let plugin = |command: &Path, args: &[&str]| {
        json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": command, "args": args,
            "interactiveMode": "Never", "installHint": "Install the helper of the bank",
        } })
    };
    let missing = plugin(Path::new("/nonexistent/helper"), &[]);
    let said = with_user(&desk, desk.api.url(), &missing).await;
    assert_contains(&said.assert(2).err, "cannot start the exec plugin /nonexistent/helper");
    assert_contains(&said.err, "Install the helper of the bank");
    let failing = plugin(Path::new("sh"), &["-c", "echo canary; echo canary >&2; exit 3"]);
    let said = with_user(&desk, desk.api.url(), &failing).await;
    assert_contains(
        &said.assert(2).err,
        "the exec plugin sh, which gets your credentials, failed (exit code 3)",
    );
    let silent = plugin(Path::new("sh"), &["-c", "echo '{\"canary\": 1}'"]);
    assert_contains(&with_user(&desk, desk.api.url(), &silent).await.assert(2).err, "printed no credentials");
    let token = json!({ "token": "canary\ncanary" });
    assert_contains(&with_user(&desk, desk.api.url(), &token).await.assert(2).err, "single line");
    std::fs::write(desk.folder.path().join("other"), "users: [canary").unwrap();
    let path = desk.folder.path().join("other");
    let said = desk.run(&["--kubeconfig", path.to_str().unwrap()]).await;
    assert_contains(&said.assert(2).err, "is not valid YAML for a kubeconfig");
    assert_lacks(&said.err, "canary");
}
