//! `latchkey status`: what the provider's status socket serves, and what the command
//! prints of it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use latchkey::{
    app::Config,
    status::{Snapshot, Width, json, text},
};
use latchkey_emulator::FaultKind;
use serde_json::Value;
use tokio::{io::AsyncReadExt, net::UnixStream};

use crate::harness::{
    INTERVAL, Log, REGION, Request, SECRET, STS, WEB, World, assert_contains, assert_lacks, many, pass,
    seconds,
};

const CANARY: &str = "canary-of-a-secret";

fn socket(config: &Config) -> PathBuf {
    config.provider_volume.join("run/status.sock")
}

async fn world() -> World {
    with(|_| {}).await
}

async fn with(change: impl FnOnce(&mut Config)) -> World {
    let world = World::with(|config| {
        config.status_socket = Some(socket(config));
        change(config);
    });
    let world = world.await;
    world.secret("shop/db", CANARY);
    world
}

/// The document that the socket serves.
async fn document(world: &World) -> String {
    let mut text = String::new();
    let mut stream = UnixStream::connect(socket(&world.config)).await.unwrap();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

async fn status(world: &World) -> Value {
    serde_json::from_str(&document(world).await).unwrap()
}

/// The first line of the text form.
async fn first_line(world: &World) -> String {
    let snapshot: Snapshot = serde_json::from_str(&document(world).await).unwrap();
    text(&snapshot, Width::Columns(100)).lines().next().unwrap().to_owned()
}

/// The state of the only value.
async fn state(world: &World) -> String {
    status(world).await["values"][0]["state"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn what_was_mounted_is_shown() {
    let world = with(|config| config.cluster.node_name = Some("node-1".to_owned())).await;
    let version = world.secret("shop/db", CANARY);
    world.parameter("/shop/level", "info");
    assert_eq!(first_line(&world).await, "All is well: this node holds no values");
    world.mount(&Request::new(SECRET)).await;
    let parameter = "- {objectName: /shop/level, objectType: ssmparameter}";
    world.mount(&Request::pod_identity(parameter)).await;
    seconds(10).await;

    assert_eq!(first_line(&world).await, "All is well: 2 values for 2 principals, all fresh");
    let status = status(&world).await;
    assert_eq!(status["node"], "node-1");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["socket"]["state"], "ours");
    assert_eq!(status["writes"], "driver");
    assert_eq!(status["tokenKeys"]["usable"], 1);
    let (pay, shop) = (&status["values"][0], &status["values"][1]);
    assert_eq!([&pay["namespace"], &pay["service"], &pay["id"]], ["pay", "ssm", "/shop/level"]);
    assert_eq!([&shop["serviceAccount"], &shop["id"], &shop["role"]], ["web", "shop/db", WEB]);
    assert_eq!([&shop["state"], &shop["region"]], ["fresh", REGION]);
    assert_eq!(shop["versions"][0]["held"], version.as_str());
    let arn = world.emulator.secret_arn(REGION, "shop/db").unwrap();
    assert_eq!(shop["versions"][0]["arn"], arn.as_str());
    assert_eq!(shop["intervalSeconds"], INTERVAL.as_secs());
    assert!(shop["nextPoll"].as_str() > shop["readAt"].as_str(), "{shop}");
    for principal in status["principals"].as_array().unwrap() {
        assert_eq!(principal["values"], 1);
        assert!(principal["credentialsUntil"].as_str() > status["takenAt"].as_str(), "{principal}");
        assert!(principal["tokenUntil"].as_str() > status["takenAt"].as_str(), "{principal}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_shown_until_it_is_over() {
    let world = with(|config| config.values.max_stale = Duration::from_secs(20 * 60)).await;
    let request = Request::new(SECRET);
    world.mount(&request).await;
    let fault = world.fault("GetSecretValue", FaultKind::InternalError);
    pass(INTERVAL + Duration::from_secs(5)).await;
    assert_eq!(state(&world).await, "stale");
    assert_eq!(first_line(&world).await, "1 of 1 value is stale: AWS fails (outage)");
    world.republish(std::slice::from_ref(&request), Duration::from_secs(15 * 60)).await;
    assert!(status(&world).await["values"][0]["outages"].as_u64() > Some(10));
    assert_eq!(state(&world).await, "stale");
    pass(Duration::from_secs(6 * 60)).await;
    assert_eq!(state(&world).await, "expired");
    assert_eq!(first_line(&world).await, "1 of 1 value is too old to be served: AWS fails (outage)");
    world.emulator.remove_fault(fault);
    pass(INTERVAL).await;
    assert_eq!(state(&world).await, "fresh");
    assert_eq!(first_line(&world).await, "All is well: 1 value for 1 principal, all fresh");
    assert_eq!(status(&world).await["values"][0]["failed"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_denied_read_is_shown_until_it_succeeds() {
    let world = world().await;
    let request = Request::new(SECRET);
    world.mount(&request).await;
    world.emulator.clear_policy(WEB);
    pass(INTERVAL).await;
    let denied = status(&world).await;
    assert_eq!(denied["values"], serde_json::json!([]));
    assert_eq!([&denied["denials"][0]["id"], &denied["denials"][0]["reason"]], ["shop/db", "denied"]);
    assert_eq!(first_line(&world).await, "AWS refuses 1 read (denied)");
    world.emulator.allow(WEB, "secretsmanager:GetSecretValue", "*");
    world.mount(&request).await;
    seconds(1).await;
    assert_eq!(first_line(&world).await, "All is well: 1 value for 1 principal, all fresh");
}

#[tokio::test(start_paused = true)]
async fn a_denied_trust_is_shown_until_nobody_asks_any_more() {
    let world = world().await;
    world.emulator.set_trust(WEB, &[]);
    world.refusal(&Request::new(SECRET)).await;
    let denied = status(&world).await;
    assert_eq!([&denied["denials"][0]["serviceAccount"], &denied["denials"][0]["reason"]], ["web", "denied"]);
    assert_eq!(denied["denials"][0]["id"], Value::Null);
    pass(world.config.values.idle_after + Duration::from_secs(1)).await;
    assert_eq!(first_line(&world).await, "All is well: this node holds no values");
}

#[tokio::test(start_paused = true)]
async fn a_value_without_a_valid_token_waits_for_one() {
    let world = world().await;
    let request = Request::new(SECRET);
    let pod = &request.pod;
    let ttl = Duration::from_secs(300);
    let (namespace, account) = (&pod.namespace, &pod.service_account);
    let token = world.emulator.token(namespace, account, STS, &pod.name, &pod.uid, ttl);
    world.mount(&request.clone().token(STS, &token)).await;
    seconds(301).await;
    world.emulator.expire_sessions();
    pass(INTERVAL).await;
    assert_eq!(state(&world).await, "waitsForToken");
    assert_contains(&first_line(&world).await, "1 of 1 value waits for a token");
    world.mount(&request).await;
    seconds(1).await;
    assert_eq!(state(&world).await, "fresh");
}

#[tokio::test(start_paused = true)]
async fn no_value_token_credential_or_request_id_is_shown() {
    let world = world().await;
    world.parameter("/shop/level", CANARY);
    let mut secrets = vec![CANARY.to_owned(), "ASIA".to_owned()];
    let objects = "
- {objectName: shop/db, objectType: secretsmanager}
- {objectName: shop/db, objectType: secretsmanager, objectVersionLabel: AWSPREVIOUS, objectAlias: old, optional: true}
- {objectName: /shop/level, objectType: ssmparameter}";
    for request in [Request::new(objects), Request::pod_identity(objects)] {
        let message = request.message(&world.emulator);
        let attributes: Value = serde_json::from_str(&message.attributes).unwrap();
        let tokens = attributes["csi.storage.k8s.io/serviceAccount.tokens"].as_str().unwrap();
        for token in serde_json::from_str::<Value>(tokens).unwrap().as_object().unwrap().values() {
            let token = token["token"].as_str().unwrap();
            secrets.extend([token[..30].to_owned(), token[token.len() - 30..].to_owned()]);
        }
        world.driver.mount(message).await.unwrap();
    }
    // Denied, and in an outage.
    world.emulator.set_kms_denied(REGION, "shop/db", WEB, true).unwrap();
    world.fault("GetParameters", FaultKind::Throttle);
    pass(INTERVAL).await;
    secrets.extend(world.emulator.calls().into_iter().map(|call| call.request_id));
    let document = document(&world).await;
    let snapshot: Snapshot = serde_json::from_str(&document).unwrap();
    assert_contains(&document, "shop/db");
    assert_contains(&document, "throttled");
    assert_contains(&document, "kms_denied");
    let forms = [
        document,
        json(&snapshot).unwrap(),
        text(&snapshot, Width::Columns(100)),
        text(&snapshot, Width::Wide),
    ];
    for form in forms {
        for secret in &secrets {
            assert!(!form.contains(secret), "{secret} is in {form}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_values_are_less_than_a_mebibyte() {
    let world = with(|config| config.rules.limits.max_objects = 500).await;
    for number in 0..1000 {
        world.secret(&format!("many/{number}"), "x");
    }
    world.mount(&Request::new(&many(0..500))).await;
    world.mount(&Request::new(&many(500..1000)).numbered(2)).await;
    seconds(1).await;
    let document = document(&world).await;
    assert!(document.len() < 1 << 20, "{} bytes", document.len());
    let snapshot: Snapshot = serde_json::from_str(&document).unwrap();
    assert_eq!(snapshot.values.len(), 1000);
    let text = text(&snapshot, Width::Columns(100));
    assert_contains(&text, "All is well: 1000 values for 1 principal, all fresh");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_volumes_that_latchkey_writes_are_shown() {
    let world = World::provider_writes(|config| config.status_socket = Some(socket(config))).await;
    world.secret("shop/db", CANARY);
    let (request, _) = world.with_volume(Request::new(SECRET));
    world.mount(&request).await;
    let status = status(&world).await;
    assert_eq!(status["writes"], "latchkey");
    let volume = &status["volumes"][0];
    assert_eq!([&volume["namespace"], &volume["pod"], &volume["class"]], ["shop", "web-1", "class"]);
    let volumes =
        status["shares"].as_array().unwrap().iter().find(|shares| shares["part"] == "volumes").unwrap();
    assert_eq!(volumes["namespaces"][0]["namespace"], "shop");
    assert!(volumes["used"].as_u64() > Some(4096), "{volumes}");
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_waits_for_aws_is_among_the_calls() {
    let world = world().await;
    world.fault("GetSecretValue", FaultKind::Hang);
    let request = Request::new(SECRET);
    let (mounted, status) = tokio::join!(world.try_mount(&request), async {
        seconds(2).await;
        status(&world).await
    });
    assert!(mounted.is_err());
    assert_eq!(status["calls"][0]["namespaces"][0]["namespace"], "shop");
    assert_eq!(status["calls"][0]["running"], 1);
    assert_eq!(status["values"][0]["state"], "neverRead");
    assert_contains(&status["shares"].to_string(), r#""part":"mounts","unit":"mounts","used":1"#);
}

#[tokio::test(start_paused = true)]
async fn pods_are_served_although_the_socket_cannot_be_created() {
    let log = Log::collect();
    let world = World::with(|config| {
        let file = config.provider_volume.join("no-folder");
        std::fs::write(&file, "").unwrap();
        config.status_socket = Some(file.join("status.sock"));
    });
    let world = world.await;
    world.secret("shop/db", CANARY);
    world.mount(&Request::new(SECRET)).await;
    assert_contains(&log.take(), "`latchkey status` will not work");
}

#[tokio::test(start_paused = true)]
async fn the_socket_is_gone_after_the_provider_stops() {
    let mut world = world().await;
    status(&world).await;
    world.stop().await.unwrap();
    assert!(!socket(&world.config).exists());
}

/// Runs the command itself.
async fn run(socket: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    command.arg("status").arg("--socket").arg(socket).args(args);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn said(output: &Output) -> (bool, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn the_command_prints_text_and_json() {
    let world = world().await;
    let socket = socket(&world.config);
    world.parameter("/shop/level", "info");
    world.mount(&Request::new(SECRET)).await;
    world.mount(&Request::pod_identity("- {objectName: /shop/level, objectType: ssmparameter}")).await;
    let (good, text, error) = said(&run(&socket, &[]).await);
    assert!(good, "{error}");
    assert_contains(&text, "All is well: 2 values for 2 principals, all fresh\n");
    assert_lacks(&text, "arn:aws:secretsmanager");
    let (_, wide, _) = said(&run(&socket, &["--wide"]).await);
    assert_contains(&wide, "arn:aws:secretsmanager");
    let (good, json, _) = said(&run(&socket, &["--output", "json", "--namespace=pay"]).await);
    assert!(good);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["values"].as_array().unwrap().len(), 1);
    assert_eq!(json["values"][0]["namespace"], "pay");
}

#[tokio::test]
async fn the_command_says_why_there_is_no_status() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("status.sock");
    let (good, out, error) = said(&run(&socket, &[]).await);
    assert!(!good);
    assert_eq!(out, "");
    let begins =
        format!("latchkey: no Latchkey serves status at {}: No such file or directory", socket.display());
    assert_contains(&error, &begins);
    // A provider that stopped without removing it.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let (good, _, error) = said(&run(&socket, &[]).await);
    assert!(!good);
    assert_contains(&error, "Connection refused");
}

#[tokio::test]
async fn a_closed_pipe_is_no_error() {
    let world = world().await;
    world.mount(&Request::new(SECRET)).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    command.args(["status", "--output=json", "--socket"]).arg(socket(&world.config));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        child.wait_with_output().unwrap()
    });
    let (good, _, error) = said(&ended.await.unwrap());
    assert!(good, "{error}");
    assert_eq!(error, "");
}

#[tokio::test]
async fn a_socket_among_the_providers_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    command.args(["serve", "--http-address=off"]);
    command.arg(format!("--provider-volume={}", folder.path().display()));
    command.arg(format!("--status-socket={}/status.sock", folder.path().display()));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (good, _, error) = said(&output);
    assert!(!good);
    assert_contains(&error, "is in --provider-volume, where the driver would take it for a provider");
}

#[tokio::test]
async fn the_book_shows_every_section() {
    let world = world().await;
    world.mount(&Request::new(SECRET)).await;
    let (_, shown, _) = said(&run(&socket(&world.config), &[]).await);
    let book = include_str!("../../docs/src/status.md");
    let is_title = |line: &&str| {
        let capitals = line.chars().all(|c| c.is_ascii_uppercase() || c == ' ');
        capitals && !line.is_empty() && !line.contains("  ")
    };
    let titles: Vec<&str> = shown.lines().filter(is_title).collect();
    assert!(titles.len() >= 3, "{shown}");
    for title in titles {
        assert!(book.lines().any(|line| line == title), "the book lacks {title:?}");
    }
}
