//! Files that are larger than one mount may be.

use crate::model::{file::MountFile, message::quoted, object::Object};

/// Maximum number of bytes that the protocol adds to a file's path and contents: tags,
/// lengths, mode, and the version entry.
const ENTRY_OVERHEAD: usize = 64;

/// Longest version: Secrets Manager's VersionId has at most 64 characters.
const MAX_VERSION_BYTES: usize = 64;

/// The files are larger than one mount may be.
#[derive(Debug, thiserror::Error)]
#[error(
    "the files are {sum} bytes with their names, more than the {limit} that one mount may have (--max-response-bytes; the driver takes as much as its --max-call-recv-msg-size says); the largest: {largest}"
)]
pub struct TooLarge {
    sum: usize,
    limit: usize,
    largest: String,
}

impl TooLarge {
    /// Names the largest of the files so far.
    pub(super) fn new(files: &[MountFile], limit: usize) -> Self {
        let sum = files.iter().map(size_of).sum();
        let sizes = files.iter().map(|file| (file.contents.len(), file.path.as_str()));
        Self::of(sum, limit, sizes.collect())
    }

    /// The values alone are too large; these were read.
    pub fn of_values(values: &[(String, usize)], limit: usize) -> Self {
        let sum = values.iter().map(|(_, bytes)| bytes).sum();
        Self::of(sum, limit, values.iter().map(|(name, bytes)| (*bytes, name.as_str())).collect())
    }

    fn of(sum: usize, limit: usize, mut sizes: Vec<(usize, &str)>) -> Self {
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let largest: Vec<String> =
            sizes.iter().take(10).map(|(bytes, path)| format!("{} {bytes} bytes", quoted(path))).collect();
        Self { sum, limit, largest: largest.join(", ") }
    }
}

/// Bytes of a file in an answer.
pub(super) fn size_of(file: &MountFile) -> usize {
    file.contents.len() + 2 * file.path.as_str().len() + file.version.len() + ENTRY_OVERHEAD
}

/// Maximum bytes of an object's files in an answer, in addition to their contents.
pub(super) fn overhead(object: &Object) -> usize {
    object.file_paths().map(|path| 2 * path.as_str().len() + MAX_VERSION_BYTES + ENTRY_OVERHEAD).sum()
}
