//! An open mount and the operations on it. Paths are relative to its root; no
//! operation follows a link or leaves the file system.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        self, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, StatxFlags, Timespec,
        Timestamps, UTIME_OMIT,
    },
    io::Errno,
};
use zeroize::Zeroizing;

use super::WriteError;
use crate::model::{file::FileMode, secret::SecretValue};

const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// The same as AtomicWriter's. The mode of each file protects its contents.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

pub(super) struct Mount {
    root: OwnedFd,
    /// For messages.
    target_path: PathBuf,
}

impl Mount {
    pub(super) fn new(root: OwnedFd, target_path: PathBuf) -> Self {
        Self { root, target_path }
    }

    /// The modification time of the root.
    pub(super) fn mtime(&self) -> Result<Timespec, WriteError> {
        fs::statx(&self.root, "", AtFlags::EMPTY_PATH, StatxFlags::MTIME)
            .map(|stat| Timespec { tv_sec: stat.stx_mtime.tv_sec, tv_nsec: stat.stx_mtime.tv_nsec.into() })
            .map_err(|errno| self.failed("read the modification time of", "", errno))
    }

    /// Sets the modification time of the root.
    pub(super) fn set_mtime(&self, mtime: Timespec) -> Result<(), WriteError> {
        let unchanged = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: unchanged, last_modification: mtime };
        fs::futimens(&self.root, &times)
            .map_err(|errno| self.failed("restore the modification time of", "", errno))
    }

    /// The names in a folder. `""` is the root.
    pub(super) fn list(&self, folder: impl AsRef<Path>) -> Result<Vec<OsString>, WriteError> {
        let folder = folder.as_ref();
        let list = || {
            let mut names = Vec::new();
            for entry in Dir::new(self.open(or_dot(folder), FOLDER)?)? {
                let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
                if name != "." && name != ".." {
                    names.push(name);
                }
            }
            Ok(names)
        };
        list().map_err(|errno| self.failed("list", folder, errno))
    }

    /// The target of a link; `None` if nothing, or something other than a link, exists.
    pub(super) fn link_target(&self, path: impl AsRef<Path>) -> Result<Option<PathBuf>, WriteError> {
        let path = path.as_ref();
        match self.in_parent(path, |folder, name| fs::readlinkat(folder, name, Vec::new())) {
            Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()).into())),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(errno) => Err(self.failed("read the link", path, errno)),
        }
    }

    /// Whether `path` is a folder, and not a link to one.
    pub(super) fn is_folder(&self, path: impl AsRef<Path>) -> Result<bool, WriteError> {
        let path = path.as_ref();
        match self.stat(path) {
            Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.failed("examine", path, errno)),
        }
    }

    /// Whether `path` is a regular file with this mode and these contents.
    pub(super) fn has_file(
        &self,
        path: impl AsRef<Path>,
        mode: FileMode,
        contents: &SecretValue,
    ) -> Result<bool, WriteError> {
        let path = path.as_ref();
        let compare = || {
            let stat = self.stat(path)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
                || stat.st_mode & 0o7777 != mode.bits()
                || u64::try_from(stat.st_size).ok() != u64::try_from(contents.len()).ok()
            {
                return Ok(false);
            }
            // The check above makes sure that this opens no FIFO or device.
            let mut file = File::from(self.open(path, OFlags::RDONLY | OFlags::NONBLOCK)?);
            reads_as(&mut file, contents.expose())
        };
        match compare() {
            Ok(same) => Ok(same),
            // The path contains a link or a file, does not exist, or has a mode
            // that even denies us access: it is not the wanted file.
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => Ok(false),
                _ => {
                    Err(WriteError::Io { step: "compare", path: self.target_path.join(path), source: error })
                }
            },
        }
    }

    /// Creates a folder. Returns `Ok(false)` if the path already exists.
    pub(super) fn create_folder(&self, path: impl AsRef<Path>) -> Result<bool, WriteError> {
        let path = path.as_ref();
        let create = || {
            self.in_parent(path, |folder, name| fs::mkdirat(folder, name, Mode::RWXU))?;
            // Not with mkdir, because the umask would remove bits.
            fs::fchmod(self.open(path, FOLDER)?, FOLDER_MODE)
        };
        match create() {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(self.failed("create the folder", path, errno)),
        }
    }

    /// Creates a new file; it must not exist.
    pub(super) fn create_file(
        &self,
        path: impl AsRef<Path>,
        mode: FileMode,
        contents: &SecretValue,
    ) -> Result<(), WriteError> {
        let path = path.as_ref();
        let create = || {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
            let mut file = File::from(self.open(path, flags)?);
            file.write_all(contents.expose())?;
            // Not with open, because the umask would remove bits.
            fs::fchmod(&file, Mode::from_raw_mode(mode.bits()))?;
            Ok(())
        };
        create().map_err(|error: io::Error| match Errno::from_io_error(&error) {
            Some(errno) => self.failed("write", path, errno),
            None => WriteError::Io { step: "write", path: self.target_path.join(path), source: error },
        })
    }

    /// Creates a link, unless the path already exists.
    pub(super) fn create_link(
        &self,
        target: impl AsRef<Path>,
        path: impl AsRef<Path>,
    ) -> Result<(), WriteError> {
        let path = path.as_ref();
        match self.in_parent(path, |folder, name| fs::symlinkat(target.as_ref(), folder, name)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(self.failed("create the link", path, errno)),
        }
    }

    /// Atomically renames `from` to `to`, both in the root; replaces `to`.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), WriteError> {
        fs::renameat(&self.root, from, &self.root, to)
            .map_err(|errno| self.failed("rename a link to", to, errno))
    }

    /// Atomically exchanges `inner` with `name`, which is in the root.
    pub(super) fn exchange(&self, name: &Path, inner: &Path) -> Result<(), WriteError> {
        self.in_parent(inner, |folder, inner_name| {
            fs::renameat_with(&self.root, name, folder, inner_name, RenameFlags::EXCHANGE)
        })
        .map_err(|errno| self.failed("replace with a link", name, errno))
    }

    /// Removes whatever is at `path`, with its contents. Does not recurse: a path with
    /// two thousand components would overflow the stack.
    pub(super) fn remove(&self, path: impl AsRef<Path>) -> Result<(), WriteError> {
        let mut left = vec![path.as_ref().to_owned()];
        while let Some(path) = left.last().cloned() {
            let unlink = |flags| self.in_parent(&path, |folder, name| fs::unlinkat(folder, name, flags));
            let removed = match unlink(AtFlags::empty()) {
                Err(Errno::ISDIR) => unlink(AtFlags::REMOVEDIR),
                other => other,
            };
            match removed {
                Ok(()) | Err(Errno::NOENT) => drop(left.pop()),
                Err(Errno::NOTEMPTY) => {
                    left.extend(self.list(&path)?.into_iter().map(|name| path.join(name)));
                }
                Err(errno) => return Err(self.failed("remove", path, errno)),
            }
        }
        Ok(())
    }

    fn stat(&self, path: &Path) -> rustix::io::Result<fs::Stat> {
        fs::fstat(self.open(path, OFlags::PATH)?)
    }

    fn open(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let mode = if flags.contains(OFlags::CREATE) { Mode::RUSR | Mode::WUSR } else { Mode::empty() };
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat2(&self.root, path, flags, mode, RESOLVE)
    }

    /// Runs a system call that does not support `RESOLVE_…`. Opens the parent folder of
    /// `path` with one that does, and passes it with the last component. So at most one
    /// folder is open besides the root, no matter how deep the path is.
    fn in_parent<T>(
        &self,
        path: &Path,
        call: impl FnOnce(BorrowedFd<'_>, &Path) -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        let name = Path::new(path.file_name().ok_or(Errno::INVAL)?);
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                let folder = self.open(parent, OFlags::PATH | OFlags::DIRECTORY)?;
                call(folder.as_fd(), name)
            }
            _ => call(self.root.as_fd(), name),
        }
    }

    fn failed(&self, step: &'static str, path: impl AsRef<Path>, errno: Errno) -> WriteError {
        let path = path.as_ref();
        if path.as_os_str().is_empty() {
            WriteError::at(step, &self.target_path, errno)
        } else {
            WriteError::at(step, self.target_path.join(path), errno)
        }
    }
}

fn or_dot(folder: &Path) -> &Path {
    if folder.as_os_str().as_bytes().is_empty() { Path::new(".") } else { folder }
}

/// Whether `file` contains exactly `contents`. Reads it in pieces, into memory that
/// is wiped.
fn reads_as(file: &mut impl Read, mut contents: &[u8]) -> io::Result<bool> {
    let mut piece = Zeroizing::new([0; 8192]);
    loop {
        let length = match file.read(&mut piece[..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if length == 0 {
            return Ok(contents.is_empty());
        }
        let Some(rest) = contents.strip_prefix(&piece[..length]) else {
            return Ok(false);
        };
        contents = rest;
    }
}
