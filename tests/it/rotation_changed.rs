//! A changed value reaches the next mount in time, and labels that belong
//! together always come from one moment.

use std::{cell::Cell, time::Duration};

use futures_util::future::join_all;
use latchkey_emulator::{Fault, FaultKind};
use tokio::time::Instant;

use crate::harness::{GRACE, INTERVAL, Pod, REGION, Request, SECRET, World, pass, seconds};

/// How long AWS takes for an answer in these tests.
const LATENCY: Duration = Duration::from_millis(250);

/// Numbers without a pattern, the same in every run.
struct Numbers(Cell<u64>);

impl Numbers {
    fn below(&self, limit: u64) -> u64 {
        // Knuth's MMIX generator.
        self.0.set(
            self.0.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407),
        );
        (self.0.get() >> 33) % limit
    }
}

/// Mounts until the value is served; gives how long that took.
async fn until_served(world: &World, request: &Request, path: &str, value: &str, since: Instant) -> Duration {
    loop {
        if world.mount(request).await.text(path) == value {
            return since.elapsed();
        }
        pass(Duration::from_millis(500)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_served_within_one_interval_and_a_polls_latency() {
    let (world, numbers) = (World::start().await, Numbers(Cell::new(1)));
    world.secret("shop/db", "0");
    world.parameter("/shop/level", "0");
    world.emulator.set_delay(None, LATENCY);
    let objects = format!("{SECRET}\n- {{objectName: /shop/level, objectType: ssmparameter}}");
    let request = Request::new(&objects);
    world.mount(&request).await;
    // The poller looks once a second, and may need new credentials first.
    let bound = INTERVAL + 2 * LATENCY + Duration::from_secs(1);
    for round in 1..=60 {
        pass(Duration::from_millis(numbers.below(130_000))).await;
        world.mount(&request).await;
        let value = round.to_string();
        world.secret("shop/db", &value);
        world.parameter("/shop/level", &value);
        pass(bound).await;
        // The mount itself does not read it, which would take time.
        let answer = world.mount_at_once(&request).await;
        assert_eq!(answer.text("shop_db"), value, "the secret in round {round}");
        assert_eq!(answer.text("_shop_level"), value, "the parameter in round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_refresh_interval_serves_a_change_sooner() {
    let world = World::start().await;
    world.secret("shop/db", "0");
    let request = Request::new(SECRET).parameter("refreshInterval", "15s");
    world.mount(&request).await;
    for round in 1..=20 {
        let value = round.to_string();
        world.secret("shop/db", &value);
        let changed = Instant::now();
        let served = until_served(&world, &request, "shop_db", &value, changed).await;
        assert!(served <= Duration::from_millis(16_500), "round {round}: served after {served:?}");
        seconds(7).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_mount_reads_a_value_that_the_poller_could_not() {
    // The poller has no valid token: kubelet sends short-lived ones.
    let world = World::start().await;
    world.secret("shop/db", "one");
    let mut request = Request::new(SECRET);
    let Pod { namespace, service_account, name, uid } = request.pod.clone();
    let audience = crate::harness::STS;
    let token = |world: &World| {
        let minute = Duration::from_secs(60);
        world.emulator.token(&namespace, &service_account, audience, &name, &uid, minute)
    };
    request = request.token(audience, &token(&world));
    world.mount(&request).await;
    world.emulator.expire_sessions();
    world.secret("shop/db", "two");
    pass(INTERVAL + GRACE + Duration::from_secs(1)).await;
    request = request.token(audience, &token(&world));
    assert_eq!(world.mount(&request).await.text("shop_db"), "two");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_during_a_mount_gives_one_version_or_the_other() {
    let numbers = Numbers(Cell::new(3));
    let object = "- objectName: shop/db\n  objectType: secretsmanager\n  jmesPath:\n";
    let objects = format!(
        "{object}  - {{path: user, objectAlias: user}}\n  - {{path: password, objectAlias: password}}"
    );
    for round in 0..20 {
        let world = World::start().await;
        let value = |number: u64| format!(r#"{{"user":"u{number}","password":"p{number}"}}"#);
        world.secret("shop/db", &value(1));
        world.emulator.set_delay(None, Duration::from_millis(100));
        let rotate = async {
            pass(Duration::from_millis(numbers.below(300))).await;
            world.secret("shop/db", &value(2))
        };
        let request = Request::new(&objects);
        let (answer, _) = tokio::join!(world.mount(&request), rotate);
        let user = answer.text("user");
        assert_eq!(answer.text("password"), user.replace('u', "p"), "round {round}");
        assert_eq!(answer.version("user"), answer.version("password"), "round {round}");
    }
}

/// Rotates many times while pods mount these labels, and checks that the values they
/// get had these labels at one moment; gives the number of mounts.
async fn rotated(labels: &[&str], rotations: u32) -> usize {
    let (world, numbers) = (World::start().await, Numbers(Cell::new(11)));
    world.secret("shop/db", "0");
    world.secret("shop/db", "1");
    let version = "11111111-1111-4111-8111-111111111111";
    world.emulator.put_secret_version(REGION, "shop/db", version, "next", &["NEXT"]).unwrap();
    let objects: Vec<String> = labels
        .iter()
        .map(|label| {
            let object = "objectName: shop/db, objectType: secretsmanager";
            format!("- {{{object}, objectAlias: {label}, objectVersionLabel: {label}}}")
        })
        .collect();
    let request = Request::new(&objects.join("\n")).parameter("refreshInterval", "15s");
    let rotated = Cell::new(false);
    let rotate = async {
        for round in 2..=rotations {
            pass(Duration::from_millis(numbers.below(4_000))).await;
            world.secret("shop/db", &round.to_string());
        }
        rotated.set(true);
    };
    let mount = async {
        let mut mounted = Vec::new();
        while !rotated.get() {
            pass(Duration::from_millis(numbers.below(9_000))).await;
            // The reads of one mount take different times.
            let slow = Fault::new(FaultKind::Delay(Duration::from_millis(numbers.below(400))));
            world.emulator.inject(slow.operation("GetSecretValue").times(1));
            world.emulator.set_delay(Some("GetSecretValue"), Duration::from_millis(numbers.below(200)));
            // While labels keep moving, there may be nothing to serve yet.
            mounted.extend(world.try_mount(&request).await.ok());
        }
        mounted
    };
    let ((), mounted) = tokio::join!(rotate, mount);
    for answer in &mounted {
        let number = |path| answer.text(path).parse::<u32>().unwrap();
        assert_eq!(number("AWSCURRENT"), number("AWSPREVIOUS") + 1, "current and previous of {answer:?}");
    }
    mounted.len()
}

#[tokio::test(start_paused = true)]
async fn current_and_previous_come_from_one_moment_during_a_thousand_rotations() {
    let mounted = rotated(&["AWSCURRENT", "AWSPREVIOUS"], 1000).await;
    assert!(mounted > 300, "only {mounted} mounts: the test shows little");
}

#[tokio::test(start_paused = true)]
async fn the_order_of_labels_in_a_class_does_not_matter() {
    for labels in [&["AWSPREVIOUS", "AWSCURRENT"][..], &["NEXT", "AWSPREVIOUS", "AWSCURRENT"]] {
        let mounted = rotated(labels, 500).await;
        assert!(mounted > 150, "only {mounted} mounts: the test shows little");
    }
}

#[tokio::test(start_paused = true)]
async fn labels_that_keep_moving_leave_the_old_set() {
    let world = World::start().await;
    world.secret("shop/db", "0");
    world.secret("shop/db", "1");
    let objects = "
- {objectName: shop/db, objectType: secretsmanager}
- {objectName: shop/db, objectType: secretsmanager, objectAlias: old, objectVersionLabel: AWSPREVIOUS}";
    let request = Request::new(objects);
    world.mount(&request).await;
    world.emulator.set_delay(Some("GetSecretValue"), Duration::from_millis(500));
    let rotate = async {
        for round in 2..1000 {
            pass(Duration::from_millis(200)).await;
            world.secret("shop/db", &round.to_string());
        }
    };
    let ask = async {
        pass(INTERVAL + 3 * GRACE).await;
        world.mount_at_once(&request).await
    };
    let ((), answer) = tokio::join!(rotate, ask);
    answer.assert_texts([("shop_db", "1"), ("old", "0")]);
    // The labels no longer move, and the next poll reads them.
    pass(INTERVAL).await;
    let answer = world.mount_at_once(&request).await;
    answer.assert_texts([("shop_db", "999"), ("old", "998")]);
}

#[tokio::test(start_paused = true)]
async fn every_pod_of_a_principal_gets_the_change_at_once() {
    let world = World::start().await;
    world.secret("shop/db", "one");
    let requests: Vec<Request> = Request::many(20, SECRET);
    join_all(requests.iter().map(|request| world.mount(request))).await;
    let version = world.secret("shop/db", "two");
    pass(INTERVAL + GRACE).await;
    for request in &requests {
        let answer = world.mount_at_once(request).await;
        assert_eq!(answer.text("shop_db"), "two", "{:?}", request.pod);
        assert_eq!(answer.version("shop_db"), version, "{:?}", request.pod);
    }
}
