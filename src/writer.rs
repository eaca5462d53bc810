//! Provider-writes delivery: writes a set of files into a pod's mount, all or
//! nothing, without ever showing an incomplete set to a reader.
//!
//! The mount has the layout of Kubernetes' own AtomicWriter
//! (`pkg/volume/util/atomic_writer.go`). The driver uses the same layout, so each
//! can take over from the other:
//!
//! ```text
//! ..2026_11_21_09_30_00.123456789/   one set of files
//! ..data -> ..2026_11_21_09_30_00.123456789
//! password -> ..data/password        one link for each first path component
//! db -> ..data/db
//! ```
//!
//! Invariants:
//! - Only the rename of `..data` changes what readers see. An error or SIGKILL may
//!   stop the write at any other step: the old or the new set stays complete, and
//!   the next write cleans up.
//! - No path is resolved by name alone. Everything is opened below an open folder,
//!   without following links.
//! - No file descriptor of the mount stays open after a call, or during its pause:
//!   it would make the driver's umount fail and the pod hang.

mod file_set;
mod layout;
mod mount;
mod survey;
mod target;

use std::{
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::io::Errno;

use self::{file_set::FileSet, layout::Delivered, target::Volume};
use crate::model::{file::MountFile, file_path::FilePath};

/// How long the files of a replaced set stay. A reader that has resolved `..data`
/// but not yet opened the file needs them. AtomicWriter removes the old folder at
/// once, and such readers fail.
const DRAIN: Duration = Duration::from_millis(50);

/// Writes files into the mounts of this node's pods.
///
/// Every method blocks: on the file system, on another writer of the same mount,
/// and for 50 ms after it replaces a set. Call it on a thread that may block.
#[derive(Clone, Debug)]
pub struct Writer {
    kubelet_path: PathBuf,
    file_system: FileSystem,
    drain: Duration,
}

/// The file system that a mount must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// A tmpfs that is its own mount root, as the driver creates it. Anything else
    /// would write secrets to the node's disk.
    TmpfsMountRoot,
    /// Any file system, for tests without the permission to mount.
    Any,
}

/// Whether a write keeps the modification time of the mount's root.
///
/// The driver skips a republish while that time is more recent than its rotation
/// interval (`nodeserver.go`, NodePublishVolume).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeepMtime {
    /// For a mount that the driver requested.
    No,
    /// For a write that the driver does not know about. Restores the time afterwards,
    /// even after an error, so that the driver does not skip the next republish.
    Yes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The mount had something else before.
    Changed,
    /// The mount already had exactly this set. Nothing was written, except to turn
    /// plain files into links or to clean up after a killed write.
    Unchanged,
}

/// Why a set of files could not be written. Names paths and steps, never values.
///
/// Unless a variant says otherwise, the previous set is still there and complete.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The target path is not the path of a CSI volume of this pod.
    #[error(
        "the target path {} is not {}/pods/{pod_uid}/volumes/kubernetes.io~csi/<name>/mount",
        target_path.display(),
        kubelet_path.display()
    )]
    Shape { target_path: PathBuf, kubelet_path: PathBuf, pod_uid: String },
    /// Writing would put secrets on the node's disk.
    #[error(
        "{} is not a tmpfs; check that the kubelet folder is mounted with HostToContainer propagation",
        path.display()
    )]
    NotTmpfs { path: PathBuf },
    /// The target is a folder on a tmpfs, but nothing is mounted there.
    #[error("{} is not a mount point", path.display())]
    NotMountRoot { path: PathBuf },
    /// The target path no longer exists, because the pod is gone. (While a volume is
    /// being unmounted, the error may also be [`WriteError::NotTmpfs`] or
    /// [`WriteError::NotMountRoot`].)
    #[error("{} is gone", path.display())]
    Gone { path: PathBuf },
    #[error("no space left to {step} {}", path.display())]
    NoSpace { step: &'static str, path: PathBuf },
    #[error("two files have the path {path}")]
    Duplicate { path: FilePath },
    /// `folder` is the path of a file, and `path` needs it to be a folder.
    #[error("{folder} is a file, but the path {path} needs it to be a folder")]
    FileAndFolder { folder: FilePath, path: FilePath },
    /// A system call failed. If the step was to remove something, the new set may
    /// already be in place and complete, with remains of the old one.
    #[error("cannot {step} {}", path.display())]
    Io {
        step: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Writer {
    /// A writer for volumes below `kubelet_path`, usually `/var/lib/kubelet`. Opens
    /// nothing.
    pub fn new(kubelet_path: impl Into<PathBuf>, file_system: FileSystem) -> Self {
        Self { kubelet_path: kubelet_path.into(), file_system, drain: DRAIN }
    }

    /// Checks a target path without writing, so that a request that cannot be delivered
    /// reads no secrets.
    ///
    /// # Errors
    /// [`WriteError::Shape`], [`WriteError::Gone`], [`WriteError::NotTmpfs`],
    /// [`WriteError::NotMountRoot`], or [`WriteError::Io`] for a path that cannot be
    /// opened without following a link.
    pub fn check(&self, target_path: &Path, pod_uid: &str) -> Result<(), WriteError> {
        let volume = self.volume(target_path, pod_uid)?;
        volume.open_mount().map(drop)
    }

    /// Replaces the mount's contents by `files`, all at once. Writers of the same mount
    /// take turns, even across processes: two of them run during a rolling update.
    ///
    /// A file that its owner may not read cannot be compared without capabilities, so
    /// such a set is written again each time.
    ///
    /// # Errors
    /// Those of [`Writer::check`]; [`WriteError::Duplicate`] and
    /// [`WriteError::FileAndFolder`] for an impossible set; [`WriteError::NoSpace`] and
    /// [`WriteError::Io`].
    pub(crate) fn write(
        &self,
        target_path: &Path,
        pod_uid: &str,
        files: &[MountFile],
        keep_mtime: KeepMtime,
    ) -> Result<Written, WriteError> {
        let set = FileSet::new(files)?;
        let volume = self.volume(target_path, pod_uid)?;
        volume.wait_for_turn()?;
        match volume.with_mount(keep_mtime, |mount| layout::deliver(mount, &set))? {
            Delivered::Unchanged => Ok(Written::Unchanged),
            Delivered::First => Ok(Written::Changed),
            Delivered::Replaced => {
                thread::sleep(self.drain);
                match volume.with_mount(keep_mtime, layout::tidy) {
                    // Unmounted during the pause: there is nothing left to clean up.
                    Ok(())
                    | Err(
                        WriteError::Gone { .. }
                        | WriteError::NotTmpfs { .. }
                        | WriteError::NotMountRoot { .. },
                    ) => Ok(Written::Changed),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// The tmpfs volumes on this node and their sizes in bytes, no matter which process
    /// wrote them.
    pub(crate) fn volumes(&self) -> Vec<(PathBuf, usize)> {
        survey::volumes(&self.kubelet_path)
    }

    /// Whether something is still mounted at the target path.
    pub(crate) fn is_mounted(&self, target_path: &Path) -> bool {
        survey::is_mounted(target_path, self.file_system)
    }

    fn volume(&self, target_path: &Path, pod_uid: &str) -> Result<Volume, WriteError> {
        Volume::open(&self.kubelet_path, target_path, pod_uid, self.file_system)
    }
}

impl WriteError {
    fn at(step: &'static str, path: impl Into<PathBuf>, errno: Errno) -> Self {
        let path = path.into();
        match errno {
            Errno::NOSPC | Errno::DQUOT => Self::NoSpace { step, path },
            _ => Self::Io { step, path, source: errno.into() },
        }
    }
}

#[cfg(test)]
mod tests;
