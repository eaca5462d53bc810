//! AWS over TLS: trusted authorities, and the number of connections.

use std::time::Duration;

use futures_util::future::join_all;
use latchkey_emulator::{Authority, Connections};
use tokio::{net::TcpListener, time::sleep};
use tonic::Code;

use crate::harness::{REGION, Request, World, assert_says};

/// A world whose AWS is HTTPS; `region` is the provider's own.
async fn secure_world(trusted: bool, max_calls: usize, region: Option<&str>) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let authority = Authority::new().unwrap();
    let server = authority.server(&["127.0.0.1".to_owned()]).unwrap();
    let believed = if trusted { authority.pem() } else { Authority::new().unwrap().pem() };
    let world = World::with(|config| {
        let bundle = config.provider_volume.join("bundle.pem");
        std::fs::write(&bundle, believed).unwrap();
        config.aws.ca_bundle = Some(bundle);
        config.aws.endpoint_url = Some(url);
        config.aws.max_calls = max_calls;
        config.rules.default_region = region.and_then(latchkey::model::arn::Region::parse);
    });
    let world = world.await;
    tokio::spawn(world.emulator.clone().serve_tls(listener, server, Duration::ZERO, std::future::pending()));
    world
}

fn ten_secrets(world: &World) -> String {
    (0..10).fold(String::new(), |objects, number| {
        world.secret(&format!("tls/{number}"), "value");
        objects + &format!("- {{objectName: tls/{number}, objectType: secretsmanager}}\n")
    })
}

#[tokio::test]
async fn only_the_bundles_private_authority_is_trusted() {
    let world = secure_world(true, 64, None).await;
    let objects = ten_secrets(&world);
    assert_eq!(world.mount(&Request::new(&objects)).await.text("tls_3"), "value");

    let world = secure_world(false, 64, None).await;
    let objects = ten_secrets(&world);
    let refusal = world.refusal(&Request::new(&objects)).await;
    assert_says(&refusal, Code::Internal, &["cannot reach the endpoint", "invalid peer certificate"]);
    assert_eq!(world.emulator.call_counts().len(), 0, "nothing was sent");
}

#[tokio::test]
async fn there_are_no_more_connections_than_concurrent_calls() {
    let world = secure_world(true, 8, None).await;
    let objects = ten_secrets(&world);
    world.emulator.set_delay(None, Duration::from_millis(5));
    let requests = Request::many(10, &objects);
    join_all(requests.iter().map(|request| world.mount(request))).await;
    let Connections { opened, full_handshakes, resumed_handshakes } = world.emulator.connections();
    assert!((1..=8).contains(&opened), "{opened} connections");
    assert_eq!(full_handshakes + resumed_handshakes, opened);
}

#[tokio::test]
async fn connections_are_open_before_the_first_mount_if_the_region_is_known() {
    let world = secure_world(true, 64, Some(REGION)).await;
    while world.emulator.connections().full_handshakes < 12 {
        sleep(Duration::from_millis(5)).await;
    }
    // By now the last greeting is answered.
    sleep(Duration::from_millis(200)).await;
    assert_eq!(world.emulator.call_counts().len(), 0, "a greeting asks for nothing");
    let objects = ten_secrets(&world);
    world.mount(&Request::new(&objects)).await;
    assert_eq!(world.emulator.connections().opened, 12, "two for STS, ten for Secrets Manager");

    let world = secure_world(true, 64, None).await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(world.emulator.connections().opened, 0, "nobody knows where AWS is");
}
