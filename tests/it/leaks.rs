//! No error of a failed call shows a token or a credential, however the call fails:
//! building the request, sending it, waiting, reading the answer, or by the answer.

use std::{
    io::Read,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use latchkey_emulator::FaultKind;
use serde_json::{Value, json};

use crate::harness::{
    Behaviour, Driver, Log, POD_IDENTITY, Request, STS, World, assert_contains, assert_lacks, eventually,
};

const SECRET: &str =
    "- {objectName: shop/db, objectType: secretsmanager}\n- {objectName: /shop/p, objectType: ssmparameter}";
/// Credentials for the Kubernetes API.
const CANARY: &str = "canary-of-a-kubeconfig";

/// The beginning and the middle of each token of a request, to find one that was cut.
fn tokens(message: &latchkey::server::protocol::MountRequest) -> Vec<String> {
    let attributes: Value = serde_json::from_str(&message.attributes).unwrap();
    let tokens = attributes["csi.storage.k8s.io/serviceAccount.tokens"].as_str().unwrap();
    let tokens: Value = serde_json::from_str(tokens).unwrap();
    let texts = [STS, POD_IDENTITY].map(|audience| tokens[audience]["token"].as_str().unwrap().to_owned());
    texts.iter().flat_map(|token| [token[..40].to_owned(), token[60..100].to_owned()]).collect()
}

/// Mounts, and expects a failure; gives the error, and the texts that it must not show.
async fn refused(driver: &Driver, request: &Request, world: &World) -> (String, Vec<String>) {
    let message = request.message(&world.emulator);
    let tokens = tokens(&message);
    let status = driver.mount(message).await.map(|_| ()).expect_err("it fails");
    (format!("{status} {status:?}"), tokens)
}

fn assert_silent(said: &str, canaries: &[String]) {
    for canary in canaries.iter().map(String::as_str).chain([CANARY]) {
        assert_lacks(said, canary);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_repeated_by_a_server_is_not_shown() {
    let world = World::uncached().await;
    let log = Log::collect();
    for request in [Request::new(SECRET), Request::pod_identity(SECRET)] {
        for operation in
            ["AssumeRoleWithWebIdentity", "PodIdentityCredentials", "GetSecretValue", "GetParameters"]
        {
            let token = tokens(&request.message(&world.emulator)).swap_remove(0);
            let message = format!("AccessDeniedException: not {token}-and-more");
            let fault = FaultKind::Error { status: 400, code: "AccessDeniedException".to_owned(), message };
            let fault = world.fault(operation, fault);
            world.emulator.expire_sessions();
            if let Err(status) = world.try_mount(&request).await {
                assert_silent(&format!("{status} {}", log.take()), &[token[..30].to_owned()]);
            }
            world.emulator.remove_fault(fault);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_error_shows_kubernetes_credentials() {
    let mut world = World::start().await;
    let log = Log::collect();
    let plugin = world.folder().join("plugin");
    std::fs::write(&plugin, format!("#!/bin/sh\necho {CANARY}; echo {CANARY} >&2; exit 1\n")).unwrap();
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o700)).unwrap();
    let good: Value = serde_json::from_slice(&std::fs::read(world.kubernetes.kubeconfig()).unwrap()).unwrap();
    let with = |user: Value| {
        let mut config = good.clone();
        config["users"][0]["user"] = user;
        config.to_string()
    };
    let exec = json!({ "apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "interactiveMode": "Never" });
    let mut dead = good.clone();
    dead["users"][0]["user"] = json!({ "token": CANARY });
    dead["clusters"][0]["cluster"]["server"] = json!("http://127.0.0.1:1");
    let mut no_url = dead.clone();
    no_url["clusters"][0]["cluster"]["server"] = json!(format!("https://user:{CANARY}@:x"));
    let configs = [
        ("not its YAML", format!("users: {CANARY}\n- [{CANARY}")),
        ("a wrong type", with(json!({ "token": { "a": CANARY } }))),
        ("an exec plugin", with(json!({ "exec": exec }))),
        ("a broken key", with(json!({ "client-certificate-data": CANARY, "client-key-data": CANARY }))),
        ("no header value", with(json!({ "token": format!("{CANARY}\n") }))),
        ("nobody listens", dead.to_string()),
        ("no URL", no_url.to_string()),
    ];
    for (what, config) in configs {
        let path = world.folder().join("canary-config");
        std::fs::write(&path, config).unwrap();
        world.restart(|config| config.cluster.kubeconfig = Some(path)).await;
        let (said, tokens) = refused(&world.driver, &Request::new(SECRET), &world).await;
        assert!(said.contains("Kubernetes"), "{what}: {said}");
        assert_silent(&format!("{said} {}", log.take()), &tokens);
    }
    let path = world.folder().join("canary-config");
    std::fs::write(&path, with(json!({ "token": CANARY }))).unwrap();
    for behaviour in [
        Behaviour::Refuse(401),
        Behaviour::Refuse(403),
        Behaviour::Refuse(500),
        Behaviour::Garbage,
        Behaviour::Hang,
    ] {
        world.restart(|config| config.cluster.kubeconfig = Some(path.clone())).await;
        world.kubernetes.behave(behaviour);
        let (said, tokens) = refused(&world.driver, &Request::new(SECRET), &world).await;
        assert_silent(&format!("{said} {}", log.take()), &tokens);
    }
}

/// The program itself, with environment variables of its own.
struct Process(Child);

impl Process {
    fn start(world: &World, folder: &Path, variables: &[(&str, &str)]) -> Self {
        let uid = rustix::process::getuid().as_raw();
        let process = Command::new(env!("CARGO_BIN_EXE_latchkey"))
            .args([
                "serve",
                "--http-address=off",
                "--status-socket=off",
                "--log-level=trace",
                "--region-timeout=2s",
            ])
            .arg(format!("--provider-volume={}", folder.display()))
            .arg(format!("--kubeconfig={}", world.kubernetes.kubeconfig().display()))
            .arg(format!("--allowed-uids={uid}"))
            .arg(format!("--pod-identity-endpoint={}", world.aws_url))
            .env("AWS_ENDPOINT_URL", &world.aws_url)
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn();
        Self(process.unwrap())
    }

    /// Ends it, and gives its log.
    fn end(mut self) -> String {
        self.0.kill().unwrap();
        let mut log = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        self.0.wait().unwrap();
        log
    }
}

#[tokio::test]
async fn an_error_building_a_request_does_not_show_the_request() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    // A FIPS endpoint and a custom endpoint exclude each other, which the
    // SDK detects in each call.
    let fips = [("AWS_USE_FIPS_ENDPOINT", "true")];
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&world, folder.path(), &fips);
    let socket = folder.path().join("aws.sock");
    eventually("it serves", async || socket.exists().then_some(())).await;
    let driver = Driver::connect(&socket).await;
    let mut said = String::new();
    let mut canaries = Vec::new();
    for request in [Request::new(SECRET), Request::pod_identity(SECRET)] {
        let (answer, tokens) = refused(&driver, &request, &world).await;
        assert_contains(&answer, "the request could not be built: check the endpoint");
        said += &answer;
        canaries.extend(tokens);
    }
    let log = process.end();
    assert_contains(&log, "mount failed");
    assert_silent(&said, &canaries);
    assert_silent(&log, &canaries);
}

#[tokio::test]
async fn an_invalid_endpoint_is_a_start_error_that_does_not_show_it() {
    let world = World::start().await;
    for (variable, value) in [
        ("AWS_ENDPOINT_URL", "sts.canary-host:443"),
        ("AWS_ENDPOINT_URL_STS", "sts.canary-host"),
        ("AWS_ENDPOINT_URL_SSM", "https://user:canary@ssm.example"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "https://x.example/?canary"),
        ("LATCHKEY_POD_IDENTITY_ENDPOINT", "http://user:canary@agent"),
        ("HTTPS_PROXY", "http://user:canary@"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let run = Command::new(env!("CARGO_BIN_EXE_latchkey"))
            .args(["serve", "--http-address=off"])
            .arg(format!("--provider-volume={}", folder.path().display()))
            .arg(format!("--kubeconfig={}", world.kubernetes.kubeconfig().display()))
            .env(variable, value)
            .output()
            .unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(1), "{said}");
        assert_contains(&said, variable);
        assert_lacks(&said, "canary");
        assert!(!folder.path().join("aws.sock").exists(), "{variable}: it has bound the socket");
    }
}
