//! Mounts left by another provider or a killed write.

use super::*;

#[test]
fn plain_files_and_folders_are_taken_over_and_those_not_asked_for_removed() {
    let pod = pod();
    fs::write(pod.target.join("a"), "old").unwrap();
    fs::write(pod.target.join("same"), "same").unwrap();
    fs::set_permissions(pod.target.join("same"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(pod.target.join("gone"), "old").unwrap();
    fs::create_dir_all(pod.target.join("folder/deep")).unwrap();
    fs::write(pod.target.join("folder/deep/file"), "old").unwrap();
    fs::create_dir_all(pod.target.join("folder gone/deep")).unwrap();
    let files =
        [file("a", 0o644, "new"), file("same", 0o644, "same"), file("folder/deep/file", 0o644, "new")];
    assert_eq!(pod.write(&files), Written::Changed);
    assert_holds(&pod.target, &files);
}

#[test]
fn plain_files_written_over_our_links_are_taken_over_again() {
    let pod = pod();
    let files = [file("a", 0o644, "1"), file("b/c", 0o644, "2")];
    pod.write(&files);
    // AWS's own provider for a while: it renames plain files over the links.
    fs::write(pod.target.join("plain"), "3").unwrap();
    fs::rename(pod.target.join("plain"), pod.target.join("a")).unwrap();
    assert_eq!(pod.write(&files), Written::Changed);
    assert_holds(&pod.target, &files);
}

#[test]
fn leftovers_of_a_killed_write_are_tidied_away_by_an_unchanged_one() {
    let pod = pod();
    let files = [file("a", 0o644, "1")];
    pod.write(&files);
    fs::create_dir_all(pod.target.join("..2026_01_01_00_00_00.1/b")).unwrap();
    fs::write(pod.target.join("..2026_01_01_00_00_00.1/b/c"), "half").unwrap();
    symlink("..2026_01_01_00_00_00.1", pod.target.join("..data_tmp")).unwrap();
    symlink("..data/b", pod.target.join("b")).unwrap();
    assert_eq!(pod.write(&files), Written::Unchanged);
    assert_holds(&pod.target, &files);
}
