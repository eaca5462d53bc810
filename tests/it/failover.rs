//! The failover Region is called only in an outage of the primary Region.

use latchkey_emulator::{Call, Fault, FaultKind, ParameterType};
use tonic::Code;

use crate::harness::{FAILOVER, REGION, Request, WEB, World, assert_contains, assert_lacks, assert_says};

const OBJECTS: &str = "
- {objectName: shop/db, objectType: secretsmanager}
- {objectName: /shop/level, objectType: ssmparameter}";

/// The same names in both Regions; each value is its Region's name.
async fn world() -> World {
    let world = World::uncached().await;
    for region in [REGION, FAILOVER] {
        world.emulator.put_secret(region, "shop/db", region.to_owned());
        world.emulator.put_parameter(region, "/shop/level", ParameterType::String, region);
    }
    world
}

fn request(objects: &str) -> Request {
    Request::new(objects).parameter("failoverRegion", FAILOVER)
}

fn calls_of_failover(world: &World) -> Vec<Call> {
    world.emulator.calls().into_iter().filter(|call| call.region.as_deref() == Some(FAILOVER)).collect()
}

fn down(world: &World, region: &str, operation: &str, kind: FaultKind) {
    world.emulator.inject(Fault::new(kind).operation(operation).region(region));
}

#[tokio::test(start_paused = true)]
async fn a_healthy_primary_never_calls_the_failover() {
    let world = world().await;
    let answer = world.mount(&request(OBJECTS)).await;
    answer.assert_texts([("shop_db", REGION), ("_shop_level", REGION)]);
    assert_eq!(calls_of_failover(&world), []);
}

#[tokio::test(start_paused = true)]
async fn in_every_outage_of_the_primary_the_failover_gives_the_values() {
    for kind in [
        FaultKind::InternalError,
        FaultKind::Throttle,
        FaultKind::Reset,
        FaultKind::Hang,
        FaultKind::GarbageBody,
        FaultKind::TruncatedBody,
    ] {
        let world = world().await;
        for operation in ["GetSecretValue", "GetParameters"] {
            down(&world, REGION, operation, kind.clone());
        }
        let answer = world.mount(&request(OBJECTS)).await;
        assert_eq!(answer.text("shop_db"), FAILOVER, "the secret after {kind:?}");
        assert_eq!(answer.text("_shop_level"), FAILOVER, "the parameter after {kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_failed_objects_are_read_from_the_failover() {
    let world = world().await;
    down(&world, REGION, "GetParameters", FaultKind::InternalError);
    let answer = world.mount(&request(OBJECTS)).await;
    answer.assert_texts([("shop_db", REGION), ("_shop_level", FAILOVER)]);
    assert_eq!(world.regions_of("GetSecretValue"), [REGION]);
}

#[tokio::test(start_paused = true)]
async fn failover_object_names_the_failovers_object() {
    let world = world().await;
    let version = world.emulator.put_secret(FAILOVER, "replica/db", "replica".to_owned());
    world.emulator.put_secret(FAILOVER, "replica/db", "newer".to_owned());
    world.emulator.put_parameter(FAILOVER, "/replica/level", ParameterType::String, "replica");
    world.emulator.put_parameter(FAILOVER, "/replica/level", ParameterType::String, "newer");
    world.emulator.label_parameter(FAILOVER, "/replica/level", 1, "stable").unwrap();
    world.emulator.move_label(FAILOVER, "replica/db", "blue", &version).unwrap();
    let objects = "
- objectName: shop/db
  objectType: secretsmanager
  objectAlias: db
  failoverObject: {objectName: replica/db, objectVersionLabel: blue}
- objectName: /shop/level
  objectType: ssmparameter
  objectAlias: level
  failoverObject: {objectName: /replica/level, objectVersionLabel: stable}";
    let answer = world.mount(&request(objects)).await;
    answer.assert_texts([("db", REGION), ("level", REGION)]);
    for operation in ["GetSecretValue", "GetParameters"] {
        down(&world, REGION, operation, FaultKind::InternalError);
    }
    let answer = world.mount(&request(objects)).await;
    answer.assert_texts([("db", "replica"), ("level", "replica")]);
    answer.assert_versions([("db", &version), ("level", "1")]);
}

#[tokio::test(start_paused = true)]
async fn a_failover_arn_is_in_the_failover_region() {
    let world = world().await;
    let arn = |region| world.emulator.secret_arn(region, "shop/db").unwrap();
    let objects = format!(
        "- {{objectName: '{}', objectAlias: db, failoverObject: {{objectName: '{}'}}}}",
        arn(REGION),
        arn(FAILOVER)
    );
    down(&world, REGION, "GetSecretValue", FaultKind::InternalError);
    assert_eq!(world.mount(&request(&objects)).await.text("db"), FAILOVER);
}

#[tokio::test(start_paused = true)]
async fn failover_404_or_403_does_not_break_a_healthy_primary() {
    let world = World::uncached().await;
    world.secret("shop/db", REGION);
    world.parameter("/shop/level", REGION);
    // The failover Region has none of the objects.
    assert_eq!(world.mount(&request(OBJECTS)).await.text("shop_db"), REGION);
    world.emulator.put_secret(FAILOVER, "shop/db", FAILOVER.to_owned());
    let arn = format!("arn:aws:secretsmanager:{FAILOVER}:*");
    world.emulator.deny(WEB, "secretsmanager:GetSecretValue", &arn);
    assert_eq!(world.mount(&request(OBJECTS)).await.text("shop_db"), REGION);
    down(&world, FAILOVER, "GetSecretValue", FaultKind::InternalError);
    assert_eq!(world.mount(&request(OBJECTS)).await.text("shop_db"), REGION);
    assert_eq!(calls_of_failover(&world), []);
}

#[tokio::test(start_paused = true)]
async fn a_denial_or_absence_in_the_primary_never_calls_the_failover() {
    let world = World::uncached().await;
    for region in [REGION, FAILOVER] {
        world.emulator.put_secret(region, "shop/denied", "x".to_owned());
        world.emulator.put_secret(region, "shop/deleted", "x".to_owned());
    }
    world.emulator.put_secret(FAILOVER, "shop/absent", "x".to_owned());
    let denied = format!("arn:aws:secretsmanager:{REGION}:*:secret:shop/denied*");
    world.emulator.deny(WEB, "secretsmanager:GetSecretValue", &denied);
    world.emulator.delete_secret(REGION, "shop/deleted").unwrap();
    for (name, code) in [
        ("shop/denied", Code::PermissionDenied),
        ("shop/absent", Code::NotFound),
        ("shop/deleted", Code::FailedPrecondition),
    ] {
        let objects = format!("- {{objectName: {name}, objectType: secretsmanager}}");
        let status = world.refusal(&request(&objects)).await;
        assert_says(&status, code, &[name, "in us-east-1 failed"]);
        assert_lacks(status.message(), FAILOVER);
    }
    assert_eq!(world.regions_of("GetSecretValue"), [REGION, REGION, REGION]);
}

#[tokio::test(start_paused = true)]
async fn when_both_regions_are_down_both_are_named() {
    let world = world().await;
    world.fault("GetSecretValue", FaultKind::InternalError);
    let status = world.refusal(&request(OBJECTS)).await;
    let says = [
        "1 of 2 objects",
        "secretsmanager:GetSecretValue in us-east-1 failed: InternalService",
        "; then the failover Region: secretsmanager:GetSecretValue in us-west-2 failed: InternalService",
    ];
    assert_says(&status, Code::Internal, &says);
}

#[tokio::test(start_paused = true)]
async fn a_denial_in_the_failover_is_reported_with_the_primarys_outage() {
    let world = world().await;
    down(&world, REGION, "GetSecretValue", FaultKind::Hang);
    let arn = format!("arn:aws:secretsmanager:{FAILOVER}:*");
    world.emulator.deny(WEB, "secretsmanager:GetSecretValue", &arn);
    let status = world.refusal(&request(OBJECTS)).await;
    let says = [
        "GetSecretValue in us-east-1 failed",
        "then the failover Region: secretsmanager:GetSecretValue in us-west-2 failed: AccessDeniedException",
        "denied: an identity-based policy of role web explicitly denies secretsmanager:GetSecretValue on arn:aws:secretsmanager:us-west-2:111122223333:secret:shop/db-",
    ];
    assert_says(&status, Code::PermissionDenied, &says);
}

#[tokio::test(start_paused = true)]
async fn an_optional_secret_that_only_the_failover_lacks_is_not_absent() {
    let world = World::uncached().await;
    world.secret("shop/db", "x");
    let objects = "- {objectName: shop/db, objectType: secretsmanager, optional: true}";
    assert_eq!(world.mount(&request(objects)).await.paths(), ["shop_db"]);
    down(&world, REGION, "GetSecretValue", FaultKind::InternalError);
    // Mounted without it, a running pod would lose the file in an outage.
    let status = world.refusal(&request(objects)).await;
    assert_contains(status.message(), "then the failover Region");
}
