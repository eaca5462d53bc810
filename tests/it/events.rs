//! Events on pods, against an API server over HTTP.

use std::{sync::Arc, time::Duration};

use latchkey::{
    cluster::{
        Cluster, ClusterSettings,
        events::{EventCounts, Events, PodChange, Trouble},
    },
    model::{reason::Reason, request::Pod},
};
use latchkey_emulator::{Emulator, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::harness::{Behaviour, Kubernetes, Log, assert_contains, assert_lacks, eventually, pass, seconds};

/// The remedy of a missing permission.
const REMEDY: &str = "Grant create and patch on events of events.k8s.io (chart value podEvents.enabled)";

/// Events of a node, and the API server that takes them.
struct Node {
    kubernetes: Kubernetes,
    events: Events,
    // Removed at the end of the test.
    _folder: TempDir,
}

impl Node {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let emulator = Emulator::new(Store::default());
        let kubernetes = Kubernetes::start(&folder.path().join("kubeconfig"), &emulator).await;
        let settings =
            ClusterSettings { kubeconfig: Some(kubernetes.kubeconfig().to_owned()), node_name: None };
        let events = Events::new(Arc::new(Cluster::new(settings, Arc::default())), Some("node-1"));
        Self { kubernetes, events, _folder: folder }
    }

    fn lost(&self, pod: &Pod, reason: Reason, error: &str) {
        self.events.send(pod, PodChange::AccessLost(Trouble { class: "web", reason, error: &error }));
    }

    /// Waits until this many events left the queue.
    async fn settled(&self, count: u64) -> EventCounts {
        let settled = async || {
            let counts = self.events.counts();
            (counts.sent + counts.failed >= count).then_some(counts)
        };
        eventually(&format!("{count} events are sent or failed"), settled).await
    }
}

fn pod(namespace: &str, name: &str) -> Pod {
    Pod {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
        service_account: "web".to_owned(),
    }
}

fn sent(sent: u64) -> EventCounts {
    EventCounts { sent, ..EventCounts::default() }
}

fn note(event: &Value) -> &str {
    event["note"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_event_names_the_pod_the_class_the_reason_and_the_cause() {
    let node = Node::start().await;
    node.lost(&pod("shop", "web-0"), Reason::Denied, "cannot read secret db: AccessDeniedException");
    assert_eq!(node.settled(1).await, sent(1));
    let mut event = node.kubernetes.events().remove(0);
    let name = event["metadata"]["name"].take();
    assert!(name.as_str().unwrap().starts_with("web-0."), "{name}");
    let time = event["eventTime"].take();
    assert!(time.as_str().unwrap().starts_with("20"), "{time}");
    let expected = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": { "namespace": "shop", "name": null },
        "eventTime": null,
        "type": "Warning",
        "reason": "SecretAccessLost",
        "action": "DeliverSecrets",
        "note": "SecretProviderClass web: the pod lost access to its secrets (reason denied): cannot read secret db: AccessDeniedException",
        "regarding": {
            "apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web-0", "uid": "uid-of-web-0",
        },
        "reportingController": "latchkey",
        "reportingInstance": "node-1",
    });
    assert_eq!(event, expected);
}

#[tokio::test(start_paused = true)]
async fn every_change_has_its_own_reason_and_type() {
    let node = Node::start().await;
    let trouble = || Trouble { class: "web", reason: Reason::Outage, error: &"AWS fails" };
    let changes = [
        PodChange::AccessLost(trouble()),
        PodChange::ServedStale(trouble()),
        PodChange::RotationFailed(trouble()),
        PodChange::Recovered { class: "web" },
    ];
    for change in changes {
        node.events.send(&pod("shop", "web-0"), change);
    }
    assert_eq!(node.settled(4).await, sent(4));
    let events = node.kubernetes.events();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| (event["reason"].as_str().unwrap(), event["type"].as_str().unwrap()))
        .collect();
    let expected = [
        ("SecretAccessLost", "Warning"),
        ("SecretStale", "Warning"),
        ("SecretRotationFailed", "Warning"),
        ("SecretRecovered", "Normal"),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(note(&events[3]), "SecretProviderClass web: the pod's secrets are up to date again");
}

#[tokio::test(start_paused = true)]
async fn a_repetition_within_six_minutes_is_counted_in_the_same_event() {
    let node = Node::start().await;
    let (web, other) = (pod("shop", "web-0"), pod("shop", "web-1"));
    // The text of a cause has another request id each time.
    for id in 1..=3 {
        node.lost(&web, Reason::Denied, &format!("request {id}"));
        node.settled(id).await;
        seconds(5 * 60).await;
    }
    let events = node.kubernetes.events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["series"]["count"], 3, "{events:?}");
    assert_contains(note(&events[0]), "request 1");
    // Another reason, and another pod.
    node.lost(&web, Reason::KmsDenied, "the key");
    node.lost(&other, Reason::Denied, "request 4");
    node.settled(5).await;
    assert_eq!(node.kubernetes.events().len(), 3);
    // Six minutes later it is news again.
    seconds(6 * 60).await;
    node.lost(&web, Reason::Denied, "request 5");
    assert_eq!(node.settled(6).await, sent(6));
    let events = node.kubernetes.events();
    assert_eq!(events.len(), 4);
    assert_eq!(events[3].get("series"), None);
}

#[tokio::test(start_paused = true)]
async fn a_repetition_of_a_deleted_event_becomes_another_event() {
    let node = Node::start().await;
    let web = pod("shop", "web-0");
    node.lost(&web, Reason::Denied, "first");
    node.settled(1).await;
    node.kubernetes.delete_events();
    node.lost(&web, Reason::Denied, "second");
    assert_eq!(node.settled(2).await, sent(2));
    assert_contains(note(&node.kubernetes.events()[0]), "second");
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_logged_once_and_delays_no_sender() {
    let log = Log::collect();
    let node = Node::start().await;
    node.kubernetes.behave(Behaviour::Refuse(403));
    let began = Instant::now();
    for number in 0..20 {
        node.lost(&pod("shop", &format!("web-{number}")), Reason::Denied, "denied");
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(node.settled(20).await, EventCounts { failed: 20, ..EventCounts::default() });
    // Nobody grants a permission within a second, so there was no retry.
    assert_eq!(node.kubernetes.attempts().len(), 20);
    let text = log.take();
    assert_contains(&text, REMEDY);
    assert_contains(&text, "create an event in namespace shop");
    assert_eq!(text.matches("an event was not sent").count(), 1, "{text}");
    // Once granted, events arrive without a restart.
    node.kubernetes.behave(Behaviour::Healthy);
    node.lost(&pod("shop", "web-0"), Reason::Denied, "denied");
    assert_eq!(node.settled(21).await, EventCounts { sent: 1, dropped: 0, failed: 20 });
    assert_lacks(&log.take(), "was not sent");
}

#[tokio::test(start_paused = true)]
async fn a_failed_event_is_tried_once_more() {
    let node = Node::start().await;
    for behaviour in [Behaviour::Refuse(500), Behaviour::Hang] {
        let (before, attempts) = (node.events.counts(), node.kubernetes.attempts().len());
        node.kubernetes.behave(behaviour);
        node.lost(&pod("shop", "web-0"), Reason::Outage, "gone for good");
        let counts = node.settled(before.sent + before.failed + 1).await;
        assert_eq!(counts, EventCounts { failed: before.failed + 1, ..before });
        assert_eq!(node.kubernetes.attempts().len(), attempts + 2, "{behaviour:?}");
        // The second attempt reaches an API server that works again.
        node.lost(&pod("shop", "web-0"), Reason::Outage, "back in time");
        pass(Duration::from_millis(500)).await;
        node.kubernetes.behave(Behaviour::Healthy);
        let counts = node.settled(before.sent + before.failed + 2).await;
        assert_eq!(counts, EventCounts { failed: before.failed + 1, sent: before.sent + 1, dropped: 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_makes_no_second_event() {
    let node = Node::start().await;
    for count in 1..=3 {
        node.kubernetes.lose_next_answer();
        node.lost(&pod("shop", "web-0"), Reason::Denied, "denied");
        assert_eq!(node.settled(count).await, sent(count));
    }
    let events = node.kubernetes.events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["series"]["count"], 3, "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_floods_the_queue_keeps_no_other_namespace_out() {
    let node = Node::start().await;
    node.kubernetes.behave(Behaviour::Hang);
    for number in 0..1000 {
        node.lost(&pod("noisy", &format!("web-{number}")), Reason::Denied, "denied");
    }
    let dropped = node.events.counts().dropped;
    assert_eq!(dropped, 1000 - 128);
    for number in 0..20 {
        node.lost(&pod("quiet", &format!("web-{number}")), Reason::Denied, "denied");
    }
    assert_eq!(node.events.counts().dropped, dropped, "events of another namespace were dropped");
    node.kubernetes.behave(Behaviour::Healthy);
    assert_eq!(node.settled(148).await, EventCounts { sent: 148, dropped, failed: 0 });
    let of = |namespace: &str| {
        node.kubernetes.events().iter().filter(|event| event["metadata"]["namespace"] == namespace).count()
    };
    assert_eq!((of("noisy"), of("quiet")), (128, 20));
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_25_is_sent_at_once_and_then_ten_a_second() {
    let node = Node::start().await;
    for number in 0..125 {
        node.lost(&pod("shop", &format!("web-{number}")), Reason::Outage, "AWS fails");
    }
    let began = Instant::now();
    node.settled(25).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    seconds(5).await;
    let after_five_seconds = node.kubernetes.events().len();
    assert!((70..=80).contains(&after_five_seconds), "{after_five_seconds}");
    node.settled(125).await;
    assert!(began.elapsed() > Duration::from_millis(9900), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn hostile_names_and_texts_make_valid_events() {
    let node = Node::start().await;
    let texts = [
        "a\r\nb\u{1b}[31mc\u{202e}d\u{2028}e\0f".to_owned(),
        "ä€\u{10fffe}".repeat(2000),
        "\"\\".repeat(4000),
        "\n".repeat(4000),
        "{\"series\":{\"count\":9}}".to_owned(),
    ];
    for (text, number) in texts.iter().zip(0..) {
        node.lost(&pod("shop", &format!("web-{number}")), Reason::Denied, text);
    }
    // The longest name, and one that is cut behind a dot.
    let long = format!("{}x", "a.".repeat(126));
    node.lost(&pod("shop", &long), Reason::Denied, "long name");
    node.lost(&pod("shop", &format!("b{long}")[..253]), Reason::Denied, "long name");
    assert_eq!(node.settled(7).await, sent(7));
    let events = node.kubernetes.events();
    for event in &events {
        let note = note(event);
        assert!(note.len() <= 1000, "{} bytes: {note}", note.len());
        assert!(!note.chars().any(char::is_control), "{note:?}");
        assert!(note.starts_with("SecretProviderClass web: the pod lost access"), "{note}");
    }
    assert!(note(&events[1]).ends_with(" …"), "{}", note(&events[1]));
    assert_contains(note(&events[0]), "a  b [31mc d e f");
    assert_eq!(events[5]["regarding"]["name"], long.as_str());
}
