//! The log's file: many writers, rotation, a full disk, restarts.

use std::{
    fs,
    io::Read,
    os::unix::fs::{PermissionsExt, symlink},
    process::Command,
    sync::atomic::AtomicBool,
};

use super::*;

/// Delivers from `threads` threads at once, `each` times with another value each time.
fn deliver_at_once(audit: &Audit, threads: usize, each: usize) {
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut mount = Mount::new("shop", &format!("web-{thread}"), ONE);
                for number in 0..each {
                    mount.read(CANARY, &number.to_string());
                    mount.deliver(audit, Origin::Aws);
                }
            });
        }
    });
}

/// What a line is about: the pod and the version.
fn subjects(lines: &[Value]) -> Vec<(String, String)> {
    let subject = |line: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&line["pod"]), text(&line["objects"][0]["version"]))
    };
    lines.iter().map(subject).collect()
}

#[test]
fn a_hundred_and_ten_pods_at_once_lose_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    deliver_at_once(&audit, 110, 1);
    let mut subjects = subjects(&closed(&audit, folder.path()));
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), 110);
    assert_eq!(audit.counts(), Counts { written: 110, lost: 0, first_seen: 1 });
}

#[test]
fn reopening_under_load_loses_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let (path, done) = (folder.path().join("audit.log"), AtomicBool::new(false));
    let rotations = std::thread::scope(|scope| {
        let rotating = scope.spawn(|| {
            let mut rotations = 0;
            while !done.load(Ordering::Relaxed) {
                fs::rename(&path, folder.path().join(format!("audit.log.{rotations}"))).unwrap();
                audit.reopen();
                rotations += 1;
                until("the path is opened again", || path.exists());
            }
            rotations
        });
        deliver_at_once(&audit, 8, 200);
        done.store(true, Ordering::Relaxed);
        rotating.join().unwrap()
    });
    assert!(rotations > 2, "{rotations} rotations");
    let mut lines = closed(&audit, folder.path());
    for number in 0..rotations {
        lines.extend(read(&folder.path().join(format!("audit.log.{number}"))));
    }
    let mut subjects = subjects(&lines);
    subjects.sort();
    subjects.dedup();
    assert_eq!((lines.len(), subjects.len()), (1600, 1600));
    assert_eq!(audit.counts().lost, 0);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// A small file system, unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` without the right to mount.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path());
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_holds_up_no_mount_and_its_lost_lines_are_counted() {
    let Some(disk) = SmallDisk::mount("128k") else {
        println!("SKIPPED: it takes root to mount a tmpfs");
        return;
    };
    let folder = disk.0.path();
    fs::write(folder.join("ballast"), vec![0; 64 << 10]).unwrap();
    let audit = open(folder);
    let mut mount = Mount::new("shop", "web-0", ONE);
    let (mut delivered, mut slowest) = (0, Duration::ZERO);
    while audit.counts().lost < 10 {
        mount.read(CANARY, &delivered.to_string());
        let began = Instant::now();
        mount.deliver(&audit, Origin::Aws);
        slowest = slowest.max(began.elapsed());
        delivered += 1;
        assert!(delivered < 100_000);
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let full = fs::metadata(folder.join("audit.log")).unwrap().len();
    assert!(full > 0 && full <= 64 << 10, "{full} bytes");

    // Space for everything that waits.
    assert!(Command::new("mount").args(["-o", "remount,size=16m"]).arg(folder).status().unwrap().success());
    audit.close(Duration::from_secs(10));
    let text = fs::read_to_string(folder.join("audit.log")).unwrap();
    assert!(text.ends_with('\n'));
    let (mut lines, mut fragments) = (Vec::new(), 0);
    for line in text.lines() {
        match serde_json::from_str::<Value>(line) {
            Ok(line) => lines.push(line),
            Err(_) => fragments += 1,
        }
    }
    assert!(fragments <= 1, "{fragments} fragments");
    let Counts { written, lost, .. } = audit.counts();
    assert_eq!(written + lost, delivered);
    let told = lines.pop().unwrap();
    assert_eq!((&told["event"], &told["lines"]), (&"lost".into(), &lost.into()));
    let mut versions: Vec<usize> =
        subjects(&lines).into_iter().map(|(_, version)| version.parse().unwrap()).collect();
    versions.dedup();
    assert_eq!(versions.len() as u64, written);
    assert!(versions.is_sorted());
}

#[test]
fn a_reader_that_does_not_read_holds_up_neither_mounts_nor_the_end() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let audit = stream(std::os::fd::OwnedFd::from(writer).into());
    let mut mount = Mount::new("shop", "web-0", ONE);
    let mut delivered = 0;
    while audit.counts().lost == 0 {
        mount.read(CANARY, &delivered.to_string());
        mount.deliver(&audit, Origin::Aws);
        delivered += 1;
    }
    // Another namespace still finds room.
    Mount::new("other", "web-0", ONE).deliver(&audit, Origin::Aws);
    assert_eq!(audit.counts().lost, 1);
    // The delivery whose line was lost is not forgotten.
    mount.deliver(&audit, Origin::Cache);
    assert_eq!(audit.counts().lost, 2);
    let began = Instant::now();
    audit.close(Duration::from_millis(100));
    assert!(began.elapsed() < Duration::from_secs(5));
    // What comes after the end is lost, too.
    mount.deliver(&audit, Origin::Cache);

    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    audit.close(Duration::from_secs(10));
    let text = reading.join().unwrap().unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((last["event"].as_str(), last["lines"].as_u64()), (Some("lost"), Some(3)));
    assert_eq!(text.lines().count() as u64, audit.counts().written + 1);
    assert_eq!(audit.counts().written, delivered);
}

#[test]
fn what_was_read_before_a_restart_is_not_read_first() {
    let folder = tempfile::tempdir().unwrap();
    let first = |yaml: &str| {
        let audit = open(folder.path());
        Mount::new("shop", "web-0", yaml).deliver(&audit, Origin::Aws);
        let lines = closed(&audit, folder.path());
        let objects = lines.last().unwrap()["objects"].as_array().unwrap().clone();
        objects.iter().map(|object| object["first_seen"] == true).collect::<Vec<bool>>()
    };
    let two = "[{objectName: db, objectType: secretsmanager}, {objectName: new, objectType: secretsmanager}]";
    assert_eq!(first(ONE), [true]);
    assert_eq!(first(two), [false, true]);
    assert_eq!(first(two), [false, false]);

    // A torn last line is one that was not written, and so are zeros at the end.
    let state = folder.path().join("state/first-seen");
    let whole = fs::read(&state).unwrap();
    assert_eq!(whole.len(), 22 + 2 * 50);
    fs::write(&state, &whole[..whole.len() - 7]).unwrap();
    assert_eq!(first(two), [false, true]);
    fs::write(&state, [whole.as_slice(), &[0; 999]].concat()).unwrap();
    assert_eq!(first(two), [false, false]);
    assert_eq!(fs::read(&state).unwrap(), whole);

    // Neither somebody else's file nor a link is read, and mounts go on.
    fs::write(&state, "something\nelse\n".repeat(1000)).unwrap();
    assert_eq!(first(two), [true, true]);
    assert_eq!(first(two), [false, false]);
    fs::remove_file(&state).unwrap();
    fs::write(folder.path().join("elsewhere"), &whole).unwrap();
    symlink(folder.path().join("elsewhere"), &state).unwrap();
    assert_eq!(first(two), [true, true]);
    assert_eq!(fs::read(folder.path().join("elsewhere")).unwrap(), whole);
    assert_eq!(first(two), [false, false]);
}

#[test]
fn a_state_folder_that_cannot_be_used_is_only_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("state"), "a file").unwrap();
    let audit = open(folder.path());
    Mount::new("shop", "web-0", ONE).deliver(&audit, Origin::Aws);
    Mount::new("shop", "web-1", ONE).deliver(&audit, Origin::Aws);
    let lines = closed(&audit, folder.path());
    assert_eq!((lines.len(), audit.counts().first_seen), (2, 1));
}

#[test]
fn a_line_that_was_cut_does_not_spoil_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    fs::write(&path, "{\"whole\":1}\n{\"cut\":").unwrap();
    let audit = open(folder.path());
    Mount::new("shop", "web-0", ONE).deliver(&audit, Origin::Aws);
    audit.close(Duration::from_secs(10));
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["{\"whole\":1}", "{\"cut\":"]);
    assert!(lines.len() == 3 && serde_json::from_str::<Value>(lines[2]).is_ok(), "{text}");
}

#[test]
fn only_a_regular_file_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::write(place("file"), "").unwrap();
    symlink(place("file"), place("link")).unwrap();
    assert!(Command::new("mkfifo").arg(place("pipe")).status().unwrap().success());
    let open = |path: PathBuf| Output::open(AuditLog::File(path)).map(drop);
    for path in [place("link"), place("pipe"), folder.path().to_owned(), PathBuf::from("/dev/null")] {
        let error = open(path.clone()).unwrap_err().to_string();
        assert!(error.contains("is not a regular file"), "{}: {error}", path.display());
    }
    let error = open(place("none/audit.log")).unwrap_err().to_string();
    assert!(error.contains("Check that its folder exists"), "{error}");
    open(place("file")).unwrap();
    assert_eq!(AuditLog::from("stdout"), AuditLog::Stdout);
    assert_eq!(AuditLog::from("/a/b"), AuditLog::File("/a/b".into()));
}
