//! One tenant's requests do not harm another: limits apply before the work,
//! and namespaces share every resource that grows with requests.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, copy},
    net::{UnixListener, UnixStream},
    sync::Notify,
    time::timeout,
};
use tonic::Code;

use crate::harness::{Driver, Log, Pod, Request, World, assert_code, assert_contains, assert_says};

/// Many jmesPath entries, made from a short text by YAML aliases.
fn aliased_entries() -> String {
    let mut objects = String::from("- objectName: a\n  objectType: secretsmanager\n  jmesPath: &fields\n");
    for number in 0..100 {
        objects += &format!("  - {{path: 'sort_by(@, &a)[{number}]', objectAlias: f{number}}}\n");
    }
    for number in 0..27 {
        objects += &format!("- {{objectName: a{number}, objectType: secretsmanager, jmesPath: *fields}}\n");
    }
    objects
}

#[tokio::test(start_paused = true)]
async fn entries_are_counted_before_any_is_compiled() {
    let world = World::start().await;
    let status = world.refusal(&Request::new(&aliased_entries())).await;
    let says = ["has 2828 files, including jmesPath entries; the maximum is 500 (--max-objects)"];
    assert_says(&status, Code::InvalidArgument, &says);
    // Without a valid token, too.
    let status = world.refusal(&Request::new(&aliased_entries()).raw_tokens("{}")).await;
    assert_says(&status, Code::InvalidArgument, &says);
}

#[tokio::test(start_paused = true)]
async fn the_expressions_of_a_class_are_bounded_together() {
    let world = World::start().await;
    let long = format!("a{}", ".a".repeat(400));
    let mut objects = String::from("- objectName: a\n  objectType: secretsmanager\n  jmesPath:\n");
    for number in 0..100 {
        objects += &format!("  - {{path: '{long}', objectAlias: f{number}}}\n");
    }
    let status = world.refusal(&Request::new(&objects)).await;
    let says = ["has 80100 bytes of jmesPath expressions; the maximum for one class is 65536"];
    assert_says(&status, Code::InvalidArgument, &says);
}

#[tokio::test(start_paused = true)]
async fn deep_paths_with_a_common_prefix_mount_and_a_collision_is_found() {
    let world = World::start().await;
    let deep = "d/".repeat(200);
    let objects: String = (0..400)
        .map(|number| {
            format!("- {{objectName: s, objectType: secretsmanager, objectAlias: '{deep}{number}'}}\n")
        })
        .collect();
    world.secret("s", "x");
    let request = Request::new(&objects).parameter("pathTranslation", "False");
    assert_eq!(world.mount(&request).await.paths().len(), 400);
    let clash =
        format!("{objects}- {{objectName: s, objectType: secretsmanager, objectAlias: '{deep}7/x'}}\n");
    let request = Request::new(&clash).parameter("pathTranslation", "False");
    assert_says(&world.refusal(&request).await, Code::InvalidArgument, &["needs as a folder"]);
}

/// A pod of one namespace with a volume of its own.
fn pod(world: &World, namespace: &str, account: &str, number: u32, objects: &str) -> (Request, PathBuf) {
    world.with_volume(Request::of_pod(Pod::numbered(namespace, account, number), objects))
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_does_not_fit_is_refused_and_another_namespace_still_mounts() {
    let world = World::provider_writes(|config| config.memory_limit = 64 << 20).await;
    world.secret("s", &"x".repeat(60_000));
    world.secret("small", "y");
    let large: String = (0..20)
        .map(|number| format!("- {{objectName: s, objectType: secretsmanager, objectAlias: f{number}}}\n"))
        .collect();
    // Of 64 MiB, volumes may use 5, and one namespace half of that.
    let mut mounted = Vec::new();
    let status = loop {
        let (request, path) = pod(&world, "shop", "web", u32::try_from(mounted.len()).unwrap(), &large);
        match world.try_mount(&request).await {
            Ok(_) => mounted.push((request, path)),
            Err(status) => break status,
        }
    };
    assert_eq!(mounted.len(), 2);
    let says =
        ["the volumes of namespace shop hold", "resources.limits.memory", "nothing was changed in the pod"];
    assert_says(&status, Code::FailedPrecondition, &says);
    // Earlier volumes are republished, and another namespace mounts.
    for (request, _) in &mounted {
        world.mount(request).await;
    }
    let (other, _) = pod(&world, "pay", "worker", 100, "- {objectName: small, objectType: secretsmanager}");
    world.mount(&other.parameter("usePodIdentity", "true")).await;
    // A deleted pod's room is free at once.
    let (_, gone) = &mounted[0];
    std::fs::remove_dir_all(gone).unwrap();
    let (next, _) = pod(&world, "shop", "web", 200, &large);
    world.mount(&next).await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_with_too_many_mounts_is_refused_and_another_mounts() {
    let world = World::with(|config| config.memory_limit = 64 << 20).await;
    world.secret("s", "x");
    let fault = world.fault("AssumeRoleWithWebIdentity", latchkey_emulator::FaultKind::Hang);
    let alias = "a".repeat(200);
    let objects: String = (0..400)
        .map(|number| {
            format!("- {{objectName: s, objectType: secretsmanager, objectAlias: {alias}{number}}}\n")
        })
        .collect();
    let requests: Vec<Request> = Request::many(20, &objects);
    let mounts = futures_util::future::join_all(requests.iter().map(|request| world.try_mount(request)));
    let other = async {
        let one = "- {objectName: s, objectType: secretsmanager}";
        world.mount(&Request::pod_identity(one).numbered(100)).await
    };
    let (results, _) = tokio::join!(mounts, other);
    world.emulator.remove_fault(fault);
    let told = "namespace shop has too many mounts running on this node";
    let refused = results.iter().filter_map(|result| result.as_ref().err());
    let refused: Vec<_> = refused.filter(|status| status.message().contains(told)).collect();
    assert!((1..20).contains(&refused.len()), "{} of 20 were refused", refused.len());
    for status in refused {
        assert_code(status, Code::Internal);
    }
}

/// A driver that reads the beginning of an answer, signals it, and reads the rest
/// when it is signalled.
async fn stalling_driver(world: &World, begun: Arc<Notify>, go_on: Arc<Notify>) -> Driver {
    let path = world.socket().with_file_name("stalling.sock");
    let (listener, target) = (UnixListener::bind(&path).unwrap(), world.socket());
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (from_server, mut to_server) = UnixStream::connect(target).await.unwrap().into_split();
        tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
        let mut beginning = from_server.take(10_000);
        copy(&mut beginning, &mut to_client).await.unwrap();
        begun.notify_one();
        go_on.notified().await;
        copy(&mut beginning.into_inner(), &mut to_client).await.unwrap();
    });
    Driver::connect(&path).await
}

#[tokio::test(start_paused = true)]
async fn an_answer_counts_until_its_last_byte_is_sent() {
    let world = World::start().await;
    world.secret("s", &"x".repeat(65_000));
    let objects: String = (0..60)
        .map(|number| format!("- {{objectName: s, objectType: secretsmanager, objectAlias: f{number}}}\n"))
        .collect();
    let first = Request::new(&objects).numbered(1);
    let other = Request::pod_identity(&objects);
    world.mount(&other).await;

    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let driver = stalling_driver(&world, Arc::clone(&begun), Arc::clone(&go_on)).await;
    let message = first.message(&world.emulator);
    let sent = tokio::spawn(async move { driver.client().mount(message).await });
    begun.notified().await;
    // Of 10 MiB for answers, this one takes 8.
    let waits = timeout(Duration::from_secs(5), world.try_mount(&other)).await;
    assert!(waits.is_err(), "there was room for another: {waits:?}");
    go_on.notify_one();
    assert_eq!(sent.await.unwrap().unwrap().into_inner().files.len(), 60);
    assert_eq!(world.mount(&other).await.paths().len(), 60);
}

#[tokio::test(start_paused = true)]
async fn the_log_names_the_namespace_of_a_refused_volume() {
    let log = Log::collect();
    let world = World::provider_writes(|config| config.memory_limit = 48 << 20).await;
    world.secret("s", &"x".repeat(60_000));
    let large: String = (0..60)
        .map(|number| format!("- {{objectName: s, objectType: secretsmanager, objectAlias: f{number}}}\n"))
        .collect();
    for number in 0..2 {
        let (request, _) = pod(&world, "shop", "web", number, &large);
        let _ = world.try_mount(&request).await;
    }
    let log = log.take();
    assert_contains(&log, "the volumes of namespace shop hold");
}

#[tokio::test(start_paused = true)]
async fn reading_stops_when_the_values_are_too_large_for_any_mount() {
    let world = World::start().await;
    let objects: String = (0..400)
        .map(|number| {
            world.secret(&format!("s{number}"), &"x".repeat(60_000));
            format!("- {{objectName: s{number}, objectType: secretsmanager}}\n")
        })
        .collect();
    let status = world.refusal(&Request::new(&objects)).await;
    assert_says(
        &status,
        Code::FailedPrecondition,
        &["more than the 4194304 that one mount may have", "60000 bytes"],
    );
    // 8 MiB hold 140 of them, so reading stops after the third batch of 64.
    assert_eq!(world.calls("GetSecretValue"), 192);
}
