//! Credentials are shared, kept while they are valid, and renewed when they are not.

use std::time::Duration;

use futures_util::future::join_all;
use latchkey_emulator::{Fault, FaultKind, Store};
use tonic::Code;

use crate::harness::{Pod, Request, SECRET, WEB, World, assert_code, assert_codes, assert_says};

const STS_CALL: &str = "AssumeRoleWithWebIdentity";
const AGENT_CALL: &str = "PodIdentityCredentials";

async fn world() -> World {
    let world = World::uncached().await;
    world.secret("shop/db", "x");
    world
}

async fn advance(time: Duration) {
    tokio::time::advance(time).await;
}

#[tokio::test(start_paused = true)]
async fn credentials_are_used_until_shortly_before_they_expire() {
    let world = world().await;
    world.mount(&Request::new(SECRET)).await;
    // Sessions of 15 minutes, renewed a minute before.
    advance(Duration::from_secs(13 * 60)).await;
    world.mount(&Request::new(SECRET)).await;
    assert_eq!(world.calls(STS_CALL), 1);
    advance(Duration::from_secs(65)).await;
    world.mount(&Request::new(SECRET)).await;
    assert_eq!(world.calls(STS_CALL), 2);
    assert_eq!(world.failed_calls(), [], "a session was renewed after it had expired");
}

#[tokio::test(start_paused = true)]
async fn pod_identity_credentials_are_used_for_at_most_fifteen_minutes() {
    let world = world().await;
    world.mount(&Request::pod_identity(SECRET)).await;
    advance(Duration::from_secs(14 * 60)).await;
    world.mount(&Request::pod_identity(SECRET)).await;
    assert_eq!(world.calls(AGENT_CALL), 1);
    advance(Duration::from_secs(2 * 60)).await;
    world.mount(&Request::pod_identity(SECRET)).await;
    assert_eq!(world.calls(AGENT_CALL), 2);
}

#[tokio::test(start_paused = true)]
async fn short_lived_credentials_are_renewed_sooner() {
    let store = Store::from_yaml("podIdentitySessionSeconds: 300").unwrap();
    let world = World::of(store, |_| {}).await;
    world.secret("shop/db", "x");
    for (minutes, calls) in [(0, 1), (3, 1), (2, 2)] {
        advance(Duration::from_secs(minutes * 60)).await;
        world.mount(&Request::pod_identity(SECRET)).await;
        assert_eq!(world.calls(AGENT_CALL), calls, "after {minutes} more minutes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_trust_takes_effect_at_the_maximum_credential_age() {
    let world = world().await;
    world.mount(&Request::new(SECRET)).await;
    world.emulator.set_trust(WEB, &[]);
    world.mount(&Request::new(SECRET)).await;
    advance(Duration::from_secs(15 * 60)).await;
    let status = world.refusal(&Request::new(SECRET)).await;
    assert_says(&status, Code::PermissionDenied, &["The trust policy of"]);
}

#[tokio::test(start_paused = true)]
async fn fifty_concurrent_mounts_of_one_service_account_make_one_sts_call() {
    let world = world().await;
    world.emulator.set_delay(Some(STS_CALL), Duration::from_millis(200));
    let requests: Vec<Request> = Request::many(50, SECRET);
    let answers = join_all(requests.iter().map(|request| world.mount(request))).await;
    assert_eq!(answers.len(), 50);
    assert_eq!(world.calls(STS_CALL), 1);
}

#[tokio::test(start_paused = true)]
async fn pods_of_one_service_account_share_pod_identity_credentials_unless_the_operator_forbids_it() {
    let requests: Vec<Request> =
        (0..5).map(|number| Request::pod_identity(SECRET).numbered(number)).collect();
    let shared = world().await;
    join_all(requests.iter().map(|request| shared.mount(request))).await;
    assert_eq!(shared.calls(AGENT_CALL), 1);

    // The session tags carry the pod, and a policy may tell pods apart.
    let apart = World::with(|config| config.identity.share_pod_identity = false).await;
    apart.secret("shop/db", "x");
    join_all(requests.iter().map(|request| apart.mount(request))).await;
    assert_eq!(apart.calls(AGENT_CALL), 5);
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_are_renewed_once_and_the_mount_succeeds() {
    for request in [Request::new(SECRET), Request::pod_identity(SECRET)] {
        let world = world().await;
        world.mount(&request).await;
        world.emulator.expire_sessions();
        world.mount(&request).await;
        let renewals = world.calls(STS_CALL) + world.calls(AGENT_CALL);
        assert_eq!(renewals, 2, "{:?}", world.emulator.call_counts());
        assert_eq!(world.calls("GetSecretValue"), 3, "{:?}", request.pod);
    }
}

#[tokio::test(start_paused = true)]
async fn every_sign_of_stale_credentials_renews_them() {
    for code in ["ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException"] {
        let world = world().await;
        world.parameter("/shop/level", "info");
        let message = "The security token included in the request is expired".to_owned();
        let kind = FaultKind::Error { status: 400, code: code.to_owned(), message };
        for operation in ["GetSecretValue", "GetParameters"] {
            world.emulator.inject(Fault::new(kind.clone()).operation(operation).times(1));
        }
        let objects = format!("{SECRET}\n- {{objectName: /shop/level, objectType: ssmparameter}}");
        world.mount(&Request::new(&objects)).await;
        assert_eq!(world.calls(STS_CALL), 2, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_stay_stale_are_renewed_only_once() {
    let world = world().await;
    let message = "Signature not yet current: is the clock right?".to_owned();
    let kind = FaultKind::Error { status: 400, code: "InvalidSignatureException".to_owned(), message };
    world.fault("GetSecretValue", kind);
    let status = world.refusal(&Request::new(SECRET)).await;
    assert_says(&status, Code::Unauthenticated, &["InvalidSignatureException", "is the clock right?"]);
    world.assert_calls([(STS_CALL, 2), ("GetSecretValue", 2)]);
}

#[tokio::test(start_paused = true)]
async fn many_mounts_that_meet_expired_credentials_share_one_renewal() {
    let world = world().await;
    let requests: Vec<Request> = Request::many(20, SECRET);
    world.mount(&requests[0]).await;
    world.emulator.expire_sessions();
    world.emulator.set_delay(None, Duration::from_millis(50));
    join_all(requests.iter().map(|request| world.mount(request))).await;
    assert_eq!(world.calls(STS_CALL), 2);
}

#[tokio::test(start_paused = true)]
async fn a_trust_denial_does_not_poison_another_token() {
    let world = world().await;
    world.emulator.set_delay(Some(STS_CALL), Duration::from_millis(200));
    // One refusal, of the token that comes first; the others succeed.
    let message = "Not authorized to perform sts:AssumeRoleWithWebIdentity".to_owned();
    let kind = FaultKind::Error { status: 403, code: "AccessDenied".to_owned(), message };
    world.emulator.inject(Fault::new(kind).operation(STS_CALL).times(1));
    let requests: Vec<Request> = Request::many(5, SECRET);
    let answers = join_all(requests.iter().map(|request| world.try_mount(request))).await;
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    world.mount(&requests[0]).await;
}

#[tokio::test(start_paused = true)]
async fn a_forged_token_does_not_poison_a_good_one() {
    let world = world().await;
    world.emulator.set_delay(Some(STS_CALL), Duration::from_millis(200));
    let good = Request::new(SECRET);
    let forger = latchkey_emulator::Emulator::new(Store::default());
    let Pod { namespace, service_account, name, uid } = &good.pod;
    let audience = crate::harness::STS;
    let hour = Duration::from_secs(3600);
    let forged = forger.token(namespace, service_account, audience, name, uid, hour);
    let bad = good.clone().token(audience, &forged);
    let (bad, good) = tokio::join!(world.try_mount(&bad), world.try_mount(&good));
    assert_code(&bad.unwrap_err(), Code::Unauthenticated);
    good.unwrap();
}

#[tokio::test(start_paused = true)]
async fn all_waiting_mounts_share_an_outage_of_sts() {
    let world = world().await;
    world.fault(STS_CALL, FaultKind::InternalError);
    let requests: Vec<Request> = Request::many(20, SECRET);
    let answers = join_all(requests.iter().map(|request| world.refusal(request))).await;
    assert_codes(&answers, Code::Internal);
    assert_eq!(world.calls(STS_CALL), 3, "one call with its two retries");
    world.emulator.clear_faults();
    world.mount(&requests[0]).await;
}
