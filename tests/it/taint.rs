//! A new node's taint is removed once this process serves the driver.

use std::{sync::Arc, time::Duration};

use latchkey::{
    app::Config,
    cluster::{Cluster, ClusterSettings, taint::TaintKey},
};
use latchkey_emulator::{Emulator, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::UnixListener,
    time::{Instant, timeout},
};

use crate::harness::{
    Behaviour, Kubernetes, Log, Provider, World, assert_contains, assert_lacks, eventually, seconds,
};

const KEY: &str = "latchkey.example.com/not-ready";
const NODE: &str = "node-1";

/// A cluster with one node, and the process that runs on it.
struct Node {
    kubernetes: Kubernetes,
    cluster: Cluster,
    folder: TempDir,
}

impl Node {
    async fn start(taints: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let emulator = Emulator::new(Store::default());
        let kubernetes = Kubernetes::start(&folder.path().join("kubeconfig"), &emulator).await;
        kubernetes.add_tainted_node(NODE, taints);
        Self { cluster: Cluster::new(settings(&kubernetes), Arc::default()), kubernetes, folder }
    }

    async fn remove(&self) {
        self.cluster.remove_startup_taint(&key()).await;
    }

    fn taints(&self) -> Value {
        self.kubernetes.taints(NODE)
    }

    fn patches(&self) -> usize {
        self.kubernetes.attempts().len()
    }
}

fn settings(kubernetes: &Kubernetes) -> ClusterSettings {
    ClusterSettings { kubeconfig: Some(kubernetes.kubeconfig().to_owned()), node_name: Some(NODE.to_owned()) }
}

fn key() -> TaintKey {
    TaintKey::parse(KEY).unwrap()
}

fn ours(effect: &str) -> Value {
    json!({ "key": KEY, "effect": effect })
}

/// Taints of others; the last one has fields that this program does not know.
fn others() -> [Value; 3] {
    [
        json!({ "key": "example.com/gpu", "value": "true", "effect": "NoSchedule" }),
        json!({ "key": "latchkey.example.com/not-ready-2", "effect": "NoSchedule" }),
        json!({ "key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z", "later": [1] }),
    ]
}

#[tokio::test(start_paused = true)]
async fn our_taints_of_every_effect_are_removed_and_others_stay() {
    let log = Log::collect();
    let [a, b, c] = others();
    let node =
        Node::start(&json!([ours("NoSchedule"), a, ours("NoExecute"), b, c, ours("PreferNoSchedule")])).await;
    node.remove().await;
    assert_eq!(node.taints(), json!(others()));
    assert_eq!(node.patches(), 1);
    assert_contains(&log.take(), "startup taint removed");
}

#[tokio::test(start_paused = true)]
async fn a_missing_taint_is_success_and_nothing_is_patched() {
    for taints in [json!(others()), json!([]), Value::Null] {
        let node = Node::start(&taints).await;
        let taints = node.taints();
        node.remove().await;
        assert_eq!((node.taints(), node.patches()), (taints, 0));
    }
    // A node without any taints does not have the field.
    let node = Node::start(&json!([])).await;
    node.kubernetes.add_node(NODE, &json!({}));
    node.remove().await;
    assert_eq!(node.patches(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_concurrent_change_is_kept_and_the_removal_tried_again() {
    let log = Log::collect();
    let [a, b, c] = others();
    let node = Node::start(&json!([a, ours("NoSchedule"), b])).await;
    // Somebody removes the first taint and adds another one.
    node.kubernetes.retaint_before_next_patch(&json!([ours("NoSchedule"), b, c]));
    node.remove().await;
    assert_eq!(node.taints(), json!([b, c]));
    assert_eq!(node.patches(), 2);
    assert_lacks(&log.take(), "ERROR");
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_logged_once_and_the_removal_tried_again_slowly() {
    let log = Log::collect();
    let node = Node::start(&json!([ours("NoSchedule")])).await;
    node.kubernetes.behave_on_writes(Behaviour::Refuse(403));
    assert!(timeout(Duration::from_secs(10 * 60), node.remove()).await.is_err(), "it gave up");
    let text = log.take();
    assert_eq!(text.matches("ERROR").count(), 1, "{text}");
    assert_contains(&text, "chart value startupTaint needs patch on nodes");
    assert_contains(&text, &format!("remove the taint {KEY} from node {NODE}"));
    assert!((5..=11).contains(&node.patches()), "{} attempts", node.patches());
    node.kubernetes.behave_on_writes(Behaviour::Healthy);
    node.remove().await;
    assert_eq!(node.taints(), json!([]));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_fails_is_called_until_it_works() {
    for behaviour in [Behaviour::Refuse(500), Behaviour::Hang, Behaviour::Garbage, Behaviour::Refuse(404)] {
        let log = Log::collect();
        let node = Node::start(&json!([ours("NoSchedule")])).await;
        node.kubernetes.behave(behaviour);
        let healing = async {
            seconds(5 * 60).await;
            node.kubernetes.behave(Behaviour::Healthy);
        };
        let began = Instant::now();
        tokio::join!(node.remove(), healing);
        assert_eq!(node.taints(), json!([]), "{behaviour:?}");
        assert!(began.elapsed() < Duration::from_secs(7 * 60), "{behaviour:?}: {:?}", began.elapsed());
        let text = log.take();
        assert_eq!(text.matches("ERROR").count(), 1, "{behaviour:?}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_taint_that_always_changes_is_reported_in_the_end() {
    let log = Log::collect();
    let node = Node::start(&json!([ours("NoSchedule")])).await;
    node.kubernetes.behave_on_writes(Behaviour::Refuse(422));
    assert!(timeout(Duration::from_secs(5 * 60), node.remove()).await.is_err(), "it gave up");
    let text = log.take();
    assert_eq!(text.matches("ERROR").count(), 1, "{text}");
    assert_contains(&text, "HTTP 422");
}

#[tokio::test(start_paused = true)]
async fn without_the_nodes_name_nothing_is_called() {
    let log = Log::collect();
    let node = Node::start(&json!([ours("NoSchedule")])).await;
    let unnamed =
        Cluster::new(ClusterSettings { node_name: None, ..settings(&node.kubernetes) }, Arc::default());
    unnamed.remove_startup_taint(&key()).await;
    assert_contains(&log.take(), "--node-name is not set");
    assert_eq!(node.kubernetes.reads(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_serves_removes_the_taint() {
    let world = World::with_kubernetes(
        |kubernetes| kubernetes.add_tainted_node(NODE, &json!([ours("NoSchedule")])),
        |config| {
            config.cluster.node_name = Some(NODE.to_owned());
            config.startup_taint = Some(key());
        },
    );
    let world = world.await;
    let removed = async || (world.kubernetes.taints(NODE) == json!([])).then_some(());
    eventually("the taint is removed", removed).await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_have_the_socket_leaves_the_taint() {
    let node = Node::start(&json!([ours("NoSchedule")])).await;
    let mut config = Config::new(node.folder.path());
    config.cluster = settings(&node.kubernetes);
    config.startup_taint = Some(key());
    // A program listens on the socket and does not say who it is.
    let foreign = UnixListener::bind(node.folder.path().join(&config.socket_name)).unwrap();
    let _provider = Provider::start(config);
    seconds(60).await;
    assert_eq!(node.taints(), json!([ours("NoSchedule")]));
    drop(foreign);
    let removed = async || (node.taints() == json!([])).then_some(());
    eventually("the taint is removed", removed).await;
}
