//! The life of the socket that the driver calls.
//!
//! It is bound under another name and renamed into place, so there is never a
//! moment without one in a rolling update. It is bound again when another
//! program deletes it (AWS's own provider does, when it starts and when it
//! stops). What is not ours is never deleted and never fought over.

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

/// How often the socket is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How long a live socket may take to say whose it is.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that may wait to be taken over by the server.
const BACKLOG: usize = 64;

/// Whose the socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketState {
    /// Nothing is bound yet.
    Starting,
    /// Ours.
    Ours,
    /// A newer Latchkey's, after a rolling update.
    Succeeded,
    /// Another, live provider's, by its runtime name.
    Foreign(String),
}

/// Why the socket cannot be served at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}")]
pub struct SocketError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Keeps the socket until it is shut down.
pub struct Socket {
    path: PathBuf,
    bound: Option<Bound>,
    state: watch::Sender<SocketState>,
}

struct Bound {
    listener: UnixListener,
    inode: Inode,
}

/// What a look at the path finds.
enum Found {
    Ours,
    /// There is no socket, or nobody listens on it.
    Nobodys,
    /// A live provider's, by its runtime name.
    Held(String),
}

/// Device and number; they stay taken as long as the listener lives.
type Inode = (u64, u64);

impl Socket {
    /// Binds `path`, unless another live provider holds it: then it is looked at
    /// again later.
    ///
    /// # Errors
    /// When the folder does not take a socket.
    pub async fn open(path: PathBuf) -> Result<Self, SocketError> {
        let mut socket = Self { path, bound: None, state: watch::Sender::new(SocketState::Starting) };
        let found = look(&socket.path, None).await?;
        socket.settle(found, true)?;
        Ok(socket)
    }

    /// Tells whose the socket is, now and later.
    pub fn state(&self) -> watch::Receiver<SocketState> {
        self.state.subscribe()
    }

    /// Hands connections to the returned receiver until `shutdown` completes;
    /// then the socket is removed, if it is still ours.
    pub fn run(
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

    /// Looks at the socket after a while. Whoever waits for it may serve
    /// meanwhile: another provider may take its time to say who it is.
    fn look_later(&self) -> Pin<Box<dyn Future<Output = Result<Found, SocketError>> + Send>> {
        let (path, ours) = (self.path.clone(), self.inode());
        Box::pin(async move {
            tokio::time::sleep(LOOK_INTERVAL).await;
            look(&path, ours).await
        })
    }

    /// Binds the socket where it is missing, dead, or at the start another
    /// Latchkey's; else reports whose it is.
    fn settle(&mut self, found: Found, starting: bool) -> Result<(), SocketError> {
        let state = match found {
            Found::Ours => SocketState::Ours,
            Found::Nobodys => self.bind()?,
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
            tracing::warn!(socket = %self.path.display(), "another program removed our socket; it is bound again");
        }
        // The process id would not do: in its container, every Latchkey has the same.
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
            // Whatever happened, no half-made socket may be left to be found.
            let _ = std::fs::remove_file(&temporary);
            failed("put in place")(source)
        })?;
        self.bound = Some(Bound { listener, inode });
        Ok(SocketState::Ours)
    }

    /// Removes the socket, if it is still ours: during a rolling update the
    /// path already belongs to the new process.
    fn remove(self) {
        let ours = self.inode();
        if ours.is_some()
            && inode_of(&self.path).ok().flatten() == ours
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(socket = %self.path.display(), "the socket was not removed: {error}");
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
            SocketState::Succeeded => tracing::info!(%socket, "a newer Latchkey has taken the socket over"),
            SocketState::Foreign(name) => tracing::error!(
                %socket,
                provider = name,
                "another live provider holds the socket: remove that provider, or give one of the two another socket name (--socket-name); looking again every {} s",
                LOOK_INTERVAL.as_secs()
            ),
        }
    }
}

/// The next connection and a place to put it; nothing when nobody takes
/// connections any more. It never comes while nothing is bound.
async fn accept<'a>(
    sender: &'a mpsc::Sender<io::Result<UnixStream>>,
    bound: Option<&Bound>,
) -> Option<(mpsc::Permit<'a, io::Result<UnixStream>>, io::Result<UnixStream>)> {
    let Some(bound) = bound else { return std::future::pending().await };
    // The place comes first: what was accepted is never lost for want of one.
    let place = sender.reserve().await.ok()?;
    let accepted = bound.listener.accept().await;
    if accepted.is_err() {
        // Out of file descriptors, most likely: trying at once would only spin.
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
    Some((place, accepted.map(|(stream, _)| stream)))
}

/// Whose the socket at `path` is, when `ours` is our own.
async fn look(path: &Path, ours: Option<Inode>) -> Result<Found, SocketError> {
    Ok(match inode_of(path)? {
        None => Found::Nobodys,
        found if found == ours => Found::Ours,
        Some(_) => runtime_name(path).await.map_or(Found::Nobodys, Found::Held),
    })
}

/// The socket at `path`, if there is one.
fn inode_of(path: &Path) -> Result<Option<Inode>, SocketError> {
    let failed = |action, source| Err(SocketError { action, path: path.to_owned(), source });
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => Ok(Some((metadata.dev(), metadata.ino()))),
        Ok(_) => failed("use, because it is there and no socket,", io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => failed("look at", error),
    }
}

/// Who answers on the socket; `None` when nobody does.
async fn runtime_name(path: &Path) -> Option<String> {
    // Any other error, such as a full backlog, comes from somebody who lives.
    if let Ok(Err(error)) = tokio::time::timeout(PROBE_TIMEOUT, UnixStream::connect(path)).await
        && matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
    {
        return None;
    }
    // Somebody listens. Whoever does not say a name is somebody else.
    let name = tokio::time::timeout(PROBE_TIMEOUT, ask_version(path)).await.ok().flatten();
    Some(name.unwrap_or_else(|| "unknown: it did not answer Version".to_owned()))
}

async fn ask_version(path: &Path) -> Option<String> {
    let endpoint = Endpoint::try_from(format!("unix://{}", path.display())).ok()?;
    let channel = endpoint.connect().await.ok()?;
    let request = VersionRequest { version: PROTOCOL_VERSION.to_owned() };
    let answer = CsiDriverProviderClient::new(channel).version(request).await;
    match answer {
        Ok(answer) => Some(answer.into_inner().runtime_name),
        // Only Latchkey tells callers apart, and only root may ask it.
        Err(_) => None,
    }
}
