//! The file that keeps the known pairs across restarts: a line for each, appended, and
//! written anew when it has too many. A loss costs a repeated `first_seen`, never a mount.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use data_encoding::HEXLOWER;
use rustix::fs::OFlags;

use super::first_seen::{FirstSeen, MAX_PAIRS, Pair};

const NAME: &str = "first-seen";
const NEW_NAME: &str = "first-seen.new";
const HEADER: &[u8] = b"latchkey first-seen 1\n";
/// Both digests in hexadecimal, a space, and a newline.
const LINE_BYTES: u64 = 16 + 1 + 32 + 1;
/// Lines after which the file is written anew.
const MAX_LINES: usize = 2 * MAX_PAIRS;
/// How long a file that cannot be written is left alone.
const RETRY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    new_path: PathBuf,
    /// `None` if the file must be written anew.
    file: Option<File>,
    lines: usize,
    failed_at: Option<Instant>,
}

impl StateFile {
    /// Reads the file in `folder`, if there is one. Warns of a file that cannot be read or
    /// written.
    pub(super) fn open(folder: &Path) -> (Self, FirstSeen) {
        let path = folder.join(NAME);
        let mut first_seen = FirstSeen::default();
        let read = make(folder).and_then(|()| read(&path, &mut first_seen));
        let lines = read.unwrap_or_else(|error| {
            tracing::warn!(
                path = %path.display(),
                "the audit log's state cannot be read: {error}. first_seen restarts: it is true again for every secret that a service account reads. Check the folder (--state-dir)"
            );
            first_seen = FirstSeen::default();
            None
        });
        let mut state = Self { path, new_path: folder.join(NEW_NAME), file: None, lines: 0, failed_at: None };
        let opened = match lines {
            Some(lines) if lines == first_seen.len() => state.open_for_append(lines),
            Some(_) | None => state.write_anew(&first_seen.pairs().collect::<Vec<Pair>>()),
        };
        state.told(opened);
        (state, first_seen)
    }

    /// Adds pairs, which `all` already holds.
    pub(super) fn save(&mut self, pairs: &[Pair], all: &Mutex<FirstSeen>) {
        if pairs.is_empty() || self.failed_at.is_some_and(|at| at.elapsed() < RETRY) {
            return;
        }
        let saved = match &mut self.file {
            Some(file) if self.lines + pairs.len() <= MAX_LINES => {
                self.lines += pairs.len();
                file.write_all(&pairs.iter().flat_map(line).collect::<Vec<u8>>())
            }
            Some(_) | None => {
                let all: Vec<Pair> = all.lock().unwrap_or_else(PoisonError::into_inner).pairs().collect();
                self.write_anew(&all)
            }
        };
        self.told(saved);
    }

    /// Warns once when the file cannot be written, and says once that it can again.
    fn told(&mut self, saved: io::Result<()>) {
        let path = self.path.display();
        match saved {
            Ok(()) if self.failed_at.take().is_some() => {
                tracing::info!(%path, "the audit log's state is written again");
            }
            Ok(()) => {}
            Err(error) => {
                if self.failed_at.replace(Instant::now()).is_none() {
                    tracing::warn!(
                        %path,
                        "the audit log's state cannot be written: {error}. After a restart first_seen may be true again for what was read before. Check the disk's space and the folder (--state-dir)"
                    );
                }
                self.file = None;
            }
        }
    }

    fn open_for_append(&mut self, lines: usize) -> io::Result<()> {
        self.file = Some(options().append(true).open(&self.path)?);
        self.lines = lines;
        Ok(())
    }

    /// Replaces the file by one that has each pair once.
    fn write_anew(&mut self, all: &[Pair]) -> io::Result<()> {
        self.file = None;
        let file = options().create(true).write(true).truncate(true).open(&self.new_path)?;
        let written = (|| {
            let mut file = io::BufWriter::new(&file);
            file.write_all(HEADER)?;
            all.iter().try_for_each(|pair| file.write_all(&line(pair)))?;
            file.flush()
        })();
        let replaced =
            written.and_then(|()| file.sync_data()).and_then(|()| fs::rename(&self.new_path, &self.path));
        if let Err(error) = replaced {
            // It takes space that others may need.
            let _ = fs::remove_file(&self.new_path);
            return Err(error);
        }
        self.open_for_append(all.len())
    }
}

/// Creates the folder if its parent exists.
fn make(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Reads the pairs, and returns the number of lines; `None` if the file must be written
/// anew: there is none, or its last line is torn.
fn read(path: &Path, first_seen: &mut FirstSeen) -> io::Result<Option<usize>> {
    let file = match options().read(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut file = BufReader::new(file);
    let (mut lines, mut torn, mut text) = (0, false, Vec::new());
    loop {
        text.clear();
        if file.by_ref().take(LINE_BYTES).read_until(b'\n', &mut text)? == 0 {
            return Ok((lines > 0 && !torn).then(|| lines - 1));
        }
        // A machine that lost its power may leave zeros at the end.
        let zeros = text.iter().all(|byte| *byte == 0);
        if torn && !zeros || lines > MAX_LINES + MAX_PAIRS {
            return Err(io::Error::other(format!("line {lines} is not one of Latchkey's")));
        }
        lines += 1;
        match pair_of(&text) {
            Some(pair) if lines > 1 => first_seen.insert(pair),
            None if lines == 1 && text == HEADER => {}
            // Fine if it is the last line.
            Some(_) | None => torn = true,
        }
    }
}

fn line(pair: &Pair) -> Vec<u8> {
    format!("{} {}\n", HEXLOWER.encode(&pair.namespace), HEXLOWER.encode(&pair.pair)).into_bytes()
}

fn pair_of(line: &[u8]) -> Option<Pair> {
    let (namespace, pair) = std::str::from_utf8(line).ok()?.strip_suffix('\n')?.split_once(' ')?;
    let decoded = |text: &str| HEXLOWER.decode(text.as_bytes()).ok();
    Some(Pair { namespace: decoded(namespace)?.try_into().ok()?, pair: decoded(pair)?.try_into().ok()? })
}

/// Never through a link, and readable for nobody else.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.mode(0o600).custom_flags(flags.bits().cast_signed());
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_does_not_grow_forever() {
        let folder = tempfile::tempdir().unwrap();
        let (mut state, first_seen) = StateFile::open(folder.path());
        let first_seen = Mutex::new(first_seen);
        let pair = |number: u128| Pair { namespace: [7; 8], pair: number.to_be_bytes() };
        let all: Vec<Pair> = (0..200_000).map(pair).collect();
        for some in all.chunks(1000) {
            some.iter().for_each(|pair| first_seen.lock().unwrap().insert(*pair));
            state.save(some, &first_seen);
            let length = fs::metadata(folder.path().join(NAME)).unwrap().len();
            assert!(length <= HEADER.len() as u64 + LINE_BYTES * MAX_LINES as u64, "{length} bytes");
        }
        let (again, known) = StateFile::open(folder.path());
        assert_eq!((known.len(), again.lines), (MAX_PAIRS, MAX_PAIRS));
        assert!(all[200_000 - MAX_PAIRS..].iter().all(|pair| known.contains(pair)));
        assert!(!folder.path().join(NEW_NAME).exists());
    }
}
