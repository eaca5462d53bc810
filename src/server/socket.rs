//! Keeps the socket that the driver calls.
//!
//! The socket is bound under a temporary name and renamed, so that it stays available
//! during a rolling update. It is bound again if another program deletes it, as AWS's
//! own provider does when it starts and stops. A socket that is not ours is never
//! deleted or replaced.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::{mpsc, watch},
};
use tonic::transport::Endpoint;

use super::{
    PROTOCOL_VERSION, RUNTIME_NAME,
    protocol::{VersionRequest, csi_driver_provider_client::CsiDriverProviderClient},
};

/// How often the socket is checked.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Timeout for another provider to identify itself.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Accepted connections that may wait for the server.
const BACKLOG: usize = 64;

/// Who owns the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SocketState {
    /// Nothing is bound yet.
    Starting,
    Ours,
    /// A newer Latchkey owns it, after a rolling update.
    Succeeded,
    /// Another running provider, with this runtime name, owns it.
    Foreign(String),
}

impl SocketState {
    /// Ready means that the driver's calls arrive here. Other problems are only warnings in
    /// the text.
    pub(crate) fn readiness(&self, warning: Option<&str>) -> Result<String, String> {
        match self {
            Self::Ours => Ok(warning.map(|warning| format!("warning: {warning}\n")).unwrap_or_default()),
            Self::Starting => Err("the socket is not bound yet".to_owned()),
            Self::Succeeded => Err("a newer Latchkey has taken over the socket".to_owned()),
            Self::Foreign(name) => Err(format!("another running provider holds the socket: {name}")),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}")]
pub struct SocketError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Keeps the socket until shutdown.
pub(crate) struct Socket {
    path: PathBuf,
    bound: Option<Bound>,
    state: watch::Sender<SocketState>,
}

struct Bound {
    listener: UnixListener,
    inode: Inode,
}

/// The result of checking the path.
enum Found {
    Ours,
    /// There is no socket, or nobody listens on it.
    Unowned,
    /// A running provider with this runtime name owns it.
    Held(String),
}

/// Device and inode number. They are not reused while the listener is open.
type Inode = (u64, u64);

impl Socket {
    /// Binds `path`. If another running provider holds it, checks again later.
    ///
    /// # Errors
    /// If the socket cannot be created in the folder.
    pub(crate) async fn open(path: PathBuf) -> Result<Self, SocketError> {
        let mut socket = Self { path, bound: None, state: watch::Sender::new(SocketState::Starting) };
        let found = look(&socket.path, None).await?;
        socket.settle(found, true)?;
        Ok(socket)
    }

    /// Reports who owns the socket, and every change.
    pub(crate) fn state(&self) -> watch::Receiver<SocketState> {
        self.state.subscribe()
    }

    /// Sends connections to the returned receiver until `shutdown` completes. Then removes
    /// the socket, if it is still ours.
    pub(crate) fn run(
        mut self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> (mpsc::Receiver<io::Result<UnixStream>>, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let task = tokio::spawn(async move {
            tokio::pin!(shutdown);
            let mut look = self.look_later();
            loop {
                tokio::select! {
                    () = &mut shutdown => break,
                    found = &mut look => {
                        if let Err(error) = found.and_then(|found| self.settle(found, false)) {
                            tracing::error!("{error}: {}", error.source);
                        }
                        look = self.look_later();
                    }
                    accepted = accept(&sender, self.bound.as_ref()) => match accepted {
                        Some((place, accepted)) => place.send(accepted),
                        None => break,
                    }
                }
            }
            self.remove();
        });
        (receiver, task)
    }

    /// Checks the socket after [`LOOK_INTERVAL`]. Runs in the background, because another
    /// provider may take a while to identify itself.
    fn look_later(&self) -> Pin<Box<dyn Future<Output = Result<Found, SocketError>> + Send>> {
        let (path, ours) = (self.path.clone(), self.inode());
        Box::pin(async move {
            tokio::time::sleep(LOOK_INTERVAL).await;
            look(&path, ours).await
        })
    }

    /// Binds the socket if it is missing or dead, or, at startup, if another Latchkey owns
    /// it. Otherwise reports the owner.
    fn settle(&mut self, found: Found, starting: bool) -> Result<(), SocketError> {
        let state = match found {
            Found::Ours => SocketState::Ours,
            Found::Unowned => self.bind()?,
            Found::Held(name) if name == RUNTIME_NAME && starting => self.bind()?,
            Found::Held(name) if name == RUNTIME_NAME => SocketState::Succeeded,
            Found::Held(name) => SocketState::Foreign(name),
        };
        let before = self.state.send_replace(state.clone());
        if before != state {
            self.report(&state);
        }
        Ok(())
    }

    fn bind(&mut self) -> Result<SocketState, SocketError> {
        if self.bound.is_some() {
            tracing::warn!(socket = %self.path.display(), "another program removed our socket; binding it again");
        }
        // Not the process id, because it is the same in every Latchkey container.
        let unique = RandomState::new().hash_one(std::process::id());
        let temporary = self.path.with_extension(format!("sock.{unique:x}"));
        let failed = |action| {
            let path = self.path.clone();
            move |source| SocketError { action, path, source }
        };
        let listener = UnixListener::bind(&temporary).map_err(failed("bind"))?;
        let renamed = std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| std::fs::symlink_metadata(&temporary))
            .and_then(|metadata| {
                std::fs::rename(&temporary, &self.path).map(|()| (metadata.dev(), metadata.ino()))
            });
        let inode = renamed.map_err(|source| {
            // Do not leave an unfinished socket behind.
            let _ = std::fs::remove_file(&temporary);
            failed("put in place")(source)
        })?;
        self.bound = Some(Bound { listener, inode });
        Ok(SocketState::Ours)
    }

    /// Removes the socket, if it is still ours. During a rolling update, the path already
    /// belongs to the new process.
    fn remove(self) {
        let ours = self.inode();
        if ours.is_some()
            && inode_of(&self.path).ok().flatten() == ours
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(socket = %self.path.display(), "cannot remove the socket: {error}");
        }
    }

    fn inode(&self) -> Option<Inode> {
        self.bound.as_ref().map(|bound| bound.inode)
    }

    fn report(&self, state: &SocketState) {
        let socket = self.path.display();
        match state {
            SocketState::Starting => {}
            SocketState::Ours => tracing::info!(%socket, "serving the Secrets Store CSI Driver"),
            SocketState::Succeeded => tracing::info!(%socket, "a newer Latchkey has taken over the socket"),
            SocketState::Foreign(name) => tracing::error!(
                %socket,
                provider = name,
                "another running provider holds the socket: remove that provider, or give one of them another socket name (--socket-name); checking again every {} s",
                LOOK_INTERVAL.as_secs()
            ),
        }
    }
}

/// Accepts a connection, and reserves a place in the channel for it. Returns `None` if
/// the receiver is closed. Never completes while nothing is bound.
async fn accept<'a>(
    sender: &'a mpsc::Sender<io::Result<UnixStream>>,
    bound: Option<&Bound>,
) -> Option<(mpsc::Permit<'a, io::Result<UnixStream>>, io::Result<UnixStream>)> {
    let Some(bound) = bound else { return std::future::pending().await };
    // Reserve first, so that an accepted connection is never lost.
    let place = sender.reserve().await.ok()?;
    let accepted = bound.listener.accept().await;
    if accepted.is_err() {
        // Probably out of file descriptors. An immediate retry would only spin.
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
    Some((place, accepted.map(|(stream, _)| stream)))
}

/// Checks who owns the socket at `path`; `ours` is our own inode.
async fn look(path: &Path, ours: Option<Inode>) -> Result<Found, SocketError> {
    Ok(match inode_of(path)? {
        None => Found::Unowned,
        found if found == ours => Found::Ours,
        Some(_) => runtime_name(path).await.map_or(Found::Unowned, Found::Held),
    })
}

/// The inode of the socket at `path`, if there is one.
fn inode_of(path: &Path) -> Result<Option<Inode>, SocketError> {
    let failed = |action, source| Err(SocketError { action, path: path.to_owned(), source });
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => Ok(Some((metadata.dev(), metadata.ino()))),
        Ok(_) => {
            failed("create the socket, because another file exists at", io::ErrorKind::AlreadyExists.into())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => failed("check the socket", error),
    }
}

/// The name of the provider behind the socket; `None` if nobody listens.
async fn runtime_name(path: &Path) -> Option<String> {
    // Any other error, such as a full backlog, means that somebody listens.
    if let Ok(Err(error)) = tokio::time::timeout(PROBE_TIMEOUT, UnixStream::connect(path)).await
        && matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
    {
        return None;
    }
    // A listener that does not identify itself is not ours.
    let name = tokio::time::timeout(PROBE_TIMEOUT, ask_version(path)).await.ok().flatten();
    Some(name.unwrap_or_else(|| "unknown, because it did not respond to Version".to_owned()))
}

async fn ask_version(path: &Path) -> Option<String> {
    let endpoint = Endpoint::try_from(format!("unix://{}", path.display())).ok()?;
    let channel = endpoint.connect().await.ok()?;
    let request = VersionRequest { version: PROTOCOL_VERSION.to_owned() };
    let answer = CsiDriverProviderClient::new(channel).version(request).await;
    match answer {
        Ok(answer) => Some(answer.into_inner().runtime_name),
        // A Latchkey answers only root.
        Err(_) => None,
    }
}
