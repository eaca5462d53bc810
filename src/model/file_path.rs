//! A path that cannot leave the mount.

use std::fmt;

/// Maximum length of a path component for the driver and Linux.
pub const MAX_COMPONENT_BYTES: usize = 255;
/// Maximum length of a relative path for the driver.
pub const MAX_PATH_BYTES: usize = 4096;

/// A clean, relative path below the mount's root. It has no empty, `.` or `..`
/// component, does not start with `..` (reserved for the driver), contains no control
/// character such as NUL, and stays within the driver's maximum lengths.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilePath(String);

/// Why a text is not a [`FilePath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilePathError {
    #[error("is empty")]
    Empty,
    #[error("is absolute; a path inside the mount must not start with '/'")]
    Absolute,
    /// The component is `..`, `.` or empty.
    #[error("has the component {0:?}, which could lead out of the mount")]
    Component(String),
    #[error("starts with '..', which is reserved for the driver's own files")]
    Reserved,
    #[error("has a component of {0} bytes; the maximum is {MAX_COMPONENT_BYTES}")]
    LongComponent(usize),
    #[error("has {0} bytes; the maximum is {MAX_PATH_BYTES}")]
    Long(usize),
    #[error("contains the control character {0:?}")]
    Control(char),
}

impl FilePath {
    /// Checks `text`, and returns the first violated rule as an error.
    pub fn parse(text: &str) -> Result<Self, FilePathError> {
        if text.is_empty() {
            return Err(FilePathError::Empty);
        }
        if text.starts_with('/') {
            return Err(FilePathError::Absolute);
        }
        if text.len() > MAX_PATH_BYTES {
            return Err(FilePathError::Long(text.len()));
        }
        if let Some(control) = text.chars().find(|c| c.is_control()) {
            return Err(FilePathError::Control(control));
        }
        for component in text.split('/') {
            if matches!(component, "" | "." | "..") {
                return Err(FilePathError::Component(component.to_owned()));
            }
            if component.len() > MAX_COMPONENT_BYTES {
                return Err(FilePathError::LongComponent(component.len()));
            }
        }
        if text.starts_with("..") {
            return Err(FilePathError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }

    /// The path relative to the mount's root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components, from the root down. There is at least one.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_way_out_of_the_mount_is_refused() {
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a/..",
            "./a",
            "a//b",
            "a/",
            "..data",
            "..2026_01_01/x",
            "a\0b",
            "a\nb",
        ] {
            assert!(FilePath::parse(bad).is_err(), "{bad:?}");
        }
        FilePath::parse(&"x".repeat(256)).unwrap_err();
        FilePath::parse(&"x/".repeat(2100)).unwrap_err();
    }

    #[test]
    fn ordinary_names_are_kept() {
        for good in ["a", "db/password", ".env", "a..b", "\"quoted\"", "a b", "x/..y", "Ünï"] {
            assert_eq!(FilePath::parse(good).unwrap().as_str(), good, "{good:?}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_path_stays_below_any_root(text in "[./a-c\\PC]{0,40}") {
            if let Ok(path) = FilePath::parse(&text) {
                let mut depth = 0;
                for component in std::path::Path::new(path.as_str()).components() {
                    let is_name = matches!(component, std::path::Component::Normal(_));
                    prop_assert!(is_name, "{component:?} in {text:?}");
                    depth += 1;
                }
                prop_assert_eq!(depth, path.components().count());
            }
        }
    }
}
