//! Provider-writes: which pods mount what, and writing a change into all of them at
//! once.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Delivered, NewFiles, NotDelivered, Rewritten};
use crate::{
    model::{
        file::MountFile,
        request::{MountRequest, Pod},
    },
    shape::{Material, Shaped, Shaper, Subject},
    shares::{Share, Shares},
    values::{Entry, Found, Read, Readings},
    writer::{KeepMtime, WriteError, Writer, Written},
};

/// Bytes that are written at once: while a set is replaced, the old and the new one
/// both take memory.
const MAX_WRITTEN_AT_ONCE: usize = 8 << 20;
/// The page size of a tmpfs.
const PAGE: usize = 4096;
/// Kernel memory of a file or a link in addition to its pages.
const INODE: usize = 1024;
/// Looking for volumes that are gone takes at most this fraction of the time.
const LOOK_SHARE: u32 = 20;
/// The namespace of pages that an earlier process has written. It is unknown until the
/// pods are republished.
const UNKNOWN: &str = "";

/// The volumes that this process has mounted on this node.
pub struct Volumes {
    writer: Writer,
    shaper: Shaper,
    /// Memory that stays taken: the volumes' pages, and what is remembered of them.
    kept: Arc<Shares>,
    writing: Arc<Shares>,
    /// When to look again for volumes that are gone. Locked while somebody looks.
    next_look: tokio::sync::Mutex<Instant>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    mounted: HashMap<PathBuf, Arc<Volume>>,
    /// Volumes of an earlier process, with their pages.
    left: HashMap<PathBuf, Share>,
}

/// One volume of one pod.
struct Volume {
    request: MountRequest,
    entries: Vec<Arc<Entry>>,
    subject: Subject,
    mounted_at: Instant,
    /// Locked by each write, so that the last one has the newest values. It holds the
    /// memory of the volume's pages.
    pages: Arc<tokio::sync::Mutex<Option<Share>>>,
    /// The memory of everything else here.
    _remembered: Share,
}

/// A volume, for people.
#[derive(Clone, Debug)]
pub(crate) struct VolumeView {
    pub(crate) pod: Pod,
    /// The SecretProviderClass.
    pub(crate) class: String,
    /// The number of secrets and parameters that its files were made from.
    pub(crate) objects: usize,
    /// When it was last mounted or republished.
    pub(crate) mounted_at: Instant,
}

/// What the volumes need from the process.
pub struct Means {
    pub writer: Writer,
    pub shaper: Shaper,
    /// Memory of volumes, in bytes.
    pub max_kept: usize,
}

impl Volumes {
    /// Knows the volumes that an earlier process has left, and no others.
    pub fn new(means: Means) -> Self {
        let Means { writer, shaper, max_kept } = means;
        let kept = Shares::new(max_kept);
        let left = writer.volumes();
        let left = left.into_iter().map(|(path, bytes)| (path, kept.take_anyway(UNKNOWN, bytes))).collect();
        let state = Mutex::new(State { mounted: HashMap::new(), left });
        let writing = Shares::new(MAX_WRITTEN_AT_ONCE);
        let next_look = tokio::sync::Mutex::new(Instant::now());
        Self { writer, shaper, kept, writing, next_look, state }
    }

    pub(super) async fn check(&self, request: &MountRequest) -> Result<(), WriteError> {
        let (writer, path, uid) = (self.writer.clone(), request.target_path.clone(), request.pod.uid.clone());
        blocking(move || writer.check(&path, &uid)).await
    }

    /// Makes a mount's files and writes them, and remembers the volume, so that changes
    /// are written there too. The files are those in the pod now: where a poll saw
    /// newer values than `read` has, those are written.
    ///
    /// # Errors
    /// Why the files were not written; those from before are still there.
    pub async fn mount(
        &self,
        request: MountRequest,
        read: Read,
        subject: Subject,
    ) -> Result<Delivered, NotDelivered> {
        let Read { objects: found, entries, memory: _values, mut turn, .. } = read;
        let path = request.target_path.clone();
        let remembered = self.keep(&request.pod.namespace, request.bytes(), &mut turn).await?;
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
        // From here on a poll that sees a change finds the volume, and waits for the
        // lock. The entries hold what it saw before.
        let before = self.state().mounted.insert(path.clone(), Arc::clone(&volume));
        let found = volume.found().unwrap_or(found);
        match self.fill(&volume, found, &mut held, KeepMtime::No, &mut turn).await {
            Ok((shaped, _)) => Ok(Delivered { files: shaped.files, found: shaped.found, answer: None }),
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

    /// Forgets volumes that nobody has mounted for so long, or for two of their own
    /// intervals: their pods are gone.
    pub fn drop_idle(&self, idle_after: Duration) {
        self.state().mounted.retain(|_, volume| {
            let own = volume.request.class.refresh_interval.unwrap_or_default() * 2;
            volume.mounted_at.elapsed() <= idle_after.max(own)
        });
    }

    /// The memory that namespaces share.
    pub(super) fn memory(&self) -> &Arc<Shares> {
        &self.kept
    }

    /// Every volume that was mounted, in any order.
    pub(crate) fn view(&self) -> Vec<VolumeView> {
        let volumes: Vec<Arc<Volume>> = self.state().mounted.values().cloned().collect();
        let views = volumes.iter().map(|volume| VolumeView {
            pod: volume.request.pod.clone(),
            class: volume.request.class.name.clone(),
            objects: volume.entries.len(),
            mounted_at: volume.mounted_at,
        });
        views.collect()
    }

    /// Number of volumes.
    pub fn len(&self) -> usize {
        self.state().mounted.len()
    }

    /// Whether no volume is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) async fn refresh(&self, changed: &[Arc<Entry>], told: impl Fn(Rewritten)) {
        let concerned = |volume: &&Arc<Volume>| {
            volume.entries.iter().any(|entry| changed.iter().any(|changed| Arc::ptr_eq(changed, entry)))
        };
        let volumes: Vec<Arc<Volume>> = self.state().mounted.values().filter(concerned).cloned().collect();
        // At once, because replacing a set pauses for its readers.
        let rewrites = volumes.into_iter().map(async |volume| {
            if let Some(rewritten) = self.rewrite(volume).await {
                told(rewritten);
            }
        });
        join_all(rewrites).await;
    }

    /// `None` if there is nothing to write any more.
    async fn rewrite(&self, volume: Arc<Volume>) -> Option<Rewritten> {
        let mut held = Arc::clone(&volume.pages).lock_owned().await;
        let MountRequest { pod, class, target_path } = &volume.request;
        // A mount that ended meanwhile may have asked for other objects.
        if !self.state().mounted.get(target_path).is_some_and(|current| Arc::ptr_eq(current, &volume)) {
            return None;
        }
        // If an entry was lost, the files stay as they are.
        let found = volume.found()?;
        let principal = volume.entries.first()?.principal.clone();
        let result = match self.fill(&volume, found, &mut held, KeepMtime::Yes, &mut None).await {
            Err(NotDelivered::Write(WriteError::Gone { .. })) => {
                self.state().mounted.remove(target_path);
                tracing::debug!(%pod, "the pod is gone");
                return None;
            }
            // After a failure, the next mount or the next change tries again.
            result => result.map(|(Shaped { files, found, .. }, written)| NewFiles {
                written,
                principal,
                objects: Arc::clone(&class.objects),
                delivered: Delivered { files, found, answer: None },
            }),
        };
        let (pod, target_path) = (pod.clone(), target_path.clone());
        Some(Rewritten { pod, class: class.name.clone(), target_path, result })
    }

    /// Makes the files and writes them, within the memory that the namespace has.
    async fn fill(
        &self,
        volume: &Volume,
        found: Vec<Found>,
        held: &mut Option<Share>,
        keep_mtime: KeepMtime,
        turn: &mut Option<Share>,
    ) -> Result<(Shaped, Written), NotDelivered> {
        let Volume { request: MountRequest { pod, class, target_path }, entries, subject, .. } = volume;
        let material = Material { objects: &class.objects, found, entries, subject };
        let (shaped, _made) = self.shaper.shape(material, 1, turn).await?;
        let pages = pages_of(&shaped.files);
        self.grow(volume, pages, held, turn).await?;
        let _written = self.writing.take_giving_up(turn, &pod.namespace, pages).await;
        let (writer, target, uid) = (self.writer.clone(), target_path.clone(), pod.uid.clone());
        let files = shaped.files.clone();
        let written = blocking(move || writer.write(&target, &uid, &files, keep_mtime)).await?;
        if let Some(held) = held {
            held.shrink_to(pages);
        }
        Ok((shaped, written))
    }

    /// Grows `held` to at least `pages`.
    async fn grow(
        &self,
        volume: &Volume,
        pages: usize,
        held: &mut Option<Share>,
        turn: &mut Option<Share>,
    ) -> Result<(), NotDelivered> {
        let MountRequest { pod: Pod { namespace, .. }, target_path, .. } = &volume.request;
        // Pages of an earlier process exist already.
        if let Some(left) = self.state().left.remove(target_path) {
            let amount = left.amount();
            drop(left);
            held.get_or_insert(self.kept.take_anyway(namespace, amount));
        }
        let missing = pages.saturating_sub(held.as_ref().map_or(0, Share::amount));
        if missing == 0 {
            return Ok(());
        }
        let more = self.keep(namespace, missing, turn).await?;
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }

    /// Takes memory that stays taken. If there is none, looks for volumes that still
    /// count and are gone.
    async fn keep(
        &self,
        namespace: &str,
        bytes: usize,
        turn: &mut Option<Share>,
    ) -> Result<Share, NotDelivered> {
        if let Ok(share) = self.kept.try_take(namespace, bytes) {
            return Ok(share);
        }
        self.forget_gone(turn).await;
        let refused = |refused| NotDelivered::Memory { namespace: namespace.to_owned(), refused };
        self.kept.try_take(namespace, bytes).map_err(refused)
    }

    /// Looks at every volume, for a small fraction of the time however many mounts are
    /// refused. In between, the last result counts.
    async fn forget_gone(&self, turn: &mut Option<Share>) {
        let mut next_look = self.next_look.lock().await;
        let began = Instant::now();
        if began < *next_look {
            return;
        }
        // Only by the mount that looks: without turns, refused mounts would crowd out others.
        *turn = None;
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

/// The memory of a volume's files, with their links and folders.
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
    /// What the entries hold; `None` if one was lost.
    fn found(&self) -> Option<Vec<Found>> {
        let held: Vec<Readings> = self.entries.iter().map(|entry| entry.held()).collect::<Option<_>>()?;
        let objects = self.request.class.objects.plan().of_objects(&held);
        Some(objects.map(|(readings, place)| readings.found(place)).collect())
    }
}
