//! The primary Region is down. The failover Region gives a value and then
//! revokes it: the value is dropped, as if the primary had revoked it.

use latchkey_emulator::{Fault, FaultKind, ParameterType};
use tonic::Code;

use crate::harness::{
    FAILOVER, GRACE, INTERVAL, REGION, Request, SECRET, WEB, World, assert_contains, assert_says, pass,
    seconds,
};

fn request(objects: &str) -> Request {
    Request::new(objects).parameter("failoverRegion", FAILOVER)
}

fn down(world: &World) {
    for operation in ["GetSecretValue", "GetParameters"] {
        world.emulator.inject(Fault::new(FaultKind::InternalError).operation(operation).region(REGION));
    }
}

/// A world whose primary Region is down, and the failover Region is not.
async fn world() -> World {
    let world = World::start().await;
    world.emulator.put_secret(FAILOVER, "shop/db", "one".to_owned());
    world.emulator.put_parameter(FAILOVER, "/shop/level", ParameterType::String, "one");
    down(&world);
    world
}

fn failover_says(world: &World, code: &str, message: &str) {
    let kind = FaultKind::Error { status: 400, code: code.to_owned(), message: message.to_owned() };
    world.emulator.inject(Fault::new(kind).region(FAILOVER));
}

#[tokio::test(start_paused = true)]
async fn a_value_is_dropped_as_soon_as_the_region_that_gave_it_denies_it() {
    type Refusal = (&'static str, Code, &'static str, fn(&World));
    let refusals: [Refusal; 6] = [
        (SECRET, Code::PermissionDenied, "AccessDenied", |world| {
            let arn = format!("arn:aws:secretsmanager:{FAILOVER}:*");
            world.emulator.deny(WEB, "secretsmanager:GetSecretValue", &arn);
        }),
        (SECRET, Code::PermissionDenied, "KMS", |world| {
            world.emulator.inject(Fault::new(FaultKind::KmsDenied).region(FAILOVER));
        }),
        (SECRET, Code::NotFound, "ResourceNotFoundException", |world| {
            world.emulator.remove_secret(FAILOVER, "shop/db");
        }),
        (SECRET, Code::FailedPrecondition, "marked for deletion", |world| {
            world.emulator.delete_secret(FAILOVER, "shop/db").unwrap();
        }),
        (
            "- {objectName: /shop/level, objectType: ssmparameter}",
            Code::NotFound,
            "no such parameter",
            |world| {
                world.emulator.remove_parameter(FAILOVER, "/shop/level");
            },
        ),
        (
            "- {objectName: /shop/level, objectType: ssmparameter}",
            Code::PermissionDenied,
            "not allowed",
            |world| {
                failover_says(world, "AccessDeniedException", "not allowed");
            },
        ),
    ];
    for (objects, code, says, refuse) in refusals {
        let world = world().await;
        let request = request(objects);
        let answer = world.mount(&request).await;
        assert_eq!(answer.text(answer.paths()[0]), "one", "before: {says}");
        pass(INTERVAL).await;
        refuse(&world);
        pass(INTERVAL + GRACE).await;
        // It is not served again, however many mounts follow.
        for _ in 0..19 {
            let status = world.refusal(&request).await;
            assert_contains(status.message(), says);
            assert!([code, Code::Internal].contains(&status.code()), "{says}: {status}");
            seconds(80).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_optional_object_deleted_in_the_failover_is_not_served_as_stale() {
    let world = world().await;
    let request = request("- {objectName: shop/db, objectType: secretsmanager, optional: true}");
    assert_eq!(world.mount(&request).await.text("shop_db"), "one");
    world.emulator.remove_secret(FAILOVER, "shop/db");
    pass(INTERVAL + GRACE).await;
    // It does not count as absent: the primary Region may have it.
    let status = world.refusal(&request).await;
    assert_contains(status.message(), "then the failover Region");
}

#[tokio::test(start_paused = true)]
async fn a_label_missing_in_the_failover_drops_the_whole_group() {
    let world = world().await;
    let old = world.emulator.put_secret(FAILOVER, "shop/db", "two".to_owned());
    world.emulator.move_label(FAILOVER, "shop/db", "blue", &old).unwrap();
    let request = request(
        "
- {objectName: shop/db, objectType: secretsmanager}
- {objectName: shop/db, objectType: secretsmanager, objectVersionLabel: blue, objectAlias: blue}",
    );
    let answer = world.mount(&request).await;
    answer.assert_texts([("shop_db", "two"), ("blue", "two")]);
    // The secret is created again, without the label.
    world.emulator.remove_secret(FAILOVER, "shop/db");
    world.emulator.put_secret(FAILOVER, "shop/db", "three".to_owned());
    pass(INTERVAL + GRACE).await;
    let status = world.refusal(&request).await;
    assert_contains(status.message(), "1 of 2 objects");
}

#[tokio::test(start_paused = true)]
async fn a_value_of_the_primary_survives_the_failovers_refusal_even_after_another_outage() {
    let world = world().await;
    let request = request(SECRET);
    world.mount(&request).await;
    // The primary Region is back and gives the value itself.
    world.emulator.clear_faults();
    world.secret("shop/db", "primary");
    pass(INTERVAL + GRACE).await;
    assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "primary");
    world.emulator.remove_secret(FAILOVER, "shop/db");
    down(&world);
    for _ in 0..20 {
        seconds(80).await;
        assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "primary");
    }
    // A denial by the primary Region ends it.
    world.emulator.clear_faults();
    world.emulator.deny(WEB, "secretsmanager:GetSecretValue", "*");
    pass(INTERVAL + GRACE).await;
    assert_says(&world.refusal(&request).await, Code::PermissionDenied, &["shop/db"]);
}

#[tokio::test(start_paused = true)]
async fn a_trust_denied_by_the_failovers_sts_drops_the_values() {
    let world = world().await;
    let request = request(SECRET);
    world.mount(&request).await;
    world.emulator.set_trust(WEB, &[]);
    // Each poll calls the primary Region's STS first, once.
    let sts = Fault::new(FaultKind::InternalError).operation("AssumeRoleWithWebIdentity");
    world.emulator.inject(sts.times(1));
    // Longer than credentials live.
    for _ in 0..12 {
        seconds(80).await;
        let _ = world.try_mount(&request).await;
    }
    // One that succeeded, and one to each Region.
    let calls = world.calls("AssumeRoleWithWebIdentity");
    assert!(calls >= 3, "only {calls} calls to STS");
    world.emulator.inject(Fault::new(FaultKind::InternalError).operation("GetSecretValue"));
    assert_says(&world.refusal(&request).await, Code::PermissionDenied, &["trust policy"]);
}

#[tokio::test(start_paused = true)]
async fn a_disabled_sts_in_the_failover_region_says_nothing_about_the_role() {
    let world = World::start().await;
    world.secret("shop/db", "one");
    let request = request(SECRET);
    world.mount(&request).await;
    // Every odd call is the primary Region's.
    for _ in 0..100 {
        let sts = |kind| Fault::new(kind).operation("AssumeRoleWithWebIdentity").times(1);
        world.emulator.inject(sts(FaultKind::InternalError));
        let code = "RegionDisabledException".to_owned();
        let message = "STS is not activated in this region".to_owned();
        world.emulator.inject(sts(FaultKind::Error { status: 403, code, message }));
    }
    for _ in 0..25 {
        seconds(80).await;
        assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "one");
    }
}
