//! The cache stays within its limits whatever pods request, and a value that leaves it
//! is freed.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::join_all;
use latchkey::{
    aws::{AwsFailure, FailureKind},
    backend::{ReadFailure, ReadResult, Reading},
    model::{
        arn::{Region, Regions},
        principal::{Means, Principal},
        reference::{Reference, Selector, Service},
        secret::SecretValue,
        source::{Planned, Source},
    },
    values::{Entry, Read, ValueSettings, Values},
};
use latchkey_emulator::FaultKind;
use tokio::time::Instant;
use tonic::Code;

use crate::harness::{
    GRACE, INTERVAL, REGION, Request, Rooms, SECRET, WEB, World, assert_says, many, pass, seconds,
};

const READ: &str = "GetSecretValue";
const IDLE: Duration = Duration::from_secs(600);

#[tokio::test(start_paused = true)]
async fn an_idle_value_is_dropped_and_no_longer_polled() {
    let world = World::start().await;
    world.secret("shop/db", "one");
    let rooms = Rooms::beside(&world, ValueSettings::default()).await;
    rooms.read(&world, &Request::new(SECRET)).await.map(drop).unwrap();
    pass(IDLE).await;
    assert_eq!(entries(&rooms.values), 1);
    seconds(2).await;
    assert_empty(&rooms.values);
    world.emulator.reset_calls();
    pass(10 * INTERVAL).await;
    assert_eq!(world.all_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_entry_stays_for_at_least_two_of_its_intervals() {
    let world = World::start().await;
    world.secret("shop/db", "one");
    let settings = ValueSettings { idle_after: Duration::from_secs(1), ..ValueSettings::default() };
    let rooms = Rooms::beside(&world, settings).await;
    for (refresh, stays) in [(None, 2 * INTERVAL), (Some("10m"), Duration::from_secs(1200))] {
        let mut request = Request::new(SECRET);
        if let Some(refresh) = refresh {
            request = request.parameter("refreshInterval", refresh);
        }
        rooms.read(&world, &request).await.map(drop).unwrap();
        pass(stays).await;
        assert_eq!(entries(&rooms.values), 1, "{refresh:?}");
        seconds(2).await;
        assert_eq!(entries(&rooms.values), 0, "{refresh:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn mounts_succeed_while_the_byte_limit_evicts() {
    let world = World::start().await;
    for number in 0..200 {
        world.secret(&format!("many/{number}"), &format!("{number:0>3000}"));
    }
    let max_bytes = 200_000;
    let settings = ValueSettings { max_bytes, ..ValueSettings::default() };
    let rooms = Rooms::beside(&world, settings).await;
    for pod in 0..3 {
        for chunk in 0..4 {
            let request = Request::pod_identity(&many(chunk * 50..(chunk + 1) * 50)).numbered(pod);
            let read = rooms.read(&world, &request).await.unwrap();
            for (number, object) in read.objects.into_iter().enumerate() {
                let expected = format!("{:0>3000}", chunk * 50 + number);
                let value = &object.result().as_ref().unwrap().value;
                assert_eq!(value.expose(), expected.as_bytes(), "pod {pod}, many/{}", chunk * 50 + number);
            }
            assert_within(&rooms.values, max_bytes);
        }
    }
    // The limit also holds while the remaining entries are polled.
    for _ in 0..INTERVAL.as_secs() {
        seconds(1).await;
        assert_within(&rooms.values, max_bytes);
    }
    let kept = entries(&rooms.values);
    assert!(kept > 40, "only {kept} entries: the limit is not used");
    pass(IDLE).await;
    assert_empty(&rooms.values);
}

fn entries(values: &Values) -> usize {
    values.size().0
}

#[track_caller]
fn assert_within(values: &Values, max_bytes: usize) {
    let (entries, bytes) = values.size();
    assert!(bytes <= max_bytes, "{entries} entries with {bytes} bytes; the maximum is {max_bytes}");
}

/// Nothing is left, and the count of bytes is exact.
#[track_caller]
fn assert_empty(values: &Values) {
    let (entries, bytes) = values.size();
    assert_eq!(entries, 0, "entries are left, with {bytes} bytes");
    assert_eq!(bytes, 0, "bytes are counted without an entry");
}

/// Puts a value of so many bytes into the cache, as a read would.
fn put(values: &Values, number: usize, bytes: usize) -> Arc<Entry> {
    let principal = Principal {
        namespace: "pay".to_owned(),
        service_account: format!("worker-{}", number % 100),
        means: Means::PodIdentity { pod_uid: None },
        assumed: None,
    };
    let regions = Regions { primary: Region::parse(REGION).unwrap(), failover: None };
    let reference = Reference {
        service: Service::SecretsManager,
        id: format!("many/{number}"),
        selector: Selector::default(),
    };
    let source = Source { primary: vec![reference.clone()], failover: vec![reference] };
    let entry = values.entry(&principal, &regions, &Planned { source, required: vec![true] }, INTERVAL);
    let reading = Reading {
        value: SecretValue::new(vec![7; bytes]),
        version: number.to_string(),
        arn: String::new(),
        region: regions.primary.clone(),
        request_id: None,
    };
    let refresh = entry.try_refresh().unwrap();
    let settled = refresh.settle(values, Instant::now(), vec![Ok(reading)]);
    if let Err(failure) = settled.served() {
        panic!("the read value is served, whether or not it is kept: {failure:?}");
    }
    entry
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_secrets_never_exceed_the_byte_limit() {
    let settings = ValueSettings { max_bytes: 1 << 20, ..ValueSettings::default() };
    let values = Values::new(settings, Arc::default());
    for number in 0..10_000 {
        // Now and then the most that Secrets Manager holds.
        put(&values, number, if number % 100 == 7 { 65_536 } else { number * 7919 % 4096 });
        assert_within(&values, 1 << 20);
        if number % 100 == 0 {
            seconds(1).await;
        }
    }
    assert!(values.size().1 > 900_000, "the bound is used: {:?}", values.size());
    pass(IDLE + Duration::from_secs(1)).await;
    values.drop_idle();
    assert_empty(&values);
}

#[tokio::test(start_paused = true)]
async fn entries_without_a_value_count_towards_the_limit() {
    let world = World::start().await;
    world.fault(READ, FaultKind::InternalError);
    let max_bytes = 100_000;
    let settings = ValueSettings { max_bytes, ..ValueSettings::default() };
    let rooms = Rooms::beside(&world, settings).await;
    for chunk in 0..5 {
        let request = Request::new(&many(chunk * 100..(chunk + 1) * 100));
        let read = rooms.read(&world, &request).await.unwrap();
        let read: Vec<_> =
            read.objects.iter().filter_map(|object| Some(&object.result().as_ref().ok()?.version)).collect();
        assert_eq!(read, Vec::<&String>::new(), "AWS fails, and these were read");
        assert_within(&rooms.values, max_bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_larger_than_the_limit_is_mounted_and_not_kept() {
    let world = World::start().await;
    world.secret("shop/db", &"x".repeat(60_000));
    let settings = ValueSettings { max_bytes: 10_000, ..ValueSettings::default() };
    let rooms = Rooms::beside(&world, settings).await;
    for _ in 0..2 {
        let read = rooms.read(&world, &Request::new(SECRET)).await.unwrap();
        read.objects[0].result().as_ref().unwrap();
        assert_empty(&rooms.values);
    }
}

/// Watches the value that the cache holds for a read's only object.
fn watched(read: Read) -> Weak<[ReadResult]> {
    let held = read.entries[0].held().expect("the cache holds it");
    Arc::downgrade(held.results())
}

#[tokio::test(start_paused = true)]
async fn an_idle_denied_or_replaced_value_is_freed() {
    type Act = fn(&World);
    let acts: [(&str, Act, Duration); 3] = [
        ("idle", |_| {}, IDLE),
        ("denied", |world| world.emulator.deny(WEB, "*", "*"), INTERVAL),
        ("replaced", |world| drop(world.secret("shop/db", "two")), INTERVAL),
    ];
    for (name, act, after) in acts {
        let world = World::start().await;
        world.secret("shop/db", "one");
        let rooms = Rooms::beside(&world, ValueSettings::default()).await;
        let value = watched(rooms.read(&world, &Request::new(SECRET)).await.unwrap());
        assert!(value.upgrade().is_some(), "{name}: nothing holds the value before");
        act(&world);
        pass(after + GRACE).await;
        assert!(value.upgrade().is_none(), "{name}: something still holds the value");
    }
}

#[tokio::test(start_paused = true)]
async fn an_evicted_value_is_freed() {
    let world = World::start().await;
    world.secret("shop/db", "one");
    world.secret("many/0", &"x".repeat(5_000));
    let settings = ValueSettings { max_bytes: 6_500, ..ValueSettings::default() };
    let rooms = Rooms::beside(&world, settings).await;
    let value = watched(rooms.read(&world, &Request::new(SECRET)).await.unwrap());
    assert!(value.upgrade().is_some(), "nothing holds the value before");
    rooms.read(&world, &Request::new(&many(0..1))).await.map(drop).unwrap();
    assert!(value.upgrade().is_none(), "something still holds the value");
}

#[tokio::test(start_paused = true)]
async fn one_namespaces_secrets_do_not_evict_anothers() {
    let world = World::start().await;
    world.secret("shop/db", "one");
    let settings = ValueSettings { max_bytes: 100_000, ..ValueSettings::default() };
    let rooms = Rooms::beside(&world, settings).await;
    rooms.read(&world, &Request::new(SECRET)).await.map(drop).unwrap();
    seconds(1).await;
    for number in 0..100 {
        put(&rooms.values, number, 3_000);
    }
    let kept = entries(&rooms.values);
    assert!(kept > 20, "only {kept} entries: the limit is not used");
    world.emulator.reset_calls();
    rooms.read(&world, &Request::new(SECRET)).await.map(drop).unwrap();
    assert_eq!(world.all_calls(), 0, "the oldest value was evicted");
}

#[tokio::test(start_paused = true)]
async fn a_value_evicted_during_its_read_is_mounted_and_not_kept() {
    let world = World::start().await;
    for number in 0..200 {
        world.secret(&format!("many/{number}"), &"x".repeat(1_000));
    }
    world.emulator.set_delay(Some(READ), Duration::from_millis(100));
    let max_bytes = 20_000;
    let settings = ValueSettings { max_bytes, ..ValueSettings::default() };
    let rooms = Rooms::beside(&world, settings).await;
    let requests: Vec<Request> =
        (0..20).map(|chunk| Request::new(&many(chunk * 10..(chunk + 1) * 10))).collect();
    let reads = join_all(requests.iter().map(|request| rooms.read(&world, request))).await;
    let reads: Vec<Read> = reads.into_iter().map(Result::unwrap).collect();
    for object in reads.iter().flat_map(|read| &read.objects) {
        object.result().as_ref().unwrap();
    }
    assert_within(&rooms.values, max_bytes);
    let held = reads.iter().flat_map(|read| &read.entries).filter(|entry| entry.held().is_some());
    assert_eq!(held.count(), entries(&rooms.values), "a value is held that is not counted");
}

#[tokio::test(start_paused = true)]
async fn a_late_denial_drops_the_recreated_entry_and_the_byte_count_stays_exact() {
    let values = Values::new(ValueSettings::default(), Arc::default());
    let old = put(&values, 1, 1_000);
    let refresh = old.try_refresh().unwrap();
    pass(IDLE + Duration::from_secs(1)).await;
    values.drop_idle();
    let new = put(&values, 1, 50_000);
    put(&values, 2, 10);
    let region = Region::parse(REGION).unwrap();
    let failure = AwsFailure::own(FailureKind::Denied, READ, &region, String::new());
    let denied = Err(ReadFailure { primary: Box::new(failure), failover: None });
    refresh.settle(&values, Instant::now(), vec![denied]);
    assert!(new.held().is_none(), "the new entry still holds a value that AWS denies");
    assert_eq!(entries(&values), 1);
    pass(IDLE + Duration::from_secs(1)).await;
    values.drop_idle();
    assert_empty(&values);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_interval_out_of_bounds_is_refused() {
    let world = World::start().await;
    world.secret("shop/db", "one");
    for bad in ["14s", "14.999s", "0", "-1m", "61m", "1h1ns", "2000h", "soon", "15", "99999999999h"] {
        let status = world.refusal(&Request::new(SECRET).parameter("refreshInterval", bad)).await;
        let says = ["refreshInterval", &format!("{bad:?}"), "--max-refresh-interval"];
        assert_says(&status, Code::InvalidArgument, &says);
    }
    assert_eq!(world.all_calls(), 0);
    // An empty one counts as unset, as every parameter does.
    for good in ["", "15s", "1m30s", "1h", "60m", "0.5m"] {
        world.mount(&Request::new(SECRET).parameter("refreshInterval", good)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn five_hundred_objects_mount_and_one_more_is_a_mistake() {
    let world = World::start().await;
    world.many(0..501);
    assert_eq!(world.mount(&Request::new(&many(0..500))).await.paths().len(), 500);
    let status = world.refusal(&Request::new(&many(0..501))).await;
    assert_says(&status, Code::InvalidArgument, &["501", "500"]);
}
