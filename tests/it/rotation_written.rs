//! Provider-writes mode: the poller writes a change into every pod at once,
//! without the driver.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::join_all;
use latchkey::{
    delivery::{Means, Volumes},
    shape::{Shaper, Subject},
    shares::Shares,
    values::ValueSettings,
    workers::Workers,
    writer::{FileSystem, Writer},
};
use latchkey_emulator::{Fault, FaultKind};
use tonic::Code;

use crate::harness::{
    GRACE, INTERVAL, Log, REGION, Request, Rooms, SECRET, World, assert_code, assert_contains, assert_lacks,
    pass, seconds,
};

const TWO: &str = "
- {objectName: shop/db, objectType: secretsmanager}
- {objectName: shop/other, objectType: secretsmanager}";

/// A world that writes files, with two secrets.
async fn world() -> World {
    let world = World::provider_writes(|_| {}).await;
    world.secret("shop/db", "one");
    world.secret("shop/other", "other");
    world
}

/// A mount by a pod whose volume is there; and the volume's folder.
fn pod(world: &World, number: u32, objects: &str) -> (Request, PathBuf) {
    let request = Request::new(objects).numbered(number);
    world.with_volume(request)
}

#[track_caller]
fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

fn modified(folder: &Path) -> SystemTime {
    fs::metadata(folder).unwrap().modified().unwrap()
}

/// Makes the folder's modification time old, as if the driver's interval had passed.
fn age(folder: &Path) -> SystemTime {
    let old = SystemTime::now() - Duration::from_secs(3600);
    fs::File::open(folder).unwrap().set_modified(old).unwrap();
    modified(folder)
}

#[tokio::test(start_paused = true)]
async fn a_change_is_written_into_every_pod_without_the_driver() {
    let world = world().await;
    let pods: Vec<_> = (0..5).map(|number| pod(&world, number, SECRET)).collect();
    let (stranger, elsewhere) =
        pod(&world, 9, "- {objectName: shop/other, objectType: secretsmanager, objectAlias: shop_db}");
    join_all(pods.iter().map(|(request, _)| world.mount(request))).await;
    world.mount(&stranger).await;
    let before = fs::read_link(elsewhere.join("..data")).unwrap();
    for value in ["two", "three"] {
        world.secret("shop/db", value);
        world.emulator.reset_calls();
        pass(INTERVAL + GRACE).await;
        for (_, folder) in &pods {
            assert_eq!(text(folder, "shop_db"), value, "{}", folder.display());
        }
        assert_eq!(world.calls_by_target("GetSecretValue")["shop/db"], 1, "after {value}");
    }
    assert_eq!(fs::read_link(elsewhere.join("..data")).unwrap(), before, "it mounts something else");
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_value_is_not_written() {
    let world = world().await;
    let (request, folder) = pod(&world, 1, SECRET);
    world.mount(&request).await;
    let before = fs::read_link(folder.join("..data")).unwrap();
    let log = Log::collect();
    // The same value as a new version is a change: the version is part of the answer.
    pass(2 * INTERVAL).await;
    assert_eq!(fs::read_link(folder.join("..data")).unwrap(), before);
    assert_lacks(&log.take(), "rotation written");
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_its_folder_is_forgotten() {
    let world = world().await;
    let (stays, folder) = pod(&world, 1, SECRET);
    let (goes, gone) = pod(&world, 2, SECRET);
    world.mount(&stays).await;
    world.mount(&goes).await;
    fs::remove_dir_all(world.folder().join("kubelet/pods").join(&goes.pod.uid)).unwrap();
    let log = Log::collect();
    for (value, says) in [("two", true), ("three", false)] {
        world.secret("shop/db", value);
        log.take();
        pass(INTERVAL + GRACE).await;
        assert_eq!(text(&folder, "shop_db"), value);
        let lines = log.take();
        assert_lacks(&lines, "ERROR");
        assert_eq!(lines.contains("the pod is gone"), says, "after {value}: {lines}");
    }
    assert!(!gone.exists(), "{} was made again", gone.display());
}

#[tokio::test(start_paused = true)]
async fn only_the_poller_restores_the_modification_time_of_the_mount() {
    let world = world().await;
    let (request, folder) = pod(&world, 1, SECRET);
    let old = age(&folder);
    world.mount(&request).await;
    assert_ne!(modified(&folder), old, "the driver sees what it asked for");
    let old = age(&folder);
    world.secret("shop/db", "two");
    pass(INTERVAL + GRACE).await;
    assert_eq!(text(&folder, "shop_db"), "two");
    assert_eq!(modified(&folder), old, "the driver would skip the next republish");
    // The driver still needs an answer, for its record of versions.
    let answer = world.mount(&request).await;
    assert_eq!(answer.versions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn plain_files_are_replaced_and_then_rotated() {
    let world = world().await;
    let (request, folder) = pod(&world, 1, SECRET);
    fs::write(folder.join("shop_db"), "left by another provider").unwrap();
    fs::write(folder.join("dropped"), "no longer asked for").unwrap();
    world.mount(&request).await;
    assert_eq!(text(&folder, "shop_db"), "one");
    assert!(!folder.join("dropped").exists(), "the other provider's file is still there");
    world.secret("shop/db", "two");
    pass(INTERVAL + GRACE).await;
    assert_eq!(text(&folder, "shop_db"), "two");
    let file = fs::symlink_metadata(folder.join("shop_db")).unwrap();
    assert!(file.is_symlink(), "{file:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_does_not_fit_the_class_leaves_the_files_and_is_logged() {
    let world = world().await;
    let (good, bad) = (r#"{"user":"u"}"#, r#"{"name":"u"}"#);
    world.secret("shop/db", good);
    let (request, folder) = pod(
        &world,
        1,
        &format!("{SECRET}\n  jmesPath: [{{path: user, objectAlias: user}}]").replace(
            "- {objectName: shop/db, objectType: secretsmanager}",
            "- objectName: shop/db\n  objectType: secretsmanager",
        ),
    );
    world.mount(&request).await;
    let log = Log::collect();
    world.secret("shop/db", bad);
    pass(INTERVAL + GRACE).await;
    assert_eq!(text(&folder, "user"), "u");
    assert_eq!(text(&folder, "shop_db"), good);
    let lines = log.take();
    assert_contains(&lines, "ERROR");
    assert_contains(&lines, "finds nothing");
    assert_code(&world.refusal(&request).await, Code::FailedPrecondition);
}

#[tokio::test(start_paused = true)]
async fn lost_access_leaves_the_files_until_the_pod_is_deleted() {
    let world = world().await;
    let (request, folder) = pod(&world, 1, TWO);
    world.mount(&request).await;
    world.emulator.deny(crate::harness::WEB, "*", "shop/other");
    pass(INTERVAL + GRACE).await;
    assert_code(&world.refusal(&request).await, Code::PermissionDenied);
    world.secret("shop/db", "two");
    pass(INTERVAL + GRACE).await;
    // A set is replaced as a whole or not at all.
    assert_eq!(text(&folder, "shop_db"), "one");
    assert_eq!(text(&folder, "shop_other"), "other");
}

/// Waits until shortly before the next poll of the secret.
async fn shortly_before_a_poll(world: &World) {
    let arrivals = world.arrivals("GetSecretValue", INTERVAL + GRACE).await;
    pass(INTERVAL - Duration::from_secs(4) - (INTERVAL + GRACE - arrivals[0])).await;
}

/// Changes the first secret, and delays the read of the second beyond the next poll.
async fn slow_second(world: &World) {
    shortly_before_a_poll(world).await;
    world.secret("shop/db", "two");
    let slow = Fault::new(FaultKind::Delay(Duration::from_secs(5)));
    world.emulator.inject(slow.target("shop/other"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_mount_does_not_overwrite_a_newer_value() {
    let world = world().await;
    let (request, folder) = pod(&world, 1, SECRET);
    world.mount(&request).await;
    slow_second(&world).await;
    let seen = async {
        pass(Duration::from_millis(4_800)).await;
        text(&folder, "shop_db")
    };
    let more = request.clone().parameter("objects", TWO);
    let (answer, written) = tokio::join!(world.mount(&more), seen);
    assert_eq!(written, "two", "the poller was first");
    assert_eq!(text(&folder, "shop_db"), "two");
    assert_eq!(text(&folder, "shop_other"), "other");
    // The driver's answer names the version that is there.
    let versions = world.emulator.secret_versions(REGION, "shop/db");
    let labels = &versions[answer.version("shop_db")];
    assert!(labels.contains(&"AWSCURRENT".to_owned()), "the answer's version has labels {labels:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_during_the_first_mount_is_written_too() {
    let world = world().await;
    // Another pod has the secret already, so that the poller looks after it.
    let (first, _) = pod(&world, 1, SECRET);
    world.mount(&first).await;
    slow_second(&world).await;
    let (second, folder) = pod(&world, 2, TWO);
    world.mount(&second).await;
    assert_eq!(text(&folder, "shop_db"), "two");
    assert_eq!(text(&folder, "shop_other"), "other");
}

#[tokio::test(start_paused = true)]
async fn idle_volumes_are_forgotten_without_a_change() {
    let world = world().await;
    let rooms = Rooms::beside(&world, ValueSettings::default()).await;
    let volumes = Volumes::new(Means {
        writer: Writer::new(world.folder().join("kubelet"), FileSystem::Any),
        shaper: Shaper {
            workers: Workers::new(),
            memory: Shares::new(8 << 20),
            values: Arc::clone(&rooms.values),
            max_bytes: 4 << 20,
        },
        max_kept: 8 << 20,
    });
    for (number, refresh) in [(1, None), (2, Some("15m"))] {
        let (mut request, _) = pod(&world, number, SECRET);
        if let Some(refresh) = refresh {
            request = request.parameter("refreshInterval", refresh);
        }
        let read = rooms.read(&world, &request).await.unwrap();
        let (parsed, _) = Rooms::parsed(&world, &request);
        let subject = Subject {
            namespace: "shop".to_owned(),
            class: "shop/web".to_owned(),
            who: "a test".to_owned(),
            account: None,
        };
        let delivered = volumes.mount(parsed, read, subject).await.unwrap();
        assert_eq!(delivered.files.len(), 1);
    }
    let idle = Duration::from_secs(600);
    for (after, left) in [(600, 2), (1, 1), (1199, 1), (1, 0)] {
        seconds(after).await;
        volumes.drop_idle(idle);
        assert_eq!(volumes.len(), left, "{after} s later");
    }
}
