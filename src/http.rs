//! `/healthz` and `/readyz` for kubelet's probes.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

use crate::grpc::socket::SocketState;

/// Most connections at once.
const MAX_CONNECTIONS: usize = 32;
/// Longest wait for a request's header, and longest life of a connection.
const HEADER_TIME: Duration = Duration::from_secs(5);
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// Most bytes of a header.
const MAX_HEADER_BYTES: usize = 8 << 10;
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens; where the node has no IPv6, every IPv4 address stands for `[::]`.
///
/// # Errors
/// When the address cannot be had.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.ip() == Ipv6Addr::UNSPECIFIED => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

/// Serves the probes until `shutdown` completes. Any pod of the cluster can
/// connect: connections are few, and short.
pub async fn serve(
    listener: TcpListener,
    socket: watch::Receiver<SocketState>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let router =
        Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready)).with_state(socket);
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_HEADER_BYTES)
        .keep_alive(false);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    tokio::pin!(shutdown);
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = tokio::select! {
            () = &mut shutdown => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    // Out of file descriptors, most likely: trying at once would only spin.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = server.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // A client that hangs up or sends nonsense is its own affair.
            let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
            drop(place);
        });
    }
}

/// Ready means that the driver's calls arrive here.
async fn ready(State(socket): State<watch::Receiver<SocketState>>) -> (StatusCode, String) {
    let state = socket.borrow().clone();
    match state {
        SocketState::Ours => (StatusCode::OK, "ok\n".to_owned()),
        SocketState::Starting => {
            (StatusCode::SERVICE_UNAVAILABLE, "the socket is not bound yet\n".to_owned())
        }
        SocketState::Succeeded => {
            (StatusCode::SERVICE_UNAVAILABLE, "a newer Latchkey has taken the socket over\n".to_owned())
        }
        SocketState::Foreign(name) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("another live provider holds the socket: {name}\n"))
        }
    }
}
