//! The steps from one set of files to the next, in an order that is safe to
//! interrupt at any point.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{WriteError, file_set::FileSet, mount::Mount};

/// The link to the folder with the visible set.
const DATA: &str = "..data";
/// The next `..data`, before it is renamed.
const DATA_TMP: &str = "..data_tmp";

pub(super) enum Delivered {
    /// The set was already visible.
    Unchanged,
    /// There was no set before.
    First,
    /// The previous set's files still exist, in a folder that nothing points to.
    /// [`tidy`] removes them.
    Replaced,
}

/// Makes `set` the visible set.
pub(super) fn deliver(mount: &Mount, set: &FileSet<'_>) -> Result<Delivered, WriteError> {
    let delivered = try_deliver(mount, set);
    if delivered.is_err() {
        // Report the first error. The next write removes what cannot be removed
        // now.
        let _ = tidy(mount);
    }
    delivered
}

fn try_deliver(mount: &Mount, set: &FileSet<'_>) -> Result<Delivered, WriteError> {
    tidy(mount)?;
    adopt(mount)?;
    let old = visible_folder(mount)?;
    if let Some(old) = &old
        && holds(mount, old, set)?
    {
        link(mount, set)?;
        return Ok(Delivered::Unchanged);
    }
    let new = create_timestamp_folder(mount)?;
    for folder in set.folders() {
        mount.create_folder(new.join(folder))?;
    }
    for file in set.files() {
        mount.create_file(new.join(file.path.as_str()), file.mode, &file.contents)?;
    }
    // Create the links before the new set becomes visible. Until then they dangle,
    // so new names appear at the same moment as new contents.
    link(mount, set)?;
    make_visible(mount, &new)?;
    Ok(match old {
        Some(_) => Delivered::Replaced,
        None => Delivered::First,
    })
}

/// Removes everything in our layout that does not belong to the visible set: folders
/// and links from a killed or failed write, the folder of a replaced set, and links
/// to names that the visible set does not have. [`adopt`] handles everything else.
pub(super) fn tidy(mount: &Mount) -> Result<(), WriteError> {
    let visible = visible_folder(mount)?;
    let shown = match &visible {
        Some(folder) => mount.list(folder)?,
        None => Vec::new(),
    };
    for name in mount.list("")? {
        let leftover = if is_reserved(&name) {
            name != DATA && Some(Path::new(&name)) != visible.as_deref()
        } else {
            is_visible_link(mount, &name)? && !shown.contains(&name)
        };
        if leftover {
            mount.remove(&name)?;
        }
    }
    Ok(())
}

/// Moves plain files and folders from the mount's root into the layout, without
/// changing what a reader sees. They come from a provider that writes files
/// directly, as AWS's own does. Each is atomically exchanged with a link to it. After
/// that, everything is in the visible folder and can be replaced at once.
fn adopt(mount: &Mount) -> Result<(), WriteError> {
    let mut foreign = Vec::new();
    for name in mount.list("")? {
        if !is_reserved(&name) && !is_visible_link(mount, &name)? {
            foreign.push(PathBuf::from(name));
        }
    }
    if foreign.is_empty() {
        return Ok(());
    }
    let folder = match visible_folder(mount)? {
        Some(folder) => folder,
        None => {
            let folder = create_timestamp_folder(mount)?;
            make_visible(mount, &folder)?;
            folder
        }
    };
    for name in foreign {
        let inside = folder.join(&name);
        // The file in the root hides what is in this place, so nobody sees it.
        mount.remove(&inside)?;
        mount.create_link(Path::new(DATA).join(&name), &inside)?;
        mount.exchange(&name, &inside)?;
    }
    Ok(())
}

/// Whether a folder contains exactly this set.
fn holds(mount: &Mount, folder: &Path, set: &FileSet<'_>) -> Result<bool, WriteError> {
    for file in set.files() {
        if !mount.has_file(folder.join(file.path.as_str()), file.mode, &file.contents)? {
            return Ok(false);
        }
    }
    // All files exist, and therefore all their folders. Now look for anything
    // else.
    for below in std::iter::once("").chain(set.folders()) {
        for name in mount.list(folder.join(below))? {
            let path = Path::new(below).join(name);
            if !path.to_str().is_some_and(|path| set.has(path)) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Creates the missing links that readers use.
fn link(mount: &Mount, set: &FileSet<'_>) -> Result<(), WriteError> {
    for name in set.first_components() {
        mount.create_link(Path::new(DATA).join(name), name)?;
    }
    Ok(())
}

/// Makes `folder` the visible set, in one atomic step.
fn make_visible(mount: &Mount, folder: &Path) -> Result<(), WriteError> {
    if visible_folder(mount)?.is_none() {
        // Anything else of that name, such as a folder, would block the rename.
        mount.remove(DATA)?;
    }
    mount.create_link(folder, DATA_TMP)?;
    mount.rename(DATA_TMP, DATA)
}

/// The folder that `..data` points to. `None` if `..data` does not exist, or is not
/// a link to a folder in the root whose name starts with `..`.
fn visible_folder(mount: &Mount) -> Result<Option<PathBuf>, WriteError> {
    let Some(target) = mount.link_target(DATA)? else {
        return Ok(None);
    };
    let mut components = target.components();
    let valid = match (components.next(), components.next()) {
        (Some(Component::Normal(name)), None) => {
            name == target.as_os_str() && is_reserved(name) && name != DATA_TMP
        }
        _ => false,
    };
    if valid && mount.is_folder(&target)? { Ok(Some(target)) } else { Ok(None) }
}

fn create_timestamp_folder(mount: &Mount) -> Result<PathBuf, WriteError> {
    let mut time = SystemTime::now();
    loop {
        let name = PathBuf::from(timestamp(time));
        if mount.create_folder(&name)? {
            return Ok(name);
        }
        // The name is taken because the clock went back. Try the next nanosecond.
        time += Duration::from_nanos(1);
    }
}

/// Names in the root that readers do not use. No [`FilePath`] starts like this.
///
/// [`FilePath`]: crate::model::file_path::FilePath
fn is_reserved(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"..")
}

/// Whether `name` is a link into the visible set, as [`link`] creates them.
fn is_visible_link(mount: &Mount, name: &OsStr) -> Result<bool, WriteError> {
    let target = mount.link_target(name)?;
    Ok(target.is_some_and(|target| target == Path::new(DATA).join(name)))
}

/// `..2026_11_21_09_30_00.123456789`: AtomicWriter's format, in UTC.
fn timestamp(time: SystemTime) -> String {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_else(|before| before.duration());
    let seconds = since_1970.as_secs();
    let (mut days, mut year) = (seconds / 86_400, 1970);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!(
        "..{year:04}_{month:02}_{:02}_{:02}_{:02}_{:02}.{:09}",
        days + 1,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        since_1970.subsec_nanos()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_folder_is_named_as_by_atomic_writer() {
        for (seconds, name) in [
            (0, "..1970_01_01_00_00_00.000000007"),
            (951_782_399, "..2000_02_28_23_59_59.000000007"),
            (951_782_400, "..2000_02_29_00_00_00.000000007"),
            (1_735_689_599, "..2024_12_31_23_59_59.000000007"),
            (1_795_253_400, "..2026_11_21_09_30_00.000000007"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, 7);
            assert_eq!(timestamp(time), name, "{time:?}");
        }
    }
}
