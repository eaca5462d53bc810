//! One namespace's hanging Regions and storms delay no other namespace's mounts
//! or polls.

use std::{fmt::Write, time::Duration};

use futures_util::future::join_all;
use latchkey_emulator::{Fault, FaultKind};
use tokio::time::Instant;

use crate::harness::{FAILOVER, GRACE, INTERVAL, Pod, REGION, Request, SECRET, World, pass, seconds};

const HOG: &str = "arn:aws:iam::111122223333:role/hog";

/// A world with namespace hog, whose service accounts may read everything.
async fn world(accounts: usize, max_calls: usize) -> World {
    let world = World::with(|config| config.aws.max_calls = max_calls).await;
    let names: Vec<String> = (0..accounts).map(|number| format!("hog-{number}")).collect();
    let subjects: Vec<String> =
        names.iter().map(|name| format!("system:serviceaccount:hog:{name}")).collect();
    world.emulator.set_trust(HOG, &subjects.iter().map(String::as_str).collect::<Vec<_>>());
    world.emulator.allow(HOG, "secretsmanager:GetSecretValue", "*");
    for name in &names {
        world.kubernetes.annotate("hog", name, HOG);
        world.emulator.set_association("hog", name, Some(HOG));
    }
    world
}

fn hog(account: usize, number: usize, objects: &str) -> Request {
    let number = u32::try_from(1000 + number).unwrap();
    Request::of_pod(Pod::numbered("hog", &format!("hog-{account}"), number), objects)
}

/// Secrets in a Region, and the objects that name them.
fn secrets(world: &World, region: &str, prefix: &str, count: usize) -> String {
    let mut objects = String::new();
    for number in 0..count {
        let name = format!("{prefix}/{number}");
        world.emulator.put_secret(region, &name, "x".to_owned());
        writeln!(objects, "- {{objectName: {name}, objectType: secretsmanager}}").unwrap();
    }
    objects
}

/// Runs `victim` while the hog mounts over and over again.
async fn beside(world: &World, hogs: &[Request], victim: impl Future<Output = ()>) {
    let noise = async {
        loop {
            join_all(hogs.iter().map(|request| world.try_mount(request))).await;
            seconds(20).await;
        }
    };
    tokio::select! {
        () = noise => {}
        () = victim => {}
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_regions_of_one_namespace_delay_no_other() {
    for (regions, each) in [(20, 5), (100, 1)] {
        let world = world(1, 64).await;
        let mut hogs = Vec::new();
        for number in 0..regions {
            let region = format!("xx-hang-{number}");
            let known = secrets(&world, &region, "known", each);
            let known =
                hog(0, number, &known).parameter("region", &region).parameter("refreshInterval", "15s");
            world.mount(&known).await;
            let fresh = secrets(&world, &region, "fresh", each);
            hogs.extend([known, hog(0, 500 + number, &fresh).parameter("region", &region)]);
            world.emulator.inject(Fault::new(FaultKind::Hang).region(&region));
        }
        world.secret("shop/db", "first");
        let victim = Request::new(SECRET);
        let began = Instant::now();
        beside(&world, &hogs, async {
            // By now the hog's first calls hang.
            seconds(3).await;
            world.mount_at_once(&victim).await;
            for round in 0..3 {
                let value = format!("value {round}");
                world.secret("shop/db", &value);
                world.secret(&format!("new/{round}"), "x");
                pass(INTERVAL + GRACE).await;
                assert_eq!(world.mount_at_once(&victim).await.text("shop_db"), value);
                let new = format!("- {{objectName: new/{round}, objectType: secretsmanager}}");
                world.mount_at_once(&Request::new(&new)).await;
            }
        })
        .await;
        let lasted = began.elapsed();
        assert!(lasted > 3 * INTERVAL, "only {lasted:?}: the hog ended it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_waits_for_a_place_delays_no_mount() {
    // Room for one poll: the second one of the namespace waits for the first.
    let world = World::with(|config| config.aws.max_calls = 2).await;
    let hanging = Request::new(&secrets(&world, REGION, "many", 10));
    world.emulator.put_secret(FAILOVER, "shop/db", "one".to_owned());
    let healthy = Request::new(SECRET).parameter("region", FAILOVER);
    world.mount(&hanging).await;
    world.mount(&healthy).await;
    world.emulator.inject(Fault::new(FaultKind::Hang).region(REGION));
    world.emulator.put_secret(FAILOVER, "shop/db", "two".to_owned());
    pass(INTERVAL + GRACE + Duration::from_secs(1)).await;
    assert_eq!(world.mount_at_once(&healthy).await.text("shop_db"), "two");
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_reads_does_not_block_another_namespaces_mount() {
    for max_calls in [1, 2, 3, 4, 8, 16, 64] {
        let world = world(1, max_calls).await;
        let storm = hog(0, 0, &secrets(&world, REGION, "many", 500));
        world.secret("shop/db", "one");
        world.emulator.set_delay(None, Duration::from_millis(100));
        let mount = async {
            pass(Duration::from_millis(450)).await;
            let began = Instant::now();
            world.mount(&Request::new(SECRET)).await;
            began.elapsed()
        };
        let (waited, stormed) = tokio::join!(mount, world.try_mount(&storm));
        // STS and the read; with one place, each behind two calls of the storm.
        let most = if max_calls <= 2 { 600 } else { 250 };
        assert!(waited <= Duration::from_millis(most), "waited {waited:?} with {max_calls} calls at once");
        stormed.unwrap_or_else(|status| panic!("with {max_calls} calls at once: {status}"));
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_identities_of_one_namespace_delay_no_other() {
    let world = world(60, 64).await;
    let objects = secrets(&world, REGION, "many", 1);
    let irsa = (0..60).map(|number| hog(number, number, &objects));
    let pod_identity = (0..60).map(|number| {
        hog(number, 500 + number, &objects)
            .parameter("usePodIdentity", "true")
            .parameter("preferredAddressType", if number % 2 == 0 { "ipv4" } else { "ipv6" })
    });
    let hogs: Vec<Request> = irsa.chain(pod_identity).collect();
    join_all(hogs.iter().map(|request| world.mount(request))).await;
    world.emulator.inject(Fault::new(FaultKind::Hang).target("*role/hog"));
    world.emulator.inject(Fault::new(FaultKind::Hang).target("hog/*"));
    world.secret("shop/db", "first");
    let victims = [Request::new(SECRET), Request::pod_identity(SECRET)];
    beside(&world, &hogs, async {
        for victim in &victims {
            world.mount_at_once(victim).await;
        }
        // Longer than credentials live.
        for round in 0..10 {
            let value = format!("value {round}");
            world.secret("shop/db", &value);
            pass(INTERVAL + GRACE).await;
            for victim in &victims {
                assert_eq!(world.mount_at_once(victim).await.text("shop_db"), value, "{:?}", victim.pod);
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn thousands_of_entries_of_one_namespace_do_not_delay_anothers_polls() {
    let world = world(3, 64).await;
    world.emulator.set_delay(Some("GetSecretValue"), Duration::from_millis(200));
    let objects = secrets(&world, REGION, "many", 500);
    let hogs: Vec<Request> =
        (0..3).map(|number| hog(number, number, &objects).parameter("refreshInterval", "1m")).collect();
    for request in &hogs {
        world.mount(request).await;
    }
    world.secret("shop/db", "first");
    let victim = Request::new(SECRET);
    world.mount(&victim).await;
    for round in 0..2 {
        let value = format!("value {round}");
        world.secret("shop/db", &value);
        pass(INTERVAL + GRACE).await;
        assert_eq!(world.mount_at_once(&victim).await.text("shop_db"), value);
    }
}
