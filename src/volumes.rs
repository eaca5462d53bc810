//! Provider-writes mode: which pods have what mounted, and writing a change into
//! all of them at once.

use std::{
    collections::HashMap,
    path::PathBuf,
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
        source::Plan,
    },
    shape::{NotShaped, shape_all},
    values::{Entry, Outcome},
    writer::{KeepMtime, WriteError, Writer},
};

/// The mounted volumes of this node, as far as this process has mounted them.
pub struct Volumes {
    writer: Writer,
    /// Most bytes of one volume.
    max_bytes: usize,
    mounted: Mutex<HashMap<PathBuf, Arc<Volume>>>,
}

/// One volume of one pod.
struct Volume {
    request: MountRequest,
    plan: Plan,
    entries: Vec<Arc<Entry>>,
    mounted_at: Instant,
    /// One write at a time, and the last one with the newest values.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Volumes {
    /// No volumes; each may have `max_bytes` of files.
    pub fn new(writer: Writer, max_bytes: usize) -> Self {
        Self { writer, max_bytes, mounted: Mutex::default() }
    }

    /// Whether the request's folder may be written, before anything is read for it.
    ///
    /// # Errors
    /// What is wrong with the folder.
    pub async fn check(&self, request: &MountRequest) -> Result<(), WriteError> {
        let (writer, path, uid) = (self.writer.clone(), request.target_path.clone(), request.pod.uid.clone());
        blocking(move || writer.check(&path, &uid)).await
    }

    /// Writes a mount's files, and remembers the volume, so that changes are
    /// written there too. Gives the files that are in the pod now: where a poll
    /// saw a change since the mount had read, they are newer.
    ///
    /// # Errors
    /// Why the files were not written; those from before are still there.
    pub async fn mount(
        &self,
        request: MountRequest,
        entries: Vec<Arc<Entry>>,
        files: Vec<MountFile>,
    ) -> Result<Vec<MountFile>, WriteError> {
        let path = request.target_path.clone();
        let known = self.mounted().get(&path).cloned();
        let turn = known.as_ref().map_or_else(Arc::default, |volume| Arc::clone(&volume.turn));
        let _turn = turn.lock().await;
        let plan = Plan::of(&request.objects);
        let uid = request.pod.uid.clone();
        let mounted_at = Instant::now();
        let volume = Arc::new(Volume { request, plan, entries, mounted_at, turn: Arc::clone(&turn) });
        // From here on a poll that sees a change finds the volume, and waits for
        // its turn. What it saw before, the entries hold.
        let before = self.mounted().insert(path.clone(), Arc::clone(&volume));
        let files = volume.files(self.max_bytes).and_then(Result::ok).unwrap_or(files);
        let (writer, target) = (self.writer.clone(), path.clone());
        let written = {
            let files = files.clone();
            blocking(move || writer.write(&target, &uid, &files, KeepMtime::No)).await
        };
        match written {
            Ok(_) => Ok(files),
            Err(error) => {
                let mut mounted = self.mounted();
                match before {
                    Some(before) => drop(mounted.insert(path, before)),
                    None => drop(mounted.remove(&path)),
                }
                Err(error)
            }
        }
    }

    /// Forgets volumes that nobody has mounted for so long, or for two of their
    /// own intervals: their pods are gone.
    pub fn drop_idle(&self, idle_after: Duration) {
        self.mounted().retain(|_, volume| {
            let own = volume.request.refresh_interval.unwrap_or_default() * 2;
            volume.mounted_at.elapsed() <= idle_after.max(own)
        });
    }

    /// Number of volumes.
    pub fn len(&self) -> usize {
        self.mounted().len()
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
        let volumes: Vec<Arc<Volume>> = self.mounted().values().filter(concerned).cloned().collect();
        // At once, because replacing a set pauses for its readers.
        join_all(volumes.into_iter().map(|volume| self.write(volume))).await;
    }

    async fn write(&self, volume: Arc<Volume>) {
        let _turn = volume.turn.lock().await;
        let request = &volume.request;
        let (path, uid) = (request.target_path.clone(), request.pod.uid.clone());
        // A mount that ended meanwhile may have asked for other objects.
        if !self.mounted().get(&path).is_some_and(|current| Arc::ptr_eq(current, &volume)) {
            return;
        }
        let files = match volume.files(self.max_bytes) {
            None => return,
            Some(Ok(files)) => files,
            Some(Err(error)) => {
                let error = logged(&error);
                tracing::error!(pod = %request.pod, "a changed value was not written: {error}");
                return;
            }
        };
        let (writer, target) = (self.writer.clone(), path.clone());
        match blocking(move || writer.write(&target, &uid, &files, KeepMtime::Yes)).await {
            Ok(written) => tracing::info!(pod = %request.pod, ?written, "rotation written"),
            Err(WriteError::Gone { .. }) => {
                self.mounted().remove(&path);
                tracing::debug!(pod = %request.pod, "the pod is gone");
            }
            // The next mount or the next change tries again.
            Err(error) => {
                let error = logged(&causes(&error));
                tracing::error!(pod = %request.pod, "a changed value was not written: {error}");
            }
        }
    }

    fn mounted(&self) -> MutexGuard<'_, HashMap<PathBuf, Arc<Volume>>> {
        self.mounted.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    /// The files of what every entry holds; `None` when one was lost, so that
    /// the files stay as they are.
    fn files(&self, limit: usize) -> Option<Result<Vec<MountFile>, NotShaped>> {
        let held = self.entries.iter().map(|entry| entry.slot.held().map(|held| held.results));
        let outcomes: Vec<Outcome> = held.collect::<Option<_>>()?;
        let places = self.plan.places.iter();
        let objects = places.map(|(source, place)| outcomes[*source][*place].clone()).collect();
        Some(shape_all(&self.request, objects, &self.request.pod, None, limit))
    }
}
