//! Which volumes of the driver there are on this node, and how much memory they
//! take.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{FileSystem, target::is_tmpfs};

/// Every tmpfs that stands where the driver mounts volumes below `kubelet_path`,
/// with the bytes that it takes. What cannot be read is left out: a pod may just
/// be going.
pub(super) fn volumes(kubelet_path: &Path) -> Vec<(PathBuf, usize)> {
    let pods = folders(&kubelet_path.join("pods"));
    let volumes = pods.into_iter().flat_map(|pod| folders(&pod.join("volumes/kubernetes.io~csi")));
    let mounts = volumes.map(|volume| volume.join("mount"));
    mounts.filter_map(|mount| used(&mount).map(|bytes| (mount, bytes))).collect()
}

/// Whether a volume still stands at `mount`.
pub(super) fn is_mounted(mount: &Path, file_system: FileSystem) -> bool {
    match file_system {
        FileSystem::TmpfsMountRoot => used(mount).is_some(),
        FileSystem::Any => mount.exists(),
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The bytes of a tmpfs; `None` for anything else.
fn used(mount: &Path) -> Option<usize> {
    let stat = rustix::fs::statfs(mount).ok().filter(is_tmpfs)?;
    let blocks = stat.f_blocks.saturating_sub(stat.f_bfree);
    usize::try_from(blocks).ok()?.checked_mul(usize::try_from(stat.f_bsize).ok()?)
}
