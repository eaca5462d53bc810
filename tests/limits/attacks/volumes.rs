//! Files that the provider keeps for, and writes into, pods' volumes.

use latchkey::server::protocol::MountRequest;

use super::{EVIL, answers::full_class, expressions::largest_of_500};
use crate::{
    harness::REGION,
    node::{filler, names, objects},
    play::Case,
    siege::Siege,
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("kept-classes", "24 classes of 499 of the longest fields, kept for the poller", |siege| {
            Box::pin(kept_classes(siege))
        })
        .provider_writes(),
        Case::new("kept-small-classes", "300 pods of 500 objects each, kept for the poller", |siege| {
            Box::pin(kept_small_classes(siege))
        })
        .provider_writes(),
        Case::new("full-volumes", "40 volumes of 4 MiB, then a restart in the same pod", |siege| {
            Box::pin(full_volumes(siege))
        })
        .provider_writes()
        .restarts(),
        Case::new("many-files", "150 volumes of 500 files in deep folders, then a restart", |siege| {
            Box::pin(many_files(siege))
        })
        .provider_writes()
        .restarts(),
        Case::new("changing-volumes", "20 volumes of 4 MiB whose value changes all the time", |siege| {
            Box::pin(changing_volumes(siege))
        })
        .provider_writes(),
    ]
}

async fn kept_classes(siege: Siege) {
    let accounts = names("kept", 6);
    siege.node.tenant(EVIL, &accounts);
    siege.node.emulator.put_secret(REGION, "evil/small", r#"{"a":"x"}"#);
    let expression = largest_of_500();
    let fields = (0..499).map(|number| format!("{{path: '{expression}', objectAlias: f{number}}}"));
    let class = objects([format!(
        "objectName: evil/small, objectType: secretsmanager, jmesPath: [{}]",
        fields.collect::<Vec<_>>().join(", ")
    )]);
    let messages: Vec<MountRequest> =
        (0..24).map(|pod| siege.node.message(EVIL, &accounts[pod % 6], &class)).collect();
    siege.mount_for_ever(messages, 6).await;
}

async fn kept_small_classes(siege: Siege) {
    siege.node.tenant(EVIL, &["kept"]);
    siege.node.emulator.put_secret(REGION, "evil/small", "x");
    let object = |number: usize| {
        format!("objectName: evil/small, objectType: secretsmanager, objectAlias: {}", filler(number, 200))
    };
    let class = objects((0..500).map(object));
    let messages: Vec<MountRequest> = (0..300).map(|_| siege.node.message(EVIL, "kept", &class)).collect();
    siege.mount_for_ever(messages, 16).await;
}

async fn full_volumes(siege: Siege) {
    siege.node.tenant(EVIL, &["large"]);
    siege.node.emulator.put_secret(REGION, "evil/large", filler(0, 64 << 10));
    let messages: Vec<MountRequest> =
        (0..40).map(|_| siege.node.message(EVIL, "large", &full_class("evil/large"))).collect();
    siege.mount_for_ever(messages, 8).await;
}

async fn many_files(siege: Siege) {
    siege.node.tenant(EVIL, &["files"]);
    siege.node.emulator.put_secret(REGION, "evil/small", "x");
    // A page for each file and for each folder, whatever they hold.
    let object = |number: usize| {
        format!("objectName: evil/small, objectType: secretsmanager, objectAlias: 'a{number}/b/c/d/e/f/g/h'")
    };
    let class = objects((0..500).map(object));
    let messages: Vec<MountRequest> = (0..150)
        .map(|_| {
            let request = siege.node.request(EVIL, "files", &class);
            request.parameter("pathTranslation", "False").message(&siege.node.emulator)
        })
        .collect();
    siege.mount_for_ever(messages, 8).await;
}

async fn changing_volumes(siege: Siege) {
    siege.node.tenant(EVIL, &["large"]);
    siege.node.emulator.put_secret(REGION, "evil/large", filler(0, 64 << 10));
    let messages: Vec<MountRequest> =
        (0..20).map(|_| siege.node.message(EVIL, "large", &full_class("evil/large"))).collect();
    let change = async {
        for number in 1.. {
            siege.node.emulator.put_secret(REGION, "evil/large", filler(number, 64 << 10));
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    tokio::join!(siege.mount_for_ever(messages, 8), change);
}
