//! A file of a mount, ready for delivery.

use std::fmt;

use super::{file_path::FilePath, secret::SecretValue};

/// Permission bits, at most `0777`. Set-user-id, set-group-id and sticky bits make
/// no sense for a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileMode(u16);

impl FileMode {
    pub const OWNER_READ: Self = Self(0o400);

    /// Returns `None` if a bit outside `0777` is set.
    pub fn new(bits: u32) -> Option<Self> {
        u16::try_from(bits).ok().filter(|bits| *bits <= 0o777).map(Self)
    }

    /// `0..=0o777`.
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountFile {
    pub path: FilePath,
    pub mode: FileMode,
    pub contents: SecretValue,
    /// The Secrets Manager VersionId or the parameter's version number.
    pub version: String,
}
