//! `/healthz` and `/readyz` for kubelet's probes, and `/metrics`.
//!
//! Every pod in the cluster can connect. So a connection is cheap, lasts a few seconds
//! and never blocks another one: probes get a response despite any number of idle,
//! slow and half-open connections.

mod connections;

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router, extract,
    http::{HeaderMap, StatusCode, header},
    routing::get,
};
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Mutex,
    task::spawn_blocking,
    time::Instant,
};

use self::connections::Connections;
use crate::metrics::Format;

/// Maximum number of connections. Each takes a file descriptor, and 11 KiB after its
/// first byte.
const MAX_CONNECTIONS: usize = 256;
/// Timeouts for the header and for the whole connection. kubelet sends its request in
/// one piece, immediately after it connects.
const HEADER_TIME: Duration = Duration::from_secs(2);
const CONNECTION_TIME: Duration = Duration::from_secs(5);
const MAX_HEADER_BYTES: usize = 8 << 10;
/// How long a rendered scrape is served. Every pod may scrape, as often as it likes.
const SCRAPE_AGE: Duration = Duration::from_secs(1);
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that may wait to be accepted, unless the kernel's `somaxconn` is lower.
/// A client beyond that retries after a second, which is too late for a probe.
const BACKLOG: u32 = 4096;

/// Listens on `address`. On a node without IPv6, `[::]` means all IPv4 addresses.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match listen(address) {
        Err(_) if address.ip() == Ipv6Addr::UNSPECIFIED => {
            listen((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Like the standard library: the previous process's address may linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What the endpoints show.
pub(crate) struct Shown {
    /// `/readyz`: whether this process does its work, and a sentence about it.
    pub(crate) ready: Box<dyn Fn() -> Result<String, String> + Send + Sync>,
    /// Renders the metrics.
    pub(crate) metrics: Box<dyn Fn(Format) -> String + Send + Sync>,
}

struct State {
    shown: Shown,
    /// The last scrape of each format. Locked while one is rendered.
    scrapes: Arc<Mutex<Vec<Scrape>>>,
}

/// A rendered scrape.
struct Scrape {
    format: Format,
    at: Instant,
    text: Bytes,
}

/// Serves the probes and the metrics until `shutdown` completes.
pub(crate) async fn serve(
    listener: TcpListener,
    shown: Shown,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(State { shown, scrapes: Arc::default() }));
    let mut connections = Connections::new(MAX_CONNECTIONS);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            accepted = async {
                connections.place().await;
                listener.accept().await
            } => match accepted {
                Ok((stream, address)) => connections.open(address.ip(), answer(stream, router.clone())),
                // The client gave up before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    // Probably out of file descriptors. Free one; an immediate retry
                    // would only spin.
                    connections.drop_oldest();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Responds to one request.
async fn answer(stream: TcpStream, router: Router) {
    let answered = async {
        // Allocate buffers only for clients that send something.
        stream.readable().await?;
        let mut server = http1::Builder::new();
        server
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_buf_size(MAX_HEADER_BYTES)
            .keep_alive(false);
        let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        // Boxed, so that an idle connection uses little memory.
        Box::pin(connection).await.map_err(io::Error::other)
    };
    // Ignore errors: clients may disconnect or send garbage.
    let _ = tokio::time::timeout(CONNECTION_TIME, answered).await;
}

async fn ready(extract::State(state): extract::State<Arc<State>>) -> (StatusCode, String) {
    match (state.shown.ready)() {
        Ok(text) => (StatusCode::OK, format!("ok\n{text}")),
        Err(text) => (StatusCode::SERVICE_UNAVAILABLE, format!("{text}\n")),
    }
}

/// The metrics, in the format that the scraper accepts. They are rendered where mounts do
/// not wait for it, and one at a time, even if scrapers go away meanwhile.
async fn metrics(
    extract::State(state): extract::State<Arc<State>>,
    headers: HeaderMap,
) -> Result<([(header::HeaderName, &'static str); 1], Bytes), StatusCode> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let mut scrapes = Arc::clone(&state.scrapes).lock_owned().await;
    scrapes.retain(|scrape| scrape.at.elapsed() < SCRAPE_AGE);
    let known = scrapes.iter().find(|scrape| scrape.format == format).map(|scrape| scrape.text.clone());
    let text = match known {
        Some(text) => text,
        None => {
            let rendered = spawn_blocking(move || {
                let text = Bytes::from((state.shown.metrics)(format));
                scrapes.push(Scrape { format, at: Instant::now(), text: text.clone() });
                text
            });
            // A panic is a bug, which the log has.
            rendered.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?
        }
    };
    Ok(([(header::CONTENT_TYPE, format.content_type())], text))
}
