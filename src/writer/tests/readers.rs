//! What a reader in a tight loop sees while sets are replaced.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use super::*;

/// Long enough to detect a partial file.
fn contents(generation: usize) -> String {
    format!("{generation:04}").repeat(5_000)
}

/// The generation of a file, which must be complete.
fn generation(text: &str) -> usize {
    let generation = text[..4].parse().unwrap();
    assert!(text == contents(generation), "half of generation {generation}: {} bytes", text.len());
    generation
}

/// Reads, and fails if a file is missing. A reader may only retry if it took longer
/// than replaced files stay.
fn read(path: &Path) -> String {
    loop {
        let started = Instant::now();
        match fs::read_to_string(path) {
            Ok(text) => return text,
            Err(_) if started.elapsed() > DRAIN => {}
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
}

/// Runs `write` while a thread runs `look` in a tight loop; the number of looks.
fn beside(look: impl Fn() + Send + Sync, write: impl FnOnce()) -> usize {
    let (started, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                look();
                looks += 1;
                started.store(true, Ordering::Relaxed);
            }
            looks
        });
        while !started.load(Ordering::Relaxed) && !reader.is_finished() {
            thread::yield_now();
        }
        write();
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    })
}

/// Reads two files in sequence, by the names that pods use. If a set appears at once, a
/// new first file cannot come with an old second one.
fn look_in_order(first: &Path, second: &Path) {
    let before = generation(&read(first));
    let after = generation(&read(second));
    assert!(after >= before, "a mixed set of generations {before} and {after}");
}

#[test]
fn readers_see_one_whole_set_and_never_miss_a_file() {
    let pod = pod();
    let mut writer = pod.writer();
    writer.drain = DRAIN;
    let write = |generation| {
        let text = contents(generation);
        let files = [file("a", 0o644, text.clone()), file("b/c", 0o644, text)];
        let written = writer.write(&pod.target, UID, &files, KeepMtime::No);
        assert_eq!(written.unwrap(), Written::Changed);
    };
    write(0);
    let (a, c) = (pod.target.join("a"), pod.target.join("b/c"));
    let one_opened_set = || {
        let started = Instant::now();
        let data = fs::File::open(pod.target.join("..data")).unwrap();
        let below = |path| {
            let flags = rustix::fs::OFlags::RDONLY;
            let opened = rustix::fs::openat(&data, path, flags, rustix::fs::Mode::empty())?;
            io::read_to_string(fs::File::from(opened))
        };
        match (below("a"), below("b/c")) {
            (Ok(a), Ok(c)) => assert_eq!(generation(&a), generation(&c)),
            // See `read`.
            _ if started.elapsed() > DRAIN => {}
            missing => panic!("{missing:?}"),
        }
    };
    let looks = beside(
        || {
            one_opened_set();
            look_in_order(&a, &c);
            look_in_order(&c, &a);
        },
        || (1..=20).for_each(write),
    );
    assert!(looks > 20, "{looks}");
    assert_eq!(generation(&read(&a)), 20);
}

#[test]
fn files_of_a_replaced_set_stay_a_while_for_those_who_are_about_to_open_them() {
    let pod = pod();
    pod.write(&[file("a", 0o644, "1")]);
    let old = fs::File::open(pod.target.join("..data")).unwrap();
    let open = || {
        let flags = rustix::fs::OFlags::RDONLY;
        rustix::fs::openat(&old, "a", flags, rustix::fs::Mode::empty())
    };
    let mut writer = pod.writer();
    writer.drain = Duration::from_millis(300);
    thread::scope(|scope| {
        let started = Instant::now();
        let new = [file("a", 0o644, "2")];
        let target = &pod.target;
        let drain = writer.drain;
        let write = scope.spawn(move || writer.write(target, UID, &new, KeepMtime::No));
        while read(&pod.target.join("a")) != "2" {
            assert!(!write.is_finished(), "the write is done, and the file is not the new one");
        }
        let opened = open();
        let lasted = started.elapsed();
        assert!(opened.is_ok() || lasted > drain, "{opened:?} after {lasted:?}");
    });
    // Replaced secrets do not stay longer.
    assert_eq!(open().unwrap_err(), Errno::NOENT);
}

#[test]
fn readers_of_plain_files_see_no_gap_during_the_takeover() {
    for _ in 0..20 {
        let pod = pod();
        let mut writer = pod.writer();
        writer.drain = DRAIN;
        let (a, c) = (pod.target.join("a"), pod.target.join("b/c"));
        fs::create_dir(pod.target.join("b")).unwrap();
        fs::write(&a, contents(0)).unwrap();
        fs::write(&c, contents(0)).unwrap();
        let files = [file("a", 0o644, contents(1)), file("b/c", 0o644, contents(1))];
        let looks = beside(
            || {
                look_in_order(&a, &c);
                look_in_order(&c, &a);
            },
            || {
                writer.write(&pod.target, UID, &files, KeepMtime::No).unwrap();
            },
        );
        assert!(looks > 0, "nothing was read meanwhile");
        assert_holds(&pod.target, &files);
    }
}
