//! Standard output. A reader that has read enough, such as `head`, is no failure.

#[cfg(feature = "tools")]
use std::io::IsTerminal;
use std::io::{self, Write};

use anyhow::Context;

/// Prints all of it, or as much as the reader wants.
///
/// # Errors
/// If it cannot be written for another reason than a closed pipe.
pub(super) fn print(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_ref()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// Whether the reader sees colours: on a terminal, unless `NO_COLOR` is set.
#[cfg(feature = "tools")]
pub(super) fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
