//! A set of files whose paths do not conflict.

use std::collections::{BTreeMap, BTreeSet};

use super::WriteError;
use crate::model::file::MountFile;

/// The files of one delivery by path, and the folders they need.
pub(super) struct FileSet<'a> {
    files: BTreeMap<&'a str, &'a MountFile>,
    folders: BTreeSet<&'a str>,
}

impl<'a> FileSet<'a> {
    /// Fails if two files have the same path, or if one path is both a file and a
    /// folder.
    pub(super) fn new(files: &'a [MountFile]) -> Result<Self, WriteError> {
        let mut set = Self { files: BTreeMap::new(), folders: BTreeSet::new() };
        for file in files {
            if set.files.insert(file.path.as_str(), file).is_some() {
                let path = file.path.clone();
                return Err(WriteError::Duplicate { path });
            }
        }
        for file in files {
            let path = file.path.as_str();
            for (end, _) in path.match_indices('/') {
                if let Some(folder) = set.files.get(&path[..end]) {
                    return Err(WriteError::FileAndFolder {
                        folder: folder.path.clone(),
                        path: file.path.clone(),
                    });
                }
                set.folders.insert(&path[..end]);
            }
        }
        Ok(set)
    }

    /// The files in the order of their paths.
    pub(super) fn files(&self) -> impl Iterator<Item = &'a MountFile> {
        self.files.values().copied()
    }

    /// The folders that the files need, parents first.
    pub(super) fn folders(&self) -> impl Iterator<Item = &'a str> {
        self.folders.iter().copied()
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.folders.contains(path)
    }

    /// The names that a reader sees in the mount's root.
    pub(super) fn first_components(&self) -> BTreeSet<&'a str> {
        self.files().filter_map(|file| file.path.as_str().split('/').next()).collect()
    }
}
