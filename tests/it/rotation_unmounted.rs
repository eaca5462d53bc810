//! The poller writes while the driver unmounts, on a real tmpfs. The test needs
//! root and a mount namespace of its own, and reports where it cannot run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use latchkey::writer::{FileSystem, Writer};

use crate::harness::{GRACE, INTERVAL, Log, Request, SECRET, World, assert_contains, assert_lacks, pass};

/// The kubelet folder, where the test runs in its own mount namespace.
const KUBELET: &str = "LATCHKEY_TEST_KUBELET";
const NAME: &str = "rotation_unmounted::a_volume_can_be_unmounted_while_the_poller_writes";

fn request(kubelet: &Path) -> (Request, PathBuf) {
    let request = Request::new(SECRET).numbered(1);
    let folder = request.pod.volume(kubelet);
    (request.target(&folder), folder)
}

#[test]
fn a_volume_can_be_unmounted_while_the_poller_writes() {
    if let Some(kubelet) = env::var_os(KUBELET) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        return runtime.unwrap().block_on(unmounted(Path::new(&kubelet)));
    }
    let kubelet = tempfile::tempdir().unwrap();
    let (_, folder) = request(kubelet.path());
    fs::create_dir_all(&folder).unwrap();
    let probe = Command::new("unshare").args(["-m", "true"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        println!("SKIPPED {NAME}: it takes root and unshare to mount a tmpfs");
        return;
    }
    let run = r#"mount -t tmpfs -o mode=0755 tmpfs "$1" && exec "$0" --exact "$2" --nocapture"#;
    let child = Command::new("unshare")
        .args(["-m", "sh", "-c", run])
        .arg(env::current_exe().unwrap())
        .arg(&folder)
        .arg(NAME)
        .env(KUBELET, kubelet.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{}: {said}", child.status);
    assert_contains(&said, "1 passed");
}

async fn unmounted(kubelet: &Path) {
    let writer = Writer::new(kubelet, FileSystem::TmpfsMountRoot);
    let world = World::with(|config| config.writer = Some(writer)).await;
    world.secret("shop/db", "one");
    let (request, folder) = request(kubelet);
    world.mount(&request).await;
    world.secret("shop/db", "two");
    let log = Log::collect();
    // The driver's part, on a thread of its own: the write goes on for a moment
    // after the new file is there, because the replaced ones stay for readers.
    let driver = thread::spawn({
        let folder = folder.clone();
        move || {
            let patience = Duration::from_secs(20);
            let began = Instant::now();
            while fs::read_to_string(folder.join("shop_db")).unwrap() != "two" {
                assert!(began.elapsed() < patience, "the change was not written within {patience:?}");
                thread::yield_now();
            }
            Command::new("umount").arg(&folder).output().unwrap()
        }
    });
    pass(INTERVAL + GRACE).await;
    let unmounted = driver.join().unwrap();
    assert!(unmounted.status.success(), "an open file keeps the driver from unmounting: {unmounted:?}");
    let lines = log.take();
    assert_contains(&lines, "rotation written");
    assert_lacks(&lines, "ERROR");
    fs::remove_dir(&folder).unwrap();
    // At the next change the pod is forgotten.
    world.secret("shop/db", "three");
    pass(INTERVAL + GRACE).await;
    let lines = log.take();
    assert_contains(&lines, "the pod is gone");
    assert_lacks(&lines, "ERROR");
}
