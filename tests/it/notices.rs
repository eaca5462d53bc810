//! Change notices on a node: what they name is read at once, what they cover is polled
//! rarely, and without them everything is as before.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::join_all;
use latchkey::{
    cluster::watched::ObjectName,
    notices::{Area, Change, Document, KEY, MAX_BYTES, MAX_CHANGES, Rates},
};
use serde_json::json;
use tokio::{task::JoinHandle, time::Instant};
use tonic::Code;

use crate::harness::{
    ACCOUNT, Behaviour, FAILOVER, INTERVAL, Kubernetes, Log, REGION, Request, SECRET, WEB, World,
    assert_code, assert_contains, assert_lacks, eventually, pass, seconds,
};

const NAMESPACE: &str = "latchkey";
const NAME: &str = "latchkey-notices";
const HOUR: Duration = Duration::from_secs(3600);
/// How soon a value is read after its notice, with some patience.
const SOON: Duration = Duration::from_secs(3);

/// Lets [`SOON`] pass in small steps: a paused clock may jump over what is on its way
/// through a socket.
async fn soon() {
    steps(SOON).await;
}

/// Mounts until the file has this text, for less time than until the next normal poll.
async fn arrives(world: &World, request: &Request, name: &str, text: &str) {
    let (end, mut found) = (Instant::now() + INTERVAL / 3, String::new());
    while found != text && Instant::now() < end {
        pass(Duration::from_millis(10)).await;
        found = world.mount_at_once(request).await.text(name).to_owned();
    }
    assert_eq!(found, text, "{name} of {request:?}");
}

/// Like [`World::republish`], in small steps.
async fn republish(world: &World, requests: &[Request], time: Duration) {
    let (step, steps) = (Duration::from_secs(1), time.as_secs());
    for second in 1..=steps {
        pass(step).await;
        if second % 80 == 0 {
            join_all(requests.iter().map(|request| world.mount(request))).await;
        }
    }
}

/// Lets time pass in small steps.
async fn steps(time: Duration) {
    let step = Duration::from_millis(10);
    for _ in 0..time.as_millis() / step.as_millis() {
        pass(step).await;
    }
}

/// Writes the object as `latchkey notices` does.
#[derive(Clone)]
struct Board {
    kubernetes: Kubernetes,
    document: Arc<Mutex<Document>>,
}

impl Board {
    fn of(world: &World) -> Self {
        let covered =
            [REGION, FAILOVER].map(|region| Area { account: ACCOUNT.to_owned(), region: region.to_owned() });
        let document = Document { number: 100, nodes: 1, covered: covered.to_vec(), ..Document::default() };
        Self { kubernetes: world.kubernetes.clone(), document: Arc::new(Mutex::new(document)) }
    }

    /// Changes the object and writes it.
    fn write(&self, change: impl FnOnce(&mut Document)) {
        let mut document = self.document.lock().unwrap();
        change(&mut document);
        document.heartbeat += 1;
        self.kubernetes.put_config_map(NAMESPACE, NAME, &json!({ KEY: document.to_json() }));
    }

    /// Tells of changes; earlier ones are no longer listed.
    fn tell(&self, changes: &[(&str, Option<&str>, Option<&str>)]) {
        self.write(|document| {
            document.changes.clear();
            for (arn, label, version) in changes {
                document.number += 1;
                document.changes.push(Change {
                    number: document.number,
                    arn: (*arn).to_owned(),
                    label: label.map(str::to_owned),
                    version_id: version.map(str::to_owned),
                    at: None,
                });
            }
        });
    }

    /// Tells that a secret's AWSCURRENT has moved to a version.
    fn current(&self, world: &World, id: &str, version: &str) {
        self.tell(&[(&arn(world, id), Some("AWSCURRENT"), Some(version))]);
    }

    /// Writes a heartbeat now, and every twenty seconds.
    fn flow(&self) -> Heart {
        let board = self.clone();
        Heart(tokio::spawn(async move {
            loop {
                board.write(|_| {});
                seconds(20).await;
            }
        }))
    }
}

/// Beats until it is dropped.
struct Heart(JoinHandle<()>);

impl Drop for Heart {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn arn(world: &World, id: &str) -> String {
    world.emulator.secret_arn(REGION, id).unwrap()
}

fn object() -> ObjectName {
    ObjectName { namespace: NAMESPACE.to_owned(), name: NAME.to_owned() }
}

/// A world that hears notices, and its secret.
async fn world() -> World {
    let world = World::with(|config| config.notices = Some(object())).await;
    world.secret("shop/db", "one");
    world
}

/// A world whose mount of the secret is covered by notices.
async fn covered() -> (World, Board, Heart, Request) {
    let world = world().await;
    let (board, request) = (Board::of(&world), Request::new(SECRET));
    let heart = board.flow();
    world.mount(&request).await;
    {
        let log = Log::collect();
        eventually("notices flow", async || log.take().contains("change notices flow").then_some(())).await;
    }
    // The second read is covered: it began after the object was seen to change.
    republish(&world, std::slice::from_ref(&request), 2 * INTERVAL).await;
    world.emulator.reset_calls();
    (world, board, heart, request)
}

fn reads(world: &World) -> u64 {
    world.calls("GetSecretValue")
}

#[tokio::test(start_paused = true)]
async fn a_noticed_change_is_read_at_once() {
    let (world, board, _heart, request) = covered().await;
    let version = world.secret("shop/db", "two");
    soon().await;
    assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "one", "nobody has told of it yet");
    board.current(&world, "shop/db", &version);
    arrives(&world, &request, "shop_db", "two").await;
    assert_eq!(reads(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn no_clock_of_another_machine_decides() {
    let (world, board, _heart, request) = covered().await;
    for (value, at) in
        [("past", "1999-01-01T00:00:00Z"), ("future", "2199-01-01T00:00:00Z"), ("no time", "x")]
    {
        let version = world.secret("shop/db", value);
        let arn = arn(&world, "shop/db");
        board.write(|document| {
            document.number += 1;
            document.changes = vec![Change {
                number: document.number,
                arn,
                label: Some("AWSCURRENT".to_owned()),
                version_id: Some(version),
                at: Some(at.to_owned()),
            }];
        });
        arrives(&world, &request, "shop_db", value).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_noticed_change_is_written_into_running_pods() {
    let world = World::provider_writes(|config| config.notices = Some(object())).await;
    world.secret("shop/db", "one");
    let board = Board::of(&world);
    let _heart = board.flow();
    let (request, folder) = world.with_volume(Request::new(SECRET));
    world.mount(&request).await;
    steps(Duration::from_secs(25)).await;
    let version = world.secret("shop/db", "two");
    board.current(&world, "shop/db", &version);
    let file = folder.join("shop_db");
    eventually("the file is written", async || {
        (std::fs::read_to_string(&file).unwrap() == "two").then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_notice_finds_its_value_however_the_class_names_it() {
    let world = world().await;
    let board = Board::of(&world);
    let _heart = board.flow();
    let whole = arn(&world, "shop/db");
    let partial = &whole[..whole.len() - 7];
    world.parameter("/shop/url", "one");
    world.emulator.label_parameter(REGION, "/shop/url", 1, "live").unwrap();
    let parameter_arn = format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/shop/url");
    for (objects, parameter) in [
        ("- {objectName: shop/db, objectType: secretsmanager, objectAlias: it}".to_owned(), None),
        (format!("- {{objectName: '{whole}', objectAlias: it}}"), None),
        (format!("- {{objectName: '{partial}', objectAlias: it}}"), None),
        (
            "- {objectName: /shop/url, objectType: ssmparameter, objectVersionLabel: live, objectAlias: it}"
                .to_owned(),
            Some(&parameter_arn),
        ),
    ] {
        let request = Request::new(&objects);
        let before = world.mount(&request).await.text("it").to_owned();
        let after = format!("{before}+");
        if let Some(arn) = parameter {
            let version = world.parameter("/shop/url", &after);
            world.emulator.label_parameter(REGION, "/shop/url", version, "live").unwrap();
            board.tell(&[(arn, None, None)]);
        } else {
            let version = world.secret("shop/db", &after);
            board.current(&world, "shop/db", &version);
        }
        arrives(&world, &request, "it", &after).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_notice_of_the_primary_secret_concerns_its_replica() {
    let (world, board, _heart, _) = covered().await;
    world.emulator.put_secret(FAILOVER, "shop/replica", "one".to_owned());
    let request = Request::new("- {objectName: shop/replica, objectType: secretsmanager}")
        .parameter("region", FAILOVER);
    world.mount(&request).await;
    let replica = world.emulator.secret_arn(FAILOVER, "shop/replica").unwrap();
    world.emulator.put_secret(FAILOVER, "shop/replica", "two".to_owned());
    board.tell(&[(&replica.replace(FAILOVER, REGION), Some("AWSCURRENT"), None)]);
    arrives(&world, &request, "shop_replica", "two").await;
}

#[tokio::test(start_paused = true)]
async fn what_notices_cover_is_polled_once_an_hour_and_mounts_ask_nobody() {
    let (world, _board, _heart, request) = covered().await;
    republish(&world, &[request], 4 * HOUR).await;
    assert!((3..=5).contains(&reads(&world)), "{} reads in four hours", reads(&world));
}

#[tokio::test(start_paused = true)]
async fn without_the_object_everything_is_polled_at_its_interval() {
    let (world, log) = (world().await, Log::collect());
    let request = Request::new(SECRET);
    world.mount(&request).await;
    world.emulator.reset_calls();
    republish(&world, &[request], HOUR).await;
    assert!((29..=31).contains(&reads(&world)), "{} reads in an hour", reads(&world));
    let logged = log.take();
    assert_contains(&logged, "latchkey/latchkey-notices has no change notices");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_nobody_writes_any_more_covers_nothing() {
    let world = world().await;
    let (board, request) = (Board::of(&world), Request::new(SECRET));
    board.write(|_| {});
    world.mount(&request).await;
    world.emulator.reset_calls();
    republish(&world, &[request], HOUR).await;
    assert!((29..=31).contains(&reads(&world)), "{} reads in an hour", reads(&world));
}

#[tokio::test(start_paused = true)]
async fn when_notices_stop_values_are_back_at_their_interval_within_one() {
    let (world, _board, heart, request) = covered().await;
    let log = Log::collect();
    drop(heart);
    world.secret("shop/db", "two");
    // A minute without a heartbeat, and then one interval.
    republish(&world, std::slice::from_ref(&request), Duration::from_secs(61) + INTERVAL).await;
    assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "two");
    assert_contains(&log.take(), "change notices have stopped");
    world.emulator.reset_calls();
    republish(&world, &[request], HOUR).await;
    assert!((29..=31).contains(&reads(&world)), "{} reads in an hour", reads(&world));
}

#[tokio::test(start_paused = true)]
async fn the_polls_of_many_values_spread_when_notices_stop() {
    let world = World::with(|config| config.notices = Some(object())).await;
    let board = Board::of(&world);
    let heart = board.flow();
    let mut requests = Vec::new();
    for number in 0..40 {
        let account = format!("web-{number}");
        world.kubernetes.annotate("shop", &account, WEB);
        let id = format!("shop/s{number}");
        world.secret(&id, "one");
        let mut request = Request::new(&format!("- {{objectName: {id}, objectType: secretsmanager}}"));
        request.pod.service_account = account;
        requests.push(request);
    }
    let subjects: Vec<String> = requests
        .iter()
        .map(|request| format!("system:serviceaccount:shop:{}", request.pod.service_account))
        .collect();
    world.emulator.set_trust(WEB, &subjects.iter().map(String::as_str).collect::<Vec<_>>());
    for request in &requests {
        world.mount(request).await;
    }
    republish(&world, &requests, 2 * INTERVAL).await;
    drop(heart);
    seconds(61).await;
    let arrivals = world.arrivals("GetSecretValue", INTERVAL).await;
    assert!(arrivals.len() >= 40, "{} reads", arrivals.len());
    let mut by_second: BTreeMap<u64, usize> = BTreeMap::new();
    for arrival in &arrivals {
        *by_second.entry(arrival.as_secs() / 10).or_default() += 1;
    }
    let most = by_second.values().max().unwrap();
    assert!(*most <= 14, "{most} of {} reads within ten seconds: {by_second:?}", arrivals.len());
}

#[tokio::test(start_paused = true)]
async fn a_change_arrives_through_ends_of_the_watch() {
    let (world, board, _heart, request) = covered().await;
    for (number, trouble) in ["ended", "compacted", "refused", "deleted"].into_iter().enumerate() {
        let value = format!("v{number}");
        match trouble {
            "compacted" => {
                world.kubernetes.end_watches();
                board.write(|_| {});
                world.kubernetes.compact();
            }
            "refused" => {
                world.kubernetes.behave(Behaviour::Refuse(500));
                world.kubernetes.end_watches();
                steps(Duration::from_secs(5)).await;
                world.kubernetes.behave(Behaviour::Healthy);
            }
            "deleted" => {
                world.kubernetes.delete_config_map(NAMESPACE, NAME);
                steps(Duration::from_secs(5)).await;
            }
            _ => world.kubernetes.end_watches(),
        }
        let version = world.secret("shop/db", &value);
        board.current(&world, "shop/db", &version);
        arrives(&world, &request, "shop_db", &value).await;
    }
}

#[tokio::test(start_paused = true)]
async fn missed_changes_are_made_up_for_within_an_interval() {
    let (world, board, _heart, request) = covered().await;
    world.secret("shop/db", "two");
    board.write(|document| {
        document.number += 1000;
        document.changes.clear();
    });
    republish(&world, std::slice::from_ref(&request), INTERVAL + SOON).await;
    assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "two");
    world.emulator.reset_calls();
    republish(&world, &[request], 2 * HOUR).await;
    assert!(reads(&world) <= 3, "{} reads: it is covered again", reads(&world));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_already_is_not_read_again() {
    let (world, board, _heart, request) = covered().await;
    let version = world.secret("shop/db", "two");
    board.current(&world, "shop/db", &version);
    arrives(&world, &request, "shop_db", "two").await;
    assert_eq!(reads(&world), 1);
    for _ in 0..10 {
        board.current(&world, "shop/db", &version);
        soon().await;
    }
    assert_eq!(reads(&world), 1, "duplicates are not read");
    assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "two");
}

#[tokio::test(start_paused = true)]
async fn notices_of_what_nobody_holds_cost_no_call() {
    let (world, board, _heart, _request) = covered().await;
    let other =
        |name: &str, account: &str| format!("arn:aws:secretsmanager:{REGION}:{account}:secret:{name}-AbCdEf");
    let arns = [
        other("shop/db2", ACCOUNT),
        other("shop", ACCOUNT),
        other("shop/db", "999999999999"),
        format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/shop/db"),
        "arn:aws:s3:::shop/db".to_owned(),
        "not an ARN".to_owned(),
        String::new(),
    ];
    for arn in &arns {
        board.tell(&[(arn, Some("AWSCURRENT"), Some("v"))]);
        soon().await;
    }
    assert_eq!(world.all_calls(), 0, "{:?}", world.emulator.call_counts());
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_is_ahead_of_the_read_is_read_again() {
    let (world, board, _heart, request) = covered().await;
    // AWS's reads are eventually consistent: the first ones do not see the change.
    board.current(&world, "shop/db", "22222222-2222-4222-8222-222222222222");
    steps(Duration::from_secs(2)).await;
    assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "one");
    world.secret("shop/db", "two");
    steps(Duration::from_secs(20)).await;
    assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "two");
    // It gives up after a few reads.
    seconds(60).await;
    assert!(reads(&world) <= 4, "{} reads", reads(&world));
}

#[tokio::test(start_paused = true)]
async fn the_previous_version_moves_with_the_current_one() {
    let world = world().await;
    let board = Board::of(&world);
    let _heart = board.flow();
    let both = Request::new(
        "
- {objectName: shop/db, objectType: secretsmanager, objectVersionLabel: AWSCURRENT, objectAlias: current}
- {objectName: shop/db, objectType: secretsmanager, objectVersionLabel: AWSPREVIOUS, objectAlias: previous}",
    );
    let previous = Request::new(
        "- {objectName: shop/db, objectType: secretsmanager, objectVersionLabel: AWSPREVIOUS, objectAlias: previous}",
    )
    .numbered(2);
    let (mut last, requests) = ("two".to_owned(), [both, previous]);
    world.secret("shop/db", "two");
    for request in &requests {
        world.mount(request).await;
    }
    republish(&world, &requests, 2 * INTERVAL).await;
    for number in 3..20 {
        let value = number.to_string();
        let version = world.secret("shop/db", &value);
        board.current(&world, "shop/db", &version);
        for _ in 0..30 {
            pass(Duration::from_millis(100)).await;
            let answer = world.mount_at_once(&requests[0]).await;
            let pair = (answer.text("current"), answer.text("previous"));
            assert!(
                pair == (value.as_str(), last.as_str()) || pair.0 == last,
                "{pair:?} are not the labels of one moment"
            );
        }
        for request in &requests {
            arrives(&world, request, "previous", &last).await;
        }
        last = value;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pending_version_is_polled_at_its_interval() {
    let world = world().await;
    let board = Board::of(&world);
    let _heart = board.flow();
    let pending = "22222222-2222-4222-8222-222222222222";
    world
        .emulator
        .put_secret_version(REGION, "shop/db", pending, "pending".to_owned(), &["AWSPENDING"])
        .unwrap();
    let request = Request::new(
        "- {objectName: shop/db, objectType: secretsmanager, objectVersionLabel: AWSPENDING, objectAlias: it}",
    );
    world.mount(&request).await;
    republish(&world, std::slice::from_ref(&request), 2 * INTERVAL).await;
    world.emulator.reset_calls();
    republish(&world, &[request], HOUR).await;
    assert!((29..=31).contains(&reads(&world)), "{} reads in an hour", reads(&world));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_no_notice_told_of_ends_the_rare_polling() {
    let (world, _board, _heart, request) = covered().await;
    let log = Log::collect();
    world.secret("shop/db", "two");
    republish(&world, std::slice::from_ref(&request), HOUR + Duration::from_secs(180)).await;
    assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "two", "the safety poll found it");
    assert_contains(&log.take(), "no notice told of it");
    world.emulator.reset_calls();
    republish(&world, std::slice::from_ref(&request), HOUR).await;
    assert!(reads(&world) >= 28, "{} reads in an hour: the Region is polled normally", reads(&world));
    // After a day it is trusted again.
    republish(&world, std::slice::from_ref(&request), 24 * HOUR).await;
    world.emulator.reset_calls();
    republish(&world, &[request], 2 * HOUR).await;
    assert!(reads(&world) <= 3, "{} reads in two hours", reads(&world));
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_comes_a_little_after_a_poll_is_not_missed() {
    let (world, board, _heart, request) = covered().await;
    let log = Log::collect();
    // Until the next safety poll has found the change.
    let version = world.secret("shop/db", "two");
    while world.mount_at_once(&request).await.text("shop_db") == "one" {
        seconds(10).await;
    }
    seconds(60).await;
    board.current(&world, "shop/db", &version);
    republish(&world, &[request], HOUR).await;
    assert_lacks(&log.take(), "no notice told of it");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_permission_is_noticed_by_the_next_rare_poll() {
    let (world, _board, _heart, request) = covered().await;
    world.emulator.deny(WEB, "secretsmanager:GetSecretValue", "*");
    pass(HOUR + Duration::from_secs(10)).await;
    let status = world.refusal(&request).await;
    assert_code(&status, Code::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn a_noticed_deletion_takes_the_value_away() {
    let (world, board, _heart, request) = covered().await;
    let arn = arn(&world, "shop/db");
    world.emulator.delete_secret(REGION, "shop/db").unwrap();
    board.tell(&[(&arn, None, None)]);
    let status = eventually("the value is taken away", async || world.try_mount(&request).await.err()).await;
    assert_code(&status, Code::FailedPrecondition);
}

#[tokio::test(start_paused = true)]
async fn texts_of_another_shape_are_ignored() {
    let (world, board, heart, request) = covered().await;
    drop(heart);
    let forged = |text: String| world.kubernetes.put_config_map(NAMESPACE, NAME, &json!({ KEY: text }));
    for text in [
        String::new(),
        "null".to_owned(),
        "{".to_owned(),
        "[".repeat(MAX_BYTES),
        "x".repeat(MAX_BYTES + 1),
        json!({ "heartbeat": 1, "number": 1, "nodes": -1 }).to_string(),
    ] {
        forged(text);
        steps(Duration::from_secs(1)).await;
    }
    world.kubernetes.put_config_map(NAMESPACE, NAME, &json!({ "other": "key" }));
    steps(Duration::from_secs(1)).await;
    // And a good one is heard again.
    let version = world.secret("shop/db", "two");
    board.current(&world, "shop/db", &version);
    arrives(&world, &request, "shop_db", "two").await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_notices_makes_few_reads() {
    let (world, board, _heart, request) = covered().await;
    let arn = arn(&world, "shop/db");
    for round in 0..20 {
        let versions: Vec<String> = (0..MAX_CHANGES / 4).map(|number| format!("v{round}-{number}")).collect();
        let changes: Vec<_> = versions
            .iter()
            .map(|version| (arn.as_str(), Some("AWSCURRENT"), Some(version.as_str())))
            .collect();
        board.tell(&changes);
        steps(Duration::from_secs(1)).await;
    }
    // At most one in a second, and a few that look for the forged version.
    assert!(reads(&world) <= 24, "{} reads in twenty seconds", reads(&world));
    assert_eq!(world.mount_at_once(&request).await.text("shop_db"), "one");
}

#[tokio::test(start_paused = true)]
async fn nodes_spread_their_reads_over_the_window_of_the_notice() {
    let world = World::with(|config| config.notices = Some(object())).await;
    let board = Board::of(&world);
    let _heart = board.flow();
    // A node's window is 1000 / 20 = 50 s.
    board.write(|document| {
        document.nodes = 1000;
        document.reads_per_second = Rates { secretsmanager: 20, ssm: 20 };
    });
    let objects = world.many(0..2);
    let request = Request::new(&objects);
    world.mount(&request).await;
    republish(&world, std::slice::from_ref(&request), 2 * INTERVAL).await;
    world.emulator.reset_calls();
    let arns = ["many/0", "many/1"].map(|id| arn(&world, id));
    board.tell(&[(&arns[0], None, None), (&arns[1], None, None)]);
    let arrivals = world.arrivals("GetSecretValue", Duration::from_secs(100)).await;
    let late = arrivals.iter().filter(|at| at.as_secs() >= 49).count();
    assert!(late >= 1, "{arrivals:?}");
}

#[tokio::test(start_paused = true)]
async fn metrics_count_notices() {
    let world = World::watched(|config| config.notices = Some(object())).await;
    world.secret("shop/db", "one");
    let board = Board::of(&world);
    let _heart = board.flow();
    let request = Request::new(SECRET);
    world.mount(&request).await;
    republish(&world, &[request], 2 * INTERVAL).await;
    let version = world.secret("shop/db", "two");
    board.current(&world, "shop/db", &version);
    steps(Duration::from_secs(2)).await;
    let arn = format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:other-AbCdEf");
    board.tell(&[(&arn, None, None)]);
    steps(Duration::from_secs(2)).await;
    let scrape = world.scrape().await;
    for (series, value) in [
        ("latchkey_change_notices_total{result=\"held\"}", 1.0),
        ("latchkey_change_notices_total{result=\"not_held\"}", 1.0),
        ("latchkey_change_notice_areas", 2.0),
        ("latchkey_values_covered", 1.0),
        ("latchkey_poll_stretch_ratio", 1.0),
    ] {
        assert_eq!(scrape.value(series), value, "{series}");
    }
}
