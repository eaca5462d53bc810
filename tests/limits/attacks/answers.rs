//! Large data: values, caches, answers.

use std::{path::PathBuf, time::Duration};

use latchkey::server::protocol::MountRequest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    runtime::Handle,
};

use super::EVIL;
use crate::{
    harness::{Driver, REGION},
    node::{filler, names, objects},
    play::Case,
    siege::Siege,
};

/// The size of the largest secret in AWS.
const SECRET: usize = 64 << 10;
/// So many of them are just under 4 MiB.
const FULL: usize = 63;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("full-answers", "200 answers of 4 MiB at once, of one value", |siege| {
            Box::pin(full_answers(siege))
        }),
        Case::new("slow-reader", "200 answers of 4 MiB to whoever reads 10 KB a second", |siege| {
            Box::pin(slow_reader(siege))
        })
        .driver_writes(),
        Case::new(
            "too-large-classes",
            "classes of 500 secrets of 64 KiB, refused once they were read",
            |siege| Box::pin(too_large_classes(siege)),
        ),
        Case::new("cache-pressure", "thousands of values of 64 KiB, of 40 accounts", |siege| {
            Box::pin(cache_pressure(siege))
        }),
        Case::new("many-objects", "500 small secrets in each of 40 pods of 40 accounts", |siege| {
            Box::pin(many_objects(siege))
        }),
        Case::new("many-labels", "500 labels of one secret, of 64 KiB, and of its failover", |siege| {
            Box::pin(many_labels(siege))
        })
        .driver_writes(),
        Case::new("failed-objects", "500 objects that all fail, with the longest names", |siege| {
            Box::pin(failed_objects(siege))
        })
        .driver_writes(),
    ]
}

/// A class that mounts one secret 63 times.
pub(super) fn full_class(secret: &str) -> String {
    objects(
        (0..FULL).map(|number| {
            format!("objectName: {secret}, objectType: secretsmanager, objectAlias: f{number}")
        }),
    )
}

async fn full_answers(siege: Siege) {
    siege.node.tenant(EVIL, &["large"]);
    siege.node.emulator.put_secret(REGION, "evil/large", filler(0, SECRET));
    let messages = (0..200).map(|_| siege.node.message(EVIL, "large", &full_class("evil/large"))).collect();
    siege.mount_for_ever(messages, 200).await;
}

async fn slow_reader(mut siege: Siege) {
    siege.node.tenant(EVIL, &["large"]);
    siege.node.emulator.put_secret(REGION, "evil/large", filler(0, SECRET));
    let messages: Vec<MountRequest> =
        (0..200).map(|_| siege.node.message(EVIL, "large", &full_class("evil/large"))).collect();
    siege.driver = slow_driver(siege.node.socket());
    siege.mount_for_ever(messages, 200).await;
}

/// A connection whose answers come through at 10 KB a second.
fn slow_driver(target: PathBuf) -> Driver {
    let slow = target.with_file_name("slow.sock");
    let listener = UnixListener::bind(&slow).unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = UnixStream::connect(&target).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut piece = [0; 1000];
                while let Ok(length @ 1..) = from_server.read(&mut piece).await {
                    if to_client.write_all(&piece[..length]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
        }
    });
    // Its future cannot be sent between threads.
    tokio::task::block_in_place(|| Handle::current().block_on(Driver::connect(&slow)))
}

async fn too_large_classes(siege: Siege) {
    let accounts = names("large", 8);
    siege.node.tenant(EVIL, &accounts);
    for number in 0..500 {
        siege.node.emulator.put_secret(REGION, &format!("evil/{number}"), filler(number, SECRET));
    }
    let class =
        objects((0..500).map(|number| format!("objectName: evil/{number}, objectType: secretsmanager")));
    let messages: Vec<MountRequest> =
        accounts.iter().map(|account| siege.node.message(EVIL, account, &class)).collect();
    siege.mount_for_ever(messages, 8).await;
}

async fn cache_pressure(siege: Siege) {
    let accounts = names("large", 40);
    siege.node.tenant(EVIL, &accounts);
    for number in 0..FULL {
        siege.node.emulator.put_secret(REGION, &format!("evil/{number}"), filler(number, SECRET));
    }
    let class =
        objects((0..FULL).map(|number| format!("objectName: evil/{number}, objectType: secretsmanager")));
    let messages: Vec<MountRequest> =
        accounts.iter().map(|account| siege.node.message(EVIL, account, &class)).collect();
    siege.mount_for_ever(messages, 8).await;
}

async fn many_objects(siege: Siege) {
    let accounts = names("many", 40);
    siege.node.tenant(EVIL, &accounts);
    for number in 0..500 {
        siege.node.emulator.put_secret(REGION, &format!("evil/{number}"), filler(number, 64));
    }
    let class =
        objects((0..500).map(|number| format!("objectName: evil/{number}, objectType: secretsmanager")));
    let messages: Vec<MountRequest> =
        accounts.iter().map(|account| siege.node.message(EVIL, account, &class)).collect();
    siege.mount_for_ever(messages, 40).await;
}

async fn many_labels(siege: Siege) {
    siege.node.tenant(EVIL, &["labels"]);
    for region in [REGION, "us-west-2"] {
        for number in 0..500 {
            let (version, label) = (format!("00000000-0000-4000-8000-{number:012}"), format!("L{number}"));
            let value = filler(number, SECRET);
            // AWS's limit may refuse some: then there are fewer.
            let _ = siege.node.emulator.put_secret_version(region, "evil/labels", &version, value, &[&label]);
        }
    }
    let label = |number: usize| {
        format!(
            "objectName: evil/labels, objectType: secretsmanager, objectVersionLabel: L{number}, objectAlias: f{number}"
        )
    };
    let failover = |number: usize| {
        format!(
            "objectName: evil/labels, objectType: secretsmanager, objectAlias: f{number}, failoverObject: {{objectName: evil/labels, objectVersionLabel: L{number}}}"
        )
    };
    let mut messages = Vec::new();
    for _ in 0..8 {
        messages.push(siege.node.message(EVIL, "labels", &objects((0..500).map(label))));
        let request = siege.node.request(EVIL, "labels", &objects((0..500).map(failover)));
        messages.push(request.parameter("failoverRegion", "us-west-2").message(&siege.node.emulator));
    }
    siege.mount_for_ever(messages, 16).await;
}

async fn failed_objects(siege: Siege) {
    siege.node.tenant(EVIL, &["failing"]);
    let name = |number: usize| filler(number, 470);
    let class =
        objects((0..500).map(|number| format!("objectName: {}, objectType: secretsmanager", name(number))));
    let parameters =
        objects((0..500).map(|number| format!("objectName: /{}, objectType: ssmparameter", name(number))));
    let messages: Vec<MountRequest> =
        [class, parameters].iter().map(|class| siege.node.message(EVIL, "failing", class)).collect();
    siege.mount_for_ever(messages, 8).await;
}
