//! A writer that is killed at any moment.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    thread,
    time::Instant,
};

use super::*;

const ROUNDS: u32 = 200;

fn sets() -> [Vec<MountFile>; 2] {
    let (one, two) = (vec![b'1'; 6_000], vec![b'2'; 9_000]);
    [
        vec![file("a", 0o644, one.clone()), file("b/c", 0o400, one.clone()), file("only/in/one", 0o644, one)],
        vec![
            file("a", 0o600, two.clone()),
            file("b/c", 0o640, two.clone()),
            file("b/only-in-two", 0o644, two.clone()),
            file("two", 0o644, two),
        ],
    ]
}

#[test]
fn a_kill_at_any_moment_leaves_one_whole_set_and_the_next_write_cleans_up() {
    let test = "killed::a_kill_at_any_moment_leaves_one_whole_set_and_the_next_write_cleans_up";
    if let Some(kubelet) = kubelet_of_child() {
        return write_until_killed(&kubelet);
    }
    let pod = pod();
    let [one, two] = sets();
    let mut struck = 0;
    for round in 0..ROUNDS {
        let set = if round % 2 == 0 { &one } else { &two };
        if round % 3 == 0 {
            lay_plain_files(&pod.target, set);
        }
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", &format!("writer::tests::{test}"), "--nocapture"])
            .env(KUBELET_OF_CHILD, pod.kubelet.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(
            lines.any(|line| line.unwrap().ends_with("ready")),
            "round {round}: the writer did not start"
        );
        // Not for correctness: this sets the moment of the kill, from before the
        // first write to several writes later.
        thread::sleep(Duration::from_micros(u64::from(round * 37 % 200 * 10)));
        child.kill().unwrap();
        child.wait().unwrap();

        let left = shown(&pod.target);
        let is_whole = [&one, &two].into_iter().any(|set| left == shown_of(set));
        let is_unwritten = round == 0 && left.is_empty();
        let lengths: Vec<_> = left.iter().map(|(path, (mode, text))| (path, mode, text.len())).collect();
        assert!(is_whole || is_unwritten, "kill {round} left neither set, but {lengths:?}");
        let whole = ["..data"].len() + 1;
        let reserved = names_in(&pod.target);
        let reserved = reserved.iter().filter(|name| name.starts_with("..")).count();
        struck += u32::from(reserved > whole);

        pod.write(set);
        assert_holds(&pod.target, set);
    }
    // Otherwise the kills would prove nothing.
    assert!(struck > ROUNDS / 10, "{struck} of {ROUNDS} kills struck in the middle");
}

/// What AWS's own provider would have left: no links, and nothing of our layout.
fn lay_plain_files(mount: &Path, files: &[MountFile]) {
    fs::remove_dir_all(mount).unwrap();
    fs::create_dir(mount).unwrap();
    for file in files {
        let path = mount.join(file.path.as_str());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, file.contents.expose()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(file.mode.bits())).unwrap();
    }
}

fn write_until_killed(kubelet: &Path) {
    let target = kubelet.join(VOLUME).join("mount");
    let mut writer = Writer::new(kubelet, FileSystem::Any);
    writer.drain = Duration::ZERO;
    let sets = sets();
    // The other set first, so that each write has something to do.
    let first = usize::from(shown(&target) == shown_of(&sets[0]));
    println!("ready");
    let started = Instant::now();
    for set in sets.iter().cycle().skip(first) {
        assert!(started.elapsed() < Duration::from_secs(60), "not killed: the parent process is gone");
        writer.write(&target, UID, set, KeepMtime::No).unwrap();
    }
}
