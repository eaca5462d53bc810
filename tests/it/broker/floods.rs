//! Many changes, and large clusters.

use std::time::Duration;

use latchkey::notices::{MAX_BYTES, MAX_CHANGES};
use serde_json::json;
use tokio::time::Instant;

use super::scene::{Scene, wait};
use crate::harness::{ACCOUNT, REGION};

/// The most that a process may hold: far less than its chart's limit.
const MAX_MEMORY: u64 = 96 << 20;

fn moved(number: usize) -> String {
    json!({
        "version": "0", "id": format!("id-{number}"), "detail-type": "Secret Label Updated",
        "source": "aws.secretsmanager", "account": ACCOUNT, "time": "2026-11-27T14:00:00Z", "region": REGION,
        "resources": [format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:flood/{number}-AbCdEf")],
        "detail": { "name": format!("flood/{number}"), "labelUpdated": "AWSCURRENT", "versionId": format!("{number}") },
    })
    .to_string()
}

#[tokio::test]
async fn a_flood_of_ten_thousand_messages_bounds_memory_and_the_object() {
    let scene = Scene::start(100).await;
    let process = scene.process("one").await;
    let first = scene.covered().await.number;
    for number in 0..10_000 {
        assert!(scene.emulator.send_message(&scene.queue, &moved(number)));
    }
    scene.drained().await;
    assert!(process.memory() < MAX_MEMORY, "{} bytes", process.memory());
    for (_, document) in scene.api.documents() {
        assert!(document.changes.len() <= MAX_CHANGES);
        assert!(document.to_json().len() <= MAX_BYTES);
    }
    // Each change has a number, also those that no document lists.
    assert_eq!(scene.api.document().unwrap().number, first + 10_000);
    let arn = scene.change("after");
    scene.told(&[arn]).await;
}

#[tokio::test]
async fn a_flood_of_large_messages_bounds_memory() {
    let scene = Scene::start(1).await;
    let process = scene.process("one").await;
    scene.covered().await;
    // The largest messages that the printed queue takes.
    let large = "x".repeat(256 << 10);
    for _ in 0..600 {
        assert!(scene.emulator.send_message(&scene.queue, &large));
    }
    scene.drained().await;
    assert!(process.memory() < MAX_MEMORY, "{} bytes", process.memory());
}

#[tokio::test]
async fn a_thousand_changes_a_minute_are_each_told_within_seconds() {
    let scene = Scene::start(100).await;
    let _process = scene.process("one").await;
    let first = scene.covered().await.number;
    let began = Instant::now();
    let mut sent = Vec::new();
    for number in 0..340_usize {
        scene.emulator.send_message(&scene.queue, &moved(number));
        sent.push(Instant::now());
        tokio::time::sleep_until(began + Duration::from_millis(60) * u32::try_from(number + 1).unwrap())
            .await;
    }
    scene.drained().await;
    let told = scene.changes_told();
    let numbers: Vec<u64> = told.iter().map(|(_, change)| change.number).collect();
    assert_eq!(numbers, (first + 1..=first + 340).collect::<Vec<_>>(), "a change was not told");
    let mut ages: Vec<Duration> = told
        .iter()
        .map(|(at, change)| {
            at.duration_since(sent[change.version_id.as_ref().unwrap().parse::<usize>().unwrap()])
        })
        .collect();
    ages.sort_unstable();
    let (median, last) = (ages[ages.len() / 2], ages[ages.len() - 1]);
    assert!(median < Duration::from_secs(2) && last < Duration::from_secs(5), "{median:?} {last:?}");
    let writes: Vec<Instant> = scene.api.documents().iter().map(|(at, _)| *at).collect();
    let took = writes[writes.len() - 1] - writes[0];
    assert!(writes.len() as u64 <= took.as_secs() + 2, "{} writes in {took:?}", writes.len());
}

#[tokio::test]
async fn in_a_large_cluster_writes_wait_for_the_api_server() {
    let scene = Scene::start(10_000).await;
    let _process = scene.process("one").await;
    scene.covered().await;
    let mut arns = Vec::new();
    for number in 0..60 {
        arns.push(scene.change(&format!("many/{number}")));
        wait(Duration::from_millis(100)).await;
    }
    scene.told(&arns).await;
    let documents = scene.api.documents();
    for pair in documents.windows(2) {
        let ((at, document), (next, _)) = (&pair[0], &pair[1]);
        let seconds = (*next - *at).as_secs_f64() + 0.2;
        let sent = document.to_json().len() as f64 * 10_000.0;
        assert!(sent / seconds < 20_000_000.0, "{sent} bytes in {seconds} s");
    }
}
