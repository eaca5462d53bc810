//! kubelet's probes are answered whatever pods do to their port.

use std::{net::SocketAddr, time::Duration};

use latchkey::app::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::harness::{Provider, assert_lacks, eventually, free_address};

/// The connections of an attack: as many as one pod can open in a second.
const MANY: usize = 1000;
/// kubelet's default timeout of a probe.
const PATIENCE: Duration = Duration::from_secs(1);
const PROBE: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: probe\r\n\r\n";

/// A provider whose probes are served at the address, until the test ends.
async fn serve(address: SocketAddr) -> (Provider, TempDir) {
    // Both ends of each connection are in this process.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start(Config { http_address: Some(address), ..Config::new(folder.path()) });
    eventually("the probes are served", async || TcpStream::connect(address).await.ok()).await;
    (provider, folder)
}

/// Sends a probe as kubelet does; gives the answer's status line.
async fn probe(address: SocketAddr) -> String {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(PROBE).await.unwrap();
        ended(&mut stream).await
    };
    let answer = timeout(PATIENCE, asked).await.expect("the probe is not answered in time");
    answer.lines().next().unwrap_or_default().to_owned()
}

/// What the server sends until it ends the connection.
async fn ended(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection may also end by a reset.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn connect_from(host: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((host, 0))).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn a_thousand_idle_slow_or_half_sent_connections_delay_no_probe() {
    let address = free_address([127, 77, 1, 1]).await;
    let _served = serve(address).await;
    let mut attack = JoinSet::new();
    for number in 0..MANY {
        let mut stream = TcpStream::connect(address).await.unwrap();
        attack.spawn(async move {
            match number % 4 {
                // Says nothing.
                0 => {}
                // Begins a request and sends no more.
                1 => drop(stream.write_all(b"GET /healthz HTTP/1.1\r\nX-").await),
                // A byte now and then, again and again.
                2 => loop {
                    sleep(Duration::from_millis(200)).await;
                    if stream.write_all(b"G").await.is_err() {
                        stream = TcpStream::connect(address).await.unwrap();
                    }
                },
                // Sends a request and does not read the answer.
                _ => drop(stream.write_all(PROBE).await),
            }
            std::future::pending::<()>().await;
        });
        if number % 100 == 99 {
            assert_eq!(probe(address).await, "HTTP/1.1 200 OK");
        }
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        assert_eq!(probe(address).await, "HTTP/1.1 200 OK");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_thousand_new_connections_a_second_delay_no_probe() {
    let address = free_address([127, 77, 1, 2]).await;
    let _served = serve(address).await;
    let attack = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            // In bursts, because a runtime's clock counts milliseconds.
            for _ in 0..10 {
                held.push(TcpStream::connect(address).await.unwrap());
            }
            let surplus = held.len().saturating_sub(MANY);
            held.drain(..surplus);
            sleep(Duration::from_millis(10)).await;
        }
    });
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        assert_eq!(probe(address).await, "HTTP/1.1 200 OK");
        sleep(Duration::from_millis(50)).await;
    }
    assert!(!attack.is_finished(), "the attack ended by itself: {:?}", attack.await);
}

#[tokio::test]
async fn one_pods_connections_do_not_end_others() {
    let address = free_address([127, 77, 1, 3]).await;
    let _served = serve(address).await;
    let mut kubelets = connect_from([127, 77, 2, 1], address).await;
    let mut attack = Vec::new();
    for _ in 0..MANY {
        attack.push(connect_from([127, 77, 2, 2], address).await);
    }
    assert_eq!(probe(address).await, "HTTP/1.1 200 OK");
    kubelets.write_all(PROBE).await.unwrap();
    let answer = ended(&mut kubelets).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
}

#[tokio::test]
async fn an_idle_or_endless_request_ends_within_seconds() {
    let address = free_address([127, 77, 1, 4]).await;
    let _served = serve(address).await;
    let began = Instant::now();
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut begun = TcpStream::connect(address).await.unwrap();
    begun.write_all(b"GET / HTTP/1.1\r\nX-").await.unwrap();
    ended(&mut begun).await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    ended(&mut idle).await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_huge_header_is_refused_and_only_the_first_request_is_answered() {
    let address = free_address([127, 77, 1, 5]).await;
    let _served = serve(address).await;
    let mut huge = TcpStream::connect(address).await.unwrap();
    let header = [b"GET /healthz HTTP/1.1\r\nX: ", &[b'x'; 64 << 10][..], b"\r\n\r\n"].concat();
    let _ = huge.write_all(&header).await;
    assert_lacks(&ended(&mut huge).await, "200 OK");

    let mut pipelined = TcpStream::connect(address).await.unwrap();
    let _ = pipelined.write_all(&PROBE.repeat(100)).await;
    let answers = ended(&mut pipelined).await;
    assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers:?}");
}
