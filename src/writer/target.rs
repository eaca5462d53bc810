//! Opens the driver's target path, and checks that it is the right mount.

use std::{
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{self, AtFlags, FlockOperation, FsWord, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags},
    io::{Errno, retry_on_intr},
};

use super::{FileSystem, KeepMtime, WriteError, mount::Mount};

/// `TMPFS_MAGIC` of statfs(2).
const TMPFS_MAGIC: FsWord = 0x0102_1994;

/// Follows no links, but crosses mount points: kubelet's folder contains some, and
/// the driver's tmpfs is one.
const RESOLVE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The folder `…/kubernetes.io~csi/<name>` that contains the mount point. It is on
/// the node's disk and pods do not see it, so keeping it open and locked disturbs
/// nobody.
pub(super) struct Volume {
    folder: OwnedFd,
    target_path: PathBuf,
    file_system: FileSystem,
}

impl Volume {
    /// Checks the form of `target_path` and opens its parent folder.
    pub(super) fn open(
        kubelet_path: &Path,
        target_path: &Path,
        pod_uid: &str,
        file_system: FileSystem,
    ) -> Result<Self, WriteError> {
        let volume_path =
            volume_path(kubelet_path, target_path, pod_uid).ok_or_else(|| WriteError::Shape {
                target_path: target_path.to_owned(),
                kubelet_path: kubelet_path.to_owned(),
                pod_uid: pod_uid.to_owned(),
            })?;
        // Follow links here, and only here: the path comes from the command line,
        // and an administrator may have moved kubelet's folder.
        let kubelet = fs::open(kubelet_path, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())
            .map_err(|errno| WriteError::at("open the kubelet folder", kubelet_path, errno))?;
        let folder = fs::openat2(&kubelet, &volume_path, FOLDER, Mode::empty(), RESOLVE)
            .map_err(|errno| gone_or("open, without following links, the folder of", target_path, errno))?;
        Ok(Self { folder, target_path: target_path.to_owned(), file_system })
    }

    /// Blocks until no other writer works on this mount, and keeps others out until the
    /// volume is dropped. Locks the parent folder, because a pod could lock the mount
    /// itself forever.
    pub(super) fn wait_for_turn(&self) -> Result<(), WriteError> {
        retry_on_intr(|| fs::flock(&self.folder, FlockOperation::LockExclusive))
            .map_err(|errno| WriteError::at("lock the folder of", &self.target_path, errno))
    }

    /// Opens the mount while `work` runs, and restores its modification time if
    /// `keep_mtime` says so.
    pub(super) fn with_mount<T>(
        &self,
        keep_mtime: KeepMtime,
        work: impl FnOnce(&Mount) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        let mount = self.open_mount()?;
        match keep_mtime {
            KeepMtime::No => work(&mount),
            KeepMtime::Yes => {
                let before = mount.mtime()?;
                let done = work(&mount);
                let kept = mount.set_mtime(before);
                let done = done?;
                kept.map(|()| done)
            }
        }
    }

    /// Opens the mount and checks its file system.
    pub(super) fn open_mount(&self) -> Result<Mount, WriteError> {
        let root = fs::openat2(&self.folder, "mount", FOLDER, Mode::empty(), RESOLVE)
            .map_err(|errno| gone_or("open, without following links,", &self.target_path, errno))?;
        match self.file_system {
            FileSystem::TmpfsMountRoot => self.check_tmpfs(&root)?,
            FileSystem::Any => {}
        }
        Ok(Mount::new(root, self.target_path.clone()))
    }

    fn check_tmpfs(&self, root: &OwnedFd) -> Result<(), WriteError> {
        let failed = |errno| WriteError::at("examine", &self.target_path, errno);
        let path = || self.target_path.clone();
        if !is_tmpfs(&fs::fstatfs(root).map_err(failed)?) {
            return Err(WriteError::NotTmpfs { path: path() });
        }
        let stat = |folder: &OwnedFd| {
            fs::statx(folder, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map_err(failed)
        };
        let mounted = stat(root)?;
        // Linux reports this since 5.8. Before, a different device than that of the
        // parent folder means the same.
        let is_mount_root = if mounted.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
            mounted.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
        } else {
            let above = stat(&self.folder)?;
            (mounted.stx_dev_major, mounted.stx_dev_minor) != (above.stx_dev_major, above.stx_dev_minor)
        };
        if is_mount_root { Ok(()) } else { Err(WriteError::NotMountRoot { path: path() }) }
    }
}

pub(super) fn is_tmpfs(stat: &fs::StatFs) -> bool {
    stat.f_type == TMPFS_MAGIC
}

/// Returns `pods/<pod uid>/volumes/kubernetes.io~csi/<name>` if `target_path` is
/// exactly that between `kubelet_path` and `/mount`, in kubelet's spelling.
fn volume_path(kubelet_path: &Path, target_path: &Path, pod_uid: &str) -> Option<PathBuf> {
    let below = target_path.strip_prefix(kubelet_path).ok()?;
    let names = below
        .components()
        .map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    let [pods, uid, volumes, csi, name, mount] = names[..] else {
        return None;
    };
    let in_place = pods == "pods"
        && uid == pod_uid
        && volumes == "volumes"
        && csi == "kubernetes.io~csi"
        && mount == "mount";
    // `Path` ignores `//`, `/./` and a trailing `/`. kubelet writes none of them,
    // so such a path is not from kubelet.
    let spelled =
        kubelet_path.components().collect::<PathBuf>().join(below.components().collect::<PathBuf>());
    let same_spelling = spelled.as_os_str() == target_path.as_os_str();
    let no_nul = !name.as_bytes().contains(&0);
    (in_place && same_spelling && no_nul).then(|| [pods, uid, volumes, csi, name].iter().collect())
}

fn gone_or(step: &'static str, target_path: &Path, errno: Errno) -> WriteError {
    match errno {
        Errno::NOENT => WriteError::Gone { path: target_path.to_owned() },
        _ => WriteError::at(step, target_path, errno),
    }
}
