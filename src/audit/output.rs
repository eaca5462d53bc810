//! Where the lines go: a file that only grows, or standard output.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, io::Errno};

use super::AuditLog;

/// Why the audit log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(
        "the audit log {} (--audit-log) is not a regular file, but a link, a folder, or a device. Name a regular file, or stdout",
        .0.display()
    )]
    NotAFile(PathBuf),
    #[error(
        "cannot open the audit log {} (--audit-log). Check that its folder exists and that Latchkey may write there",
        path.display()
    )]
    Open { path: PathBuf, source: io::Error },
    #[error(
        "cannot write the audit log (--audit-log). Check the disk's space, and who reads standard output"
    )]
    Write(#[from] io::Error),
    #[error("cannot start the thread that writes the audit log")]
    Thread(#[source] io::Error),
}

#[derive(Debug)]
pub(super) struct Output {
    target: Target,
    /// Whether the last line was cut: the next one begins with a newline.
    cut: bool,
}

#[derive(Debug)]
enum Target {
    Stream(File),
    Path {
        path: PathBuf,
        /// `None` after a failure.
        file: Option<File>,
    },
}

/// A write that failed, and the bytes that were written before.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) written: usize,
    pub(super) error: AuditError,
}

impl Output {
    /// Opens the log. A file is created for its owner only.
    pub(super) fn open(log: AuditLog) -> Result<Self, AuditError> {
        match log {
            AuditLog::Stdout => {
                let stdout = io::stdout().as_fd().try_clone_to_owned()?;
                Ok(Self::stream(stdout.into()))
            }
            AuditLog::File(path) => {
                let mut output = Self { target: Target::Path { path, file: None }, cut: false };
                output.reopen()?;
                Ok(output)
            }
        }
    }

    pub(super) fn stream(stream: File) -> Self {
        Self { target: Target::Stream(stream), cut: false }
    }

    /// Opens the path again, also if it is another file now.
    pub(super) fn reopen(&mut self) -> Result<(), AuditError> {
        if let Target::Path { path, file } = &mut self.target {
            // Closed first: after a failure, nothing is written to the old file.
            *file = None;
            let (opened, cut) = open(path)?;
            (*file, self.cut) = (Some(opened), cut);
        }
        Ok(())
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), Cut> {
        let before = |error| Cut { written: 0, error };
        if let Target::Path { file: None, .. } = &self.target {
            self.reopen().map_err(before)?;
        }
        let (Target::Stream(file) | Target::Path { file: Some(file), .. }) = &mut self.target else {
            return Ok(());
        };
        let mut written = 0;
        let mut result = Ok(());
        if self.cut {
            result = file.write_all(b"\n");
            self.cut = result.is_err();
        }
        while written < lines.len() && result.is_ok() {
            match file.write(&lines[written..]) {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
        }
        result.map_err(|error| {
            self.cut |= lines[..written].last().is_some_and(|last| *last != b'\n');
            if let Target::Path { file, .. } = &mut self.target {
                *file = None;
            }
            Cut { written, error: error.into() }
        })
    }
}

/// Opens a regular file, and says whether its last line lacks its end.
fn open(path: &Path) -> Result<(File, bool), AuditError> {
    let failed = |source: io::Error| match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => AuditError::NotAFile(path.to_owned()),
        Some(_) | None => AuditError::Open { path: path.to_owned(), source },
    };
    // Not blocking, because the path may be a pipe.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600).custom_flags(flags.bits().cast_signed());
    let file = options.open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(AuditError::NotAFile(path.to_owned()));
    }
    let Some(last_at) = metadata.len().checked_sub(1) else { return Ok((file, false)) };
    let mut last = [0];
    file.read_exact_at(&mut last, last_at).map_err(failed)?;
    Ok((file, last != *b"\n"))
}
