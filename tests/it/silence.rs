//! Logs, answers and debug output: enough to follow a mount, and never a
//! value, a token or a credential.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_credential_types::Credentials;
use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use latchkey::{
    backend::Reading,
    identity::{AgentSettings, Session},
    model::{
        arn::Region,
        request::{MountRequest, RawRequest},
        rules::Rules,
        secret::SecretValue,
        token::Token,
    },
};
use latchkey_emulator::{Emulator, FaultKind, Store};
use tracing::{Level, level_filters::LevelFilter, subscriber::DefaultGuard};
use tracing_subscriber::{Layer, filter::Targets, fmt::MakeWriter, layer::SubscriberExt};

use crate::harness::{
    POD_IDENTITY, Pod, REGION, Request, STS, Tee, WEB, World, assert_contains, assert_lacks,
};

/// All that was logged in this test.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    /// Collects the provider's log at its most verbose level,
    /// as text and as JSON, until the guard is dropped.
    fn collect() -> (Self, DefaultGuard) {
        let logs = Self::default();
        let levels = || Targets::new().with_default(LevelFilter::WARN).with_target("latchkey", Level::TRACE);
        let text = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(logs.clone());
        let json = tracing_subscriber::fmt::layer().json().with_writer(logs.clone());
        let subscriber =
            tracing_subscriber::registry().with(text.with_filter(levels())).with(json.with_filter(levels()));
        (logs, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Every encoding in which a secret could appear.
fn forms(canary: &[u8]) -> Vec<String> {
    let mut forms = vec![HEXLOWER.encode(canary), HEXUPPER.encode(canary), format!("{canary:?}")];
    if let Ok(text) = std::str::from_utf8(canary) {
        let json = serde_json::to_string(text).unwrap();
        let twice = serde_json::to_string(&json).unwrap();
        forms.extend([
            text.to_owned(),
            json.trim_matches('"').to_owned(),
            twice.trim_matches(['"', '\\']).to_owned(),
        ]);
        forms.push(format!("{text:?}").trim_matches('"').to_owned());
    }
    // Within a longer text, base64 has three alignments.
    for shift in 0..3 {
        let shifted: Vec<u8> = std::iter::repeat_n(0, shift).chain(canary.iter().copied()).collect();
        for encoding in [BASE64, BASE64URL] {
            let encoded = encoding.encode(&shifted);
            forms.push(encoded[4..encoded.len() - 4].to_owned());
        }
    }
    forms
}

fn assert_silent(text: &str, canaries: &[(&str, Vec<u8>)]) {
    for (what, canary) in canaries {
        assert!(canary.len() >= 12, "{what} is too short to be looked for");
        for form in forms(canary) {
            if let Some(at) = text.find(&form) {
                let from = text.floor_char_boundary(at.saturating_sub(200));
                let to = text.ceil_char_boundary((at + 200).min(text.len()));
                panic!("{what} shows as {form:?} in: …{}…", &text[from..to]);
            }
        }
    }
}

#[test]
fn the_search_finds_every_encoding_of_a_canary() {
    let canary = br#"canary "quoted" value"#.to_vec();
    for text in [
        r#"x canary "quoted" value x"#.to_owned(),
        format!("{:?}", r#"canary "quoted" value"#),
        serde_json::json!({ "a": r#"canary "quoted" value"# }).to_string(),
        serde_json::json!({ "a": serde_json::json!([r#"canary "quoted" value"#]).to_string() }).to_string(),
        BASE64.encode(br#"xx canary "quoted" value xx"#),
        HEXLOWER.encode(&canary),
        format!("{canary:?}"),
    ] {
        let found = std::panic::catch_unwind(|| assert_silent(&text, &[("canary", canary.clone())]));
        assert!(found.is_err(), "{text}");
    }
}

const TEXT: &str = r#"canary-text "with quotes" \ and ünïcode"#;
const FIELD: &str = "canary-of-a-field-0123456789";
const PARAMETER: &str = "canary-of-a-parameter";
const HALF_JSON: &str = r#"{"password": "canary-of-half-json", "x": canary-beyond-json"#;
const SMUGGLED: &str = "canary-of-smuggled-tokens";
const BINARY: &[u8] = b"\xff\xfe canary of bytes \x00\x01";

const OBJECTS: &str = r#"
- {objectName: shop/text, objectType: secretsmanager}
- {objectName: shop/binary, objectType: secretsmanager}
- {objectName: shop/json, objectType: secretsmanager, jmesPath: [{path: password, objectAlias: password}, {path: 'to_array(password)', objectAlias: list}]}
- {objectName: /shop/parameter, objectType: ssmparameter}"#;

async fn canary_world() -> (World, Tee) {
    let mut world = World::with(|config| config.rules.limits.max_response_bytes = 200_000).await;
    let tee = Tee::start(world.aws_url.trim_start_matches("http://")).await;
    world
        .restart(|config| {
            config.aws.endpoint_url = Some(tee.url().to_owned());
            config.identity.agent = AgentSettings::at(tee.url());
        })
        .await;
    world.secret("shop/text", TEXT);
    world.emulator.put_secret(REGION, "shop/binary", BINARY.to_vec());
    world.secret("shop/json", &serde_json::json!({ "password": FIELD }).to_string());
    world.secret("shop/half", HALF_JSON);
    world.secret("shop/large", &TEXT.repeat(1400));
    world.parameter("/shop/parameter", PARAMETER);
    (world, tee)
}

/// Requests that fail in every way.
fn bad_requests() -> Vec<Request> {
    let entry =
        |name: &str, more: &str| format!("- {{objectName: {name}, objectType: secretsmanager, {more}}}");
    let mut bad: Vec<Request> = [
        entry("shop/text", "encoding: base64"),
        entry("shop/text", "jmesPath: [{path: a, objectAlias: a}]"),
        entry("shop/half", "jmesPath: [{path: password, objectAlias: a}]"),
        entry("shop/half", "jmesPath: [{path: 'length(password)', objectAlias: a}]"),
        entry("shop/binary", "jmesPath: [{path: a, objectAlias: a}]"),
        entry("shop/json", "jmesPath: [{path: 'abs(password)', objectAlias: a}]"),
        entry("shop/json", "jmesPath: [{path: 'sum(@)', objectAlias: a}]"),
        entry("shop/json", "jmesPath: [{path: password, objectAlias: a, encoding: hex}]"),
        entry("shop/json", "jmesPath: [{path: password.x, objectAlias: a}]"),
        entry("shop/none", ""),
        (0..5).map(|number| entry("shop/large", &format!("objectAlias: a{number}\n")) + "\n").collect(),
        "- [".to_owned(),
    ]
    .iter()
    .map(|objects| Request::new(objects))
    .collect();
    bad.push(Request::new(OBJECTS).raw_tokens(SMUGGLED));
    bad.push(Request::new(OBJECTS).raw_tokens(&format!(r#"{{"sts.amazonaws.com": "{SMUGGLED}"}}"#)));
    bad.push(Request::new(OBJECTS).token(STS, SMUGGLED));
    bad.push(Request::pod_identity(OBJECTS).token(POD_IDENTITY, &format!("{SMUGGLED}\n")));
    bad
}

#[tokio::test(start_paused = true)]
async fn no_token_or_value_in_any_log_error_or_debug_output() {
    let (logs, _guard) = Logs::collect();
    let (world, tee) = canary_world().await;
    let mut canaries: Vec<(&str, Vec<u8>)> =
        [TEXT, FIELD, PARAMETER, SMUGGLED, "canary-of-half-json", "canary-beyond-json"]
            .map(|text| ("a value", text.as_bytes().to_vec()))
            .into();
    canaries.push(("a binary value", BINARY.to_vec()));
    let mut said = String::new();
    let mut mounts = 0;

    let mut sent = async |request: &Request| {
        let message = request.message(&world.emulator);
        // The tokens inside: JWTs start like this.
        for text in [&message.attributes, &message.secrets] {
            let tokens = text.split(['"', '\\']).filter(|part| part.starts_with("eyJ"));
            canaries.extend(tokens.map(|token| ("a token", token.as_bytes().to_vec())));
        }
        mounts += 1;
        match world.driver.mount(message).await {
            Ok(answer) => drop(answer),
            Err(status) => said.push_str(&format!("{status}\n{status:?}\n")),
        }
    };
    for request in
        [Request::new(OBJECTS), Request::pod_identity(OBJECTS), Request::new(OBJECTS).tokens_in_secrets()]
    {
        sent(&request).await;
    }
    for request in bad_requests() {
        sent(&request).await;
    }
    for kind in [
        FaultKind::InternalError,
        FaultKind::Reset,
        FaultKind::GarbageBody,
        FaultKind::TruncatedBody,
        FaultKind::KmsDenied,
        FaultKind::Hang,
    ] {
        for operation in
            ["GetSecretValue", "GetParameters", "AssumeRoleWithWebIdentity", "PodIdentityCredentials"]
        {
            let fault = world.fault(operation, kind.clone());
            world.emulator.expire_sessions();
            sent(&Request::new(OBJECTS)).await;
            sent(&Request::pod_identity(OBJECTS)).await;
            world.emulator.remove_fault(fault);
        }
    }
    // A forged token, a denied one, and an agent that repeats the token.
    let Pod { namespace, service_account, name, uid } = Request::new("").pod;
    let hour = Duration::from_secs(3600);
    let forger = Emulator::new(Store::default());
    let forged = forger.token(&namespace, &service_account, STS, &name, &uid, hour);
    world.emulator.set_trust(WEB, &[]);
    world.emulator.expire_sessions();
    sent(&Request::new(OBJECTS).token(STS, &forged)).await;
    sent(&Request::new(OBJECTS)).await;
    let pod = Pod::numbered("pay", "worker", 77);
    let token = world.emulator.token("pay", "worker", POD_IDENTITY, &pod.name, &pod.uid, hour);
    let message = format!("AccessDeniedException for {token}");
    world.fault(
        "PodIdentityCredentials",
        FaultKind::Error { status: 400, code: "AccessDeniedException".to_owned(), message },
    );
    let echo = Request::of_pod(pod, OBJECTS).parameter("usePodIdentity", "true").token(POD_IDENTITY, &token);
    sent(&echo).await;

    for (before, after) in [
        ("<SecretAccessKey>", "<"),
        ("<SessionToken>", "<"),
        (r#""SecretAccessKey":""#, "\""),
        (r#""Token":""#, "\""),
    ] {
        let given = tee.all_between(before, after);
        assert!(!given.is_empty(), "the relay has seen no {before}");
        canaries.extend(given.into_iter().map(|text| ("a credential", text.into_bytes())));
    }
    assert!(mounts > 60, "only {mounts} mounts");
    let logged = logs.text();
    for line in ["mount failed", "mounted"] {
        assert!(logged.contains(line), "{line:?} is not among {} bytes of log", logged.len());
    }
    assert!(said.len() > 10_000, "{} bytes of errors", said.len());
    canaries.sort();
    canaries.dedup();
    assert_silent(&logged, &canaries);
    assert_silent(&said, &canaries);
}

#[test]
fn nothing_that_holds_a_secret_prints_it() {
    let value = SecretValue::from(TEXT.to_owned());
    let reading = Reading {
        value: value.clone(),
        version: "1".to_owned(),
        arn: String::new(),
        region: Region::parse(REGION).unwrap(),
        request_id: None,
    };
    let credentials = Credentials::new("AKIACANARY", FIELD, Some(PARAMETER.to_owned()), None, "test");
    let emulator =
        Emulator::new(Store::from_yaml(&format!("secrets: [{{name: a, value: {FIELD}}}]")).unwrap());
    let message =
        Request::new("").raw_tokens(&format!(r#"{{"a": {{"token": "{SMUGGLED}"}}}}"#)).message(&emulator);
    let raw = RawRequest {
        attributes: message.attributes,
        secrets: message.secrets,
        target_path: message.target_path,
        permission: message.permission,
    };
    let (request, tokens) = MountRequest::parse(raw, &Rules::default()).unwrap();
    assert_eq!(tokens["a"].expose(), SMUGGLED);
    let token = Token::new(SMUGGLED.to_owned());
    let store = Store::from_yaml(&format!("secrets: [{{name: a, value: {FIELD}}}]")).unwrap();
    let printed = [
        format!("{value:?} {value:#?}"),
        format!("{reading:?}"),
        format!("{:?}", Session::of_caller(credentials)),
        format!("{request:?} {request:#?}"),
        format!("{tokens:?} {tokens:#?}"),
        format!("{token:?} {:?}", token.digest()),
        format!("{emulator:?} {store:?}"),
    ]
    .join("\n");
    let canaries = [TEXT, FIELD, PARAMETER, SMUGGLED].map(|text| ("a secret", text.as_bytes().to_vec()));
    assert_silent(&printed, &canaries);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_named_in_the_log() {
    let (logs, _guard) = Logs::collect();
    let world = World::start().await;
    world.secret("shop/db", "{}");
    let objects = "- {objectName: shop/db, objectType: secretsmanager, objectTypo: x}";
    let request =
        Request::new(objects).parameter("regionTypo", "x").parameter("preferredAddressType", "ipv5");
    world.mount(&request).await;
    for warning in [
        r#"unknown parameter "regionTypo" is ignored"#,
        r#"unknown key "objectTypo" (line 1) is ignored"#,
        r#"preferredAddressType "ipv5" is not ipv4, ipv6 or auto; using auto"#,
    ] {
        assert_contains(&logs.text(), warning);
    }
    // kubelet's own keys are known.
    assert_lacks(&logs.text(), "csi.storage.k8s.io/ephemeral");
}

#[tokio::test(start_paused = true)]
async fn a_role_arn_that_replaces_the_annotation_is_logged() {
    let (logs, _guard) = Logs::collect();
    let world = World::start().await;
    world.secret("shop/db", "x");
    let request = Request::new("- {objectName: shop/db, objectType: secretsmanager}");
    world.mount(&request.parameter("roleArn", WEB)).await;
    assert_contains(&logs.text(), "using roleArn of the SecretProviderClass");
    assert_contains(&logs.text(), WEB);
}
