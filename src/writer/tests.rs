//! One test for each promise of the writer. Those that kill, mount or
//! change the umask run this test binary once more (see [`again`]).

mod hostile;
mod killed;
mod mounted;
mod readers;
mod takeover;

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use super::*;
use crate::model::{file::FileMode, secret::SecretValue};

const UID: &str = "0b9f6c1e-2d3a-4f5b-8c7d-9e0f1a2b3c4d";
const VOLUME: &str = "pods/0b9f6c1e-2d3a-4f5b-8c7d-9e0f1a2b3c4d/volumes/kubernetes.io~csi/secrets";

/// A kubelet folder with one volume, on a tmpfs if there is one.
struct Pod {
    kubelet: TempDir,
    target: PathBuf,
}

fn pod() -> Pod {
    let kubelet = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let target = kubelet.path().join(VOLUME).join("mount");
    fs::create_dir_all(&target).unwrap();
    Pod { kubelet, target }
}

impl Pod {
    fn writer(&self) -> Writer {
        let mut writer = Writer::new(self.kubelet.path(), FileSystem::Any);
        writer.drain = Duration::ZERO;
        writer
    }

    fn write(&self, files: &[MountFile]) -> Written {
        self.writer().write(&self.target, UID, files, KeepMtime::No).unwrap()
    }

    fn mtime(&self) -> SystemTime {
        fs::metadata(&self.target).unwrap().modified().unwrap()
    }

    fn set_mtime(&self, time: SystemTime) {
        fs::File::open(&self.target).unwrap().set_modified(time).unwrap();
    }
}

fn file(path: &str, mode: u32, contents: impl Into<Vec<u8>>) -> MountFile {
    MountFile {
        path: FilePath::parse(path).unwrap(),
        mode: FileMode::new(mode).unwrap(),
        contents: SecretValue::new(contents.into()),
        version: "1".to_owned(),
    }
}

/// What a reader sees below a folder: the path, mode and contents of every file that
/// can be reached by names without a leading `..`.
type Shown = BTreeMap<String, (u32, Vec<u8>)>;

fn shown(mount: &Path) -> Shown {
    fn collect(folder: &Path, prefix: &str, all: &mut Shown) {
        for entry in fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = folder.join(&name);
            if prefix.is_empty() && name.starts_with("..") || !path.exists() {
                continue;
            }
            let name = format!("{prefix}{name}");
            if path.is_dir() {
                collect(&path, &format!("{name}/"), all);
            } else {
                let mode = fs::metadata(&path).unwrap().mode() & 0o7777;
                all.insert(name, (mode, fs::read(&path).unwrap()));
            }
        }
    }
    let mut all = Shown::new();
    collect(mount, "", &mut all);
    all
}

fn shown_of(files: &[MountFile]) -> Shown {
    files
        .iter()
        .map(|file| {
            let what = (file.mode.bits(), file.contents.expose().to_vec());
            (file.path.to_string(), what)
        })
        .collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Asserts that the mount shows exactly these files, and contains nothing else except
/// AtomicWriter's layout for them.
#[track_caller]
fn assert_holds(mount: &Path, files: &[MountFile]) {
    assert_eq!(shown(mount), shown_of(files));
    let timestamp = fs::read_link(mount.join("..data")).unwrap();
    let timestamp = timestamp.to_str().unwrap();
    assert!(timestamp.starts_with("..2"), "{timestamp}");
    let mut names = vec![timestamp.to_owned(), "..data".to_owned()];
    for file in files {
        let name = file.path.components().next().unwrap();
        assert_eq!(fs::read_link(mount.join(name)).unwrap(), Path::new("..data").join(name), "{name}");
        names.push(name.to_owned());
    }
    names.sort();
    names.dedup();
    assert_eq!(names_in(mount), names);
}

/// Runs the calling test once more, alone, in a process of its own that a shell
/// has prepared. It gets `kubelet`; see [`kubelet_of_child`].
#[track_caller]
fn again(test: &str, shell: &[&str], prepare: &str, kubelet: &Path) {
    let output = Command::new(shell[0])
        .args(&shell[1..])
        .arg("-c")
        .arg(format!("set -e; {prepare}"))
        .arg(env::current_exe().unwrap())
        .arg(kubelet.join(VOLUME).join("mount"))
        .args(["--exact", &format!("writer::tests::{test}"), "--nocapture"])
        .env(KUBELET_OF_CHILD, kubelet)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", output.status);
    assert!(text.contains("1 passed"), "the test did not run: {text}");
}

const KUBELET_OF_CHILD: &str = "LATCHKEY_TEST_KUBELET";

/// The kubelet folder, in a process started by [`again`].
fn kubelet_of_child() -> Option<PathBuf> {
    env::var_os(KUBELET_OF_CHILD).map(PathBuf::from)
}

#[test]
fn the_layout_is_atomic_writers() {
    let pod = pod();
    let files = [
        file("password", 0o644, "hunter2"),
        file("db/user", 0o600, "app"),
        file("db/deep/er/still", 0o644, ""),
        file(".hidden", 0o644, b"\0\xff".to_vec()),
    ];
    assert_eq!(pod.write(&files), Written::Changed);

    assert_holds(&pod.target, &files);
    let timestamp = fs::read_link(pod.target.join("..data")).unwrap();
    for folder in ["", "db", "db/deep", "db/deep/er"] {
        let mode = fs::metadata(pod.target.join(&timestamp).join(folder)).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o755, "{folder}");
    }
}

#[test]
fn modes_are_exact_whatever_the_umask() {
    let test = "modes_are_exact_whatever_the_umask";
    let Some(kubelet) = kubelet_of_child() else {
        let pod = pod();
        let prepare = r#"umask 077; test=$0; shift; exec "$test" "$@""#;
        return again(test, &["sh"], prepare, pod.kubelet.path());
    };
    let target = kubelet.join(VOLUME).join("mount");
    let files = [file("a", 0o400, "a"), file("b/c", 0o777, "c")];
    Writer::new(&kubelet, FileSystem::Any).write(&target, UID, &files, KeepMtime::No).unwrap();

    // The umask is in effect, and does not affect the files.
    fs::write(kubelet.join("probe"), "").unwrap();
    assert_eq!(fs::metadata(kubelet.join("probe")).unwrap().mode() & 0o777, 0o600);
    assert_holds(&target, &files);
    let folder = fs::metadata(target.join("b")).unwrap();
    assert_eq!(folder.mode() & 0o777, 0o755);
}

#[test]
fn files_that_are_no_longer_in_the_set_are_removed() {
    let pod = pod();
    pod.write(&[file("a", 0o644, "1"), file("b/c", 0o644, "2"), file("b/d", 0o644, "3")]);
    let files = [file("b/d", 0o644, "3")];
    assert_eq!(pod.write(&files), Written::Changed);
    assert_holds(&pod.target, &files);

    assert_eq!(pod.write(&[]), Written::Changed);
    assert_holds(&pod.target, &[]);
}

#[test]
fn a_file_may_become_a_folder_and_a_folder_a_file() {
    let pod = pod();
    pod.write(&[file("a", 0o644, "1"), file("b/c", 0o644, "2")]);
    let files = [file("a/x", 0o644, "1"), file("b", 0o644, "2")];
    pod.write(&files);
    assert_holds(&pod.target, &files);
}

#[test]
fn an_unchanged_set_writes_nothing() {
    let pod = pod();
    let files = [file("a", 0o400, vec![b'x'; 20_000]), file("b/c", 0o644, "2")];
    pod.write(&files);
    let state = || {
        let timestamp = fs::read_link(pod.target.join("..data")).unwrap();
        let root = fs::metadata(&pod.target).unwrap();
        let file = fs::metadata(pod.target.join("a")).unwrap();
        let times = |stat: &fs::Metadata| format!("{} {}", stat.mtime_nsec(), stat.ctime_nsec());
        [
            ("..data", timestamp.display().to_string()),
            ("the mount's times", times(&root)),
            ("the file's inode", file.ino().to_string()),
            ("the file's times", times(&file)),
        ]
    };
    let before = state();
    assert_eq!(pod.write(&files), Written::Unchanged);
    assert_eq!(state(), before);
}

#[test]
fn every_kind_of_change_is_written() {
    let set = || vec![file("a", 0o644, "1"), file("b/c", 0o644, "2")];
    let mut variants = vec![set(); 6];
    variants[0][0] = file("a", 0o644, "3");
    variants[1][0] = file("a", 0o644, "12");
    variants[2][0] = file("a", 0o640, "1");
    variants[3].push(file("b/d", 0o644, "3"));
    variants[4].pop();
    variants[5][1] = file("b", 0o644, "2");
    for variant in variants {
        let pod = pod();
        pod.write(&set());
        assert_eq!(pod.write(&variant), Written::Changed, "{variant:?}");
        assert_holds(&pod.target, &variant);
        assert_eq!(pod.write(&variant), Written::Unchanged, "{variant:?}");
    }
}

#[test]
fn an_impossible_set_is_refused_before_anything_changes() {
    let pod = pod();
    let before = pod.mtime();
    let write = |files: &[MountFile]| pod.writer().write(&pod.target, UID, files, KeepMtime::No).unwrap_err();
    let twice = write(&[file("a", 0o644, "1"), file("a", 0o600, "1")]);
    assert!(matches!(&twice, WriteError::Duplicate { path } if path.as_str() == "a"), "{twice}");
    for files in [["a/b/c", "a"], ["a/b", "a/b/c"]] {
        let both = write(&files.map(|path| file(path, 0o644, "")));
        assert!(matches!(both, WriteError::FileAndFolder { .. }), "{both}");
    }
    assert_eq!(pod.mtime(), before);
    // Similar paths that do not conflict.
    pod.write(&[file("a", 0o644, ""), file("a-b", 0o644, ""), file("ab/a", 0o644, "")]);
}

#[test]
fn a_write_that_fails_halfway_leaves_only_the_old_set() {
    let pod = pod();
    let old = [file("a", 0o644, "1"), file("b/c", 0o644, "2")];
    pod.write(&old);
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
    pod.set_mtime(time);

    // With the timestamp before it, longer than a path may be on Linux.
    let long = "x/".repeat(2047) + "x";
    let new = [file("a", 0o644, "3"), file("new", 0o644, "4"), file(&long, 0o644, "5")];
    let error = pod.writer().write(&pod.target, UID, &new, KeepMtime::Yes).unwrap_err();
    assert!(matches!(error, WriteError::Io { .. }), "{error}");
    assert_holds(&pod.target, &old);
    assert_eq!(pod.mtime(), time);
}

#[test]
fn the_modification_time_is_kept_only_on_request() {
    let pod = pod();
    pod.write(&[file("a", 0o644, "1")]);
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
    pod.set_mtime(time);

    let files = [file("a", 0o644, "2"), file("b", 0o644, "3")];
    let written = pod.writer().write(&pod.target, UID, &files, KeepMtime::Yes).unwrap();
    assert_eq!(written, Written::Changed);
    assert_holds(&pod.target, &files);
    assert_eq!(pod.mtime(), time);

    pod.write(&[file("a", 0o644, "3")]);
    assert!(pod.mtime() > time, "{:?} is not after {time:?}", pod.mtime());
}

#[test]
fn writers_of_one_mount_take_turns() {
    let pod = pod();
    let sets =
        [[file("a", 0o644, "1"), file("b/c", 0o644, "1")], [file("a", 0o644, "2"), file("d", 0o600, "2")]];
    thread::scope(|scope| {
        for set in &sets {
            scope.spawn(|| {
                for _ in 0..100 {
                    pod.write(set);
                }
            });
        }
    });
    let last = usize::from(pod.target.join("d").exists());
    assert_holds(&pod.target, &sets[last]);
}

#[test]
fn errors_name_the_path_and_step_but_no_value() {
    let pod = pod();
    let long = "x/".repeat(2047) + "x";
    let error = pod
        .writer()
        .write(&pod.target, UID, &[file(&long, 0o644, "canary-7f3a")], KeepMtime::No)
        .unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.starts_with("cannot create the folder /"), "{text}");
    assert!(!text.contains("canary"), "{text}");
    // The cause is the error's source, and not part of its message.
    assert!(!error.to_string().contains("os error"), "{error}");
    assert!(std::error::Error::source(&error).is_some(), "{error:?}");
}
