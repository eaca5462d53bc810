//! Revoked access takes effect in time: no stale value is served after it.

use std::time::Duration;

use latchkey_emulator::FaultKind;
use tokio::time::Instant;
use tonic::Code;

use crate::harness::{
    GRACE, INTERVAL, REGION, Request, SECRET, WEB, WORKER, World, assert_code, assert_says, pass, seconds,
};

const OTHER: &str = "- {objectName: shop/other, objectType: secretsmanager}";
const ACTION: &str = "secretsmanager:GetSecretValue";
const CREDENTIAL_AGE: Duration = Duration::from_secs(15 * 60);

async fn world() -> World {
    let world = World::start().await;
    world.secret("shop/db", "one");
    world.secret("shop/other", "another");
    world
}

/// Mounts until a mount is refused, every second when it is nearly `due`;
/// gives the refusal and when that mount began.
async fn until_refused(world: &World, request: &Request, due: Duration) -> (tonic::Status, Duration) {
    let began = Instant::now();
    loop {
        let asked = began.elapsed();
        match world.try_mount(request).await {
            Err(status) => return (status, asked),
            Ok(_) if asked + Duration::from_secs(50) < due => seconds(20).await,
            Ok(_) => seconds(1).await,
        }
        assert!(began.elapsed() < Duration::from_secs(5 * 3600), "still mounted after {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_permission_stops_deliveries_after_one_interval() {
    for (wait, request, role) in [
        (0, Request::new(SECRET), WEB),
        (90, Request::new(SECRET), WEB),
        (170, Request::pod_identity(SECRET), WORKER),
    ] {
        let world = world().await;
        let other = request.clone().parameter("objects", OTHER);
        world.mount(&request).await;
        world.mount(&other).await;
        seconds(wait).await;
        world.mount(&request).await;
        world.emulator.deny(role, ACTION, "shop/db");
        let (status, after) = until_refused(&world, &request, INTERVAL).await;
        assert!(after <= INTERVAL + GRACE, "{after:?}");
        assert_says(&status, Code::PermissionDenied, &["denies secretsmanager:GetSecretValue on", "shop/db"]);
        assert_eq!(world.mount(&other).await.text("shop_other"), "another", "{:?}", request.pod);
        // It stays refused until the permission is granted again.
        assert_code(&world.refusal(&request).await, Code::PermissionDenied);
        world.emulator.allow(role, ACTION, "shop/db");
        assert_eq!(world.mount(&request).await.text("shop_db"), "one", "{:?}", request.pod);
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_permission_for_a_parameter_leaves_its_neighbours_mounted() {
    let world = World::start().await;
    let object = |number| format!("- {{objectName: /many/{number}, objectType: ssmparameter}}");
    let pod = |number: u32| Request::new(&object(number)).numbered(number);
    for number in 0..10 {
        world.parameter(&format!("/many/{number}"), "x");
        world.mount(&pod(number)).await;
    }
    world.emulator.deny(WEB, "ssm:GetParameters", "/many/3");
    pass(INTERVAL + GRACE).await;
    for number in 0..10 {
        match number {
            3 => assert_code(&world.refusal(&pod(number)).await, Code::PermissionDenied),
            _ => drop(world.mount_at_once(&pod(number)).await),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_permission_is_not_masked_by_a_throttled_neighbour() {
    let world = world().await;
    let both = Request::new(&format!("{SECRET}\n{OTHER}"));
    world.mount(&both).await;
    world.emulator.deny(WEB, ACTION, "shop/db");
    let throttle = latchkey_emulator::Fault::new(FaultKind::Throttle);
    world.emulator.inject(throttle.operation("GetSecretValue").target("shop/other"));
    let (status, after) = until_refused(&world, &both, INTERVAL).await;
    assert!(after <= INTERVAL + GRACE, "{after:?}");
    assert_says(&status, Code::PermissionDenied, &["1 of 2 objects", "shop/db"]);
}

#[tokio::test(start_paused = true)]
async fn a_permission_revoked_while_aws_throttles_ends_with_max_stale() {
    let max_stale = Duration::from_secs(30 * 60);
    let world = World::with(|config| config.values.max_stale = max_stale).await;
    world.secret("shop/db", "one");
    let request = Request::new(SECRET);
    world.mount(&request).await;
    world.emulator.deny(WEB, ACTION, "*");
    world.fault("GetSecretValue", FaultKind::Throttle);
    let (status, after) = until_refused(&world, &request, max_stale).await;
    assert!(after <= max_stale + Duration::from_secs(1), "{after:?}");
    assert!(after > INTERVAL + GRACE, "the last known good value was not served: {after:?}");
    assert_code(&status, Code::Internal);
    // AWS answers again, and its answer is a denial.
    world.emulator.clear_faults();
    assert_code(&world.refusal(&request).await, Code::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn the_first_answered_poll_sees_a_revoked_permission() {
    let world = world().await;
    let request = Request::new(SECRET);
    world.mount(&request).await;
    world.fault("GetSecretValue", FaultKind::InternalError);
    pass(2 * INTERVAL).await;
    world.mount_at_once(&request).await;
    world.emulator.deny(WEB, ACTION, "*");
    world.emulator.clear_faults();
    pass(INTERVAL + GRACE).await;
    assert_code(&world.refusal(&request).await, Code::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_trust_drops_every_value_of_the_principal_within_the_credential_age() {
    for (request, other, code) in [
        (Request::new(SECRET), Request::new(OTHER), Code::PermissionDenied),
        (Request::pod_identity(SECRET), Request::pod_identity(OTHER), Code::NotFound),
    ] {
        let world = world().await;
        world.mount(&request).await;
        world.mount(&other).await;
        // The worst case: the credentials were renewed just now.
        world.emulator.set_trust(WEB, &[]);
        world.emulator.set_association("pay", "worker", None);
        let (status, after) = until_refused(&world, &request, CREDENTIAL_AGE).await;
        assert!(after <= CREDENTIAL_AGE + GRACE, "{after:?}");
        assert_code(&status, code);
        assert_code(&world.refusal(&other).await, code);
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_trust_takes_effect_in_time_despite_a_long_refresh_interval() {
    let world = world().await;
    let request = Request::new(SECRET).parameter("refreshInterval", "1h");
    world.mount(&request).await;
    world.emulator.set_trust(WEB, &[]);
    let (status, after) = until_refused(&world, &request, CREDENTIAL_AGE).await;
    assert!(after <= CREDENTIAL_AGE + GRACE, "{after:?}");
    assert_code(&status, Code::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn a_trust_revoked_while_aws_throttles_ends_with_max_stale() {
    let max_stale = Duration::from_secs(30 * 60);
    let world = World::with(|config| config.values.max_stale = max_stale).await;
    world.secret("shop/db", "one");
    let request = Request::new(SECRET);
    world.mount(&request).await;
    world.emulator.set_trust(WEB, &[]);
    world.fault("AssumeRoleWithWebIdentity", FaultKind::Throttle);
    world.fault("GetSecretValue", FaultKind::Throttle);
    let (_, after) = until_refused(&world, &request, max_stale).await;
    assert!(after <= max_stale + Duration::from_secs(1), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_aws_drops_the_entry_and_says_why() {
    type Change = fn(&World);
    let changes: [(Change, Code, &str); 4] = [
        (
            |world| world.emulator.set_kms_denied(REGION, "shop/db", WEB, true).unwrap(),
            Code::PermissionDenied,
            "missing: kms:Decrypt on the KMS key",
        ),
        (
            |world| world.emulator.remove_secret(REGION, "shop/db"),
            Code::NotFound,
            "ResourceNotFoundException",
        ),
        (
            |world| world.emulator.delete_secret(REGION, "shop/db").unwrap(),
            Code::FailedPrecondition,
            "marked for deletion",
        ),
        (
            |world| {
                world.fault("GetSecretValue", FaultKind::KmsDenied);
            },
            Code::PermissionDenied,
            "missing: kms:Decrypt on the KMS key",
        ),
    ];
    for (change, code, says) in changes {
        let world = world().await;
        let request = Request::new(SECRET);
        world.mount(&request).await;
        change(&world);
        world.mount_at_once(&request).await;
        let (status, after) = until_refused(&world, &request, INTERVAL).await;
        assert!(after <= INTERVAL + GRACE, "{after:?}");
        assert_says(&status, code, &[says]);
        // An outage does not bring the value back.
        world.emulator.clear_faults();
        world.fault("GetSecretValue", FaultKind::InternalError);
        assert_code(&world.refusal(&request).await, Code::Internal);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_optional_secret_is_absent_and_a_denied_one_is_an_error() {
    let world = world().await;
    let objects = format!("{OTHER}\n- {{objectName: shop/db, objectType: secretsmanager, optional: true}}");
    let request = Request::new(&objects);
    world.mount(&request).await;
    world.emulator.remove_secret(REGION, "shop/db");
    pass(INTERVAL + GRACE).await;
    assert_eq!(world.mount_at_once(&request).await.paths(), ["shop_other"]);
    // Absence is polled like a value.
    world.secret("shop/db", "back");
    pass(INTERVAL + GRACE).await;
    assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "back");
    world.emulator.deny(WEB, ACTION, "shop/db");
    pass(INTERVAL + GRACE).await;
    assert_code(&world.refusal(&request).await, Code::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn an_absence_that_one_class_allows_fails_another_class() {
    let world = world().await;
    let optional =
        format!("{OTHER}\n- {{objectName: shop/none, objectType: secretsmanager, optional: true}}");
    let tolerant = Request::new(&optional);
    let strict = Request::new("- {objectName: shop/none, objectType: secretsmanager}");
    for _ in 0..3 {
        assert_eq!(world.mount(&tolerant).await.paths(), ["shop_other"]);
        assert_code(&world.refusal(&strict).await, Code::NotFound);
        seconds(50).await;
    }
}
