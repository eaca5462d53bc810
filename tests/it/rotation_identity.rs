//! The poller's token and the service account's role: neither
//! a forged token nor an old role is ever trusted.

use std::time::Duration;

use latchkey_emulator::{Emulator, Fault, FaultKind, ISSUER, Store};
use serde_json::json;
use tonic::Code;

use crate::harness::{
    Behaviour, GRACE, INTERVAL, POD_IDENTITY, Pod, Request, SECRET, STS, World, assert_code, assert_says,
    pass, seconds,
};

const STS_CALL: &str = "AssumeRoleWithWebIdentity";
const HOUR: Duration = Duration::from_secs(3600);

async fn world() -> World {
    let world = World::start().await;
    world.secret("shop/db", "one");
    world
}

/// The same request with a long-lived token whose claims are all correct, signed by
/// another issuer.
fn forged(request: &Request, audience: &str) -> Request {
    let Pod { namespace, service_account, name, uid } = &request.pod;
    let forger = Emulator::new(Store::default());
    let token = forger.token(namespace, service_account, audience, name, uid, 100 * HOUR);
    request.clone().token(audience, &token)
}

/// The same request with a valid token of this lifetime.
fn with_token_for(world: &World, request: &Request, audience: &str, ttl: Duration) -> Request {
    let Pod { namespace, service_account, name, uid } = &request.pod;
    let token = world.emulator.token(namespace, service_account, audience, name, uid, ttl);
    request.clone().token(audience, &token)
}

#[tokio::test(start_paused = true)]
async fn a_forged_token_does_not_stop_the_poller() {
    for (request, audience) in [(Request::new(SECRET), STS), (Request::pod_identity(SECRET), POD_IDENTITY)] {
        let world = World::start().await;
        world.secret("shop/db", "0");
        world.mount(&request).await;
        // A mount that had to call AWS itself would take this long.
        world.emulator.set_delay(None, Duration::from_millis(250));
        let mut forger = request.clone();
        forger.pod.uid = "00000000-0000-4000-8000-000000006666".to_owned();
        let forger = forged(&forger, audience);
        // Over many renewals of the credentials, the forged token is always the last.
        for round in 1..=30 {
            let value = round.to_string();
            world.secret("shop/db", &value);
            world.mount(&request).await;
            let _ = world.try_mount(&forger).await;
            pass(INTERVAL + GRACE).await;
            let served = world.mount_at_once(&request).await;
            assert_eq!(served.text("shop_db"), value, "{audience}, round {round}");
        }
        world.emulator.expire_sessions();
        world.secret("shop/db", "last");
        let _ = world.try_mount(&forger).await;
        pass(INTERVAL + GRACE).await;
        assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "last", "{audience}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_forged_token_does_not_read_a_new_value() {
    let world = world().await;
    let good = Request::new(SECRET);
    let bad = forged(&good, STS);
    let status = world.refusal(&bad).await;
    assert_says(&status, Code::Unauthenticated, &["it names a key that is not among the cluster's keys"]);
    let (refused, mounted) = tokio::join!(world.try_mount(&bad), world.try_mount(&good));
    assert_eq!(mounted.unwrap().text("shop_db"), "one");
    assert_code(&refused.unwrap_err(), Code::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn a_forged_token_drops_nothing() {
    let world = world().await;
    let good = Request::new(SECRET);
    world.mount(&good).await;
    world.emulator.expire_sessions();
    pass(Duration::from_secs(50)).await;
    let more =
        forged(&good, STS).parameter("objects", "- {objectName: shop/other, objectType: secretsmanager}");
    world.secret("shop/other", "x");
    assert_code(&world.refusal(&more).await, Code::Unauthenticated);
    let calls = world.all_calls();
    world.mount_at_once(&good).await;
    assert_eq!(world.all_calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn the_poller_uses_the_previous_token_while_aws_does_not_know_the_newest_ones_key() {
    let world = world().await;
    let request = Request::new(SECRET);
    world.mount(&with_token_for(&world, &request, STS, HOUR)).await;
    world.emulator.rotate_token_key();
    let newest = with_token_for(&world, &request, STS, 2 * HOUR);
    world.mount(&newest).await;
    world.emulator.reset_calls();
    let message = "Couldn't retrieve verification key from your identity provider".to_owned();
    let kind = FaultKind::Error { status: 400, code: "InvalidIdentityToken".to_owned(), message };
    world.emulator.inject(Fault::new(kind).operation(STS_CALL).times(1));
    // Credentials are renewed once in this time.
    world.republish(&[newest], Duration::from_secs(15 * 60)).await;
    let errors: Vec<Option<String>> = world
        .emulator
        .calls()
        .into_iter()
        .filter(|call| call.operation == STS_CALL)
        .map(|call| call.error)
        .collect();
    assert_eq!(errors, [Some("InvalidIdentityToken".to_owned()), None]);
}

#[tokio::test(start_paused = true)]
async fn an_entry_with_an_expired_token_continues_at_the_next_mount() {
    let world = world().await;
    let request = Request::new(SECRET);
    world.mount(&with_token_for(&world, &request, STS, Duration::from_secs(300))).await;
    // New credentials are needed, and no valid token is left.
    pass(Duration::from_secs(310)).await;
    world.emulator.expire_sessions();
    world.emulator.reset_calls();
    pass(Duration::from_secs(240)).await;
    let refused = world.emulator.calls().into_iter().filter(|call| call.operation == STS_CALL).count();
    assert_eq!(refused, 0, "an expired token was sent");
    world.secret("shop/db", "two");
    assert_eq!(world.mount(&request).await.text("shop_db"), "two");
    world.emulator.reset_calls();
    world.republish(&[request], 5 * INTERVAL + GRACE).await;
    assert_eq!(world.calls("GetSecretValue"), 5);
}

#[tokio::test(start_paused = true)]
async fn polling_continues_for_hours_with_republished_tokens() {
    let world = world().await;
    let request = Request::new(SECRET);
    world.mount(&request).await;
    world.republish(std::slice::from_ref(&request), 2 * INTERVAL).await;
    world.emulator.reset_calls();
    world.republish(std::slice::from_ref(&request), 120 * INTERVAL).await;
    assert_eq!(world.calls("GetSecretValue"), 120);
    // Four hours of sessions of a quarter of an hour, renewed a minute early.
    assert!((16..=18).contains(&world.calls(STS_CALL)), "{} renewals", world.calls(STS_CALL));
    assert_eq!(world.failed_calls(), []);
}

#[tokio::test(start_paused = true)]
async fn the_service_account_is_read_at_most_once_per_interval() {
    let world = world().await;
    let requests: Vec<Request> = Request::many(5, SECRET);
    for request in &requests {
        world.mount(request).await;
    }
    assert_eq!(world.kubernetes.reads().len(), 1);
    world.republish(&requests, 10 * INTERVAL).await;
    let reads = world.kubernetes.reads().len();
    assert!(reads <= 11, "{reads} reads in ten intervals");
}

#[tokio::test(start_paused = true)]
async fn a_role_is_remembered_while_kubernetes_is_down_and_never_becomes_pod_identity() {
    for behaviour in [Behaviour::Refuse(500), Behaviour::Hang, Behaviour::Garbage] {
        let world = world().await;
        // shop/web has an association too, with a role that must not be used.
        world.emulator.set_association("shop", "web", Some(crate::harness::WORKER));
        let request = Request::new(SECRET);
        world.mount(&request).await;
        world.kubernetes.behave(behaviour);
        world.secret("shop/db", "two");
        for _ in 0..10 {
            seconds(200).await;
            world.mount(&request).await;
        }
        assert_eq!(world.mount(&request).await.text("shop_db"), "two", "{behaviour:?}");
        // Beyond the time for which a role is remembered: an error, and no other identity.
        pass(HOUR).await;
        let status = world.refusal(&request).await;
        assert_eq!(status.code(), Code::Internal, "{behaviour:?}: {status}");
        assert_eq!(world.calls("PodIdentityCredentials"), 0, "{behaviour:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_one_mount_waits_for_a_hanging_kubernetes() {
    let world = world().await;
    let request = Request::new(SECRET);
    world.mount(&request).await;
    world.kubernetes.behave(Behaviour::Hang);
    pass(INTERVAL + GRACE).await;
    let began = tokio::time::Instant::now();
    world.mount(&request).await;
    for _ in 0..5 {
        world.mount_at_once(&request).await;
    }
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_role_while_kubernetes_is_down_never_becomes_pod_identity() {
    for behaviour in [
        Behaviour::Refuse(500),
        Behaviour::Refuse(403),
        Behaviour::Refuse(404),
        Behaviour::Refuse(401),
        Behaviour::Hang,
        Behaviour::Garbage,
    ] {
        let world = world().await;
        world.emulator.set_association("shop", "web", Some(crate::harness::WORKER));
        world.kubernetes.behave(behaviour);
        world.refusal(&Request::new(SECRET)).await;
        assert_eq!(world.all_calls(), 0, "{behaviour:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_recreated_service_account_does_not_get_the_old_ones_role() {
    let world = world().await;
    let request = Request::new(SECRET);
    world.mount(&with_account_uid(&world, &request, "11111111-0000-4000-8000-000000000001")).await;
    // Deleted and created again at once, without the annotation.
    world.kubernetes.add_account("shop", "web");
    let status =
        world.refusal(&with_account_uid(&world, &request, "22222222-0000-4000-8000-000000000002")).await;
    assert_code(&status, Code::Unauthenticated);
    // It does not get the old role while Kubernetes is down, either.
    world.kubernetes.annotate("shop", "web", crate::harness::WEB);
    let third = with_account_uid(&world, &request, "33333333-0000-4000-8000-000000000003");
    world.kubernetes.behave(Behaviour::Refuse(500));
    assert_code(&world.refusal(&third).await, Code::Internal);
}

/// The same request with a token that names the account's uid.
fn with_account_uid(world: &World, request: &Request, uid: &str) -> Request {
    let token = world.emulator.sign_token(&json!({
        "sub": "system:serviceaccount:shop:web",
        "aud": [STS],
        "exp": 4_000_000_000_u64,
        "iss": ISSUER,
        "kubernetes.io": {
            "namespace": "shop",
            "pod": { "name": request.pod.name, "uid": request.pod.uid },
            "serviceaccount": { "name": "web", "uid": uid },
        },
    }));
    request.clone().token(STS, &token)
}

#[tokio::test(start_paused = true)]
async fn a_denial_provoked_by_a_pod_affects_only_its_own_service_account() {
    let world = world().await;
    let tenant = crate::harness::WORKER;
    world.kubernetes.annotate("other", "app", tenant);
    world.emulator.set_trust(tenant, &["system:serviceaccount:other:app"]);
    let other = Request::of_pod(Pod::numbered("other", "app", 5), SECRET);
    world.mount(&other).await;
    // shop/web keeps requesting the other account's role.
    let thief = Request::new(SECRET).parameter("roleArn", tenant);
    for _ in 0..5 {
        assert_code(&world.refusal(&thief).await, Code::PermissionDenied);
    }
    let calls = world.all_calls();
    world.mount_at_once(&other).await;
    assert_eq!(world.all_calls(), calls);
    world.fault("GetSecretValue", FaultKind::Hang);
    pass(INTERVAL + Duration::from_secs(10)).await;
    world.mount_at_once(&other).await;
    assert_code(&world.refusal(&thief).await, Code::PermissionDenied);
}
