//! Provider-writes delivery: a set of files goes into a pod's mount all at once
//! or not at all, and whoever reads meanwhile misses nothing.
//!
//! The mount looks as Kubernetes' own AtomicWriter lays it out
//! (`pkg/volume/util/atomic_writer.go`), which is what the driver writes too,
//! so either can continue where the other stopped:
//!
//! ```text
//! ..2026_11_21_09_30_00.123456789/   one set of files
//! ..data -> ..2026_11_21_09_30_00.123456789
//! password -> ..data/password        one link for each first path component
//! db -> ..data/db
//! ```
//!
//! Invariants:
//! - The only step that changes what is visible is the rename of `..data`.
//!   Every step before it and after it may be the last one, by an error or by
//!   SIGKILL: the old or the new set is whole, and the next write tidies up.
//! - No path is ever resolved by name alone: everything is opened beneath a
//!   folder that is held, without following links.
//! - No descriptor of the mount outlives a call, nor the pause in it: an open
//!   one makes the driver's umount fail and the pod hang.

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

/// How long the files of a replaced set stay. Whoever has resolved `..data` but
/// not yet opened the file behind it would otherwise find the file gone, as
/// with AtomicWriter, which removes the old folder at once.
const DRAIN: Duration = Duration::from_millis(50);

/// Puts files into the mounts of this node's pods.
///
/// Every method blocks (on the file system, on another writer of the same
/// mount, and up to 50 ms after a set was replaced) and belongs on a thread
/// that may.
#[derive(Clone, Debug)]
pub struct Writer {
    kubelet_path: PathBuf,
    file_system: FileSystem,
    drain: Duration,
}

/// What a mount must stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// A tmpfs that is its own mount root, as the driver makes it. Anything
    /// else would put secrets on the node's disk.
    TmpfsMountRoot,
    /// Whatever there is: for tests that may not mount.
    Any,
}

/// Whether a write may be seen in the modification time of the mount's root.
///
/// The driver skips a republish while that time is younger than its rotation
/// interval (`nodeserver.go`, NodePublishVolume).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepMtime {
    /// For a mount that the driver asked for.
    No,
    /// For a write behind the driver's back: the time is put back afterwards,
    /// also after an error, so that the driver does not skip the next republish.
    Yes,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The mount now holds the set; before, it held something else.
    Changed,
    /// The mount held exactly this set already. Nothing was written, unless
    /// plain files had to become links or a killed write had left something.
    Unchanged,
}

/// Why a set of files is not in the mount. It names paths and steps, never a
/// value.
///
/// Unless it says otherwise, what was mounted before is still there, whole.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The driver's target path is not that of a CSI volume of this pod.
    #[error(
        "the target path {} is not {}/pods/{pod_uid}/volumes/kubernetes.io~csi/<name>/mount",
        target_path.display(),
        kubelet_path.display()
    )]
    Shape {
        /// The path that was asked for.
        target_path: PathBuf,
        /// The kubelet folder beneath which it was expected.
        kubelet_path: PathBuf,
        /// The pod of the request.
        pod_uid: String,
    },
    /// The mount is no tmpfs: secrets would be written to the node's disk.
    #[error(
        "{} is not a tmpfs; is the kubelet folder mounted with HostToContainer propagation?",
        path.display()
    )]
    NotTmpfs {
        /// The target path.
        path: PathBuf,
    },
    /// The target is a folder on a tmpfs, but nothing is mounted there.
    #[error("{} is not a mount point of its own", path.display())]
    NotMountRoot {
        /// The target path.
        path: PathBuf,
    },
    /// The target path is no longer there: the pod is gone. (A volume that is
    /// just being unmounted may be [`WriteError::NotTmpfs`] or
    /// [`WriteError::NotMountRoot`] for a moment.)
    #[error("{} is gone", path.display())]
    Gone {
        /// The target path.
        path: PathBuf,
    },
    /// The file system is full.
    #[error("no space left to {step} {}", path.display())]
    NoSpace {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// Two files of the set have the same path.
    #[error("the path {path} is given to two files")]
    Duplicate {
        /// That path.
        path: FilePath,
    },
    /// One file of the set would have to be a folder for another one.
    #[error("{folder} is a file, and a folder in the path {path}")]
    FileAndFolder {
        /// The path that is both.
        folder: FilePath,
        /// The path that needs it to be a folder.
        path: FilePath,
    },
    /// A system call failed. Where the step is to remove something, the new set
    /// may be in place already, whole, with something of the old one beside it.
    #[error("cannot {step} {}", path.display())]
    Io {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl Writer {
    /// A writer for the pods whose volumes lie below `kubelet_path`, usually
    /// `/var/lib/kubelet`. Nothing is opened yet.
    pub fn new(kubelet_path: impl Into<PathBuf>, file_system: FileSystem) -> Self {
        Self { kubelet_path: kubelet_path.into(), file_system, drain: DRAIN }
    }

    /// Checks all that can be checked of a target path without writing: a
    /// request that cannot be delivered need not read any secret.
    ///
    /// # Errors
    /// [`WriteError::Shape`], [`WriteError::Gone`], [`WriteError::NotTmpfs`],
    /// [`WriteError::NotMountRoot`], or [`WriteError::Io`] for a path that
    /// cannot be opened without following a link.
    pub fn check(&self, target_path: &Path, pod_uid: &str) -> Result<(), WriteError> {
        let volume = self.volume(target_path, pod_uid)?;
        volume.open_mount().map(drop)
    }

    /// Makes the mount hold exactly `files`: all of them appear at once, and
    /// what else was there goes. Writers of one mount take turns, those in
    /// another process too (two of us run during a rolling update).
    ///
    /// A file whose mode denies its owner to read cannot be compared without
    /// capabilities; such a set is written anew each time.
    ///
    /// # Errors
    /// Those of [`Writer::check`], [`WriteError::Duplicate`] and
    /// [`WriteError::FileAndFolder`] for a set that cannot be, and
    /// [`WriteError::NoSpace`] and [`WriteError::Io`].
    pub fn write(
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
                    // Unmounted during the pause: nothing is left to tidy.
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

    /// The volumes of this node that stand in memory, with the bytes that each
    /// takes: whoever has written them.
    pub fn volumes(&self) -> Vec<(PathBuf, usize)> {
        survey::volumes(&self.kubelet_path)
    }

    /// Whether something is still mounted at the target path.
    pub fn is_mounted(&self, target_path: &Path) -> bool {
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
