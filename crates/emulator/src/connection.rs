//! Connections, plain or TLS. They are counted, can be reset, and take as long to open as
//! connections to a distant server.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use rustls::{HandshakeKind, ServerConfig};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::Emulator;

/// Round trips before a client can send its request: one for TCP, one for TLS 1.3.
const ROUND_TRIPS: u32 = 2;

/// How many connections were made, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Accepted connections, plain or TLS.
    pub opened: u64,
    /// TLS handshakes with a key exchange and a certificate.
    pub full_handshakes: u64,
    /// TLS handshakes that resumed an earlier session.
    pub resumed_handshakes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    opened: AtomicU64,
    full: AtomicU64,
    resumed: AtomicU64,
}

impl Counts {
    pub(super) fn so_far(&self) -> Connections {
        Connections {
            opened: self.opened.load(Ordering::Relaxed),
            full_handshakes: self.full.load(Ordering::Relaxed),
            resumed_handshakes: self.resumed.load(Ordering::Relaxed),
        }
    }

    pub(super) fn reset(&self) {
        for count in [&self.opened, &self.full, &self.resumed] {
            count.store(0, Ordering::Relaxed);
        }
    }

    fn shake(&self, kind: Option<HandshakeKind>) {
        let count = match kind {
            Some(HandshakeKind::Resumed) => &self.resumed,
            _ => &self.full,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Accepts connections. A TLS handshake does not block other connections.
pub(super) struct Acceptor {
    emulator: Emulator,
    listener: TcpListener,
    tls: Option<Tls>,
    /// Connections whose handshake is in progress; `None` for a failed handshake.
    opening: JoinSet<Option<(Connection, SocketAddr)>>,
}

#[derive(Clone)]
struct Tls {
    acceptor: TlsAcceptor,
    round_trip: Duration,
}

impl Acceptor {
    pub(super) fn plain(emulator: Emulator, listener: TcpListener) -> Self {
        Self { emulator, listener, tls: None, opening: JoinSet::new() }
    }

    pub(super) fn tls(
        emulator: Emulator,
        listener: TcpListener,
        server: Arc<ServerConfig>,
        round_trip: Duration,
    ) -> Self {
        let tls = Tls { acceptor: TlsAcceptor::from(server), round_trip };
        Self { tls: Some(tls), ..Self::plain(emulator, listener) }
    }
}

impl Tls {
    /// Runs the TLS handshake. The kernel has completed TCP's handshake at once, so this
    /// also waits for the round trip of TCP.
    async fn open(self, emulator: Emulator, stream: TcpStream) -> Option<Stream> {
        if !self.round_trip.is_zero() {
            tokio::time::sleep(self.round_trip * ROUND_TRIPS).await;
        }
        match self.acceptor.accept(stream).await {
            Ok(stream) => {
                emulator.inner.connections.shake(stream.get_ref().1.handshake_kind());
                Some(Stream::Tls(Box::new(stream)))
            }
            Err(error) => {
                tracing::debug!(%error, "emulator: a TLS handshake failed");
                None
            }
        }
    }
}

impl Listener for Acceptor {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(opened) = self.opening.join_next() => match opened {
                    Ok(Some(ready)) => return ready,
                    _ => continue,
                },
            };
            match accepted {
                Ok((stream, address)) => {
                    // Without the option, answers are only slower.
                    let _ = stream.set_nodelay(true);
                    self.emulator.inner.connections.opened.fetch_add(1, Ordering::Relaxed);
                    let Some(tls) = self.tls.clone() else {
                        return (Connection::new(Stream::Plain(stream)), address);
                    };
                    let emulator = self.emulator.clone();
                    self.opening.spawn(async move {
                        Some((Connection::new(tls.open(emulator, stream).await?), address))
                    });
                }
                Err(error) => {
                    // Most often there are no descriptors left until others close.
                    tracing::warn!(%error, "emulator: cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Breaks the connection that a request came by.
#[derive(Clone, Debug, Default)]
pub(super) struct Breaker(Arc<AtomicBool>);

impl Breaker {
    pub(super) fn reset(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, Acceptor>> for Breaker {
    fn connect_info(stream: IncomingStream<'_, Acceptor>) -> Self {
        stream.io().broken.clone()
    }
}

/// A connection. Once it is broken, writes fail and it is reset.
pub(super) struct Connection {
    stream: Stream,
    broken: Breaker,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What both kinds of stream can do.
trait ReadWrite: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> ReadWrite for T {}

impl Connection {
    fn new(stream: Stream) -> Self {
        Self { stream, broken: Breaker::default() }
    }

    fn stream(&mut self) -> Pin<&mut dyn ReadWrite> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream),
            Stream::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.broken.0.load(Ordering::Acquire) {
            let stream = match &self.stream {
                Stream::Plain(stream) => stream,
                Stream::Tls(stream) => stream.get_ref().0,
            };
            // Closing with a linger of zero sends RST instead of FIN.
            stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        self.stream().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        self.stream().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}
