//! Two processes, of which one leads.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{
    api::{LEASE, OBJECT},
    scene::{Process, Scene, wait},
};
use crate::harness::{assert_contains, eventually};

/// The process that leads, and the other one.
async fn two(scene: &Scene) -> (Process, Process) {
    let leader = scene.process("first").await;
    scene.covered().await;
    let other = scene.process("second").await;
    let waits = async || other.readyz().await.contains("waits: first leads").then_some(());
    eventually("the second one waits", waits).await;
    (leader, other)
}

#[tokio::test]
async fn a_killed_leader_loses_no_change() {
    let scene = Scene::start(1).await;
    let (mut leader, other) = two(&scene).await;
    let mut arns = Vec::new();
    for number in 0..40 {
        arns.push(scene.change(&format!("secret-{number}")));
        if number == 20 {
            leader.kill();
        }
        wait(Duration::from_millis(20)).await;
    }
    let killed = Instant::now();
    eventually("the second one leads", async || (scene.api.holder() == "second").then_some(())).await;
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    scene.told(&arns).await;
    scene.drained().await;
    assert_contains(&other.readyz().await, "200 ok\nleads");
    let numbers: Vec<u64> = scene.api.documents().iter().map(|(_, document)| document.number).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    let beats: Vec<u64> = scene.api.documents().iter().map(|(_, document)| document.heartbeat).collect();
    assert!(beats.windows(2).all(|pair| pair[0] < pair[1]), "{beats:?}");
    let lease = scene.api.stored(LEASE).unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 1);
}

#[tokio::test]
async fn a_leader_that_stops_hands_over_at_once() {
    let scene = Scene::start(1).await;
    let (mut leader, other) = two(&scene).await;
    let arn = scene.change("shop/db");
    let stopped = Instant::now();
    assert!(leader.stop().await);
    eventually("the second one leads", async || (scene.api.holder() == "second").then_some(())).await;
    assert!(stopped.elapsed() < Duration::from_secs(6), "{:?}", stopped.elapsed());
    scene.told(&[arn, scene.change("shop/other")]).await;
    drop(other);
}

#[tokio::test]
async fn a_leader_that_cannot_renew_stops_before_another_one_leads() {
    let scene = Scene::start(1).await;
    let leader = scene.process("first").await;
    scene.covered().await;
    scene.api.refuse("PUT", "/leases/latchkey-notices", 500);
    let failed = Instant::now();
    let deposed = async || leader.readyz().await.starts_with("503").then_some(());
    eventually("it no longer leads", deposed).await;
    assert!(failed.elapsed() < Duration::from_secs(15), "{:?}", failed.elapsed());
    let writes = scene.api.documents().len();
    scene.change("shop/db");
    wait(Duration::from_secs(3)).await;
    assert_eq!(scene.api.documents().len(), writes, "it writes without the lease");
    scene.api.heal();
    scene.document("the change is told", |document| !document.changes.is_empty()).await;
    let log = leader.log();
    assert_eq!(log.matches("WARN").count(), 2, "{log}");
    assert_contains(&log, "no longer leads");
    assert_contains(&log, "update leases kube-system/latchkey-notices");
    assert_contains(&log, "the lease can be read and renewed again");
}

#[tokio::test]
async fn a_deleted_object_is_made_again_and_numbers_go_on() {
    let scene = Scene::start(1).await;
    let _process = scene.process("one").await;
    scene.covered().await;
    let one = scene.change("one");
    scene.told(&[one]).await;
    let before = scene.api.document().unwrap();
    scene.api.delete(OBJECT);
    let two = scene.change("two");
    scene.told(&[two]).await;
    let after = scene.api.document().unwrap();
    assert!(after.number > before.number && after.number < before.number + 10, "{before:?} {after:?}");
    assert!(after.heartbeat > before.heartbeat);
}

#[tokio::test]
async fn an_object_that_somebody_edits_is_written_again_without_a_step_back() {
    let scene = Scene::start(1).await;
    let process = scene.process("one").await;
    scene.covered().await;
    let one = scene.change("one");
    scene.told(&[one]).await;
    let before = scene.api.document().unwrap();
    scene.api.edit(OBJECT, |object| object["data"] = json!({ "notices.json": "rubbish" }));
    let two = scene.change("two");
    scene.told(&[two]).await;
    let after = scene.api.document().unwrap();
    assert!(after.number > before.number && after.heartbeat > before.heartbeat, "{before:?} {after:?}");
    assert_contains(&process.log(), "somebody else has written the object");
}
