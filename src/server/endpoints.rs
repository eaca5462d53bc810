//! `/healthz` and `/readyz` for kubelet's probes.
//!
//! Any pod of the cluster can connect. So a connection costs little, lasts
//! seconds, and never keeps another one out: a probe is answered beside any
//! number of idle, slow and half-open connections.

mod connections;

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
};

use self::connections::Connections;
use super::socket::SocketState;

/// Most connections at once. Each takes a descriptor, and 11 KiB from its first
/// byte on.
const MAX_CONNECTIONS: usize = 256;
/// Longest wait for the rest of a request's header, and longest life of a
/// connection. kubelet sends its request in one piece as soon as it is connected.
const HEADER_TIME: Duration = Duration::from_secs(2);
const CONNECTION_TIME: Duration = Duration::from_secs(5);
/// Most bytes of a header.
const MAX_HEADER_BYTES: usize = 8 << 10;
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that may wait to be accepted, if the kernel's `somaxconn` is no
/// less. One more is not answered, and tries again after a second: too late for a probe.
const BACKLOG: u32 = 4096;

/// Listens; where the node has no IPv6, every IPv4 address stands for `[::]`.
///
/// # Errors
/// When the address cannot be had.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match listen(address) {
        Err(_) if address.ip() == Ipv6Addr::UNSPECIFIED => {
            listen((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As the standard library does: the address of the process before may linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves the probes until `shutdown` completes.
pub async fn serve(
    listener: TcpListener,
    socket: watch::Receiver<SocketState>,
    warning: watch::Receiver<Option<String>>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state((socket, warning));
    let mut connections = Connections::new(MAX_CONNECTIONS);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            () = connections.ended() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => connections.open(address.ip(), answer(stream, router.clone())),
                Err(_) => {
                    // Out of file descriptors, most likely: one of ours is given
                    // back, and trying at once would only spin.
                    connections.drop_oldest();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Answers one request.
async fn answer(stream: TcpStream, router: Router) {
    let answered = async {
        // Buffers are made for those only who say something.
        stream.readable().await?;
        let mut server = http1::Builder::new();
        server
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_buf_size(MAX_HEADER_BYTES)
            .keep_alive(false);
        let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        // On the heap, so that a connection that is idle stays small.
        Box::pin(connection).await.map_err(io::Error::other)
    };
    // A client that hangs up or sends nonsense is its own affair.
    let _ = tokio::time::timeout(CONNECTION_TIME, answered).await;
}

/// Ready means that the driver's calls arrive here. What is wrong and does not
/// stop that is told beside it.
async fn ready(
    State((socket, warning)): State<(watch::Receiver<SocketState>, watch::Receiver<Option<String>>)>,
) -> (StatusCode, String) {
    let state = socket.borrow().clone();
    match state {
        SocketState::Ours => {
            let warning = warning.borrow().as_ref().map(|warning| format!("warning: {warning}\n"));
            (StatusCode::OK, format!("ok\n{}", warning.unwrap_or_default()))
        }
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
