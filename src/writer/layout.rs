//! From one set of files to the next: which step follows which, so that each
//! of them may be the last.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{WriteError, file_set::FileSet, mount::Mount};

/// The link to the folder that holds the visible set.
const DATA: &str = "..data";
/// Its successor, until it is renamed over it.
const DATA_TMP: &str = "..data_tmp";

/// What a delivery did.
pub(super) enum Delivered {
    /// The visible set was this one already.
    Unchanged,
    /// There was no set before.
    First,
    /// The files of the set before are still there, in a folder that nothing
    /// points to: [`tidy`] removes them.
    Replaced,
}

/// Makes `set` the visible set.
pub(super) fn deliver(mount: &Mount, set: &FileSet<'_>) -> Result<Delivered, WriteError> {
    let delivered = try_deliver(mount, set);
    if delivered.is_err() {
        // The first error is the one to report. What cannot be removed now,
        // the next write removes.
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
    // Before the new set is visible: a link to what is not there yet is as good
    // as none, so that new names appear in the same moment as new contents.
    link(mount, set)?;
    make_visible(mount, &new)?;
    Ok(match old {
        Some(_) => Delivered::Replaced,
        None => Delivered::First,
    })
}

/// Removes what belongs to no visible set: folders and links that a killed or
/// failed write has left, the folder of a set that was replaced, and links to
/// names that the visible set does not have. What is not of our layout stays;
/// [`adopt`] is for that.
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

/// Brings what stands in the mount's root by itself into the layout, without
/// changing what a reader sees: plain files and folders of a provider that
/// writes them directly, as AWS's own does, and whatever else is there. Each
/// one changes places with a link to it, in one step. After that, the visible
/// folder is all that there is, and replacing it replaces everything at once.
fn adopt(mount: &Mount) -> Result<(), WriteError> {
    let mut strangers = Vec::new();
    for name in mount.list("")? {
        if !is_reserved(&name) && !is_visible_link(mount, &name)? {
            strangers.push(PathBuf::from(name));
        }
    }
    if strangers.is_empty() {
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
    for name in strangers {
        let inside = folder.join(&name);
        // Nobody sees what is in that place: the stranger hides it.
        mount.remove(&inside)?;
        mount.create_link(Path::new(DATA).join(&name), &inside)?;
        mount.exchange(&name, &inside)?;
    }
    Ok(())
}

/// Whether a folder holds exactly this set.
fn holds(mount: &Mount, folder: &Path, set: &FileSet<'_>) -> Result<bool, WriteError> {
    for file in set.files() {
        if !mount.has_file(folder.join(file.path.as_str()), file.mode, &file.contents)? {
            return Ok(false);
        }
    }
    // All the files are there, so all their folders are, too. Now for what
    // should not be there.
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

/// Creates the links that readers use, where they are missing.
fn link(mount: &Mount, set: &FileSet<'_>) -> Result<(), WriteError> {
    for name in set.first_components() {
        mount.create_link(Path::new(DATA).join(name), name)?;
    }
    Ok(())
}

/// The step that counts.
fn make_visible(mount: &Mount, folder: &Path) -> Result<(), WriteError> {
    if visible_folder(mount)?.is_none() {
        // Something of that name that shows no set, such as a folder, would be
        // in the way of the rename.
        mount.remove(DATA)?;
    }
    mount.create_link(folder, DATA_TMP)?;
    mount.rename(DATA_TMP, DATA)
}

/// The folder that `..data` points to. `None` when it does not exist, or is not
/// what a writer of this layout makes: a link to a folder beside it whose name
/// starts with `..`.
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
        // Taken, by a clock that went back: the next nanosecond has another name.
        time += Duration::from_nanos(1);
    }
}

/// Names in the root that readers do not use; no [`FilePath`] starts so.
///
/// [`FilePath`]: crate::model::file_path::FilePath
fn is_reserved(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"..")
}

/// Whether `name` is a link into the visible set, as [`link`] makes them.
fn is_visible_link(mount: &Mount, name: &OsStr) -> Result<bool, WriteError> {
    let target = mount.link_target(name)?;
    Ok(target.is_some_and(|target| target == Path::new(DATA).join(name)))
}

/// `..2026_11_21_09_30_00.123456789`: AtomicWriter's form, in UTC.
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
            assert_eq!(timestamp(time), name);
        }
    }
}
