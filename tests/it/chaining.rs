//! Role chaining (`assumeRoleArn`): everything is read as the role that the
//! service account assumes, and a refusal names the policy and the missing permission.

use latchkey_emulator::Call;
use tonic::Code;

use crate::harness::{FAILOVER, REGION, Request, SECRET, WEB, WORKER, World, assert_lacks, assert_says};

const PARTNER: &str = "222233334444";
const READER: &str = "arn:aws:iam::222233334444:role/shared/reader";
const ASSUME: &str = "AssumeRole";

/// A world in which the own account and the partner's hold a secret of the same
/// name, and both identities may assume the partner's [`READER`].
async fn world() -> World {
    let world = World::start().await;
    world.secret("shop/db", "own");
    let secret = format!("arn:aws:secretsmanager:{REGION}:{PARTNER}:secret:shop/db-AbCdEf");
    world.emulator.put_secret(REGION, &secret, "partner's".to_owned());
    world.emulator.allow(READER, "secretsmanager:GetSecretValue", "shop/db");
    world.emulator.set_role_trust(READER, &[WEB, WORKER], None);
    world.emulator.set_tag_session(READER, true);
    for role in [WEB, WORKER] {
        world.emulator.allow(role, "sts:AssumeRole", READER);
        world.emulator.allow(role, "sts:TagSession", READER);
    }
    world
}

fn chained(request: Request) -> Request {
    request.parameter("assumeRoleArn", READER)
}

fn calls_of(world: &World, operation: &str) -> Vec<Call> {
    world.emulator.calls().into_iter().filter(|call| call.operation == operation).collect()
}

#[tokio::test(start_paused = true)]
async fn everything_is_read_as_the_assumed_role() {
    for (request, base) in [(Request::new(SECRET), WEB), (Request::pod_identity(SECRET), WORKER)] {
        let world = world().await;
        assert_eq!(world.mount(&chained(request)).await.text("shop_db"), "partner's");
        let assumed = &calls_of(&world, ASSUME)[0];
        assert_eq!(assumed.role.as_deref(), Some(base), "the role that assumes the other");
        assert_eq!(assumed.targets, [READER]);
        let reads = calls_of(&world, "GetSecretValue");
        assert_eq!(reads.iter().map(|call| call.role.as_deref()).collect::<Vec<_>>(), [Some(READER)]);
        // CloudTrail of the partner names the workload.
        let session = reads[0].principal.as_deref().unwrap();
        assert!(session.starts_with("arn:aws:sts::222233334444:assumed-role/reader/latchkey-"), "{session}");
    }
}

#[tokio::test(start_paused = true)]
async fn parameters_of_another_account_are_read_as_its_role() {
    let world = world().await;
    let parameters = "- {objectName: /shop/level, objectType: ssmparameter}";
    world.parameter("/shop/level", "own");
    let status = world.refusal(&chained(Request::new(parameters))).await;
    let missing =
        format!("missing: ssm:GetParameters on arn:aws:ssm:{REGION}:{PARTNER}:parameter/shop/level");
    assert_says(
        &status,
        Code::PermissionDenied,
        &[&missing, "as role arn:aws:iam::222233334444:role/shared/reader"],
    );
}

#[tokio::test(start_paused = true)]
async fn classes_with_and_without_a_chain_never_share_a_value() {
    for request in [Request::new(SECRET), Request::pod_identity(SECRET)] {
        let world = world().await;
        for _ in 0..3 {
            assert_eq!(world.mount(&request).await.text("shop_db"), "own", "{:?}", request.pod);
            assert_eq!(world.mount(&chained(request.clone())).await.text("shop_db"), "partner's");
        }
        assert_eq!(world.calls("GetSecretValue"), 2, "each is read once and kept for itself");
        // Both use one session of the service account.
        let own = world.calls("AssumeRoleWithWebIdentity") + world.calls("PodIdentityCredentials");
        assert_eq!(own, 1, "sessions of the service account");
        assert_eq!(world.calls(ASSUME), 1, "{:?}", request.pod);
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_read_with_one_external_id_is_not_given_to_another() {
    let world = world().await;
    world.emulator.set_role_trust(READER, &[WEB], Some("shop/1"));
    let with = |id: &str| chained(Request::new(SECRET)).parameter("assumeRoleExternalId", id);
    assert_eq!(world.mount(&with("shop/1")).await.text("shop_db"), "partner's");
    for (request, says) in [
        (with("shop/2"), "with the one in assumeRoleExternalId"),
        (chained(Request::new(SECRET)), "set it as assumeRoleExternalId in the class"),
    ] {
        let status = world.refusal(&request).await;
        assert_says(&status, Code::PermissionDenied, &["sts:AssumeRole", "sts:ExternalId", says]);
        assert_lacks(status.message(), "shop/1");
        assert_lacks(status.message(), "shop/2");
    }
    assert_eq!(world.mount(&with("shop/1")).await.text("shop_db"), "partner's");
}

#[tokio::test(start_paused = true)]
async fn an_invalid_external_id_makes_no_call() {
    let world = world().await;
    let request = chained(Request::new(SECRET)).parameter("assumeRoleExternalId", "a b");
    assert_says(&world.refusal(&request).await, Code::InvalidArgument, &["2 to 1224 letters"]);
    let request = Request::new(SECRET).parameter("assumeRoleExternalId", "shop/1");
    assert_says(&world.refusal(&request).await, Code::InvalidArgument, &["needs assumeRoleArn"]);
    assert_eq!(world.emulator.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn a_refused_role_names_the_two_policies_that_must_allow_it() {
    for (request, base) in [
        (Request::new(SECRET), format!("role {WEB}")),
        (Request::pod_identity(SECRET), "role worker of account 111122223333".to_owned()),
    ] {
        let world = world().await;
        let missing = format!("the policy of {base} must allow sts:AssumeRole");
        let trust = format!("the trust policy of {READER} must allow {base} to call sts:AssumeRole");
        let says =
            [missing.as_str(), trust.as_str(), "is not authorized to perform: sts:AssumeRole on resource"];
        world.emulator.set_role_trust(READER, &[], None);
        assert_says(&world.refusal(&chained(request.clone())).await, Code::PermissionDenied, &says);
        world.emulator.set_role_trust(READER, &[WEB, WORKER], None);
        world.mount(&chained(request)).await;
    }
    let world = world().await;
    world.emulator.clear_policy(WEB);
    let status = world.refusal(&chained(Request::new(SECRET))).await;
    assert_says(&status, Code::PermissionDenied, &["Two policies must allow it", WEB, READER]);
    world.emulator.deny(WEB, "sts:AssumeRole", READER);
    let status = world.refusal(&chained(Request::new(SECRET))).await;
    assert_says(
        &status,
        Code::PermissionDenied,
        &["explicit deny", "granting access elsewhere does not help"],
    );
    assert_lacks(status.message(), "must allow");
}

#[tokio::test(start_paused = true)]
async fn pod_identitys_session_tags_need_sts_tag_session_on_both_sides() {
    let world = world().await;
    let request = chained(Request::pod_identity(SECRET));
    let says = [
        "is not authorized to perform: sts:TagSession on resource",
        "the trust policy of that role must allow role worker of account 111122223333 to call sts:TagSession as well as sts:AssumeRole",
        "disableSessionTags",
    ];
    world.emulator.set_tag_session(READER, false);
    assert_says(&world.refusal(&request).await, Code::PermissionDenied, &says);
    // IRSA's session has no such tags.
    world.mount(&chained(Request::new(SECRET))).await;
    world.emulator.set_tag_session(READER, true);
    world.emulator.clear_policy(WORKER);
    world.emulator.allow(WORKER, "sts:AssumeRole", READER);
    assert_says(&world.refusal(&request).await, Code::PermissionDenied, &says);
    world.emulator.allow(WORKER, "sts:TagSession", READER);
    world.mount(&request).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_service_accounts_own_role_is_reported_as_such() {
    let world = world().await;
    world.emulator.set_trust(WEB, &[]);
    let status = world.refusal(&chained(Request::new(SECRET))).await;
    let says =
        ["AssumeRoleWithWebIdentity", "The trust policy of arn:aws:iam::111122223333:role/web must allow"];
    assert_says(&status, Code::PermissionDenied, &says);
    assert_lacks(status.message(), READER);
    assert_eq!(world.calls(ASSUME), 0);
}

#[tokio::test(start_paused = true)]
async fn sts_is_called_in_the_failover_region_only_in_an_outage() {
    let world = world().await;
    let request = chained(Request::new(SECRET)).parameter("failoverRegion", FAILOVER);
    let fault = latchkey_emulator::Fault::new(latchkey_emulator::FaultKind::InternalError);
    // Three attempts in the primary Region.
    world.emulator.inject(fault.operation(ASSUME).times(3));
    world.mount(&request).await;
    assert_eq!(world.regions_of(ASSUME), [REGION, REGION, REGION, FAILOVER]);
    world.emulator.expire_sessions();
    world.emulator.set_role_trust(READER, &[], None);
    world.emulator.reset_calls();
    world
        .refusal(&request.parameter("objects", "- {objectName: shop/other, objectType: secretsmanager}"))
        .await;
    // Once for the expired session, once with a new one; a denial asks no other Region.
    assert_eq!(world.regions_of(ASSUME), [REGION, REGION]);
}

#[tokio::test(start_paused = true)]
async fn provider_writes_reads_as_the_assumed_role_too() {
    let world = World::provider_writes(|_| {}).await;
    let secret = format!("arn:aws:secretsmanager:{REGION}:{PARTNER}:secret:shop/db-AbCdEf");
    world.emulator.put_secret(REGION, &secret, "partner's".to_owned());
    world.emulator.allow(READER, "secretsmanager:GetSecretValue", "shop/db");
    world.emulator.set_role_trust(READER, &[WEB], None);
    world.emulator.allow(WEB, "sts:AssumeRole", READER);
    let (request, volume) = world.with_volume(chained(Request::new(SECRET)));
    world.mount(&request).await;
    assert_eq!(std::fs::read_to_string(volume.join("shop_db")).unwrap(), "partner's");
}
