//! The life of the driver's socket, beside older, newer and foreign providers.

use std::{
    net::SocketAddr,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use latchkey::{
    app::{Config, ServeError},
    server::protocol::{
        MountRequest, MountResponse, VersionRequest, VersionResponse,
        csi_driver_provider_server::{CsiDriverProvider, CsiDriverProviderServer},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener},
    task::JoinHandle,
};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Code, Response, Status, transport::Server};

use crate::harness::{Driver, Provider, Request, SECRET, World, assert_says, eventually, free_address};

fn inode(socket: &Path) -> Option<u64> {
    std::fs::symlink_metadata(socket).ok().map(|metadata| metadata.ino())
}

async fn runtime_name(socket: &Path) -> String {
    let request = VersionRequest { version: "v1alpha1".to_owned() };
    let driver = Driver::connect(socket).await;
    driver.client().version(request).await.unwrap().into_inner().runtime_name
}

/// Status line and body of a probe; `None` while the probes are not served.
async fn probe(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

/// Waits until the probe has this status and text.
async fn probe_says(address: SocketAddr, status: &str, text: &str) {
    let says = async || {
        let answer = probe(address, "/readyz").await?;
        (answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(text)).then_some(())
    };
    eventually(&format!("/readyz answers {status} {text}"), says).await;
}

/// Another provider's server.
struct Foreign;

#[tonic::async_trait]
impl CsiDriverProvider for Foreign {
    async fn version(&self, _: tonic::Request<VersionRequest>) -> Result<Response<VersionResponse>, Status> {
        Ok(Response::new(VersionResponse {
            version: "v1alpha1".to_owned(),
            runtime_name: "secrets-store-csi-driver-provider-aws".to_owned(),
            runtime_version: "3.1.1".to_owned(),
        }))
    }

    async fn mount(&self, _: tonic::Request<MountRequest>) -> Result<Response<MountResponse>, Status> {
        Err(Status::unimplemented("foreign"))
    }
}

fn serve_foreign(socket: &Path) -> JoinHandle<()> {
    let incoming = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
    tokio::spawn(async move {
        Server::builder()
            .add_service(CsiDriverProviderServer::new(Foreign))
            .serve_with_incoming(incoming)
            .await
            .unwrap();
    })
}

#[tokio::test(start_paused = true)]
async fn version_is_answered_as_the_driver_expects() {
    let world = World::start().await;
    let request = VersionRequest { version: "v1alpha1".to_owned() };
    let answer = world.driver.client().version(request).await.unwrap().into_inner();
    assert_eq!(answer.version, "v1alpha1");
    assert_eq!(answer.runtime_name, "latchkey");
    let numbers: Vec<&str> = answer.runtime_version.split('.').collect();
    assert_eq!(numbers.len(), 3, "{} is not semver", answer.runtime_version);
}

#[tokio::test(start_paused = true)]
async fn only_the_owner_may_open_the_socket() {
    let world = World::start().await;
    let mode = std::fs::symlink_metadata(world.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600, "the mode is {mode:#o}");
    let names: Vec<_> =
        std::fs::read_dir(world.folder()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "the kubeconfig and one socket, nothing half made: {names:?}");
}

#[tokio::test(start_paused = true)]
async fn a_uid_that_is_not_allowed_is_refused() {
    let world = World::with(|config| config.allowed_uids = vec![4242]).await;
    world.secret("shop/db", "hunter2");
    let uid = rustix::process::getuid().as_raw();
    let says = [format!("uid {uid} may not call this provider")];
    let says: Vec<&str> = says.iter().map(String::as_str).collect();
    assert_says(&world.refusal(&Request::new(SECRET)).await, Code::PermissionDenied, &says);
    let request = VersionRequest { version: "v1alpha1".to_owned() };
    let status = world.driver.client().version(request).await.unwrap_err();
    assert_says(&status, Code::PermissionDenied, &says);
    assert_eq!(world.emulator.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn an_old_process_does_not_remove_the_new_ones_socket() {
    let address = free_address([127, 77, 0, 1]).await;
    let mut world = World::with(|config| config.http_address = Some(address)).await;
    world.secret("shop/db", "x");
    probe_says(address, "200", "ok").await;
    let socket = world.socket();
    let old = inode(&socket);

    let _new = Provider::start(Config { http_address: None, ..world.config.clone() });
    let taken = async || (inode(&socket).is_some() && inode(&socket) != old).then_some(());
    eventually("the new process has the socket", taken).await;
    probe_says(address, "503", "a newer Latchkey has taken over the socket").await;
    let new = inode(&socket);
    // The driver's old connection is still served.
    world.mount(&Request::new(SECRET)).await;

    world.stop().await.unwrap();
    assert_eq!(inode(&socket), new);
    assert_eq!(runtime_name(&socket).await, "latchkey");
}

#[tokio::test(start_paused = true)]
async fn a_process_removes_its_socket_when_it_ends() {
    let mut world = World::start().await;
    world.stop().await.unwrap();
    assert_eq!(inode(&world.socket()), None);
}

#[tokio::test(start_paused = true)]
async fn a_socket_deleted_by_another_program_is_restored_within_seconds() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    let socket = world.socket();
    for _ in 0..2 {
        std::fs::remove_file(&socket).unwrap();
        let started = tokio::time::Instant::now();
        eventually("the socket is there again", async || inode(&socket)).await;
        assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
        assert_eq!(runtime_name(&socket).await, "latchkey");
    }
    // The driver's connection still works.
    world.mount(&Request::new(SECRET)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stale_socket_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("aws.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let uid = rustix::process::getuid().as_raw();
    let _provider = Provider::start(Config { allowed_uids: vec![uid], ..Config::new(folder.path()) });
    assert_eq!(runtime_name(&socket).await, "latchkey");
}

#[tokio::test(start_paused = true)]
async fn a_live_foreign_provider_is_left_alone_and_reported_until_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("aws.sock");
    let foreign = serve_foreign(&socket);
    let theirs = inode(&socket);
    let address = free_address([127, 77, 0, 2]).await;
    let uid = rustix::process::getuid().as_raw();
    let config =
        Config { allowed_uids: vec![uid], http_address: Some(address), ..Config::new(folder.path()) };
    let mut provider = Provider::start(config);

    probe_says(
        address,
        "503",
        "another running provider holds the socket: secrets-store-csi-driver-provider-aws",
    )
    .await;
    let alive = probe(address, "/healthz").await.unwrap();
    assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(inode(&socket), theirs);
    assert_eq!(runtime_name(&socket).await, "secrets-store-csi-driver-provider-aws");

    foreign.abort();
    probe_says(address, "200", "ok").await;
    assert_eq!(runtime_name(&socket).await, "latchkey");
    provider.stop().await.unwrap();
    assert_eq!(inode(&socket), None);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_socket_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("aws.sock");
    let _foreign = serve_foreign(&socket);
    let theirs = inode(&socket);
    let address = free_address([127, 77, 0, 3]).await;
    let mut provider = Provider::start(Config { http_address: Some(address), ..Config::new(folder.path()) });
    probe_says(address, "503", "another running provider").await;
    provider.stop().await.unwrap();
    assert_eq!(inode(&socket), theirs);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_never_answers_is_foreign_too() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("aws.sock");
    let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let theirs = inode(&socket);
    let address = free_address([127, 77, 0, 4]).await;
    let _provider = Provider::start(Config { http_address: Some(address), ..Config::new(folder.path()) });
    probe_says(address, "503", "it did not respond to Version").await;
    assert_eq!(inode(&socket), theirs);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_a_socket_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("aws.sock");
    std::fs::write(&socket, "precious").unwrap();
    let ended = Provider::start(Config::new(folder.path())).ended().await;
    assert!(matches!(ended, Err(ServeError::Socket(_))), "{ended:?}");
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
}

#[tokio::test(start_paused = true)]
async fn an_occupied_probe_port_is_a_start_error() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http_address = Some(taken.local_addr().unwrap());
    let ended = Provider::start(Config { http_address, ..Config::new(folder.path()) }).ended().await;
    assert!(matches!(ended, Err(ServeError::Http { .. })), "{ended:?}");
    assert_eq!(inode(&folder.path().join("aws.sock")), None, "nothing is left behind");
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_finishes_running_mounts() {
    let mut world = World::start().await;
    world.secret("shop/db", "x");
    world.emulator.set_delay(Some("GetSecretValue"), Duration::from_secs(5));
    let message = Request::new(SECRET).message(&world.emulator);
    let driver = world.driver.clone();
    let running = tokio::spawn(async move { driver.mount(message).await });
    let started = async || (world.calls("GetSecretValue") == 1).then_some(());
    eventually("the mount reads its secret", started).await;
    world.stop().await.unwrap();
    // The process ends when `serve` returns, so no call may be under way then.
    let read = world.emulator.calls().pop().unwrap();
    assert_eq!(read.operation, "GetSecretValue");
    assert_eq!(read.status, Some(200), "the read was still under way");
    assert_eq!(running.await.unwrap().unwrap().text("shop_db"), "x");
    assert_eq!(inode(&world.socket()), None);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_cannot_verify_tokens_is_ready_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address([127, 77, 0, 5]).await;
    let mut config = Config { http_address: Some(address), ..Config::new(folder.path()) };
    config.cluster.kubeconfig = Some(folder.path().join("no-such-file"));
    let _provider = Provider::start(config);
    probe_says(address, "200", "warning: cannot set up a Kubernetes client").await;
    probe_says(address, "200", "Latchkey cannot verify pods' tokens itself").await;
}
