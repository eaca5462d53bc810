//! Sessions of a chain are shared, renewed together, and end together. An
//! outage of the second step keeps the values, and a denial drops them.

use std::time::Duration;

use futures_util::future::join_all;
use latchkey_emulator::FaultKind;
use tonic::Code;

use crate::harness::{
    GRACE, INTERVAL, REGION, Request, SECRET, WEB, World, assert_code, assert_codes, assert_says, pass,
};

const READER: &str = "arn:aws:iam::222233334444:role/reader";
const OWN: &str = "AssumeRoleWithWebIdentity";
const ASSUME: &str = "AssumeRole";
const READ: &str = "GetSecretValue";
const AGE: Duration = Duration::from_secs(15 * 60);

fn put(world: &World, value: &str) {
    let secret = format!("arn:aws:secretsmanager:{REGION}:222233334444:secret:shop/db-AbCdEf");
    world.emulator.put_secret(REGION, &secret, value.to_owned());
}

async fn world() -> World {
    let world = World::start().await;
    put(&world, "one");
    world.emulator.allow(READER, READ_ACTION, "shop/db");
    world.emulator.set_role_trust(READER, &[WEB], None);
    world.emulator.allow(WEB, "sts:AssumeRole", READER);
    world
}

const READ_ACTION: &str = "secretsmanager:GetSecretValue";

fn request(number: u32) -> Request {
    Request::new(SECRET).numbered(number).parameter("assumeRoleArn", READER)
}

#[tokio::test(start_paused = true)]
async fn concurrent_mounts_share_one_chain() {
    let world = world().await;
    let requests: Vec<Request> = (0..110).map(request).collect();
    join_all(requests.iter().map(|request| world.mount(request))).await;
    world.assert_calls([(OWN, 1), (ASSUME, 1), (READ, 1)]);
}

#[tokio::test(start_paused = true)]
async fn concurrent_mounts_share_a_refusal_of_the_assumed_role() {
    let world = world().await;
    world.emulator.set_role_trust(READER, &[], None);
    let requests: Vec<Request> = (0..110).map(request).collect();
    let refused = join_all(requests.iter().map(|request| world.refusal(request))).await;
    assert_codes(&refused, Code::PermissionDenied);
    assert!(world.calls(ASSUME) <= 2, "{} calls", world.calls(ASSUME));
}

#[tokio::test(start_paused = true)]
async fn the_poller_renews_both_sessions_before_they_expire() {
    let world = world().await;
    world.mount(&request(1)).await;
    world.emulator.reset_calls();
    world.republish(&[request(1)], 30 * INTERVAL).await;
    // An hour of sessions of a quarter of an hour, renewed a minute early.
    for operation in [OWN, ASSUME] {
        let calls = world.calls(operation);
        assert!((4..=5).contains(&calls), "{calls} calls of {operation}");
    }
    assert_eq!(world.failed_calls(), [], "a session was renewed after it had expired");
    put(&world, "two");
    pass(INTERVAL + GRACE).await;
    assert_eq!(world.mount_at_once(&request(1)).await.text("shop_db"), "two");
}

#[tokio::test(start_paused = true)]
async fn a_chain_never_outlives_the_session_that_it_comes_from() {
    let world = world().await;
    let own = Request::new(SECRET);
    world.secret("shop/db", "own");
    world.mount(&own).await;
    // The own session is ten minutes old when the chain begins.
    world.republish(&[own], 5 * INTERVAL).await;
    world.mount(&request(1)).await;
    // The service account loses its own role: the chain ends with that session.
    world.emulator.set_trust(WEB, &[]);
    pass(Duration::from_secs(5 * 60)).await;
    assert_says(&world.refusal(&request(1)).await, Code::PermissionDenied, &[OWN]);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_trust_of_the_assumed_role_drops_what_it_read_and_nothing_else() {
    let world = world().await;
    world.secret("shop/db", "own");
    let (own, chained) = (Request::new(SECRET), request(1));
    world.mount(&own).await;
    world.mount(&chained).await;
    world.emulator.set_role_trust(READER, &[], None);
    world.republish(std::slice::from_ref(&own), AGE).await;
    let status = world.refusal(&chained).await;
    assert_says(&status, Code::PermissionDenied, &["sts:AssumeRole", READER]);
    world.emulator.reset_calls();
    world.mount_at_once(&own).await;
    assert_eq!(world.all_calls(), 0, "the service account's own values stay");
    // The dropped value does not come back in an outage.
    world.fault(ASSUME, FaultKind::InternalError);
    assert_code(&world.refusal(&chained).await, Code::Internal);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_second_step_serves_the_last_known_good_value() {
    let world = world().await;
    world.mount(&request(1)).await;
    let fault = world.fault(ASSUME, FaultKind::InternalError);
    // The session expires meanwhile and is not renewed.
    world.republish(&[request(1)], AGE).await;
    put(&world, "two");
    world.republish(&[request(1)], 2 * INTERVAL).await;
    assert_eq!(world.mount_at_once(&request(1)).await.text("shop_db"), "one");
    assert_eq!(world.mount_at_once(&request(2)).await.text("shop_db"), "one");
    let status = world
        .refusal(&request(1).parameter("objects", "- {objectName: x, objectType: secretsmanager}"))
        .await;
    assert_says(&status, Code::Internal, &["sts:AssumeRole in us-east-1 failed"]);
    world.emulator.remove_fault(fault);
    world.republish(&[request(1)], 2 * INTERVAL).await;
    assert_eq!(world.mount_at_once(&request(1)).await.text("shop_db"), "two");
}

#[tokio::test(start_paused = true)]
async fn expired_sessions_of_both_steps_are_renewed_within_one_mount() {
    let world = world().await;
    world.mount(&request(1)).await;
    world.emulator.expire_sessions();
    pass(INTERVAL + GRACE).await;
    assert_eq!(world.mount(&request(1)).await.text("shop_db"), "one");
    world.assert_calls([(OWN, 2), (ASSUME, 3)]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_chain_keeps_no_session_of_its_service_account() {
    let world = world().await;
    world.mount(&request(1)).await;
    pass(Duration::from_secs(3600)).await;
    let calls = world.all_calls();
    pass(Duration::from_secs(3600)).await;
    assert_eq!(world.all_calls(), calls, "nobody asks, and nothing is renewed");
}

#[tokio::test(start_paused = true)]
async fn a_chained_session_lasts_at_most_an_hour() {
    let world =
        World::with(|config| config.identity.max_credential_age = Duration::from_secs(4 * 3600)).await;
    put(&world, "one");
    world.emulator.allow(READER, READ_ACTION, "shop/db");
    world.emulator.set_role_trust(READER, &[WEB], None);
    world.emulator.allow(WEB, "sts:AssumeRole", READER);
    world.mount(&request(1)).await;
    world.republish(&[request(1)], Duration::from_secs(2 * 3600)).await;
    assert_eq!(world.failed_calls(), []);
}
