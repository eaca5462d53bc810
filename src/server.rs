//! What listens: the driver's gRPC service behind its socket, and the HTTP endpoints.

pub mod endpoints;
pub mod grpc;
pub mod socket;
pub(crate) mod status_socket;

use tokio::{net::UnixStream, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Error, Server};

use self::grpc::Provider;

/// The generated protocol of the driver, `v1alpha1`.
#[allow(unreachable_pub, unused_qualifications, clippy::all, reason = "generated code")]
pub mod protocol {
    tonic::include_proto!("v1alpha1");
}

/// The protocol's version.
pub const PROTOCOL_VERSION: &str = "v1alpha1";
/// How `Version` names this provider.
pub const RUNTIME_NAME: &str = "latchkey";

/// Concurrent requests of one connection. It is far more than the mounts that run at
/// once: a waiting request costs little, and must not keep another from being heard.
const MAX_STREAMS: u32 = 2048;
/// Bytes of a request that may arrive before it is its turn to be read. A connection
/// has room for this much of every request at once: the driver uses one connection
/// for all pods, and no request may block another on the way.
const STREAM_WINDOW: u32 = 8 << 10;
const CONNECTION_WINDOW: u32 = MAX_STREAMS * STREAM_WINDOW;

/// Serves the driver on `connections` until `shutdown` completes, and then finishes
/// the mounts that run.
///
/// # Errors
/// When the gRPC server fails.
pub async fn serve(
    provider: Provider,
    connections: mpsc::Receiver<std::io::Result<UnixStream>>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(provider.into_server())
        .serve_with_incoming_shutdown(ReceiverStream::new(connections), shutdown)
        .await
}
