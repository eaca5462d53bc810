//! Queues and an API server that fail, and what the log says about it.

use std::time::Duration;

use latchkey_emulator::{Fault, FaultKind};

use super::scene::{Scene, area, wait};
use crate::harness::{FAILOVER, REGION, assert_contains, eventually};

#[tokio::test]
async fn a_queue_that_fails_leaves_what_is_covered_and_holds_up_no_other() {
    let scene = Scene::start(1).await;
    let other = scene.emulator.queue_of_changes(FAILOVER, "changes");
    let process = scene.process_with("one", &[&format!("--queue-url={other}")]).await;
    scene.document("both are covered", |document| document.covered.len() == 2).await;
    scene.emulator.inject(Fault::new(FaultKind::InternalError).region(FAILOVER));
    scene.emulator.reset_connections();
    scene.document("one is covered", |document| document.covered == [area(REGION)]).await;
    let arn = scene.change("shop/db");
    scene.told(&[arn]).await;
    let scrape = process.scrape().await;
    assert_eq!(scrape.value("latchkey_broker_queues{state=\"failing\"}"), 1.0);
    assert!(scrape.value("latchkey_broker_failures_total{call=\"receive\"}") >= 1.0);
    assert_contains(
        &process.readyz().await,
        "200 ok\nleads\nwarning: sqs:ReceiveMessage in us-west-2 failed",
    );
    scene.emulator.clear_faults();
    scene.document("both are covered again", |document| document.covered.len() == 2).await;
    let log = process.log();
    assert_eq!(log.matches("no notices for account").count(), 1, "{log}");
    assert_eq!(log.matches("the queue can be received from again").count(), 1, "{log}");
}

#[tokio::test]
async fn a_missing_permission_to_receive_is_named_with_whose_it_is() {
    let scene = Scene::start(1).await;
    let denied = FaultKind::Error {
        status: 403,
        code: "AccessDenied".to_owned(),
        message: "User: arn:aws:sts::111122223333:assumed-role/notices/x is not authorized to perform: sqs:receivemessage".to_owned(),
    };
    scene.emulator.inject(Fault::new(denied).operation("ReceiveMessage"));
    let process = scene.process("one").await;
    let logged = async || process.log().contains("no notices for account").then(|| process.log());
    let log = eventually("the failure is logged", logged).await;
    for says in ["AccessDenied", "us-east-1", "Allow sqs:ReceiveMessage", "--print-setup"] {
        assert_contains(&log, says);
    }
    assert_eq!(scene.document("the heartbeat goes on", |_| true).await.covered, []);
}

#[tokio::test]
async fn messages_that_cannot_be_deleted_are_known_when_they_come_again() {
    let scene = Scene::start(1).await;
    scene.emulator.inject(Fault::new(FaultKind::Throttle).operation("DeleteMessageBatch"));
    let process = scene.process("one").await;
    scene.covered().await;
    let arn = scene.change("shop/db");
    scene.told(std::slice::from_ref(&arn)).await;
    // Longer than the messages are invisible.
    wait(Duration::from_secs(32)).await;
    scene.emulator.clear_faults();
    scene.drained().await;
    let versions: Vec<_> = scene.changes_told().into_iter().map(|(_, change)| change.version_id).collect();
    let mut once = versions.clone();
    once.dedup();
    assert_eq!(versions, once);
    let log = process.log();
    assert_eq!(log.matches("messages stay in the queue").count(), 1, "{log}");
    assert_contains(&log, "sqs:DeleteMessage");
}

#[tokio::test]
async fn without_permission_to_write_nothing_is_deleted_and_the_log_says_what_to_grant() {
    let scene = Scene::start(1).await;
    let process = scene.process("one").await;
    scene.covered().await;
    scene.api.refuse("PUT", "/configmaps/latchkey-notices", 403);
    let arn = scene.change("shop/db");
    let logged = async || process.log().contains("ERROR").then(|| process.log());
    let log = eventually("the failure is logged", logged).await;
    for says in ["update configmaps kube-system/latchkey-notices", "does not allow", "rbac.install"] {
        assert_contains(&log, says);
    }
    let depth = scene.emulator.queue_depth(&scene.queue);
    assert!(depth.in_flight + depth.visible >= 1, "{depth:?}");
    scene.api.heal();
    scene.told(&[arn]).await;
    scene.drained().await;
    let log = process.log();
    assert_eq!(log.matches("ERROR").count(), 1, "{log}");
    assert_contains(&log, "the object can be written again");
}

#[tokio::test]
async fn without_permission_to_count_nodes_reads_are_spread_for_a_large_cluster() {
    let scene = Scene::start(5).await;
    scene.api.refuse("GET", "/nodes", 403);
    let process = scene.process("one").await;
    assert_eq!(scene.covered().await.nodes, 1000);
    assert_contains(&process.log(), "list nodes");
}

#[tokio::test]
async fn without_credentials_the_log_says_so() {
    let scene = Scene::start(1).await;
    let process = scene.process_as("one", "", "http://127.0.0.1:9", &[]).await;
    let logged = async || process.log().contains("no notices for account").then(|| process.log());
    let log = eventually("the failure is logged", logged).await;
    assert_contains(&log, "has no AWS credentials: give its service account a role");
}
