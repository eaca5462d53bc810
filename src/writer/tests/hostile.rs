//! Target paths that are not kubelet's, and mounts with traps.

use std::os::unix::net::UnixListener;

use super::*;

/// A file outside the mount that nobody may touch.
fn canary(pod: &Pod) -> PathBuf {
    let outside = pod.kubelet.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("a"), "canary").unwrap();
    outside
}

#[track_caller]
fn assert_untouched(outside: &Path) {
    assert_eq!(names_in(outside), ["a"]);
    assert_eq!(fs::read(outside.join("a")).unwrap(), b"canary");
}

#[test]
fn a_target_path_of_another_shape_is_refused() {
    let pod = pod();
    let kubelet = pod.kubelet.path().to_str().unwrap();
    let volumes = format!("{kubelet}/pods/{UID}/volumes/kubernetes.io~csi");
    let mut targets = vec![
        String::new(),
        "/".to_owned(),
        "/etc/passwd".to_owned(),
        kubelet.to_owned(),
        // Relative, or outside the kubelet folder.
        format!("{VOLUME}/mount"),
        format!("{kubelet}x/{VOLUME}/mount"),
        format!("/x{kubelet}/{VOLUME}/mount"),
        // Too little, too much.
        volumes.clone(),
        format!("{volumes}/mount"),
        format!("{volumes}/secrets"),
        format!("{volumes}/secrets/mount/x"),
        format!("{volumes}/a/secrets/mount"),
        // Other words.
        format!("{volumes}/secrets/mount2"),
        format!("{kubelet}/plugins/{UID}/volumes/kubernetes.io~csi/secrets/mount"),
        format!("{kubelet}/pods/{UID}/volume-subpaths/kubernetes.io~csi/secrets/mount"),
        format!("{kubelet}/pods/{UID}/volumes/kubernetes.io~secret/secrets/mount"),
        format!("{kubelet}/pods/another-pod/volumes/kubernetes.io~csi/secrets/mount"),
        format!("{kubelet}/pods/{UID}x/volumes/kubernetes.io~csi/secrets/mount"),
        // Ways round.
        format!("{volumes}/../mount"),
        format!("{volumes}/./mount"),
        format!("{volumes}/secrets/../secrets/mount"),
        format!("{volumes}/secrets/mount/.."),
        format!("{kubelet}/pods/{UID}/../{UID}/volumes/kubernetes.io~csi/secrets/mount"),
        format!("{kubelet}/../{kubelet}/{VOLUME}/mount"),
        // Spelled as kubelet never does.
        format!("{volumes}//secrets/mount"),
        format!("{volumes}/./secrets/mount"),
        format!("{volumes}/secrets/mount/"),
        format!("{volumes}/secrets/mount/."),
        format!("{kubelet}//{VOLUME}/mount"),
        format!("/{kubelet}/{VOLUME}/mount"),
        format!("{volumes}/sec\0rets/mount"),
    ];
    targets.push(format!("{volumes}/secrets\0/mount"));
    for target in targets {
        let error = pod.writer().check(Path::new(&target), UID).unwrap_err();
        assert!(matches!(error, WriteError::Shape { .. }), "{target:?}: {error}");
        let expected = format!("{volumes}/<name>/mount");
        assert!(error.to_string().contains(&expected), "{target:?}: {error}");
    }
    pod.writer().check(&pod.target, UID).unwrap();
}

#[test]
fn a_pod_uid_that_is_not_a_file_name_is_refused() {
    let pod = pod();
    for uid in ["", ".", "..", "a/b", "/"] {
        let target =
            format!("{}/pods/{uid}/volumes/kubernetes.io~csi/secrets/mount", pod.kubelet.path().display());
        let error = pod.writer().check(Path::new(&target), uid).unwrap_err();
        assert!(matches!(error, WriteError::Shape { .. }), "{uid:?}: {error}");
    }
}

#[test]
fn a_kubelet_path_with_a_trailing_slash_or_through_a_link_is_accepted() {
    let pod = pod();
    let slash = format!("{}/", pod.kubelet.path().display());
    Writer::new(slash, FileSystem::Any).check(&pod.target, UID).unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("kubelet");
    symlink(pod.kubelet.path(), &link).unwrap();
    let target = link.join(VOLUME).join("mount");
    Writer::new(link, FileSystem::Any).check(&target, UID).unwrap();
}

#[test]
fn a_link_anywhere_in_the_target_path_is_refused() {
    let components = Path::new(VOLUME).join("mount");
    for depth in 1..=components.components().count() {
        let pod = pod();
        let part: PathBuf = components.components().take(depth).collect();
        let (there, moved) = (pod.kubelet.path().join(part), pod.kubelet.path().join("moved"));
        fs::rename(&there, &moved).unwrap();
        symlink(&moved, &there).unwrap();

        let check = pod.writer().check(&pod.target, UID).unwrap_err();
        assert!(matches!(check, WriteError::Io { .. }), "{check}");
        let files = [file("a", 0o644, "1")];
        let write = pod.writer().write(&pod.target, UID, &files, KeepMtime::No);
        assert!(matches!(write, Err(WriteError::Io { .. })), "{write:?}");
        assert_eq!(shown(&pod.target), Shown::new());
    }
}

#[test]
fn a_deleted_pod_is_distinguished_from_a_missing_kubelet_folder() {
    let pod = pod();
    let components = Path::new(VOLUME).join("mount");
    for depth in (1..=components.components().count()).rev() {
        let part: PathBuf = components.components().take(depth).collect();
        fs::remove_dir(pod.kubelet.path().join(part)).unwrap();
        let check = pod.writer().check(&pod.target, UID);
        assert!(matches!(check, Err(WriteError::Gone { .. })), "{check:?}");
        let write = pod.writer().write(&pod.target, UID, &[], KeepMtime::Yes);
        assert!(matches!(write, Err(WriteError::Gone { .. })), "{write:?}");
    }
    fs::remove_dir(pod.kubelet.path()).unwrap();
    let check = pod.writer().check(&pod.target, UID);
    assert!(matches!(check, Err(WriteError::Io { .. })), "{check:?}");
}

#[test]
fn a_data_link_that_points_elsewhere_is_not_followed() {
    let pod = pod();
    let outside = canary(&pod);
    fs::create_dir(pod.target.join("..inside")).unwrap();
    fs::create_dir(pod.target.join("visible")).unwrap();
    symlink(&outside, pod.target.join("..link")).unwrap();
    let files = [file("a", 0o644, "canary")];
    for target in [
        outside.to_str().unwrap(),
        "../../../../../../outside",
        "..",
        ".",
        "..data",
        "..data_tmp",
        "..inside/../visible",
        "..inside/",
        "..link",
        "visible",
        "missing",
        "..missing",
    ] {
        let data = pod.target.join("..data");
        fs::remove_file(&data).ok();
        symlink(target, &data).unwrap();
        pod.write(&files);
        assert_untouched(&outside);
        assert_holds(&pod.target, &files);
    }
}

#[test]
fn a_file_or_folder_named_data_is_replaced() {
    let files = [file("a", 0o644, "1")];
    let folder = pod();
    fs::create_dir_all(folder.target.join("..data/x")).unwrap();
    folder.write(&files);
    assert_holds(&folder.target, &files);

    let plain = pod();
    fs::write(plain.target.join("..data"), "x").unwrap();
    plain.write(&files);
    assert_holds(&plain.target, &files);
}

#[test]
fn traps_in_the_root_are_neither_followed_nor_opened() {
    let pod = pod();
    let outside = canary(&pod);
    let mkfifo = |path: &str| {
        let made = Command::new("mkfifo").arg(pod.target.join(path)).output().unwrap();
        assert!(made.status.success(), "mkfifo: {made:?}");
    };
    symlink(outside.join("a"), pod.target.join("a")).unwrap();
    symlink(&outside, pod.target.join("folder")).unwrap();
    symlink("loop", pod.target.join("loop")).unwrap();
    symlink("..data/../../../x", pod.target.join("b")).unwrap();
    mkfifo("fifo");
    mkfifo("not asked for");
    // Bound elsewhere, because a socket's path is limited to 108 bytes.
    let socket = pod.kubelet.path().join("s");
    let _socket = UnixListener::bind(&socket).unwrap();
    fs::rename(socket, pod.target.join("socket")).unwrap();
    fs::create_dir_all(pod.target.join("odd\nname/\u{1b}[31m/..x")).unwrap();
    symlink(&outside, pod.target.join("odd\nname/link")).unwrap();
    symlink(&outside, pod.target.join("..link")).unwrap();
    let files = [
        file("a", 0o644, "1"),
        file("folder/a", 0o644, "2"),
        file("loop", 0o644, "3"),
        file("fifo", 0o644, "4"),
        file("socket", 0o644, "5"),
    ];
    pod.write(&files);
    assert_untouched(&outside);
    assert_holds(&pod.target, &files);
}

#[test]
fn traps_in_the_visible_folder_are_neither_followed_nor_opened() {
    let pod = pod();
    let outside = canary(&pod);
    let files = [file("a", 0o644, "canary"), file("b/a", 0o644, "canary"), file("c", 0o644, "")];
    for trap in ["a", "b", "c"] {
        pod.write(&files);
        let path = pod.target.join("..data").join(trap);
        match trap {
            "a" => {
                fs::remove_file(&path).unwrap();
                symlink(outside.join("a"), &path).unwrap();
            }
            "b" => {
                fs::remove_dir_all(&path).unwrap();
                symlink(&outside, &path).unwrap();
            }
            _ => {
                fs::remove_file(&path).unwrap();
                let made = Command::new("mkfifo").arg(&path).output().unwrap();
                assert!(made.status.success(), "mkfifo: {made:?}");
            }
        }
        assert_eq!(pod.write(&files), Written::Changed, "{trap}");
        assert_untouched(&outside);
        assert_holds(&pod.target, &files);
    }
}
