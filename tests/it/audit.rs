//! The audit log of a provider that serves: which mounts and rotations write which lines.

use std::path::PathBuf;

use latchkey::audit::{AuditLog, AuditSettings};
use latchkey_emulator::FaultKind;
use serde_json::Value;

use crate::harness::{
    GRACE, INTERVAL, POD_IDENTITY, Pod, Request, SECRET, STS, WEB, World, assert_lacks, eventually, pass,
};

const CANARY: &str = "canary-of-a-secret";

fn audited(config: &mut latchkey::app::Config) {
    let folder = config.provider_volume.clone();
    config.audit = Some(AuditSettings {
        log: AuditLog::File(folder.join("audit.log")),
        state_dir: Some(folder.join("state")),
        node: Some("node1".to_owned()),
    });
}

fn log(world: &World) -> PathBuf {
    world.config.provider_volume.join("audit.log")
}

async fn web() -> World {
    let world = World::with(audited).await;
    world.secret("shop/db", CANARY);
    world
}

/// The lines, once the provider has ended.
async fn lines(world: &mut World) -> Vec<Value> {
    world.stop().await.unwrap();
    let text = std::fs::read_to_string(log(world)).unwrap();
    assert_lacks(&text, CANARY);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Event, origin or reason, and service account of each line.
fn told(lines: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let why = |line: &Value| text(if line["event"] == "denied" { &line["reason"] } else { &line["from"] });
    lines.iter().map(|line| [text(&line["event"]), why(line), text(&line["pod"])].join(" ")).collect()
}

#[tokio::test(start_paused = true)]
async fn deliveries_and_denials_are_written_and_republishes_are_not() {
    let mut world = web().await;
    let [first, second] = [1, 2].map(|number| Request::new(SECRET).numbered(number));
    let [first_pod, second_pod] = [&first, &second].map(|request| request.pod.name.clone());
    world.mount(&first).await;
    world.mount(&second).await;
    world.mount(&first).await;
    world.secret("shop/db", &format!("{CANARY}-2"));
    pass(INTERVAL + GRACE).await;
    world.mount(&first).await;
    world.emulator.clear_policy(WEB);
    pass(INTERVAL + GRACE).await;
    world.refusal(&first).await;
    let lines = lines(&mut world).await;
    assert_eq!(
        told(&lines),
        [
            format!("delivered aws {first_pod}"),
            format!("delivered memory {second_pod}"),
            format!("delivered memory {first_pod}"),
            format!("denied denied {first_pod}"),
        ]
    );
    let delivered = &lines[0];
    assert_eq!((&delivered["node"], &delivered["role"]), (&"node1".into(), &WEB.into()));
    assert_eq!(delivered["session_name"], "latchkey-shop.web");
    let object = &delivered["objects"][0];
    assert_eq!((&object["object"], &object["files"]), (&"shop/db".into(), &serde_json::json!(["shop_db"])));
    // AWS's own id of the call, as CloudTrail has it.
    let id = object["request_id"].as_str().unwrap();
    assert!(id.len() >= 32, "{id}");
    assert_ne!(lines[2]["objects"][0]["version"], object["version"]);
    assert_ne!(lines[2]["objects"][0]["request_id"], object["request_id"]);
    // Whom it was denied to, and why.
    assert_eq!(lines[3]["role"], WEB);
    assert!(lines[3]["message"].as_str().unwrap().contains("GetSecretValue"), "{lines:?}");
    let first_seen: Vec<&Value> = lines[..3].iter().map(|line| &line["objects"][0]["first_seen"]).collect();
    assert_eq!(first_seen, [true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_class_and_a_missing_token_are_denied_and_an_outage_is_not() {
    let mut world = web().await;
    world.refusal(&Request::new("[{objectName: x, objectType: nothing}]")).await;
    world.refusal(&Request::new(SECRET).audiences(&[])).await;
    world.fault(
        "GetSecretValue",
        FaultKind::Error { status: 500, code: "InternalFailure".to_owned(), message: String::new() },
    );
    world.refusal(&Request::new(SECRET)).await;
    let lines = lines(&mut world).await;
    let reasons: Vec<&str> = lines.iter().map(|line| line["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["invalid_request", "token_missing"]);
    assert!(lines.iter().all(|line| line["namespace"] == "shop"), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn no_token_is_written() {
    let mut world = web().await;
    for request in [Request::new(SECRET), Request::pod_identity(SECRET)] {
        let message = request.message(&world.emulator);
        let attributes: Value = serde_json::from_str(&message.attributes).unwrap();
        let tokens = attributes["csi.storage.k8s.io/serviceAccount.tokens"].as_str().unwrap();
        let tokens: Value = serde_json::from_str(tokens).unwrap();
        let [sts, agent] = [STS, POD_IDENTITY].map(|name| tokens[name]["token"].as_str().unwrap().to_owned());
        let echo = FaultKind::Error {
            status: 400,
            code: "AccessDeniedException".to_owned(),
            message: format!("not {sts} and not {agent}"),
        };
        for operation in ["AssumeRoleWithWebIdentity", "PodIdentityCredentials", "GetSecretValue"] {
            let fault = world.fault(operation, echo.clone());
            let _ = world.driver.mount(request.message(&world.emulator)).await;
            world.emulator.remove_fault(fault);
        }
        let text = std::fs::read_to_string(log(&world)).unwrap();
        for token in [sts, agent] {
            assert_lacks(&text, &token[..40]);
        }
    }
    assert!(!lines(&mut world).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_latchkey_writes_is_a_delivery() {
    let mut world = World::provider_writes(audited).await;
    world.secret("shop/db", CANARY);
    let (request, _) = world.with_volume(Request::new(SECRET));
    world.mount(&request).await;
    let version = world.secret("shop/db", "two");
    pass(INTERVAL + GRACE).await;
    // What is in the pod already is no delivery.
    world.mount(&request).await;
    let pod = request.pod.name.clone();
    let lines = lines(&mut world).await;
    assert_eq!(told(&lines), [format!("delivered aws {pod}"), format!("delivered aws {pod}")]);
    assert_eq!(lines[1]["objects"][0]["version"], version);
    assert_eq!(lines[1]["objects"][0]["files"], serde_json::json!(["shop_db"]));
}

#[tokio::test(start_paused = true)]
async fn first_reads_are_remembered_across_restarts() {
    let mut world = web().await;
    world.mount(&Request::new(SECRET)).await;
    world.restart(|_| {}).await;
    world.mount(&Request::new(SECRET)).await;
    let lines = lines(&mut world).await;
    let first_seen: Vec<&Value> = lines.iter().map(|line| &line["objects"][0]["first_seen"]).collect();
    assert_eq!(first_seen, [true, false]);
}

#[tokio::test]
async fn a_hundred_and_ten_pods_mount_while_the_log_is_rotated_and_no_line_is_lost() {
    let mut world = web().await;
    let requests: Vec<Request> =
        (1..=110).map(|number| Request::of_pod(Pod::numbered("shop", "web", number), SECRET)).collect();
    let mounts = requests.iter().map(|request| world.mount(request));
    let rotated = log(&world).with_extension("1");
    let rotate = async {
        let written = async || std::fs::metadata(log(&world)).is_ok_and(|log| log.len() > 0).then_some(());
        eventually("the first line is written", written).await;
        std::fs::rename(log(&world), &rotated).unwrap();
        let pid = std::process::id().to_string();
        assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        eventually("the path is opened again", async || log(&world).exists().then_some(())).await;
    };
    futures_util::future::join(futures_util::future::join_all(mounts), rotate).await;
    let mut pods: Vec<String> = told(&lines(&mut world).await);
    let before = std::fs::read_to_string(&rotated).unwrap();
    let before: Vec<Value> = before.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!before.is_empty());
    pods.extend(told(&before));
    let mut pods: Vec<&str> = pods.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
    pods.sort_unstable();
    pods.dedup();
    assert_eq!(pods.len(), 110);
}

#[tokio::test(start_paused = true)]
async fn a_provider_whose_audit_log_cannot_be_opened_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = latchkey::app::Config::new(folder.path());
    config.audit = Some(AuditSettings {
        log: AuditLog::File(folder.path().join("none/audit.log")),
        state_dir: None,
        node: None,
    });
    let error = latchkey::app::serve(config, std::future::pending()).await.unwrap_err();
    assert_eq!(error.to_string(), "the audit log cannot be opened");
    assert!(!folder.path().join("aws.sock").exists());
}
