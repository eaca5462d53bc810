//! Calls to AWS that one tenant makes or lets hang.

use std::time::Duration;

use latchkey::server::protocol::MountRequest;
use latchkey_emulator::{Fault, FaultKind};

use super::EVIL;
use crate::{
    harness::REGION,
    node::{filler, names, objects},
    play::Case,
    siege::Siege,
};

const OBJECTS: &str = "- {objectName: evil/small, objectType: secretsmanager}";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("hanging-regions", "mounts in 100 Regions that do not answer, 190 at once", |siege| {
            Box::pin(hanging_regions(siege, 100, 190))
        })
        .driver_writes(),
        Case::new("hanging-crowd", "the same, 1,000 at once: more than streams of one connection", |siege| {
            Box::pin(hanging_regions(siege, 20, 1000))
        })
        .driver_writes(),
        Case::new("hanging-polls", "values of 40 Regions that stop answering", |siege| {
            Box::pin(hanging_polls(siege))
        }),
        Case::new("hanging-failovers", "a primary Region that fails, 40 failovers that hang", |siege| {
            Box::pin(hanging_failovers(siege))
        })
        .driver_writes(),
        Case::new("hanging-deadline", "Regions that do not answer under --mount-timeout=1s", |siege| {
            Box::pin(hanging_regions(siege, 20, 64))
        })
        .driver_writes()
        .flags(&["--mount-timeout=1s"])
        .answered_within(Duration::from_millis(1300)),
        Case::new(
            "crowd",
            "2,000 mounts of one namespace at once, of slow values nobody has read",
            |siege| Box::pin(crowd(siege)),
        ),
        Case::new("warm-crowd", "500 republishes of one class at once, of 50 files", |siege| {
            Box::pin(warm_crowd(siege, 1))
        }),
        Case::new("warm-classes", "500 republishes at once, each of a class of its own", |siege| {
            Box::pin(warm_crowd(siege, 100))
        }),
        Case::new("poll-load", "500 objects in each of 40 pods, refreshed every 15 s", |siege| {
            Box::pin(poll_load(siege))
        })
        .driver_writes(),
        Case::new(
            "unread-accounts",
            "accounts of one namespace, whose role must be read, by the thousand",
            |siege| Box::pin(unread_accounts(siege)),
        )
        .driver_writes(),
    ]
}

/// Valid names of Regions that do not exist.
fn regions(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("xx-nowhere-{number}")).collect()
}

fn hang(siege: &Siege, regions: &[String]) {
    for region in regions {
        siege.node.emulator.inject(Fault::new(FaultKind::Hang).region(region));
    }
}

async fn hanging_regions(siege: Siege, count: usize, at_once: usize) {
    siege.node.tenant(EVIL, &["hanging"]);
    let regions = regions(count);
    hang(&siege, &regions);
    let messages = (0..at_once).map(|number| {
        let request = siege.node.request(EVIL, "hanging", &many(10, number));
        request.parameter("region", &regions[number % count]).message(&siege.node.emulator)
    });
    let messages: Vec<MountRequest> = messages.collect();
    siege.mount_for_ever(messages, at_once).await;
}

/// Secrets that no other pod requests.
fn many(count: usize, pod: usize) -> String {
    objects((0..count).map(|number| format!("objectName: evil/{pod}-{number}, objectType: secretsmanager")))
}

async fn hanging_polls(siege: Siege) {
    siege.node.tenant(EVIL, &["hanging"]);
    let regions = regions(40);
    let mut messages = Vec::new();
    for region in &regions {
        for number in 0..20 {
            siege.node.emulator.put_secret(region, &format!("evil/0-{number}"), "x");
        }
        let request = siege.node.request(EVIL, "hanging", &many(20, 0));
        messages.push(request.parameter("region", region).message(&siege.node.emulator));
    }
    siege.mount_each(messages.clone(), 8).await;
    hang(&siege, &regions);
    siege.mount_for_ever(messages, 40).await;
}

async fn hanging_failovers(siege: Siege) {
    siege.node.tenant(EVIL, &["hanging"]);
    let regions = regions(40);
    hang(&siege, &regions);
    siege.node.emulator.inject(Fault::new(FaultKind::InternalError).region("xx-broken-1"));
    let messages = (0..160).map(|number| {
        let request = siege.node.request(EVIL, "hanging", &many(10, number));
        let request = request.parameter("region", "xx-broken-1");
        request.parameter("failoverRegion", &regions[number % 40]).message(&siege.node.emulator)
    });
    let messages: Vec<MountRequest> = messages.collect();
    siege.mount_for_ever(messages, 160).await;
}

async fn crowd(siege: Siege) {
    siege.node.tenant(EVIL, &["crowd"]);
    let slow = FaultKind::Delay(Duration::from_millis(300));
    siege.node.emulator.inject(Fault::new(slow).target("evil/*"));
    // Provider-writes needs a volume for each pod, and creating it takes time.
    let pods = if siege.node.mode == crate::node::Mode::DriverWrites { 2000 } else { 400 };
    let messages = (0..pods).map(|number| {
        siege.node.emulator.put_secret(REGION, &format!("evil/{number}-0"), "x");
        siege.node.message(EVIL, "crowd", &many(1, number))
    });
    let messages: Vec<MountRequest> = messages.collect();
    siege.mount_for_ever(messages, 2000).await;
}

async fn warm_crowd(siege: Siege, classes: usize) {
    siege.node.tenant(EVIL, &["crowd"]);
    for number in 0..50 {
        siege.node.emulator.put_secret(REGION, &format!("evil/0-{number}"), filler(number, 1024));
    }
    // With a comment it is another class with the same objects.
    let class = |number: usize| format!("{}\n# {}", many(50, 0), number % classes);
    let messages: Vec<MountRequest> =
        (0..100).map(|number| siege.node.message(EVIL, "crowd", &class(number))).collect();
    siege.mount_for_ever(messages, 500).await;
}

async fn poll_load(siege: Siege) {
    let accounts = names("polled", 40);
    siege.node.tenant(EVIL, &accounts);
    for number in 0..500 {
        siege.node.emulator.put_secret(REGION, &format!("evil/0-{number}"), filler(number, 64));
    }
    let class = many(500, 0);
    let messages = accounts.iter().map(|account| {
        let request = siege.node.request(EVIL, account, &class);
        request.parameter("refreshInterval", "15s").message(&siege.node.emulator)
    });
    let messages: Vec<MountRequest> = messages.collect();
    siege.mount_each(messages.clone(), 40).await;
    siege.mount_for_ever(messages, 2).await;
}

async fn unread_accounts(siege: Siege) {
    let accounts = names("unread", 2000);
    siege.node.tenant(EVIL, &accounts);
    let messages: Vec<MountRequest> =
        accounts.iter().map(|account| siege.node.message(EVIL, account, OBJECTS)).collect();
    siege.mount_for_ever(messages, 1000).await;
}
