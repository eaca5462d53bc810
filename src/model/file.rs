//! One file of a mount, ready to be delivered.

use std::fmt;

use super::{file_path::FilePath, secret::SecretValue};

/// Permission bits, at most `0777`: set-user-id, set-group-id and sticky bits
/// have no meaning for a secret and are refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileMode(u16);

impl FileMode {
    /// `0400`.
    pub const OWNER_READ: Self = Self(0o400);

    /// `None` when a bit beyond `0777` is set.
    pub fn new(bits: u32) -> Option<Self> {
        u16::try_from(bits).ok().filter(|bits| *bits <= 0o777).map(Self)
    }

    /// The bits, `0..=0o777`.
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One file of a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountFile {
    /// Where it stands below the mount's root.
    pub path: FilePath,
    /// Its permission bits.
    pub mode: FileMode,
    /// What is in it.
    pub contents: SecretValue,
    /// The Secrets Manager VersionId or the parameter's version number.
    pub version: String,
}
