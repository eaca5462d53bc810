//! `/healthz` and `/readyz` for kubelet's probes.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::{net::TcpListener, sync::watch};

use crate::grpc::socket::SocketState;

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

/// Serves the probes until `shutdown` completes.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    socket: watch::Receiver<SocketState>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router =
        Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready)).with_state(socket);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
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
