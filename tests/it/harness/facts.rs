//! Assertions on one fact each. A failure shows all that was seen.

use tonic::{Code, Status};

use super::{Answer, World};

/// Checks that a text contains `part`.
#[track_caller]
pub(crate) fn assert_contains(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in: {text}");
}

/// Checks that a text does not contain `part`.
#[track_caller]
pub(crate) fn assert_lacks(text: &str, part: &str) {
    assert!(!text.contains(part), "{part:?} is in: {text}");
}

/// Checks a refusal's code.
#[track_caller]
pub(crate) fn assert_code(status: &Status, code: Code) {
    assert_eq!(status.code(), code, "{status}");
}

/// Checks the code of every refusal.
#[track_caller]
pub(crate) fn assert_codes(refusals: &[Status], code: Code) {
    for status in refusals {
        assert_code(status, code);
    }
}

/// Checks a refusal's code, and that its message contains all of `parts`.
#[track_caller]
pub(crate) fn assert_says(status: &Status, code: Code, parts: &[&str]) {
    assert_code(status, code);
    for part in parts {
        assert_contains(status.message(), part);
    }
}

impl Answer {
    /// Checks the contents of text files.
    #[track_caller]
    pub(crate) fn assert_texts<const N: usize>(&self, files: [(&str, &str); N]) {
        for (path, text) in files {
            assert_eq!(self.text(path), text, "the contents of {path}");
        }
    }

    /// Checks the versions of files.
    #[track_caller]
    pub(crate) fn assert_versions<const N: usize>(&self, files: [(&str, &str); N]) {
        for (path, version) in files {
            assert_eq!(self.version(path), version, "the version of {path}");
        }
    }

    /// Checks the modes of files.
    #[track_caller]
    pub(crate) fn assert_modes<const N: usize>(&self, files: [(&str, u32); N]) {
        for (path, mode) in files {
            let actual = self.mode(path);
            assert_eq!(actual, mode, "the mode of {path} is {actual:#o}, not {mode:#o}");
        }
    }
}

impl World {
    /// Checks how often operations were called.
    #[track_caller]
    pub(crate) fn assert_calls<const N: usize>(&self, operations: [(&str, u64); N]) {
        for (operation, calls) in operations {
            assert_eq!(self.calls(operation), calls, "calls of {operation}");
        }
    }
}
