//! Callers that may share a call share it; others share nothing.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use latchkey_emulator::{Fault, FaultKind};
use tonic::Code;

use crate::harness::{
    GRACE, INTERVAL, Pod, REGION, Request, SECRET, WEB, World, assert_code, assert_codes, pass, seconds,
};

const READ: &str = "GetSecretValue";
const SLOW: Duration = Duration::from_millis(500);

async fn world() -> World {
    let world = World::start().await;
    world.secret("shop/db", "one");
    world
}

#[tokio::test(start_paused = true)]
async fn a_thousand_mounts_at_once_make_one_call() {
    let world = world().await;
    world.emulator.set_delay(None, SLOW);
    let requests = Request::many(1000, SECRET);
    let answers = join_all(requests.iter().map(|request| world.mount(request))).await;
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.text("shop_db"), "one", "mount {number}");
    }
    let counts: Vec<(String, u64)> = world.emulator.call_counts().into_iter().collect();
    assert_eq!(counts, [("AssumeRoleWithWebIdentity".to_owned(), 1), (READ.to_owned(), 1)]);
    assert_eq!(world.kubernetes.reads().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn partly_overlapping_mounts_read_each_secret_once() {
    let world = world().await;
    world.emulator.set_delay(Some(READ), SLOW);
    let requests =
        (1..=10).zip(1..).map(|(count, number)| Request::new(&world.many(0..count)).numbered(number));
    let requests: Vec<Request> = requests.collect();
    let answers = join_all(requests.iter().map(|request| world.mount(request))).await;
    for (answer, count) in answers.iter().zip(1..) {
        assert_eq!(answer.paths().len(), count, "{:?}", answer.paths());
    }
    let expected: BTreeMap<_, _> = (0..10).map(|number| (format!("many/{number}"), 1)).collect();
    assert_eq!(world.calls_by_target(READ), expected);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_leader_hands_over() {
    let world = world().await;
    world.emulator.set_delay(Some(READ), SLOW);
    let requests = Request::many(20, SECRET);
    let leader = tokio::spawn({
        let (driver, message) = (world.driver.clone(), requests[0].message(&world.emulator));
        async move { driver.mount(message).await }
    });
    pass(SLOW / 2).await;
    assert_eq!(world.calls(READ), 1, "the leader reads");
    let cancel = async {
        pass(SLOW / 4).await;
        leader.abort();
    };
    let (answers, ()) =
        tokio::join!(join_all(requests[1..].iter().map(|request| world.mount(request))), cancel);
    assert_eq!(answers.len(), 19);
    assert!(world.calls(READ) <= 2, "{} reads", world.calls(READ));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_exceeds_its_deadline_hands_over() {
    let world = World::with(|config| config.mount_timeout = Duration::from_secs(2)).await;
    world.secret("shop/db", "one");
    world.emulator.inject(Fault::new(FaultKind::Hang).operation(READ).times(1));
    let requests = Request::many(20, SECRET);
    let late = async {
        pass(Duration::from_secs(1)).await;
        join_all(requests[1..].iter().map(|request| world.mount(request))).await
    };
    let (first, late) = tokio::join!(world.try_mount(&requests[0]), late);
    assert_code(&first.unwrap_err(), Code::Internal);
    assert_eq!(late.len(), 19);
    assert_eq!(world.calls(READ), 2);
}

#[tokio::test(start_paused = true)]
async fn waiters_share_a_failure_and_a_later_mount_asks_again() {
    for (kind, code, attempts) in
        [(FaultKind::InternalError, Code::Internal, 3), (FaultKind::KmsDenied, Code::PermissionDenied, 1)]
    {
        let world = world().await;
        world.emulator.set_delay(Some(READ), SLOW);
        let fault = world.fault(READ, kind);
        let requests = Request::many(50, SECRET);
        let refusals = join_all(requests.iter().map(|request| world.refusal(request))).await;
        assert_codes(&refusals, code);
        assert_eq!(world.calls(READ), attempts, "{code:?}, all at once");
        world.refusal(&requests[0]).await;
        assert_eq!(world.calls(READ), 2 * attempts, "{code:?}, and one later");
        world.emulator.remove_fault(fault);
        world.mount(&requests[0]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_identities_never_share_a_value() {
    let world = world().await;
    // The same name, read as another role; and the same role of another service account.
    let other_role = "arn:aws:iam::111122223333:role/other";
    world.kubernetes.annotate("shop", "api", WEB);
    let subjects = ["system:serviceaccount:shop:web", "system:serviceaccount:shop:api"];
    world.emulator.set_trust(WEB, &subjects);
    world.emulator.set_trust(other_role, &subjects);
    let requests = [
        Request::new(SECRET),
        Request::of_pod(Pod::numbered("shop", "api", 2), SECRET),
        Request::pod_identity(SECRET),
    ];
    for (request, reads) in requests.iter().zip(1..) {
        world.mount(request).await;
        assert_eq!(world.calls(READ), reads, "{:?}", request.pod);
    }
    let stranger = Request::new(SECRET).parameter("roleArn", other_role);
    assert_code(&world.refusal(&stranger).await, Code::PermissionDenied);
    // Nor in an outage.
    world.emulator.inject(Fault::new(FaultKind::InternalError));
    pass(INTERVAL + GRACE).await;
    world.mount_at_once(&requests[0]).await;
    assert_code(&world.refusal(&stranger).await, Code::Internal);
}

#[tokio::test(start_paused = true)]
async fn pods_share_pod_identity_values_unless_the_operator_forbids_it() {
    for (shared, reads) in [(false, 3), (true, 1)] {
        let world = World::with(|config| config.identity.share_pod_identity = shared).await;
        world.secret("shop/db", "one");
        let requests: Vec<Request> =
            (0..3).map(|number| Request::pod_identity(SECRET).numbered(number)).collect();
        for request in &requests {
            world.mount(request).await;
        }
        assert_eq!(world.calls(READ), reads, "shared: {shared}");
        pass(INTERVAL + GRACE).await;
        world.emulator.reset_calls();
        world.republish(&requests, 5 * INTERVAL).await;
        assert_eq!(world.calls(READ), 5 * reads, "shared: {shared}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_pod_identity_pods_makes_one_agent_call_and_one_read_per_secret() {
    let world = World::start().await;
    let objects: Vec<String> = (0..5)
        .map(|number| {
            world.secret(&format!("pay/{number}"), "x");
            format!("- {{objectName: pay/{number}, objectType: secretsmanager}}")
        })
        .collect();
    world.emulator.set_delay(None, Duration::from_millis(20));
    let requests: Vec<Request> =
        (0..110).map(|number| Request::pod_identity(&objects.join("\n")).numbered(number)).collect();
    let answers = join_all(requests.iter().map(|request| world.mount(request))).await;
    for answer in &answers {
        assert_eq!(answer.paths().len(), 5, "{:?}", answer.paths());
    }
    world.assert_calls([("PodIdentityCredentials", 1), (READ, 5)]);
    assert_eq!(world.all_calls(), 6);
}

#[tokio::test(start_paused = true)]
async fn regions_services_and_versions_are_kept_apart() {
    let world = world().await;
    let first = world.secret("shop/db", "two");
    world.emulator.put_secret("eu-west-1", "shop/db", "elsewhere".to_owned());
    world.parameter("shop/db", "a parameter");
    let secret = "objectName: shop/db, objectType: secretsmanager";
    let mounts = [
        (REGION, format!("- {{{secret}}}"), "two"),
        (REGION, format!("- {{{secret}, objectVersionLabel: AWSPREVIOUS}}"), "one"),
        (REGION, format!("- {{{secret}, objectVersion: {first}}}"), "two"),
        ("eu-west-1", format!("- {{{secret}}}"), "elsewhere"),
        (REGION, "- {objectName: shop/db, objectType: ssmparameter}".to_owned(), "a parameter"),
    ];
    for _ in 0..3 {
        for (region, objects, value) in &mounts {
            let answer = world.mount(&Request::new(objects).parameter("region", region)).await;
            assert_eq!(answer.text("shop_db"), *value, "{region} {objects}");
        }
        seconds(45).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_republish_of_a_full_node_after_a_restart_is_not_a_storm() {
    let mut world = World::start().await;
    let mut requests = Vec::new();
    for account in 0..10 {
        let name = format!("app-{account}");
        let role = format!("arn:aws:iam::111122223333:role/{name}");
        world.kubernetes.annotate("shop", &name, &role);
        world.emulator.set_trust(&role, &[&format!("system:serviceaccount:shop:{name}")]);
        world.emulator.allow(&role, "secretsmanager:GetSecretValue", "*");
        let objects: Vec<String> = (0..5)
            .map(|number| {
                let secret = format!("{name}/{number}");
                world.secret(&secret, &secret);
                format!("- {{objectName: {secret}, objectType: secretsmanager}}")
            })
            .collect();
        let objects = objects.join("\n");
        requests.extend((0..11).map(|pod| Request::of_pod(Pod::numbered("shop", &name, pod), &objects)));
    }
    join_all(requests.iter().map(|request| world.mount(request))).await;
    world.restart(|_| {}).await;
    world.emulator.reset_calls();
    world.emulator.set_delay(None, Duration::from_millis(20));
    let reads = world.kubernetes.reads().len();
    let answers = join_all(requests.iter().map(|request| world.mount(request))).await;
    for answer in &answers {
        assert_eq!(answer.paths().len(), 5, "{:?}", answer.paths());
    }
    world.assert_calls([("AssumeRoleWithWebIdentity", 10), (READ, 10 * 5)]);
    assert_eq!(world.kubernetes.reads().len() - reads, 10, "reads from Kubernetes");
    let at_once = world.emulator.max_calls_at_once();
    assert!(at_once <= 96, "{at_once} calls at once");
    // The first polls are spread, too.
    world.emulator.reset_calls();
    let arrivals = world.arrivals(READ, INTERVAL + GRACE).await;
    assert_eq!(arrivals.len(), 10 * 5);
    let spread = arrivals[arrivals.len() - 1] - arrivals[0];
    assert!(spread > INTERVAL / 10, "all polls within {spread:?}");
}
