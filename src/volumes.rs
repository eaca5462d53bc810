//! Provider-writes mode: which pods have what mounted, and writing a change into
//! all of them at once.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::{
    model::{
        file::MountFile,
        message::{causes, logged},
        request::MountRequest,
    },
    shape::{NotShaped, Shaped, Shaping, Subject},
    shares::{Refused, Share, Shares},
    values::{Entry, Found, Readings},
    workers::{Panicked, Workers},
    writer::{KeepMtime, WriteError, Writer, Written},
};

/// Most bytes that are written at once: while a set is replaced, the old one and
/// the new one are both there.
const MAX_WRITTEN_AT_ONCE: usize = 8 << 20;
/// The smallest piece of a tmpfs.
const PAGE: usize = 4096;
/// What the kernel keeps of a file or a link beside its pages.
const INODE: usize = 1024;
/// One part in so many of the time may go into looking whether volumes are gone.
const LOOK_SHARE: u32 = 20;
/// Whose the pages are that an earlier process has written: nobody knows until
/// the pods are republished.
const UNKNOWN: &str = "";

/// The mounted volumes of this node, as far as this process has mounted them.
pub struct Volumes {
    writer: Writer,
    workers: Arc<Workers>,
    /// Most bytes of one volume.
    max_bytes: usize,
    /// Memory of files of mounts under way.
    files: Arc<Shares>,
    /// Memory of what stays: the volumes' pages and what is remembered of them.
    kept: Arc<Shares>,
    writing: Arc<Shares>,
    /// When it may be looked again whether volumes are gone. Held by the one who looks.
    next_look: tokio::sync::Mutex<Instant>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    mounted: HashMap<PathBuf, Arc<Volume>>,
    /// Volumes that an earlier process has left, with their pages.
    left: HashMap<PathBuf, Share>,
}

/// One volume of one pod.
struct Volume {
    request: MountRequest,
    entries: Vec<Arc<Entry>>,
    subject: Subject,
    mounted_at: Instant,
    /// One write at a time, and the last one with the newest values. It holds the
    /// memory of the volume's pages.
    pages: Arc<tokio::sync::Mutex<Option<Share>>>,
    /// The memory of all the rest here.
    _remembered: Share,
}

/// Why a volume does not hold its files. What was mounted before is still there.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The objects do not become files.
    #[error(transparent)]
    NotShaped(#[from] NotShaped),
    /// The files could not be written.
    #[error("cannot write into the pod's volume: {}", causes(.0))]
    Write(#[from] WriteError),
    /// The node's volumes take as much memory as they may.
    #[error(
        "the volumes of namespace {namespace} hold {held} bytes of this node's memory for volumes, and {asked} more do not fit: all namespaces hold {taken} of {max} bytes. Mount less in this namespace's pods on this node, or raise Latchkey's memory limit (chart value resources.limits.memory, flag --memory-limit)",
        held = refused.held, asked = refused.asked, taken = refused.taken, max = refused.max
    )]
    Memory {
        /// The pod's namespace.
        namespace: String,
        /// How much was asked for and is taken.
        refused: Refused,
    },
    /// A bug.
    #[error("shaping panicked")]
    Panicked(Panicked),
}

/// What the volumes need of the process.
pub struct Means {
    /// Writes files.
    pub writer: Writer,
    /// Shape values.
    pub workers: Arc<Workers>,
    /// Most bytes of one volume.
    pub max_bytes: usize,
    /// Memory of files of mounts under way.
    pub files: Arc<Shares>,
    /// Memory of volumes, in bytes.
    pub max_kept: usize,
}

impl Volumes {
    /// Knows of the volumes that an earlier process has left, and of no others.
    pub fn new(means: Means) -> Self {
        let Means { writer, workers, max_bytes, files, max_kept } = means;
        let kept = Shares::new(max_kept);
        let left = writer.volumes();
        let left = left.into_iter().map(|(path, bytes)| (path, kept.take_anyway(UNKNOWN, bytes))).collect();
        let state = Mutex::new(State { mounted: HashMap::new(), left });
        let writing = Shares::new(MAX_WRITTEN_AT_ONCE);
        let next_look = tokio::sync::Mutex::new(Instant::now());
        Self { writer, workers, max_bytes, files, kept, writing, next_look, state }
    }

    /// Whether the request's folder may be written, before anything is read for it.
    ///
    /// # Errors
    /// What is wrong with the folder.
    pub async fn check(&self, request: &MountRequest) -> Result<(), WriteError> {
        let (writer, path, uid) = (self.writer.clone(), request.target_path.clone(), request.pod.uid.clone());
        blocking(move || writer.check(&path, &uid)).await
    }

    /// Makes a mount's files and writes them, and remembers the volume, so that
    /// changes are written there too. `turn` is given up where anybody is waited for. Gives the files that are in the pod now: where a poll
    /// saw a change since the mount had read, they are newer.
    ///
    /// # Errors
    /// Why the files were not written; those from before are still there.
    pub async fn mount(
        &self,
        request: MountRequest,
        entries: Vec<Arc<Entry>>,
        found: Vec<Found>,
        subject: Subject,
        mut turn: Option<Share>,
    ) -> Result<Shaped, VolumeError> {
        let path = request.target_path.clone();
        let remembered = self.keep(&request.pod.namespace, request.bytes()).await?;
        let known = self.state().mounted.get(&path).cloned();
        let pages = known.as_ref().map_or_else(Arc::default, |volume| Arc::clone(&volume.pages));
        let mut held = match Arc::clone(&pages).try_lock_owned() {
            Ok(held) => held,
            Err(_) => {
                turn = None;
                Arc::clone(&pages).lock_owned().await
            }
        };
        let mounted_at = Instant::now();
        let volume =
            Arc::new(Volume { request, entries, subject, mounted_at, pages, _remembered: remembered });
        // From here on a poll that sees a change finds the volume, and waits for
        // its turn. What it saw before, the entries hold.
        let before = self.state().mounted.insert(path.clone(), Arc::clone(&volume));
        let found = volume.found().unwrap_or(found);
        match self.fill(&volume, found, &mut held, KeepMtime::No, &mut turn).await {
            Ok((shaped, _)) => Ok(shaped),
            Err(error) => {
                let mut state = self.state();
                match before {
                    Some(before) => drop(state.mounted.insert(path, before)),
                    None => drop(state.mounted.remove(&path)),
                }
                Err(error)
            }
        }
    }

    /// Forgets volumes that nobody has mounted for so long, or for two of their
    /// own intervals: their pods are gone.
    pub fn drop_idle(&self, idle_after: Duration) {
        self.state().mounted.retain(|_, volume| {
            let own = volume.request.class.refresh_interval.unwrap_or_default() * 2;
            volume.mounted_at.elapsed() <= idle_after.max(own)
        });
    }

    /// Number of volumes.
    pub fn len(&self) -> usize {
        self.state().mounted.len()
    }

    /// Whether no volume is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the values of `changed` entries into every pod that has them mounted.
    pub async fn update(&self, changed: &[Arc<Entry>]) {
        let concerned = |volume: &&Arc<Volume>| {
            volume.entries.iter().any(|entry| changed.iter().any(|changed| Arc::ptr_eq(changed, entry)))
        };
        let volumes: Vec<Arc<Volume>> = self.state().mounted.values().filter(concerned).cloned().collect();
        // At once, because replacing a set pauses for its readers.
        join_all(volumes.into_iter().map(|volume| self.rewrite(volume))).await;
    }

    async fn rewrite(&self, volume: Arc<Volume>) {
        let mut held = Arc::clone(&volume.pages).lock_owned().await;
        let (path, pod) = (&volume.request.target_path, &volume.request.pod);
        // A mount that ended meanwhile may have asked for other objects.
        if !self.state().mounted.get(path).is_some_and(|current| Arc::ptr_eq(current, &volume)) {
            return;
        }
        // Where an entry was lost, the files stay as they are.
        let Some(found) = volume.found() else { return };
        match self.fill(&volume, found, &mut held, KeepMtime::Yes, &mut None).await {
            Ok((_, written)) => tracing::info!(%pod, ?written, "rotation written"),
            Err(VolumeError::Write(WriteError::Gone { .. })) => {
                self.state().mounted.remove(path);
                tracing::debug!(%pod, "the pod is gone");
            }
            // The next mount or the next change tries again.
            Err(error) => {
                let error = logged(&error);
                tracing::error!(%pod, "a changed value was not written: {error}");
            }
        }
    }

    /// Makes the files and writes them, within the memory that the namespace has.
    async fn fill(
        &self,
        volume: &Volume,
        found: Vec<Found>,
        held: &mut Option<Share>,
        keep_mtime: KeepMtime,
        turn: &mut Option<Share>,
    ) -> Result<(Shaped, Written), VolumeError> {
        let MountRequest { pod, class, target_path } = &volume.request;
        let shaping = Shaping::new(Arc::clone(&class.objects), found, volume.subject.clone(), self.max_bytes);
        if shaping.needs_work() {
            *turn = None;
        }
        let mut made = self.files.take_giving_up(turn, &pod.namespace, shaping.max_bytes()).await;
        let shaped = shaping.run(&self.workers, &pod.namespace).await.map_err(VolumeError::Panicked)??;
        made.shrink_to(shaped.bytes());
        let pages = pages_of(&shaped.files);
        self.grow(&pod.namespace, target_path, pages, held).await?;
        let _written = self.writing.take_giving_up(turn, &pod.namespace, pages).await;
        let (writer, target, uid) = (self.writer.clone(), target_path.clone(), pod.uid.clone());
        let files = shaped.files.clone();
        let written = blocking(move || writer.write(&target, &uid, &files, keep_mtime)).await?;
        if let Some(held) = held {
            held.shrink_to(pages);
        }
        Ok((shaped, written))
    }

    /// Lets `held` become at least `pages`.
    async fn grow(
        &self,
        namespace: &str,
        path: &Path,
        pages: usize,
        held: &mut Option<Share>,
    ) -> Result<(), VolumeError> {
        // What an earlier process has written is there already, whoever's it is.
        if let Some(left) = self.state().left.remove(path) {
            let amount = left.amount();
            drop(left);
            held.get_or_insert(self.kept.take_anyway(namespace, amount));
        }
        let missing = pages.saturating_sub(held.as_ref().map_or(0, Share::amount));
        if missing == 0 {
            return Ok(());
        }
        let more = self.keep(namespace, missing).await?;
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }

    /// Memory that stays taken. When there is none, it is looked whether volumes
    /// are gone that still count.
    async fn keep(&self, namespace: &str, bytes: usize) -> Result<Share, VolumeError> {
        if let Ok(share) = self.kept.try_take(namespace, bytes) {
            return Ok(share);
        }
        self.forget_gone().await;
        let refused = |refused| VolumeError::Memory { namespace: namespace.to_owned(), refused };
        self.kept.try_take(namespace, bytes).map_err(refused)
    }

    /// Looks at every volume. However many are refused, that is a small part of the
    /// time: whoever comes in between goes by what was found last.
    async fn forget_gone(&self) {
        let mut next_look = self.next_look.lock().await;
        let began = Instant::now();
        if began < *next_look {
            return;
        }
        self.look().await;
        *next_look = began + began.elapsed() * LOOK_SHARE;
    }

    async fn look(&self) {
        let paths: Vec<PathBuf> = {
            let state = self.state();
            state.mounted.keys().chain(state.left.keys()).cloned().collect()
        };
        let writer = self.writer.clone();
        let gone = move || Ok(paths.into_iter().filter(|path| !writer.is_mounted(path)).collect::<Vec<_>>());
        let Ok(gone) = blocking(gone).await else { return };
        let mut state = self.state();
        for path in gone {
            state.mounted.remove(&path);
            state.left.remove(&path);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory that a volume's files take, links and folders included.
fn pages_of(files: &[MountFile]) -> usize {
    let folders = 2;
    let sizes = files.iter().map(|file| file.contents.len().div_ceil(PAGE) * PAGE + 2 * INODE);
    sizes.sum::<usize>() + folders * INODE
}

/// Runs file system calls where they may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, WriteError> + Send + 'static,
) -> Result<T, WriteError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

impl Volume {
    /// What every entry holds; `None` when one was lost.
    fn found(&self) -> Option<Vec<Found>> {
        let held: Vec<Readings> = self.entries.iter().map(|entry| entry.held()).collect::<Option<_>>()?;
        let objects = self.request.class.objects.plan().of_objects(&held);
        Some(objects.map(|(readings, place)| readings.found(place)).collect())
    }
}
