//! The socket of `latchkey status`. Whoever connects gets one JSON document; nothing is
//! read from it.
//!
//! Only root and the provider's own user may ask. The provider serves the driver without
//! this socket, too: a socket that cannot be created is only a warning.

use std::{
    fs::{self, DirBuilder, Permissions},
    hash::{BuildHasher, RandomState},
    io,
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    net::{UnixListener, UnixStream},
    sync::{Mutex, Semaphore},
    time::{Instant, sleep, sleep_until, timeout},
};

/// Maximum number of connections at once. Another one waits.
const MAX_CONNECTIONS: usize = 4;
/// Maximum time for one connection.
const CONNECTION_TIME: Duration = Duration::from_secs(5);
/// Minimum time between two documents, however many ask.
const BUILD_INTERVAL: Duration = Duration::from_millis(500);
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Device and inode number.
type Inode = (u64, u64);

/// A bound socket.
pub(crate) struct StatusSocket {
    path: PathBuf,
    listener: UnixListener,
    inode: Inode,
}

impl StatusSocket {
    /// Binds `path`, and creates its folder. Replaces a socket that another Latchkey has
    /// left or still serves: the newest process is the one to ask.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        if fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.file_type().is_socket()) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "another file is there"));
        }
        let unique = RandomState::new().hash_one(std::process::id());
        let temporary = path.with_extension(format!("{unique:x}"));
        let listener = UnixListener::bind(&temporary)?;
        let placed = fs::set_permissions(&temporary, Permissions::from_mode(0o600))
            .and_then(|()| inode_of(&temporary))
            .and_then(|inode| fs::rename(&temporary, path).map(|()| inode));
        match placed {
            Ok(inode) => Ok(Self { path: path.to_owned(), listener, inode }),
            Err(error) => {
                // Do not leave an unfinished socket behind.
                let _ = fs::remove_file(&temporary);
                Err(error)
            }
        }
    }

    /// Serves what `build` returns until `shutdown` completes. Then removes the socket, if
    /// it is still ours.
    pub(crate) async fn serve(
        self,
        build: impl Fn() -> Vec<u8> + Send + Sync + 'static,
        shutdown: impl Future<Output = ()>,
    ) {
        let documents = Arc::new(Documents { build: Arc::new(build), latest: Mutex::default() });
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        tokio::pin!(shutdown);
        loop {
            let accepted = async {
                // The semaphore is never closed.
                let place = Arc::clone(&places).acquire_owned().await.ok()?;
                Some((place, self.listener.accept().await))
            };
            tokio::select! {
                () = &mut shutdown => break,
                accepted = accepted => match accepted {
                    None => break,
                    // Probably out of file descriptors. An immediate retry would only spin.
                    Some((_, Err(_))) => sleep(ACCEPT_PAUSE).await,
                    Some((place, Ok((stream, _)))) => {
                        let documents = Arc::clone(&documents);
                        tokio::spawn(async move {
                            let _place = place;
                            // Ignore errors: a client may go whenever it wants.
                            let _ = timeout(CONNECTION_TIME, answer(stream, &documents)).await;
                        });
                    }
                },
            }
        }
        if inode_of(&self.path).is_ok_and(|inode| inode == self.inode) {
            // The next process replaces it, in any case.
            let _ = fs::remove_file(&self.path);
        }
    }
}

async fn answer<B: Fn() -> Vec<u8> + Send + Sync + 'static>(
    mut stream: UnixStream,
    documents: &Documents<B>,
) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    if !may_ask(uid, rustix::process::geteuid().as_raw()) {
        // The file's mode keeps others out; this one has the socket from somebody else.
        tracing::debug!(uid, "refused a caller of the status socket");
        return Ok(());
    }
    stream.write_all(&documents.latest().await).await?;
    stream.shutdown().await
}

/// Whether the user `uid` may ask a provider that runs as `own`.
fn may_ask(uid: u32, own: u32) -> bool {
    uid == 0 || uid == own
}

fn inode_of(path: &Path) -> io::Result<Inode> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Builds documents, and shares each with all who ask while it is new.
struct Documents<B> {
    build: Arc<B>,
    latest: Mutex<Option<Built>>,
}

struct Built {
    at: Instant,
    /// Kept in memory only while it is sent.
    document: Weak<[u8]>,
}

impl<B: Fn() -> Vec<u8> + Send + Sync + 'static> Documents<B> {
    async fn latest(&self) -> Arc<[u8]> {
        let mut latest = self.latest.lock().await;
        if let Some(built) = latest.as_ref() {
            let next = built.at + BUILD_INTERVAL;
            match built.document.upgrade() {
                Some(document) if Instant::now() < next => return document,
                Some(_) | None => sleep_until(next).await,
            }
        }
        let (build, at) = (Arc::clone(&self.build), Instant::now());
        // Thousands of values take milliseconds.
        let built = tokio::task::spawn_blocking(move || build()).await;
        // A panic of `build` is a bug, which the log has; the caller gets nothing.
        let document: Arc<[u8]> = built.unwrap_or_default().into();
        *latest = Some(Built { at, document: Arc::downgrade(&document) });
        document
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::AsyncReadExt;

    use super::*;

    async fn ask(path: &Path) -> String {
        let mut text = String::new();
        UnixStream::connect(path).await.unwrap().read_to_string(&mut text).await.unwrap();
        text
    }

    #[test]
    fn only_root_and_the_providers_own_user_may_ask() {
        assert!(may_ask(0, 0));
        assert!(may_ask(0, 1000));
        assert!(may_ask(1000, 1000));
        assert!(!may_ask(1000, 0));
        assert!(!may_ask(1001, 1000));
    }

    #[tokio::test]
    async fn the_newest_process_takes_the_socket_and_an_older_one_does_not_remove_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper/status.sock");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let old = StatusSocket::bind(&path).unwrap();
        let old = tokio::spawn(old.serve(|| b"old".to_vec(), async {
            let _ = stopped.await;
        }));
        assert_eq!(ask(&path).await, "old");
        let new = StatusSocket::bind(&path).unwrap();
        tokio::spawn(new.serve(|| b"new".to_vec(), std::future::pending()));
        stop.send(()).unwrap();
        old.await.unwrap();
        assert_eq!(ask(&path).await, "new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn the_socket_is_removed_at_the_end_and_a_dead_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        StatusSocket::bind(&path).unwrap().serve(Vec::new, std::future::ready(())).await;
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn another_file_is_neither_replaced_nor_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.sock");
        fs::write(&path, "precious").unwrap();
        assert!(StatusSocket::bind(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test(start_paused = true)]
    async fn a_document_is_built_at_most_twice_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.sock");
        let builds = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&builds);
        let build = move || counted.fetch_add(1, Ordering::Relaxed).to_string().into_bytes();
        tokio::spawn(StatusSocket::bind(&path).unwrap().serve(build, std::future::pending()));
        let began = Instant::now();
        for _ in 0..10 {
            ask(&path).await;
        }
        let built = builds.load(Ordering::Relaxed);
        assert!(began.elapsed() >= BUILD_INTERVAL * u32::try_from(built - 1).unwrap(), "{built} documents");
    }

    #[tokio::test(start_paused = true)]
    async fn idle_clients_do_not_keep_others_waiting_for_more_than_five_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.sock");
        // More than the kernel's buffers take.
        let build = || vec![b'x'; 8 << 20];
        tokio::spawn(StatusSocket::bind(&path).unwrap().serve(build, std::future::pending()));
        let mut idle = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            idle.push(UnixStream::connect(&path).await.unwrap());
        }
        let began = Instant::now();
        assert_eq!(ask(&path).await.len(), 8 << 20);
        assert!(began.elapsed() < 2 * CONNECTION_TIME, "{:?}", began.elapsed());
    }
}
