//! AWS fails: last known good values are served at once, only the poller calls AWS
//! again and less often, until AWS recovers or max-stale is exceeded.

use std::time::Duration;

use latchkey_emulator::{Fault, FaultKind};
use tokio::time::Instant;
use tonic::Code;

use crate::harness::{
    FAILOVER, GRACE, INTERVAL, Log, REGION, Request, SECRET, World, assert_code, assert_says, pass, seconds,
};

const STALE: &str = "last known good values (stale)";
const HOUR: Duration = Duration::from_secs(3600);

fn outages() -> [FaultKind; 7] {
    [
        FaultKind::InternalError,
        FaultKind::Error { status: 503, code: "ServiceUnavailable".to_owned(), message: "later".to_owned() },
        FaultKind::Throttle,
        FaultKind::Reset,
        FaultKind::Hang,
        FaultKind::GarbageBody,
        FaultKind::TruncatedBody,
    ]
}

async fn world() -> World {
    let world = World::start().await;
    world.secret("shop/db", "one");
    world
}

/// The longest wait for the poller's next attempt after AWS has recovered.
fn longest_pause(kind: &FaultKind) -> Duration {
    if *kind == FaultKind::Throttle { 8 * INTERVAL } else { INTERVAL }
}

#[tokio::test(start_paused = true)]
async fn stale_values_are_served_at_once_in_every_outage_until_aws_recovers() {
    for kind in outages() {
        let (world, log) = (world().await, Log::collect());
        let request = Request::new(SECRET);
        world.mount(&request).await;
        world.secret("shop/db", "two");
        let fault = world.emulator.inject(Fault::new(kind.clone()));
        // By now a poll has failed. A value is fresh for longer while AWS throttles.
        let fresh_for = if kind == FaultKind::Throttle { 3 * INTERVAL } else { INTERVAL };
        pass(fresh_for + Duration::from_secs(10)).await;
        log.take();
        for _ in 0..10 {
            assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "one", "{kind:?}");
            let logged = log.take();
            assert!(logged.contains(STALE), "{kind:?} is not marked as stale: {logged}");
            seconds(80).await;
        }
        world.emulator.remove_fault(fault);
        pass(longest_pause(&kind)).await;
        log.take();
        assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "two", "{kind:?}");
        let logged = log.take();
        assert!(!logged.contains(STALE), "{kind:?} is over, and still marked as stale: {logged}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_poller_retries_and_it_pauses() {
    for kind in outages() {
        let world = world().await;
        let requests: Vec<Request> = Request::many(3, SECRET);
        for request in &requests {
            world.mount(request).await;
        }
        world.republish(&requests, 2 * INTERVAL).await;
        world.emulator.inject(Fault::new(kind.clone()).operation("GetSecretValue"));
        world.emulator.reset_calls();
        world.republish(&requests, 15 * INTERVAL).await;
        let calls = world.calls("GetSecretValue");
        let most = if kind == FaultKind::Throttle { 15 * 3 } else { 15 * 4 };
        assert!((3..=most).contains(&calls), "{kind:?}: {calls} calls in fifteen intervals");
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_sts_is_called_less_than_once_per_interval() {
    let world = world().await;
    let request = Request::new(SECRET);
    world.mount(&request).await;
    world.fault("AssumeRoleWithWebIdentity", FaultKind::Throttle);
    world.emulator.expire_sessions();
    pass(2 * INTERVAL).await;
    world.emulator.reset_calls();
    world.republish(&[request], 15 * INTERVAL).await;
    let calls = world.calls("AssumeRoleWithWebIdentity");
    assert!((1..15).contains(&calls), "{calls} calls in fifteen intervals");
}

#[tokio::test(start_paused = true)]
async fn mounts_fail_only_when_an_outage_exceeds_max_stale() {
    let max_stale = Duration::from_secs(20 * 60);
    for kind in [FaultKind::InternalError, FaultKind::Throttle] {
        let world = World::with(|config| config.values.max_stale = max_stale).await;
        world.secret("shop/db", "one");
        let request = Request::new(SECRET);
        world.mount(&request).await;
        world.emulator.inject(Fault::new(kind));
        pass(INTERVAL).await;
        let rest = max_stale - INTERVAL - Duration::from_secs(1);
        world.republish(std::slice::from_ref(&request), rest).await;
        world.mount_at_once(&request).await;
        seconds(2).await;
        let status = world.refusal(&request).await;
        assert_says(&status, Code::Internal, &["failed"]);
        world.emulator.clear_faults();
        // A mount at the moment of a failing poll shares its failure.
        seconds(1).await;
        assert_eq!(world.mount(&request).await.text("shop_db"), "one");
    }
}

#[tokio::test(start_paused = true)]
async fn max_stale_zero_serves_nothing_stale() {
    let world = World::with(|config| config.values.max_stale = Duration::ZERO).await;
    world.secret("shop/db", "one");
    let request = Request::new(SECRET);
    world.mount(&request).await;
    world.fault("GetSecretValue", FaultKind::InternalError);
    pass(INTERVAL + GRACE + Duration::from_secs(1)).await;
    assert_code(&world.refusal(&request).await, Code::Internal);
    world.emulator.clear_faults();
    world.mount(&request).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_sts_or_the_agent_does_not_affect_running_pods() {
    for (operation, request) in [
        ("AssumeRoleWithWebIdentity", Request::new(SECRET)),
        ("PodIdentityCredentials", Request::pod_identity(SECRET)),
    ] {
        for kind in [FaultKind::InternalError, FaultKind::Hang, FaultKind::Reset, FaultKind::GarbageBody] {
            let world = world().await;
            world.mount(&request).await;
            world.fault(operation, kind.clone());
            // Longer than credentials live. A mount that comes while the poller
            // waits for its first answer waits with it.
            let mut waited = Vec::new();
            for _ in 0..18 {
                seconds(80).await;
                let began = Instant::now();
                world.mount(&request).await;
                waited.extend(Some(began.elapsed()).filter(|wait| *wait > Duration::from_millis(100)));
            }
            let patience = Duration::from_secs(10);
            assert!(waited.len() <= 1, "{kind:?}: several mounts waited: {waited:?}");
            assert!(waited.iter().all(|wait| *wait <= patience), "{kind:?}: waited longer: {waited:?}");
            world.secret("shop/db", "two");
            world.emulator.clear_faults();
            pass(INTERVAL + GRACE).await;
            let answer = world.mount_at_once(&request).await;
            assert_eq!(answer.text("shop_db"), "two", "{operation} {kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_longer_than_a_tokens_life_polling_resumes_at_once() {
    let world = World::with(|config| config.values.max_stale = 4 * HOUR).await;
    world.secret("shop/db", "one");
    let request = Request::new(SECRET);
    world.mount(&request).await;
    world.fault("AssumeRoleWithWebIdentity", FaultKind::InternalError);
    world.fault("GetSecretValue", FaultKind::InternalError);
    // The token that AWS accepted has expired by then. Those of the republishes
    // have not, and no mount ever waits for AWS.
    for _ in 0..100 {
        seconds(80).await;
        world.mount_at_once(&request).await;
    }
    world.secret("shop/db", "two");
    world.emulator.clear_faults();
    pass(INTERVAL).await;
    world.mount(&request).await;
    pass(GRACE).await;
    assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "two");
}

#[tokio::test(start_paused = true)]
async fn a_new_pod_starts_in_an_outage_if_its_service_accounts_values_are_known() {
    let world = World::start().await;
    world.secret("shop/db", "one");
    for known in [Request::new(SECRET), Request::pod_identity(SECRET)] {
        world.mount(&known).await;
    }
    world.emulator.inject(Fault::new(FaultKind::Hang));
    pass(INTERVAL + Duration::from_secs(20)).await;
    let irsa = Request::new(SECRET).numbered(77);
    assert_eq!(world.mount_at_once(&irsa).await.text("shop_db"), "one");
    let pod_identity = Request::pod_identity(SECRET).numbered(78);
    assert_eq!(world.mount_at_once(&pod_identity).await.text("shop_db"), "one");
}

#[tokio::test(start_paused = true)]
async fn a_new_pod_that_needs_its_own_credentials_fails_in_an_outage_and_says_why() {
    let world = World::with(|config| config.identity.share_pod_identity = false).await;
    world.secret("shop/db", "one");
    world.mount(&Request::pod_identity(SECRET)).await;
    world.fault("PodIdentityCredentials", FaultKind::InternalError);
    pass(INTERVAL).await;
    let new = Request::pod_identity(SECRET).numbered(78);
    let says = ["pay/worker", "Check that the eks-pod-identity-agent is running on this node"];
    assert_says(&world.refusal(&new).await, Code::Internal, &says);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_was_never_read_fails_in_an_outage_and_delays_no_other() {
    let world = world().await;
    world.secret("shop/new", "x");
    let known = Request::new(SECRET);
    world.mount(&known).await;
    world.fault("GetSecretValue", FaultKind::InternalError);
    pass(INTERVAL + GRACE).await;
    let more = Request::new(&format!("{SECRET}\n- {{objectName: shop/new, objectType: secretsmanager}}"));
    assert_says(&world.refusal(&more).await, Code::Internal, &["1 of 2 objects", "shop/new"]);
    world.mount_at_once(&known).await;
    // A later mount asks again by itself.
    world.emulator.clear_faults();
    assert_eq!(world.mount(&more).await.text("shop_new"), "x");
}

#[tokio::test(start_paused = true)]
async fn the_poller_reads_from_the_failover_region_too() {
    let world = world().await;
    world.emulator.put_secret(FAILOVER, "shop/db", "one".to_owned());
    let request = Request::new(SECRET).parameter("failoverRegion", FAILOVER);
    world.mount(&request).await;
    world.emulator.inject(Fault::new(FaultKind::InternalError).region(REGION));
    world.emulator.put_secret(FAILOVER, "shop/db", "two".to_owned());
    pass(INTERVAL + GRACE).await;
    assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "two");
    // From then on, both Regions are called once per interval.
    world.emulator.reset_calls();
    world.republish(std::slice::from_ref(&request), 5 * INTERVAL).await;
    assert_eq!(world.calls("GetSecretValue"), 2 * 5);
    world.secret("shop/db", "three");
    world.emulator.clear_faults();
    pass(INTERVAL + GRACE).await;
    assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "three");
}

#[tokio::test(start_paused = true)]
async fn a_failover_region_that_lacks_or_denies_a_secret_drops_nothing_of_the_primary() {
    for denied in [false, true] {
        let world = world().await;
        if denied {
            world.emulator.put_secret(FAILOVER, "shop/db", "other".to_owned());
            let code = "AccessDeniedException".to_owned();
            let kind = FaultKind::Error { status: 400, code, message: "not authorized".to_owned() };
            world.emulator.inject(Fault::new(kind).region(FAILOVER));
        }
        let request = Request::new(SECRET).parameter("failoverRegion", FAILOVER);
        world.mount(&request).await;
        world.emulator.inject(Fault::new(FaultKind::InternalError).region(REGION));
        for _ in 0..20 {
            seconds(80).await;
            assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "one", "denied: {denied}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_region_does_not_stop_polls_of_another() {
    let world = World::start().await;
    let hanging = Request::new(&world.many(0..100));
    world.emulator.put_secret(FAILOVER, "shop/db", "one".to_owned());
    let healthy = Request::new(SECRET).parameter("region", FAILOVER);
    world.mount(&hanging).await;
    world.mount(&healthy).await;
    world.emulator.inject(Fault::new(FaultKind::Hang).region(REGION));
    for round in 0..10 {
        let value = round.to_string();
        world.emulator.put_secret(FAILOVER, "shop/db", value.clone());
        pass(INTERVAL + GRACE + Duration::from_secs(2)).await;
        assert_eq!(world.mount_at_once(&healthy).await.text("shop_db"), value);
        world.mount(&hanging).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_sts_cannot_reach_is_an_outage_for_running_pods() {
    let world = world().await;
    let request = Request::new(SECRET);
    world.mount(&request).await;
    let message = "Couldn't retrieve verification key from your identity provider".to_owned();
    let kind = FaultKind::Error { status: 400, code: "InvalidIdentityToken".to_owned(), message };
    world.fault("AssumeRoleWithWebIdentity", kind);
    // Longer than credentials live.
    world.republish(std::slice::from_ref(&request), Duration::from_secs(20 * 60)).await;
    world.secret("shop/db", "two");
    assert_eq!(world.mount(&request).await.text("shop_db"), "one");
    world.emulator.clear_faults();
    pass(INTERVAL + GRACE).await;
    assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "two");
}
