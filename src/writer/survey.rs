//! Finds the driver's volumes on this node and the memory they use.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{FileSystem, target::is_tmpfs};

/// Every tmpfs below `kubelet_path` in a place where the driver mounts volumes, with
/// its size in bytes. Skips what cannot be read: its pod may be terminating.
pub(super) fn volumes(kubelet_path: &Path) -> Vec<(PathBuf, usize)> {
    let pods = folders(&kubelet_path.join("pods"));
    let volumes = pods.into_iter().flat_map(|pod| folders(&pod.join("volumes/kubernetes.io~csi")));
    let mounts = volumes.map(|volume| volume.join("mount"));
    mounts.filter_map(|mount| used(&mount).map(|bytes| (mount, bytes))).collect()
}

/// Whether a volume is still mounted at `mount`.
pub(super) fn is_mounted(mount: &Path, file_system: FileSystem) -> bool {
    match file_system {
        FileSystem::TmpfsMountRoot => used(mount).is_some(),
        FileSystem::Any => mount.exists(),
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The bytes that a tmpfs uses; `None` for anything else.
fn used(mount: &Path) -> Option<usize> {
    let stat = rustix::fs::statfs(mount).ok().filter(is_tmpfs)?;
    let blocks = stat.f_blocks.saturating_sub(stat.f_bfree);
    usize::try_from(blocks).ok()?.checked_mul(usize::try_from(stat.f_bsize).ok()?)
}
