//! Tests that need a mount. They run in a mount namespace of their own, which
//! needs root, and report where they cannot run.

use std::thread;

use super::*;

const TMPFS: &str = "mount -t tmpfs -o mode=0755";
/// Uid 0 without any capability, like the DaemonSet.
const WITHOUT_CAPABILITIES: &str =
    r#"test=$0; shift; exec setpriv --bounding-set=-all --inh-caps=-all -- "$test" "$@""#;
const WITH_CAPABILITIES: &str = r#"test=$0; shift; exec "$test" "$@""#;

/// In the child: the kubelet folder. In the parent: runs the child, after
/// `mount`, in which `$1` is the target path.
#[track_caller]
fn in_mount_namespace(test: &str, mount: &str, run: &str) -> Option<PathBuf> {
    let child = kubelet_of_child();
    if child.is_none() {
        let probe = Command::new("unshare").args(["-m", "setpriv", "--version"]).output();
        if probe.is_ok_and(|probe| probe.status.success()) {
            let prepare = format!("{mount}\n{run}");
            again(&format!("mounted::{test}"), &["unshare", "-m", "sh"], &prepare, pod().kubelet.path());
        } else {
            println!("SKIPPED {test}: it takes root, unshare and setpriv to mount a tmpfs");
        }
    }
    child
}

fn capabilities() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("CapEff:")).unwrap();
    line.trim_start_matches("CapEff:").trim().to_owned()
}

fn writer(kubelet: &Path) -> Writer {
    let mut writer = Writer::new(kubelet, FileSystem::TmpfsMountRoot);
    writer.drain = Duration::ZERO;
    writer
}

#[test]
fn root_without_capabilities_can_write_replace_and_take_over() {
    let test = "root_without_capabilities_can_write_replace_and_take_over";
    let mount = format!("{TMPFS} tmpfs \"$1\"");
    let Some(kubelet) = in_mount_namespace(test, &mount, WITHOUT_CAPABILITIES) else {
        return;
    };
    assert_eq!(capabilities(), "0000000000000000");
    let target = kubelet.join(VOLUME).join("mount");
    fs::write(target.join("a"), "plain").unwrap();
    fs::set_permissions(target.join("a"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::create_dir(target.join("b")).unwrap();
    fs::write(target.join("b/c"), "plain").unwrap();
    for text in ["one", "two"] {
        let files = [file("a", 0o400, text), file("b/c", 0o644, text)];
        let write = || writer(&kubelet).write(&target, UID, &files, KeepMtime::Yes).unwrap();
        assert_eq!(write(), Written::Changed, "{text}");
        assert_holds(&target, &files);
        assert_eq!(write(), Written::Unchanged, "{text} again");
    }
}

#[test]
fn a_full_file_system_leaves_the_old_set() {
    let test = "a_full_file_system_leaves_the_old_set";
    let mount = format!("{TMPFS},size=64k tmpfs \"$1\"");
    let Some(kubelet) = in_mount_namespace(test, &mount, WITHOUT_CAPABILITIES) else {
        return;
    };
    let target = kubelet.join(VOLUME).join("mount");
    let write = |files: &[MountFile]| writer(&kubelet).write(&target, UID, files, KeepMtime::No);
    let old = [file("a", 0o644, "old"), file("b/c", 0o644, "old")];
    write(&old).unwrap();
    let large = [file("a", 0o644, "new"), file("new", 0o644, vec![b'x'; 100_000])];
    let error = write(&large).unwrap_err();
    assert!(matches!(error, WriteError::NoSpace { .. }), "{error}");
    assert_holds(&target, &old);
    let small = [file("a", 0o644, "new")];
    write(&small).unwrap();
    assert_holds(&target, &small);
}

#[test]
fn running_out_of_inodes_at_any_step_leaves_the_old_set() {
    let test = "running_out_of_inodes_at_any_step_leaves_the_old_set";
    let mount = format!("{TMPFS},nr_inodes=24 tmpfs \"$1\"");
    let Some(kubelet) = in_mount_namespace(test, &mount, WITHOUT_CAPABILITIES) else {
        return;
    };
    let target = kubelet.join(VOLUME).join("mount");
    let write = |files: &[MountFile]| writer(&kubelet).write(&target, UID, files, KeepMtime::No);
    // One more inode each time: the missing one is needed for the link
    // `..data_tmp`, then by the links to the names, then by the files.
    let mut steps = std::collections::BTreeSet::new();
    for count in 1..24 {
        let old = [file("a", 0o644, "old"), file("b/c", 0o644, "old")];
        write(&old).unwrap();
        let new: Vec<_> =
            (0..count).map(|number| file(&format!("new{}/{number}", number % 3), 0o644, "new")).collect();
        match write(&new) {
            Ok(_) => assert_holds(&target, &new),
            Err(WriteError::NoSpace { step, path }) => {
                assert_holds(&target, &old);
                steps.insert(format!("{step} {}", path.file_name().unwrap().display()));
            }
            Err(error) => panic!("{error}"),
        }
    }
    for step in ["create the link ..data_tmp", "create the link new", "write "] {
        assert!(steps.iter().any(|seen| seen.starts_with(step)), "{steps:?}");
    }

    // Plain files, and too few inodes for the links that replace them.
    write(&[]).unwrap();
    let plain: Vec<_> = (0..16).map(|number| file(&format!("plain{number}"), 0o644, "")).collect();
    for file in &plain {
        fs::write(target.join(file.path.as_str()), "").unwrap();
    }
    let error = write(&[file("plain1", 0o644, "new")]).unwrap_err();
    assert!(matches!(error, WriteError::NoSpace { .. }), "{error}");
    assert_eq!(shown(&target), shown_of(&plain));
}

#[test]
fn only_a_tmpfs_that_is_a_mount_root_is_written_to() {
    let test = "only_a_tmpfs_that_is_a_mount_root_is_written_to";
    // Three volumes: a folder on a tmpfs, a ramfs, a tmpfs.
    let mount = r#"
        csi=$(dirname "$(dirname "$1")")
        mount -t tmpfs -o mode=0755 tmpfs "$csi"
        mkdir -p "$csi/folder/mount" "$csi/ramfs/mount" "$csi/tmpfs/mount"
        mount -t ramfs ramfs "$csi/ramfs/mount"
        mount -t tmpfs tmpfs "$csi/tmpfs/mount"
    "#;
    let Some(kubelet) = in_mount_namespace(test, mount, WITHOUT_CAPABILITIES) else {
        return;
    };
    let csi = kubelet.join(VOLUME).parent().unwrap().to_owned();
    let target = |name: &str| csi.join(name).join("mount");
    let check = |name: &str| writer(&kubelet).check(&target(name), UID);
    let write =
        |name: &str| writer(&kubelet).write(&target(name), UID, &[file("a", 0o644, "1")], KeepMtime::No);
    for error in [check("folder").unwrap_err(), write("folder").unwrap_err()] {
        assert!(matches!(error, WriteError::NotMountRoot { .. }), "{error}");
    }
    assert_eq!(names_in(&target("folder")), [""; 0]);

    for error in [check("ramfs").unwrap_err(), write("ramfs").unwrap_err()] {
        assert!(matches!(error, WriteError::NotTmpfs { .. }), "{error}");
    }
    assert_eq!(names_in(&target("ramfs")), [""; 0]);

    check("tmpfs").unwrap();
    assert_eq!(write("tmpfs").unwrap(), Written::Changed);
}

#[test]
fn the_volume_can_be_unmounted_between_writes_and_while_replaced_files_stay() {
    let test = "the_volume_can_be_unmounted_between_writes_and_while_replaced_files_stay";
    let mount = format!("{TMPFS} tmpfs \"$1\"; {TMPFS} tmpfs \"$1\"");
    let Some(kubelet) = in_mount_namespace(test, &mount, WITH_CAPABILITIES) else {
        return;
    };
    let target = kubelet.join(VOLUME).join("mount");
    let umount = || Command::new("umount").arg(&target).output().unwrap();
    let mut writer = writer(&kubelet);
    let first = [file("a", 0o644, "1")];
    writer.write(&target, UID, &first, KeepMtime::No).unwrap();
    let unmounted = umount();
    assert!(unmounted.status.success(), "{unmounted:?}");

    // The second tmpfs, which was hidden by the first.
    writer.write(&target, UID, &first, KeepMtime::No).unwrap();
    writer.drain = Duration::from_secs(1);
    let second = [file("a", 0o644, "2")];
    let replace = thread::spawn({
        let target = target.clone();
        move || writer.write(&target, UID, &second, KeepMtime::Yes).unwrap()
    });
    while fs::read(target.join("a")).unwrap() != b"2" {
        thread::yield_now();
    }
    loop {
        let unmounted = umount();
        if unmounted.status.success() {
            break;
        }
        assert!(!replace.is_finished(), "no umount while the replaced files stayed: {unmounted:?}");
    }
    assert_eq!(replace.join().unwrap(), Written::Changed);
}

#[test]
fn a_file_system_mounted_inside_is_not_entered() {
    let test = "a_file_system_mounted_inside_is_not_entered";
    let mount = format!("{TMPFS} tmpfs \"$1\"; mkdir \"$1/..x\"; {TMPFS} tmpfs \"$1/..x\"");
    let Some(kubelet) = in_mount_namespace(test, &mount, WITHOUT_CAPABILITIES) else {
        return;
    };
    let target = kubelet.join(VOLUME).join("mount");
    fs::write(target.join("..x/a"), "canary").unwrap();
    symlink("..x", target.join("..data")).unwrap();
    let files = [file("a", 0o644, "1")];
    let error = writer(&kubelet).write(&target, UID, &files, KeepMtime::No).unwrap_err();
    assert!(matches!(error, WriteError::Io { .. }), "{error}");
    assert_eq!(names_in(&target.join("..x")), ["a"]);
}
