//! The emulator as independent clients see it: AWS's SDK for Rust in this process, and
//! boto3 and the AWS CLI where they are installed.

mod notices;
mod second_opinion;

use std::{process::Command, sync::Arc, time::Duration};

use aws_credential_types::Credentials;
use aws_sdk_secretsmanager::{
    config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig},
    error::{DisplayErrorContext, ProvideErrorMetadata},
    operation::RequestId,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::*;

const EXAMPLE: &str = include_str!("../../../examples/store.yaml");
const SHOP: &str = "arn:aws:iam::111122223333:role/shop";

/// An emulator of the example store and its base URL.
async fn serve() -> (Emulator, String) {
    let emulator = Emulator::new(Store::from_yaml(EXAMPLE).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(emulator.clone().serve(listener, std::future::pending()));
    (emulator, url)
}

fn secrets_manager(url: &str, credentials: Credentials) -> aws_sdk_secretsmanager::Client {
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(30)).build())
        .build();
    aws_sdk_secretsmanager::Client::from_conf(config)
}

fn administrator() -> Credentials {
    Credentials::new("AKIAEXAMPLEADMIN0001", "anything", None, None, "test")
}

/// IRSA's credentials for the shop's cart, for 900 seconds.
async fn cart(emulator: &Emulator, url: &str) -> Credentials {
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(url)
        .build();
    let ttl = Duration::from_secs(3600);
    let answer = aws_sdk_sts::Client::from_conf(config)
        .assume_role_with_web_identity()
        .role_arn(SHOP)
        .role_session_name("test")
        .duration_seconds(900)
        .web_identity_token(emulator.token("shop", "cart", "sts.amazonaws.com", "pod", "uid", ttl))
        .send()
        .await
        .unwrap();
    let given = answer.credentials().unwrap();
    Credentials::new(
        given.access_key_id(),
        given.secret_access_key(),
        Some(given.session_token().to_owned()),
        None,
        "test",
    )
}

async fn code_of(client: &aws_sdk_secretsmanager::Client, id: &str) -> Option<String> {
    let error = client.get_secret_value().secret_id(id).send().await.unwrap_err();
    error.code().map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn awss_sdk_reads_a_secret_with_irsas_credentials() {
    let (emulator, url) = serve().await;
    let client = secrets_manager(&url, cart(&emulator, &url).await);
    let answer = client.get_secret_value().secret_id("shop/session-key").send().await.unwrap();
    assert_eq!(answer.secret_string(), Some("8f1c2a6e5b7d"));
    let calls = emulator.calls();
    assert_eq!(calls[0].operation, "AssumeRoleWithWebIdentity");
    assert_eq!(calls[0].principal.as_deref(), Some("system:serviceaccount:shop:cart"));
    assert_eq!(calls[0].targets, [SHOP]);
    assert_eq!(calls[1].role.as_deref(), Some(SHOP));
    assert_eq!(Some(calls[1].request_id.as_str()), answer.request_id());
    assert_eq!(calls[1].status, Some(200));
}

#[tokio::test(start_paused = true)]
async fn a_session_expires_by_tokios_clock() {
    let (emulator, url) = serve().await;
    let client = secrets_manager(&url, cart(&emulator, &url).await);
    tokio::time::advance(Duration::from_secs(899)).await;
    client.get_secret_value().secret_id("shop/session-key").send().await.unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(code_of(&client, "shop/session-key").await.as_deref(), Some("ExpiredTokenException"));
    let last = emulator.calls().pop().unwrap();
    assert_eq!(last.status, Some(400));
    assert_eq!(last.error.as_deref(), Some("ExpiredTokenException"));
}

#[tokio::test(start_paused = true)]
async fn permissions_can_be_revoked_and_granted_at_run_time() {
    let (emulator, url) = serve().await;
    let client = secrets_manager(&url, cart(&emulator, &url).await);
    let action = "secretsmanager:GetSecretValue";
    emulator.deny(SHOP, action, "shop/session-key");
    assert_eq!(code_of(&client, "shop/session-key").await.as_deref(), Some("AccessDeniedException"));
    emulator.allow(SHOP, action, "shop/session-key");
    client.get_secret_value().secret_id("shop/session-key").send().await.unwrap();
    emulator.clear_policy(SHOP);
    assert_eq!(code_of(&client, "shop/session-key").await.as_deref(), Some("AccessDeniedException"));
}

#[tokio::test(start_paused = true)]
async fn secrets_change_without_http() {
    let (emulator, url) = serve().await;
    let client = secrets_manager(&url, administrator());
    let read = async || client.get_secret_value().secret_id("a/new").send().await.unwrap();
    let mut versions = Vec::new();
    for value in ["one", "two"] {
        let version = emulator.put_secret("us-east-1", "a/new", value);
        let answer = read().await;
        assert_eq!(answer.secret_string(), Some(value));
        assert_eq!(answer.version_id(), Some(version.as_str()), "the version of {value}");
        versions.push(version);
    }
    let [one, two] = [&versions[0], &versions[1]];
    emulator.move_label("us-east-1", "a/new", "AWSCURRENT", one).unwrap();
    assert_eq!(read().await.secret_string(), Some("one"));
    assert_eq!(emulator.secret_versions("us-east-1", "a/new")[two], ["AWSPREVIOUS"]);
    emulator.delete_secret("us-east-1", "a/new").unwrap();
    assert_eq!(code_of(&client, "a/new").await.as_deref(), Some("InvalidRequestException"));
}

#[tokio::test(start_paused = true)]
async fn a_delay_follows_tokios_clock_and_concurrent_calls_are_counted() {
    let (emulator, url) = serve().await;
    emulator.set_delay(Some("GetSecretValue"), Duration::from_secs(5));
    let client = secrets_manager(&url, administrator());
    let started = tokio::time::Instant::now();
    let read = || client.get_secret_value().secret_id("shop/session-key").send();
    tokio::try_join!(read(), read(), read()).unwrap();
    assert!(started.elapsed() >= Duration::from_secs(5), "after {:?}", started.elapsed());
    assert_eq!(emulator.max_calls_at_once(), 3);
    assert_eq!(emulator.call_counts()["GetSecretValue"], 3);
}

#[tokio::test(start_paused = true)]
async fn each_fault_does_what_its_name_says() {
    let (emulator, url) = serve().await;
    let client = secrets_manager(&url, administrator());
    for (kind, expected) in [
        (FaultKind::Throttle, "ThrottlingException"),
        (FaultKind::InternalError, "InternalServiceError"),
        (FaultKind::KmsDenied, "AccessDeniedException"),
        (FaultKind::Reset, "dispatch failure"),
        (FaultKind::Hang, "timeout"),
        (FaultKind::GarbageBody, "unhandled error"),
        (FaultKind::TruncatedBody, "response error"),
        (FaultKind::Redirect("http://127.0.0.1:9/".to_owned()), "service error"),
    ] {
        emulator.inject(Fault::new(kind.clone()).operation("GetSecretValue").times(1));
        let error = client.get_secret_value().secret_id("shop/session-key").send().await.unwrap_err();
        let text = error.code().map_or_else(|| DisplayErrorContext(&error).to_string(), str::to_owned);
        assert!(text.contains(expected), "{kind:?}: {text}");
        client.get_secret_value().secret_id("shop/session-key").send().await.unwrap();
    }
    let delay = Duration::from_secs(3);
    emulator.inject(Fault::new(FaultKind::Delay(delay)).times(1));
    let started = tokio::time::Instant::now();
    client.get_secret_value().secret_id("shop/session-key").send().await.unwrap();
    assert!(started.elapsed() >= delay, "after {:?}", started.elapsed());
}

/// Sends the agent a request as bytes and returns the whole answer.
async fn raw(url: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await?;
    stream.write_all(b"GET /v1/credentials HTTP/1.1\r\nhost: agent\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map(|_| answer)
}

#[tokio::test(start_paused = true)]
async fn a_truncated_answer_has_the_full_content_length_and_half_the_body() {
    let (emulator, url) = serve().await;
    emulator.inject(Fault::new(FaultKind::TruncatedBody));
    let answer = String::from_utf8(raw(&url).await.unwrap()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let whole = "Service account token cannot be empty\n";
    assert!(head.contains(&format!("content-length: {}", whole.len())), "{head}");
    assert_eq!(body, &whole[..whole.len() / 2]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_sends_no_byte() {
    let (emulator, url) = serve().await;
    emulator.inject(Fault::new(FaultKind::Reset));
    let error = raw(&url).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(emulator.calls()[0].status, None);
}

#[tokio::test]
async fn shutdown_ends_hanging_calls() {
    let emulator = Emulator::new(Store::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(emulator.clone().serve(listener, async {
        let _ = stopped.await;
    }));
    emulator.inject(Fault::new(FaultKind::Hang));
    let client = secrets_manager(&url, administrator());
    let call = tokio::spawn(async move { client.list_secrets().send().await });
    while emulator.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.send(()).unwrap();
    call.await.unwrap().unwrap_err();
    server.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn another_issuers_verifier_is_called() {
    struct Everyone;
    impl SignatureVerifier for Everyone {
        fn verify(&self, alg: &str, kid: Option<&str>, _: &[u8], signature: &[u8]) -> bool {
            alg == "RS256" && kid == Some("k") && signature == b"signed"
        }
    }
    let (emulator, _) = serve().await;
    emulator.trust_issuer("https://real.cluster", Arc::new(Everyone));
    let encode = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    let header = encode(r#"{"alg":"RS256","kid":"k"}"#);
    let claims = r#"{"iss":"https://real.cluster","sub":"system:serviceaccount:a:b","aud":["x"],"exp":9}"#;
    let token = |signature| format!("{header}.{}.{}", encode(claims), encode(signature));
    emulator.inner.issuers().verify(&token("signed")).unwrap();
    emulator.inner.issuers().verify(&token("forged")).unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boto3_agrees() {
    run_client("python3", &["-c", "import boto3"], "boto3_emulator.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boto3_agrees_on_what_aws_refuses() {
    run_client("python3", &["-c", "import boto3"], "boto3_rules.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boto3_agrees_on_queues_and_events() {
    run_client("python3", &["-c", "import boto3"], "boto3_queues.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_aws_cli_agrees() {
    run_client("aws", &["--version"], "aws_cli_emulator.sh").await;
}

/// Runs a script of `tests/clients` against a new emulator, if the client is installed.
async fn run_client(program: &str, probe: &[&str], script: &str) {
    if !Command::new(program).args(probe).output().is_ok_and(|probe| probe.status.success()) {
        println!("SKIPPED {script}: `{program} {}` does not work here", probe.join(" "));
        return;
    }
    let (_, url) = serve().await;
    let path = format!("{}/../../tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let run = move || Command::new(path).arg(url).output();
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script} found a mismatch");
}
