//! A fresh value costs no call, and an unchanged one is read exactly once
//! per interval for all pods together.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use crate::harness::{GRACE, INTERVAL, Request, SECRET, World, assert_code, pass, seconds};

const READ: &str = "GetSecretValue";

async fn world() -> World {
    let world = World::start().await;
    world.secret("shop/db", "one");
    world
}

/// Mounts and waits two intervals, so that the first phase is over.
async fn settled(world: &World, requests: &[Request]) {
    for request in requests {
        world.mount(request).await;
    }
    world.republish(requests, 2 * INTERVAL).await;
    world.emulator.reset_calls();
}

#[tokio::test(start_paused = true)]
async fn republishing_fresh_values_makes_no_call_to_aws_or_kubernetes() {
    let world = world().await;
    world.parameter("/shop/level", "info");
    let objects = format!("{SECRET}\n- {{objectName: /shop/level, objectType: ssmparameter}}");
    let requests = [Request::new(&objects), Request::pod_identity(&objects)];
    for request in &requests {
        world.mount(request).await;
    }
    let (calls, reads) = (world.all_calls(), world.kubernetes.reads());
    // The poller's first read comes after half an interval at the earliest.
    for _ in 0..5 {
        seconds(10).await;
        for request in &requests {
            let answer = world.mount_at_once(request).await;
            answer.assert_texts([("shop_db", "one"), ("_shop_level", "info")]);
        }
    }
    assert_eq!(world.all_calls(), calls, "calls to AWS");
    assert_eq!(world.kubernetes.reads(), reads, "reads from Kubernetes");
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_secret_is_read_once_per_interval_for_all_pods_of_a_principal() {
    let world = world().await;
    let objects = world.many(0..5);
    let mut requests = Request::many(4, &objects);
    requests.push(Request::pod_identity(&objects));
    settled(&world, &requests).await;
    world.republish(&requests, 25 * INTERVAL).await;
    // Two principals, each once per interval.
    let expected: BTreeMap<_, _> = (0..5).map(|number| (format!("many/{number}"), 2 * 25)).collect();
    assert_eq!(world.calls_by_target(READ), expected);
}

#[tokio::test(start_paused = true)]
async fn labels_mounted_together_cost_one_read_more_than_their_number() {
    for labels in 1..=3_u64 {
        let world = world().await;
        world.secret("shop/db", "two");
        let version = "11111111-1111-4111-8111-111111111111";
        let put = world.emulator.put_secret_version("us-east-1", "shop/db", version, "three", &["NEXT"]);
        put.unwrap();
        let mut objects = String::new();
        for label in ["AWSCURRENT", "AWSPREVIOUS", "NEXT"].iter().take(labels.try_into().unwrap()) {
            let object = "objectName: shop/db, objectType: secretsmanager";
            writeln!(objects, "- {{{object}, objectAlias: {label}, objectVersionLabel: {label}}}").unwrap();
        }
        let requests = Request::many(3, &objects);
        settled(&world, &requests).await;
        world.republish(&requests, 10 * INTERVAL).await;
        let an_interval = if labels == 1 { 1 } else { labels + 1 };
        assert_eq!(world.calls(READ), 10 * an_interval, "{labels} labels");
    }
}

#[tokio::test(start_paused = true)]
async fn parameters_are_polled_in_tens() {
    let world = World::start().await;
    let mut objects = String::new();
    for number in 0..25 {
        world.parameter(&format!("/many/{number}"), "x");
        writeln!(objects, "- {{objectName: /many/{number}, objectType: ssmparameter}}").unwrap();
    }
    let requests = Request::many(3, &objects);
    settled(&world, &requests).await;
    world.republish(&requests, 10 * INTERVAL).await;
    assert_eq!(world.calls("GetParameters"), 10 * 3);
    let expected: BTreeMap<_, _> = (0..25).map(|number| (format!("/many/{number}"), 10)).collect();
    assert_eq!(world.calls_by_target("GetParameters"), expected);
}

#[tokio::test(start_paused = true)]
async fn parameters_mounted_at_different_times_are_still_polled_in_tens() {
    let world = World::start().await;
    let mut requests = Vec::new();
    for number in 0..10 {
        world.parameter(&format!("/many/{number}"), "x");
        let objects = format!("- {{objectName: /many/{number}, objectType: ssmparameter}}");
        requests.push(Request::new(&objects).numbered(number));
    }
    for request in &requests {
        world.mount(request).await;
    }
    world.republish(&requests, 2 * INTERVAL).await;
    world.emulator.reset_calls();
    world.republish(&requests, 10 * INTERVAL).await;
    assert_eq!(world.calls("GetParameters"), 10);
}

#[tokio::test(start_paused = true)]
async fn only_the_first_poll_has_jitter() {
    let mut phases = Vec::new();
    for _ in 0..5 {
        let world = world().await;
        let request = Request::new(SECRET);
        world.mount(&request).await;
        let keep_asking = async {
            loop {
                seconds(30).await;
                world.mount(&request).await;
            }
        };
        let arrivals = tokio::select! {
            arrivals = world.arrivals(READ, 10 * INTERVAL) => arrivals,
            () = keep_asking => Vec::new(),
        };
        let first = arrivals[0];
        assert!(first <= INTERVAL + GRACE, "the first poll is late: {first:?}");
        assert!(first >= INTERVAL / 2, "the first poll is early: {first:?}");
        for pair in arrivals.windows(2) {
            let off = (pair[1] - pair[0]).abs_diff(INTERVAL);
            assert!(off <= Duration::from_millis(100), "{off:?} off the interval: {arrivals:?}");
        }
        assert!(arrivals.len() >= 9, "too few polls in ten intervals: {arrivals:?}");
        phases.push(first);
    }
    phases.dedup();
    assert!(phases.len() > 1, "every process polls at the same moment: {phases:?}");
}

#[tokio::test(start_paused = true)]
async fn the_shortest_requested_refresh_interval_applies() {
    let world = world().await;
    let slow = Request::new(SECRET).parameter("refreshInterval", "10m");
    let fast = Request::new(SECRET).parameter("refreshInterval", "20s").numbered(7);
    // Longer than the flag, while no other class mounts it.
    world.mount(&slow).await;
    world.republish(std::slice::from_ref(&slow), Duration::from_secs(1200)).await;
    assert!(world.calls(READ) <= 3, "{} reads in two intervals of ten minutes", world.calls(READ));

    world.mount(&fast).await;
    // Between two polls.
    seconds(30).await;
    world.emulator.reset_calls();
    world.republish(&[slow, fast], Duration::from_secs(400)).await;
    assert_eq!(world.calls(READ), 400 / 20);
}

#[tokio::test(start_paused = true)]
async fn a_class_without_a_refresh_interval_restores_the_default_interval() {
    let world = world().await;
    let slow = Request::new(SECRET).parameter("refreshInterval", "1h");
    world.mount(&slow).await;
    world.mount(&Request::new(SECRET)).await;
    world.secret("shop/db", "two");
    pass(INTERVAL + GRACE).await;
    for request in [slow, Request::new(SECRET)] {
        assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "two", "{:?}", request.parameters);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pinned_version_is_polled_for_access_only() {
    let world = World::start().await;
    let version = world.secret("shop/db", "one");
    let objects = format!("- {{objectName: shop/db, objectType: secretsmanager, objectVersion: {version}}}");
    let requests = Request::many(2, &objects);
    settled(&world, &requests).await;
    world.secret("shop/db", "two");
    world.republish(&requests, 10 * INTERVAL).await;
    assert_eq!(world.calls(READ), 10);
    assert_eq!(world.mount(&requests[0]).await.text("shop_db"), "one");
    world.emulator.deny(crate::harness::WEB, "secretsmanager:GetSecretValue", "*");
    pass(INTERVAL + GRACE).await;
    assert_code(&world.refusal(&requests[0]).await, tonic::Code::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn five_hundred_objects_are_polled_like_one() {
    let world = World::start().await;
    let request = Request::new(&world.many(0..500));
    world.mount(&request).await;
    pass(INTERVAL + GRACE).await;
    world.emulator.reset_calls();
    for _ in 0..2 {
        world.mount_at_once(&request).await;
        pass(INTERVAL).await;
    }
    assert_eq!(world.calls(READ), 2 * 500);
    let at_once = world.emulator.max_calls_at_once();
    assert!(at_once <= 16, "{at_once} polls at once leave no room for mounts");
}
