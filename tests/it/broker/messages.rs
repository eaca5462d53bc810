//! What becomes of single messages.

use std::time::Duration;

use latchkey_emulator::{EventFault, EventFaultKind, ParameterType};
use serde_json::{Value, json};

use super::scene::{Scene, area, wait};
use crate::{
    harness::{ACCOUNT, REGION, assert_contains, assert_lacks},
    metrics,
};

#[tokio::test]
async fn changes_of_both_services_reach_the_object_and_leave_the_queue() {
    let scene = Scene::start(3).await;
    let process = scene.process("one").await;
    let document = scene.covered().await;
    assert_eq!((document.nodes, document.covered), (3, vec![area(REGION)]));
    assert_eq!((document.reads_per_second.secretsmanager, document.reads_per_second.ssm), (5000, 20));
    let secret = scene.change("shop/db");
    scene.emulator.put_parameter(REGION, "/shop/limit", ParameterType::String, "5");
    let parameter = format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/shop/limit");
    scene.told(&[secret.clone(), parameter.clone()]).await;
    scene.drained().await;
    let told = scene.changes_told();
    let of_secret = &told.iter().find(|(_, change)| change.arn == secret).unwrap().1;
    assert_eq!(of_secret.label.as_deref(), Some("AWSCURRENT"));
    assert!(of_secret.version_id.is_some() && of_secret.at.is_some(), "{of_secret:?}");
    let of_parameter = &told.iter().find(|(_, change)| change.arn == parameter).unwrap().1;
    assert_eq!((&of_parameter.label, &of_parameter.version_id), (&None, &None));
    let scrape = process.scrape().await;
    assert_eq!(scrape.value("latchkey_broker_leads"), 1.0);
    assert_eq!(scrape.value("latchkey_broker_nodes"), 3.0);
    assert_eq!(scrape.value("latchkey_broker_queues{state=\"received\"}"), 1.0);
    assert_eq!(scrape.value("latchkey_broker_changes_total{service=\"ssm\"}"), 1.0);
    assert_eq!(scrape.value("latchkey_broker_lag_seconds_count"), told.len() as f64);
    assert_eq!(process.readyz().await, "200 ok\nleads\n");
    let mut served = metrics::served(&scrape);
    served.retain(|name, _| !name.starts_with("process_"));
    assert_eq!(metrics::documented(include_str!("../../../docs/src/change-notices.md")), served);
    assert_lacks(&process.log(), "WARN");
}

#[tokio::test]
async fn calls_about_access_come_from_a_trail() {
    let scene = Scene::start(1).await;
    scene.emulator.set_trail(true);
    let _process = scene.process("one").await;
    scene.covered().await;
    let secret = scene.change("shop/db");
    scene.told(std::slice::from_ref(&secret)).await;
    let arn = json!({ "eventName": "PutResourcePolicy", "responseElements": { "aRN": secret } });
    let call = event("aws.secretsmanager", "AWS API Call via CloudTrail", &[], &arn);
    scene.emulator.send_message(&scene.queue, &call.to_string());
    scene.drained().await;
    let told = scene.changes_told();
    assert_eq!(told.last().map(|(_, change)| (&change.arn, &change.label)), Some((&secret, &None)));
}

#[tokio::test]
async fn messages_that_tell_nothing_are_counted_by_their_reason_and_deleted() {
    let scene = Scene::start(1).await;
    let process = scene.process("one").await;
    scene.covered().await;
    let number = scene.api.document().unwrap().number;
    let arn =
        |region: &str, name: &str| format!("arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{name}-AbCdEf");
    let moved = |label: &str| json!({ "name": "canary", "labelUpdated": label, "versionId": "v2" });
    let kind = "Secret Label Updated";
    let mut elsewhere =
        event("aws.secretsmanager", kind, &[&arn("eu-west-1", "canary")], &moved("AWSCURRENT"));
    elsewhere["region"] = json!("eu-west-1");
    for message in [
        "canary".to_owned(),
        "{\"canary\": ".to_owned(),
        event("aws.s3", "Object Created", &["canary"], &json!({})).to_string(),
        elsewhere.to_string(),
        event("aws.secretsmanager", kind, &[&arn("eu-west-1", "canary")], &moved("AWSCURRENT")).to_string(),
        event("aws.secretsmanager", kind, &[&arn(REGION, "canary")], &moved("AWSPENDING")).to_string(),
        format!("{{\"canary\": \"{}\"}}", "x".repeat(300_000)),
    ] {
        assert!(scene.emulator.send_message(&scene.queue, &message));
    }
    scene.drained().await;
    let scrape = process.scrape().await;
    for (reason, count) in [
        ("malformed", 2.0),
        ("foreign", 1.0),
        ("not_covered", 1.0),
        ("forged", 1.0),
        ("ignored", 1.0),
        ("oversized", 1.0),
        ("duplicate", 0.0),
    ] {
        let series = format!("latchkey_broker_dropped_total{{reason=\"{reason}\"}}");
        assert_eq!(scrape.value(&series), count, "{reason}");
    }
    assert_eq!(scrape.value("latchkey_broker_received_total"), 7.0);
    assert_eq!(scene.api.document().unwrap().number, number);
    assert_lacks(&process.log(), "canary");
}

#[tokio::test]
async fn events_that_come_twice_late_or_out_of_order_are_told_once_each() {
    let scene = Scene::start(1).await;
    let process = scene.process("one").await;
    scene.covered().await;
    let fault = |kind| scene.emulator.inject_event_fault(EventFault::new(kind).times(1));
    let mut arns = Vec::new();
    for (name, kind) in [
        ("twice", EventFaultKind::Duplicate),
        ("late", EventFaultKind::Delay(Duration::from_secs(3))),
        ("swapped", EventFaultKind::Swap),
    ] {
        scene.drained().await;
        scene.emulator.put_secret(REGION, name, "first");
        fault(kind);
        arns.push(scene.change(name));
    }
    arns.push(scene.change("next"));
    scene.told(&arns).await;
    wait(Duration::from_secs(4)).await;
    scene.drained().await;
    let told = scene.changes_told();
    for arn in &arns {
        let versions: Vec<_> = told
            .iter()
            .filter(|(_, change)| change.arn == *arn)
            .map(|(_, change)| &change.version_id)
            .collect();
        let mut once = versions.clone();
        once.dedup();
        assert_eq!(versions, once, "{arn}");
    }
    let numbers: Vec<u64> = told.iter().map(|(_, change)| change.number).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    let duplicates = process.scrape().await.value("latchkey_broker_dropped_total{reason=\"duplicate\"}");
    assert_eq!(duplicates, 1.0);
}

#[tokio::test]
async fn a_forwarded_account_is_covered_if_a_flag_names_it() {
    let scene = Scene::start(1).await;
    let process = scene.process_with("one", &["--covers=444455556666/eu-west-1"]).await;
    let document = scene.covered().await;
    assert_eq!(document.covered.len(), 2, "{document:?}");
    let arn = "arn:aws:secretsmanager:eu-west-1:444455556666:secret:x-AbCdEf";
    let detail = json!({ "name": "x", "labelUpdated": "AWSCURRENT", "versionId": "v2" });
    let mut forwarded = event("aws.secretsmanager", "Secret Label Updated", &[arn], &detail);
    forwarded["account"] = json!("444455556666");
    forwarded["region"] = json!("eu-west-1");
    scene.emulator.send_message(&scene.queue, &forwarded.to_string());
    scene.told(&[arn.to_owned()]).await;
    assert_contains(&process.readyz().await, "200 ok");
}

fn event(source: &str, kind: &str, resources: &[&str], detail: &Value) -> Value {
    json!({
        "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": kind,
        "source": source, "account": ACCOUNT, "time": "2026-11-27T14:00:00Z",
        "region": REGION, "resources": resources, "detail": detail,
    })
}
