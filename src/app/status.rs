//! Wires `latchkey status`: the rooms that it shows, and its socket.

use std::sync::Arc;

use tokio::{sync::watch, task::JoinHandle};

use super::{Config, gauges::Gauges};
use crate::{
    mount::Mounter,
    server::{socket::SocketState, status_socket::StatusSocket},
    status::{Snapshotter, document},
};

pub(super) fn snapshotter(
    config: &Config,
    mounter: &Mounter,
    gauges: &Gauges,
    socket: &watch::Receiver<SocketState>,
) -> Snapshotter {
    let (clock, memory) = (config.identity.clock, &gauges.memory);
    let parts = [
        ("requests", &memory.requests),
        ("classes", &memory.classes),
        ("reads", &memory.reads),
        ("answers", &memory.answers),
    ];
    let parts = parts.into_iter().chain(memory.volumes.as_ref().map(|volumes| ("volumes", volumes)));
    Snapshotter {
        clock,
        started_at: clock.now(),
        node: config.cluster.node_name.clone(),
        notices: config.notices.clone(),
        socket_path: config.provider_volume.join(&config.socket_name),
        socket: socket.clone(),
        aws: Arc::clone(&gauges.aws),
        identity: Arc::clone(&gauges.identity),
        values: Arc::clone(&gauges.values),
        delivery: Arc::clone(&mounter.delivery),
        report: Arc::clone(&gauges.report),
        places: Arc::clone(&gauges.places),
        memory: parts.map(|(part, shares)| (part, Arc::clone(shares))).collect(),
    }
}

/// Serves the snapshot, if the operator wants it. Nothing else depends on it.
pub(super) fn serve(
    config: &Config,
    snapshotter: Snapshotter,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Option<JoinHandle<()>> {
    let path = config.status_socket.as_ref()?;
    match StatusSocket::bind(path) {
        Ok(socket) => {
            let build = move || document(&snapshotter.snapshot());
            Some(tokio::spawn(socket.serve(build, shutdown)))
        }
        Err(error) => {
            let socket = path.display();
            tracing::warn!(%socket, "`latchkey status` will not work, because its socket cannot be created: {error}; pods are served all the same. Mount an emptyDir at the socket's folder, or set --status-socket");
            None
        }
    }
}
