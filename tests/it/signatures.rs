//! A token has no effect before the cluster's keys have verified it: neither a
//! call to AWS nor a value from memory.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use latchkey_emulator::{Emulator, Fault, FaultKind, Store};
use serde_json::{Value, json};
use tokio::time::Instant;
use tonic::Code;

use crate::harness::{
    Behaviour, GRACE, INTERVAL, Keys, Log, POD_IDENTITY, Pod, Request, SECRET, STS, World, assert_code,
    assert_codes, assert_contains, assert_lacks, assert_says, pass, seconds,
};

const STS_CALL: &str = "AssumeRoleWithWebIdentity";
const HOUR: Duration = Duration::from_secs(3600);
/// Why a token is refused.
const OTHER_ALGORITHM: &str = "its signature algorithm is not one that clusters use";
const OTHER_SIGNER: &str = "it was not signed by the cluster's key that it names";
/// More than the pause between two reads of the keys.
const PAUSE: Duration = Duration::from_secs(15);

/// A world in which both kinds of identity have read the secret.
async fn warm() -> World {
    let world = World::start().await;
    world.secret("shop/db", "hunter2");
    world.mount(&Request::new(SECRET)).await;
    world.mount(&Request::pod_identity(SECRET)).await;
    world.emulator.reset_calls();
    world
}

fn encoded(part: &Value) -> String {
    BASE64URL_NOPAD.encode(part.to_string().as_bytes())
}

/// A good token of the request's pod, and its parts.
fn token(emulator: &Emulator, request: &Request, audience: &str) -> String {
    let Pod { namespace, service_account, name, uid } = &request.pod;
    emulator.token(namespace, service_account, audience, name, uid, HOUR)
}

fn parts(token: &str) -> [String; 3] {
    let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

/// The token with another header.
fn with_header(token: &str, header: &Value) -> String {
    let [_, payload, signature] = parts(token);
    format!("{}.{payload}.{signature}", encoded(header))
}

/// The id of the current signing key.
fn key_id(emulator: &Emulator) -> String {
    let keys: Value = serde_json::from_str(&emulator.token_keys()).unwrap();
    keys["keys"][0]["kid"].as_str().unwrap().to_owned()
}

/// Checks that the provider refuses the token without a call to AWS or a cached value.
async fn refused(world: &World, request: &Request, audience: &str, token: &str, says: &str) {
    let calls = world.all_calls();
    let status = world.refusal(&request.clone().token(audience, token)).await;
    assert_says(&status, Code::Unauthenticated, &["is refused", says]);
    assert_lacks(status.message(), token);
    assert_eq!(world.all_calls(), calls, "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_token_not_signed_by_the_cluster_gets_no_cached_value_and_makes_no_call() {
    let world = warm().await;
    for (request, audience) in [(Request::new(SECRET), STS), (Request::pod_identity(SECRET), POD_IDENTITY)] {
        let good = token(&world.emulator, &request, audience);
        let [header, payload, signature] = parts(&good);
        let kid = key_id(&world.emulator);
        let forger = Emulator::new(Store::default());
        let forged = token(&forger, &request, audience);
        let Pod { namespace, service_account, name, uid } = &request.pod;
        let longer = forger.token(namespace, service_account, audience, name, uid, 2 * HOUR);
        let claims = parts(&longer)[1].clone();
        let mut bent = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        bent[7] ^= 1;
        let none = encoded(&json!({ "alg": "none", "kid": kid }));
        for (token, says) in [
            // Nobody signed it.
            (format!("{none}.{payload}."), OTHER_ALGORITHM),
            (format!("{none}.{payload}.{signature}"), OTHER_ALGORITHM),
            (with_header(&good, &json!({ "alg": "None", "kid": kid })), OTHER_ALGORITHM),
            (with_header(&good, &json!({ "alg": "", "kid": kid })), OTHER_ALGORITHM),
            (with_header(&good, &json!({ "kid": kid })), "its header is not"),
            (format!("{header}.{payload}."), OTHER_SIGNER),
            // Another issuer signed it, with the cluster's key id or with its own.
            (with_header(&forged, &json!({ "alg": "ES256", "kid": kid })), OTHER_SIGNER),
            (forged, "not among the cluster's keys"),
            // Parts of two tokens.
            (format!("{header}.{claims}.{signature}"), OTHER_SIGNER),
            (format!("{header}.{payload}.{}", BASE64URL_NOPAD.encode(&bent)), OTHER_SIGNER),
            // Another algorithm than the key's.
            (with_header(&good, &json!({ "alg": "ES384", "kid": kid })), OTHER_SIGNER),
            (with_header(&good, &json!({ "alg": "RS256", "kid": kid })), OTHER_SIGNER),
            (with_header(&good, &json!({ "alg": "EdDSA", "kid": kid })), OTHER_ALGORITHM),
            // Without the key's name, or with rules of its own.
            (with_header(&good, &json!({ "alg": "ES256" })), "kid"),
            (with_header(&good, &json!({ "alg": "ES256", "kid": kid, "crit": ["exp"] })), "crit"),
            (with_header(&good, &json!({ "alg": "ES256", "kid": kid, "crit": null })), "crit"),
            // With a key of its own making.
            (
                with_header(
                    &good,
                    &json!({ "alg": "ES256", "kid": kid, "jwk": { "kty": "oct", "k": "AA" } }),
                ),
                OTHER_SIGNER,
            ),
            // More or fewer parts.
            (format!("{good}.{signature}"), "not a JWT"),
            (format!("{header}.{payload}"), "not a JWT"),
            (format!(".{payload}.{signature}"), "its header is not"),
        ] {
            refused(&world, &request, audience, &token, says).await;
        }
        world.mount_at_once(&request).await;
    }
    assert_eq!(world.all_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_public_key_does_not_verify_a_symmetric_signature() {
    let world = warm().await;
    let request = Request::new(SECRET);
    let good = token(&world.emulator, &request, STS);
    let kid = key_id(&world.emulator);
    for algorithm in ["HS256", "HS384", "HS512"] {
        // The algorithm is refused, whatever the keyed hash is.
        let token = with_header(&good, &json!({ "alg": algorithm, "kid": kid }));
        refused(&world, &request, STS, &token, OTHER_ALGORITHM).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_signed_token_of_another_pod_account_audience_or_time_is_refused() {
    let world = warm().await;
    let request = Request::new(SECRET);
    let now = latchkey::clock::unix_seconds(world.emulator.now());
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = json!({
            "iss": latchkey_emulator::ISSUER,
            "sub": "system:serviceaccount:shop:web",
            "aud": [STS],
            "exp": now + 3600,
            "nbf": now,
            "kubernetes.io": {
                "namespace": "shop",
                "pod": { "name": request.pod.name, "uid": request.pod.uid },
                "serviceaccount": { "name": "web", "uid": "11111111-0000-4000-8000-000000000001" },
            },
        });
        change(&mut claims);
        world.emulator.sign_token(&claims)
    };
    let other = Pod::numbered("shop", "web", 9).uid;
    for (token, says) in [
        (claims(&|claims| claims["sub"] = json!("system:serviceaccount:shop:other")), "its subject is"),
        (claims(&|claims| claims["sub"] = json!("system:serviceaccount:pay:web")), "its subject is"),
        (claims(&|claims| claims["aud"] = json!(["vault"])), "another audience"),
        (claims(&|claims| claims["aud"] = json!([])), "another audience"),
        (
            claims(&|claims| claims["kubernetes.io"]["pod"]["uid"] = json!(other)),
            "it is bound to a pod other than",
        ),
        (claims(&|claims| claims["kubernetes.io"]["pod"] = json!(null)), "not bound to a pod"),
        (claims(&|claims| claims["kubernetes.io"] = json!({})), "not bound to a pod"),
        (claims(&|claims| claims["exp"] = json!(now - 1)), "it expired"),
        (claims(&|claims| claims["exp"] = json!(null)), "not a JWT"),
        (claims(&|claims| claims["nbf"] = json!(now + 600)), "it is not valid for another"),
    ] {
        refused(&world, &request, STS, &token, says).await;
    }
    // With another account uid it may be a new account of the same name, which is read.
    world.mount(&request.clone().token(STS, &claims(&|_| {}))).await;
}

#[tokio::test(start_paused = true)]
async fn a_republish_or_a_new_pod_reads_no_keys() {
    let world = warm().await;
    let reads = world.kubernetes.key_reads();
    for number in 10..30 {
        world.mount_at_once(&Request::new(SECRET).numbered(number)).await;
    }
    assert_eq!(world.kubernetes.key_reads(), reads, "reads of the keys");
    assert_eq!(world.all_calls(), 0);
    // In an outage of AWS too.
    world.emulator.inject(Fault::new(FaultKind::Hang));
    pass(INTERVAL + Duration::from_secs(20)).await;
    for number in 30..40 {
        world.mount_at_once(&Request::new(SECRET).numbered(number)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_cluster_key_fails_no_mount() {
    let world = warm().await;
    let reads = world.kubernetes.key_reads();
    pass(PAUSE).await;
    world.emulator.rotate_token_key();
    for number in 10..30 {
        world.mount_at_once(&Request::new(SECRET).numbered(number)).await;
    }
    assert_eq!(world.kubernetes.key_reads(), reads + 1);
    // Again, just after a read: the mounts wait for the next one.
    world.emulator.rotate_token_key();
    let began = Instant::now();
    world.mount(&Request::new(SECRET)).await;
    assert!(began.elapsed() <= PAUSE, "{:?}", began.elapsed());
    assert_eq!(world.kubernetes.key_reads(), reads + 2, "reads of the keys");
    assert_eq!(world.all_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_removed_from_the_cluster_is_refused_within_a_quarter_of_an_hour() {
    let world = warm().await;
    let request = Request::new(SECRET);
    let old = token(&world.emulator, &request, STS);
    world.mount(&request.clone().token(STS, &old)).await;
    world.emulator.rotate_token_key();
    world.emulator.retire_token_keys();
    pass(Duration::from_secs(15 * 60 + 10)).await;
    refused(&world, &request, STS, &old, "not among the cluster's keys").await;
    world.mount(&request).await;
}

#[tokio::test(start_paused = true)]
async fn forged_tokens_do_not_cause_a_storm_of_key_reads() {
    let world = warm().await;
    let (reads, began) = (world.kubernetes.key_reads(), Instant::now());
    let forgers: Vec<Request> = (0..200)
        .map(|number| {
            let request = Request::new(SECRET).numbered(number);
            let forged = token(&Emulator::new(Store::default()), &request, STS);
            request.token(STS, &forged)
        })
        .collect();
    let good = Request::new(SECRET);
    for wave in forgers.chunks(50) {
        let (_, refused) = tokio::join!(
            world.mount_at_once(&good),
            futures_util::future::join_all(wave.iter().map(|request| world.refusal(request))),
        );
        assert_codes(&refused, Code::Unauthenticated);
    }
    let most = began.elapsed().as_secs() / 10 + 1;
    let reads = (world.kubernetes.key_reads() - reads) as u64;
    assert!(reads <= most, "{reads} reads in {:?}", began.elapsed());
    assert_eq!(world.all_calls(), 0);
}

/// A world whose Kubernetes never serves usable keys.
async fn without_keys(keys: Keys) -> World {
    let world = World::with_kubernetes(|kubernetes| kubernetes.serve_keys(keys), |_| {}).await;
    world.secret("shop/db", "hunter2");
    world
}

/// Ways in which keys are missing or unusable.
fn useless() -> Vec<Keys> {
    let text = |text: &str| Keys::Text(text.to_owned());
    let huge = format!(r#"{{"keys": [{}]}}"#, vec![r#"{"kty":"EC","kid":"x"}"#; 20_000].join(","));
    vec![
        Keys::Behave(Behaviour::Refuse(403)),
        Keys::Behave(Behaviour::Refuse(401)),
        Keys::Behave(Behaviour::Refuse(404)),
        Keys::Behave(Behaviour::Refuse(500)),
        Keys::Behave(Behaviour::Hang),
        Keys::Behave(Behaviour::Garbage),
        text(""),
        text("[]"),
        text(r#"{"keys": []}"#),
        text(r#"{"keys": [7, null, {"kty": 8}, []]}"#),
        text(&"[".repeat(100_000)),
        Keys::Text(huge),
    ]
}

#[tokio::test(start_paused = true)]
async fn without_keys_cached_values_are_served_only_to_tokens_that_aws_accepted() {
    for keys in useless() {
        let name = format!("{:.80}", format!("{keys:?}"));
        let world = without_keys(keys).await;
        for (request, audience, call) in [
            (Request::new(SECRET), STS, STS_CALL),
            (Request::pod_identity(SECRET), POD_IDENTITY, "PodIdentityCredentials"),
        ] {
            let first = token(&world.emulator, &request, audience);
            let first = request.clone().token(audience, &first);
            world.mount(&first).await;
            assert_eq!(world.calls(call), 1, "{name}");
            world.emulator.reset_calls();
            // The same token is known. A new one costs one call for credentials, and no read.
            world.mount_at_once(&first).await;
            assert_eq!(world.all_calls(), 0, "{name}");
            let second = token(&world.emulator, &Request::new(SECRET), STS);
            assert_ne!(second, "");
            pass(Duration::from_secs(1)).await;
            world.mount(&request).await;
            assert_eq!(world.calls(call), 1, "{name}: calls of {call}");
            assert_eq!(world.all_calls(), 1, "{name}: {:?}", world.emulator.call_counts());
            // AWS refuses a forged one.
            let forged = token(&Emulator::new(Store::default()), &request, audience);
            let status = world.refusal(&request.clone().token(audience, &forged)).await;
            assert_says(&status, Code::Unauthenticated, &["no AWS credentials"]);
            // While AWS fails, what it has accepted is served, and nothing else.
            let fault = world.fault(call, FaultKind::InternalError);
            world.mount_at_once(&first).await;
            pass(Duration::from_secs(1)).await;
            println!("{name}");
            assert_code(&world.refusal(&request).await, Code::Internal);
            world.emulator.remove_fault(fault);
            world.emulator.reset_calls();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_denial_of_an_unverified_token_drops_the_principals_values() {
    let world = without_keys(Keys::Behave(Behaviour::Refuse(403))).await;
    let request = Request::new(SECRET);
    let accepted = request.clone().token(STS, &token(&world.emulator, &request, STS));
    world.mount(&accepted).await;
    world.emulator.set_trust(crate::harness::WEB, &[]);
    pass(Duration::from_secs(1)).await;
    assert_code(&world.refusal(&request).await, Code::PermissionDenied);
    assert_code(&world.refusal(&accepted).await, Code::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn malformed_keys_do_not_affect_a_good_one() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    let good: Value = serde_json::from_str(&world.emulator.token_keys()).unwrap();
    let good = &good["keys"][0];
    let kid = &good["kid"];
    let keys = json!({ "keys": [
        7, null, {}, { "kty": "oct", "kid": kid, "k": "c2VjcmV0" }, { "kty": "RSA", "kid": kid, "n": "", "e": "" },
        { "kty": "RSA", "kid": "small", "n": "AQAB", "e": "AQAB" }, { "kty": "EC", "kid": kid, "crv": "P-256", "x": "AA", "y": "AA" },
        { "kty": "EC", "kid": kid, "crv": "P-521", "x": good["x"], "y": good["y"] },
        { "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": good["x"] },
        good,
    ]});
    world.kubernetes.serve_keys(Keys::Text(keys.to_string()));
    pass(Duration::from_secs(16 * 60)).await;
    world.emulator.set_delay(None, Duration::from_secs(1));
    world.mount(&Request::new(SECRET)).await;
    world.mount_at_once(&Request::new(SECRET).numbered(7)).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_known_keys_are_used_for_a_day_and_the_log_says_so_once() {
    let log = Log::collect();
    let world = World::start().await;
    world.secret("shop/db", "x");
    world.mount(&Request::new(SECRET)).await;
    log.take();
    world.kubernetes.serve_keys(Keys::Behave(Behaviour::Refuse(403)));
    pass(2 * HOUR).await;
    world.mount(&Request::new(SECRET)).await;
    world.emulator.reset_calls();
    world.mount_at_once(&Request::new(SECRET).numbered(7)).await;
    assert_eq!(world.all_calls(), 0);
    let text = log.take();
    assert_eq!(text.matches("the last known keys").count(), 1, "{text}");
    assert_contains(&text, "Kubernetes does not allow");
    assert_contains(&text, "system:service-account-issuer-discovery");
    pass(23 * HOUR).await;
    let text = log.take();
    assert_eq!(text.matches("Latchkey cannot verify pods' tokens itself").count(), 1, "{text}");
    world.mount(&Request::new(SECRET)).await;
    world.emulator.reset_calls();
    world.mount(&Request::new(SECRET).numbered(7)).await;
    assert_eq!(world.calls(STS_CALL), 1);
    world.kubernetes.serve_keys(Keys::Healthy);
    pass(Duration::from_secs(170)).await;
    let text = log.take();
    assert_eq!(text.matches("verifying pods' tokens with the cluster's keys again").count(), 1, "{text}");
    world.mount(&Request::new(SECRET)).await;
    world.emulator.reset_calls();
    world.mount_at_once(&Request::new(SECRET).numbered(8)).await;
    assert_eq!(world.all_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn aws_judges_a_token_of_a_new_key_while_kubernetes_is_down() {
    let world = warm().await;
    world.kubernetes.serve_keys(Keys::Behave(Behaviour::Refuse(503)));
    world.emulator.rotate_token_key();
    pass(PAUSE).await;
    world.mount(&Request::new(SECRET)).await;
    assert_eq!(world.calls(STS_CALL), 1);
    assert_eq!(world.all_calls(), 1, "{:?}", world.emulator.call_counts());
}

#[tokio::test(start_paused = true)]
async fn a_read_of_keys_continues_after_its_mount_gave_up() {
    let world = World::with(|config| config.mount_timeout = Duration::from_secs(2)).await;
    world.secret("shop/db", "x");
    world.mount(&Request::new(SECRET)).await;
    pass(PAUSE).await;
    world.kubernetes.serve_keys(Keys::Behave(Behaviour::Hang));
    world.emulator.rotate_token_key();
    assert_says(&world.refusal(&Request::new(SECRET)).await, Code::Internal, &["--mount-timeout"]);
    pass(Duration::from_secs(25)).await;
    world.emulator.reset_calls();
    world.mount_at_once(&Request::new(SECRET)).await;
    assert_eq!(world.calls(STS_CALL), 1);
}

#[tokio::test(start_paused = true)]
async fn the_poller_uses_the_newest_verified_token_and_never_an_unverified_one() {
    let world = World::start().await;
    world.secret("shop/db", "one");
    let request = Request::new(SECRET);
    world.mount(&request).await;
    world.emulator.reset_calls();
    let mut forger = request.clone();
    forger.pod.uid = "00000000-0000-4000-8000-000000006666".to_owned();
    let forged = token(&Emulator::new(Store::default()), &forger, STS);
    for _ in 0..20 {
        world.mount(&request).await;
        let _ = world.try_mount(&forger.clone().token(STS, &forged)).await;
        seconds(80).await;
    }
    pass(GRACE).await;
    let calls = world.emulator.calls();
    let renewals = calls.iter().filter(|call| call.operation == STS_CALL);
    assert!(renewals.clone().count() >= 1, "no renewal in {calls:?}");
    let failed: Vec<_> = renewals.filter(|call| call.error.is_some()).collect();
    assert!(failed.is_empty(), "{failed:?}");
}
