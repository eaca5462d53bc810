//! AWS throttles some calls: values are polled less often until it answers again, and
//! mounts go first.

use std::time::Duration;

use latchkey::app::Config;
use latchkey_emulator::{Fault, FaultKind};

use crate::harness::{INTERVAL, Log, Request, SECRET, World, assert_contains, assert_lacks};

const OTHER: &str = "- {objectName: shop/other, objectType: secretsmanager}";
const HOUR: Duration = Duration::from_secs(3600);
/// Polls of another secret in an hour without throttling.
const POLLS: usize = 30;

async fn world(change: impl FnOnce(&mut Config)) -> (World, [Request; 2]) {
    let world = World::watched(change).await;
    world.secret("shop/db", "one");
    world.secret("shop/other", "other");
    let requests = [Request::new(SECRET), Request::new(OTHER).numbered(2)];
    for request in &requests {
        world.mount(request).await;
    }
    world.republish(&requests, 2 * INTERVAL).await;
    (world, requests)
}

/// An hour in which AWS throttles a poll of one secret every ten minutes.
async fn throttled_hour(world: &World, requests: &[Request]) {
    for _ in 0..6 {
        let fault = Fault::new(FaultKind::Throttle).operation("GetSecretValue").target("shop/db");
        world.emulator.inject(fault.times(1));
        world.republish(requests, HOUR / 6).await;
    }
    world.emulator.clear_faults();
}

fn polls_of_other(world: &World) -> usize {
    world.calls_by_target("GetSecretValue").get("shop/other").copied().unwrap_or_default()
}

async fn stretch(world: &World) -> f64 {
    world.scrape().await.value("latchkey_poll_stretch_ratio")
}

#[tokio::test(start_paused = true)]
async fn intervals_stretch_while_aws_throttles_and_recover() {
    let (world, requests) = world(|_| {}).await;
    let log = Log::collect();
    throttled_hour(&world, &requests).await;
    assert!(stretch(&world).await > 1.1, "{}", stretch(&world).await);
    let logged = log.take();
    assert_eq!(logged.matches("AWS throttles: values are polled less often").count(), 1, "{logged}");

    world.emulator.reset_calls();
    throttled_hour(&world, &requests).await;
    let polls = polls_of_other(&world);
    assert!((POLLS / 2..POLLS).contains(&polls), "{polls} polls in a throttled hour");

    let mut hours = 0;
    while stretch(&world).await > 1.0 {
        world.republish(&requests, HOUR).await;
        hours += 1;
        assert!(hours < 24, "the intervals do not recover");
    }
    world.republish(&requests, HOUR).await;
    assert_contains(&log.take(), "AWS no longer throttles");
    world.emulator.reset_calls();
    world.republish(&requests, HOUR).await;
    let polls = polls_of_other(&world);
    assert!((POLLS - 1..=POLLS + 1).contains(&polls), "{polls} polls in an hour after it");
}

#[tokio::test(start_paused = true)]
async fn a_mount_of_a_new_value_does_not_wait_for_the_pace() {
    let (world, requests) = world(|_| {}).await;
    throttled_hour(&world, &requests).await;
    world.secret("shop/new", "new");
    let request = Request::new("- {objectName: shop/new, objectType: secretsmanager}").numbered(3);
    assert_eq!(world.mount_at_once(&request).await.text("shop_new"), "new");
}

#[tokio::test(start_paused = true)]
async fn an_interval_never_becomes_longer_than_the_maximum() {
    let max = INTERVAL + Duration::from_secs(10);
    let (world, requests) = world(|config| config.values.max_interval = max).await;
    throttled_hour(&world, &requests).await;
    world.emulator.reset_calls();
    throttled_hour(&world, &requests).await;
    let (polls, fewest) = (polls_of_other(&world), HOUR.as_secs() / max.as_secs());
    assert!(polls as u64 >= fewest, "{polls} polls in an hour, and not {fewest}");
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_polled_late_is_not_stale() {
    let (world, requests) = world(|_| {}).await;
    let log = Log::collect();
    for _ in 0..3 {
        throttled_hour(&world, &requests).await;
    }
    assert_lacks(&log.take(), "stale");
    assert_eq!(world.scrape().await.value("latchkey_values_stale"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_stretched_on_a_node_that_holds_no_values() {
    let (world, requests) = world(|_| {}).await;
    throttled_hour(&world, &requests).await;
    assert!(stretch(&world).await > 1.0);
    // Nobody mounts them any more, and no answer can end the stretching.
    world.republish(&[], HOUR).await;
    let scrape = world.scrape().await;
    assert_eq!(scrape.value("latchkey_values"), 0.0);
    assert_eq!(scrape.value("latchkey_poll_stretch_ratio"), 1.0);
}
