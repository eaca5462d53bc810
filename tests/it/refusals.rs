//! A refused manifest costs one line of log, of limited length, once.

use std::time::Duration;

use serde_json::json;
use tonic::{Code, Status};

use crate::harness::{Driver, Log, REGION, Request, STS, World, assert_code, assert_contains, pass};

/// The maximum for one attempt, as text and as JSON.
const MAX_LOG_BYTES: usize = 8 << 10;
/// The maximum length of a status message.
const MAX_STATUS_BYTES: usize = 4000;
/// A character that Debug prints in ten, and JSON in eleven bytes.
const WIDE: &str = "\u{10fffe}";

fn object(name: &str, more: &str) -> String {
    format!("- {{objectName: {}, objectType: secretsmanager, {more}}}\n", json!(name))
}

/// Requests whose refusal could be long or could break the line.
fn hostile() -> Vec<(&'static str, Request)> {
    let wide = WIDE.repeat(50_000);
    let db = object("shop/db", "");
    let parameter = |key: &str| Request::new(&db).parameter(key, &wide);
    let many =
        |count, line: &dyn Fn(usize) -> String| Request::new(&(0..count).map(line).collect::<String>());
    let numbered = |number: usize, length: usize| format!("{number}{}", WIDE.repeat(length));
    let unknown_keys: String = (0..2000).map(|key| format!("{}: x, ", json!(numbered(key, 10)))).collect();
    let mut unknown = Request::new(&object("none", ""));
    for number in 0..500 {
        unknown = unknown.parameter(&numbered(number, 100), "x");
    }
    let audiences: serde_json::Map<_, _> =
        (0..500).map(|number| (numbered(number, 100), json!({ "token": "x" }))).collect();
    vec![
        ("region", parameter("region")),
        ("failoverRegion", parameter("failoverRegion")),
        ("pathTranslation", parameter("pathTranslation")),
        ("usePodIdentity", parameter("usePodIdentity")),
        ("roleArn", parameter("roleArn")),
        ("refreshInterval", parameter("refreshInterval")),
        ("preferredAddressType", parameter("preferredAddressType").parameter("region", "x")),
        ("permission", Request::new(&db).permission(&wide)),
        ("the target path", parameter("region").target(wide.as_ref())),
        ("unknown parameters", unknown),
        ("unknown keys", Request::new(&object("none", &unknown_keys))),
        ("no list", Request::new(&wide)),
        ("no YAML", Request::new(&format!("- [{wide}"))),
        ("names", many(200, &|number| object(&numbered(number, 300), "objectAlias: ../x"))),
        (
            "aliases",
            many(300, &|number| object("a", &format!("objectAlias: {}", json!(numbered(number, 60))))),
        ),
        ("collisions", many(300, &|number| object(&"x".repeat(200), &format!("encoding: {number}")))),
        (
            "types",
            many(100, &|number| {
                format!("- {{objectName: a{number}, objectType: {}}}\n", json!(WIDE.repeat(500)))
            }),
        ),
        (
            "modes",
            many(100, &|number| {
                object(&format!("a{number}"), &format!("filePermission: {}", json!(WIDE.repeat(500))))
            }),
        ),
        (
            "expressions",
            many(100, &|number| {
                let path = json!(format!("{}[", "a\n\\\"".repeat(200)));
                object(
                    &format!("a{number}"),
                    &format!("jmesPath: [{{path: {path}, objectAlias: b{number}}}]"),
                )
            }),
        ),
        (
            "ARNs",
            many(100, &|number| {
                object(&format!("arn:aws:secretsmanager:{}:1:{number}", WIDE.repeat(400)), "")
            }),
        ),
        (
            "objects that are not there",
            many(400, &|number| {
                object(&format!("{number}{}", "n".repeat(480)), &format!("objectAlias: f{number}"))
            }),
        ),
        (
            "objects that are denied",
            many(400, &|number| {
                object(&format!("denied/{number}{}", "n".repeat(480)), &format!("objectAlias: f{number}"))
            }),
        ),
        (
            "fields that are not there",
            many(1, &|_| {
                let fields: String = (0..400)
                    .map(|n| format!("{{path: '{}{n}', objectAlias: f{n}}}, ", "p".repeat(400)))
                    .collect();
                object("shop/db", &format!("jmesPath: [{fields}]"))
            }),
        ),
        (
            "too large",
            many(100, &|number| {
                object("shop/large", &format!("objectAlias: {}", json!(numbered(number, 60))))
            }),
        ),
        ("no token", Request::new(&db).raw_tokens(&json!(audiences).to_string())),
        (
            "a token's subject",
            Request::new(&db).token(STS, &unsigned(&json!({ "sub": wide, "aud": STS, "exp": 1 }))),
        ),
        (
            "forged lines",
            Request::new(&object("a\u{1b}[2J\u{202e}b", "objectAlias: \"x\\ny\""))
                .parameter("region", "a\n2026-01-01 ERROR b\u{2028}c\r\u{9b}31m"),
        ),
    ]
}

/// An unsigned token.
fn unsigned(claims: &serde_json::Value) -> String {
    let part = |json: &serde_json::Value| data_encoding::BASE64URL_NOPAD.encode(json.to_string().as_bytes());
    let token = format!("{}.{}.x", part(&json!({ "alg": "none" })), part(claims));
    let length = token.len();
    assert!(length > 16 << 10, "{length} bytes are not too long for a token, nor a long subject");
    token
}

async fn world() -> World {
    let world = World::with(|config| config.rules.limits.max_response_bytes = 100_000).await;
    world.secret("shop/db", r#"{"a":"1"}"#);
    world.secret("shop/large", &"x".repeat(10_000));
    let action = "secretsmanager:GetSecretValue";
    world.emulator.deny(crate::harness::WEB, action, "*:secret:denied/*");
    world
}

fn assert_bounded(what: &str, status: &Status, logged: &str) {
    let message = status.message();
    assert!(message.len() <= MAX_STATUS_BYTES, "{what}: a status of {} bytes", message.len());
    assert_ne!(message, "", "{what}: {status:?}");
    let json = serde_json::to_string(logged).unwrap();
    for size in [logged.len(), json.len()] {
        assert!(size <= MAX_LOG_BYTES, "{what}: {size} bytes of log: {}", &json[..2000]);
    }
    for line in logged.lines() {
        let has_level = [" ERROR ", " WARN ", " INFO "].iter().any(|level| line.contains(level));
        assert!(has_level, "{what}: a forged line: {line:?}");
    }
    for text in [message, logged.trim_end_matches('\n')] {
        let bad = |c: char| {
            c != '\n' && c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        };
        assert!(!text.contains(bad), "{what}: {text:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_costs_at_most_8_kib_of_log_on_its_own_lines() {
    let world = world().await;
    let log = Log::collect();
    for (number, (what, mut request)) in hostile().into_iter().enumerate() {
        // Each in another namespace, because one namespace may not log that much.
        request.pod.uid = format!("00000000-0000-4000-9000-{number:012}");
        let status = world.try_mount(&request).await.expect_err(what);
        // Only the default log level; the emulator logs more.
        let logged = log.take();
        let logged =
            logged.split_inclusive('\n').filter(|line| !line.contains(" DEBUG ")).collect::<String>();
        let is_logged = ["mount refused", "mount failed"].iter().any(|text| logged.contains(text));
        assert!(is_logged, "{what}: no line about the mount in {logged}");
        assert_bounded(what, &status, &logged);
        pass(Duration::from_secs(600)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_status_begins_with_the_most_important_facts() {
    let world = world().await;
    let objects: String = (0..100)
        .map(|number| {
            object(&format!("denied/{number}{}", "n".repeat(480)), &format!("objectAlias: f{number}"))
        })
        .collect();
    let status = world.refusal(&Request::new(&objects)).await;
    assert_code(&status, Code::PermissionDenied);
    assert!(
        status.message().starts_with("100 of 100 objects of SecretProviderClass shop/class failed for"),
        "{status}"
    );
    assert_contains(status.message(), "denies secretsmanager:GetSecretValue on arn:aws:");
    assert!(status.message().ends_with("(the provider's log has the rest)"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_refusal_is_logged_at_intervals_with_its_count() {
    let world = world().await;
    let log = Log::collect();
    for request in [
        Request::new("- ["),
        // Each attempt gets another request id.
        Request::new(&object("none", "")),
        Request::new(&object("denied/x", "unknown: 1")),
    ] {
        for _ in 0..60 {
            world.refusal(&request).await;
            pass(Duration::from_secs(10)).await;
        }
        let logged = log.take();
        let errors = logged.lines().filter(|line| line.contains(" ERROR ")).count();
        assert_eq!(errors, 4, "{logged}");
        assert_contains(&logged, "(repeated 11 times in 2 min)");
    }
}

#[tokio::test(start_paused = true)]
async fn a_noisy_namespace_silences_no_other() {
    let world = world().await;
    let log = Log::collect();
    let mut noisy = Request::new("");
    noisy.pod.namespace = "noisy".to_owned();
    for number in 0..300 {
        world.refusal(&noisy.clone().parameter("region", &format!("{number}{}", "x".repeat(150)))).await;
    }
    let logged = log.take();
    assert!(logged.len() < 120 << 10, "{} bytes of log", logged.len());
    world.refusal(&Request::new("- [")).await;
    assert_contains(&log.take(), "is not YAML");
}

#[tokio::test(start_paused = true)]
async fn a_refused_caller_is_logged_once() {
    let world = World::with(|config| config.allowed_uids = vec![4242]).await;
    let log = Log::collect();
    for _ in 0..50 {
        let driver = Driver::connect(&world.socket()).await;
        let refused =
            driver.mount(Request::new("").parameter("region", REGION).message(&world.emulator)).await;
        assert_code(&refused.unwrap_err(), Code::PermissionDenied);
    }
    let logged = log.take();
    assert_eq!(logged.matches("refused a caller").count(), 1, "{logged}");
}
