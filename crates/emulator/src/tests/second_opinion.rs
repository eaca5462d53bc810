//! The events of MiniStack, an independent emulation of AWS, if `tests/policy/install` has
//! installed it.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use serde_json::Value;

use super::*;

/// MiniStack's server, which ends with the test.
struct MiniStack {
    process: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for MiniStack {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl MiniStack {
    async fn start(program: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let folder = tempfile::tempdir().unwrap();
        let process = Command::new(program)
            .env("BIND_HOST", address.ip().to_string())
            .env("GATEWAY_PORT", address.port().to_string())
            .envs(["STATE_DIR", "S3_DATA_DIR", "TMPDIR"].map(|name| (name, folder.path())))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { process, url: format!("http://{address}"), _folder: folder };
        for _ in 0..300 {
            if TcpStream::connect(address).await.is_ok() {
                return started;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("MiniStack does not listen on {address}");
    }
}

/// The events that `tests/clients/label_events.py` receives from an AWS.
async fn label_events(python: &Path, url: &str, access_key: &str) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clients/label_events.py");
    let mut command = Command::new(python);
    command.args([script, url, access_key]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ministack_sends_the_same_events() {
    let programs = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.cache/ministack-1.5.33/bin"));
    if !programs.join("ministack").exists() {
        // Past the test runner's capture: a skipped test must be seen.
        let notice = b"SKIPPED: no events from MiniStack, which is not installed; run tests/policy/install\n";
        io::stderr().write_all(notice).unwrap();
        return;
    }
    let python = programs.join("python");
    let ministack = MiniStack::start(&programs.join("ministack")).await;
    let theirs = label_events(&python, &ministack.url, "444455556666").await;
    let (_, url) = serve().await;
    let ours = label_events(&python, &url, "AKIAEXAMPLEADMIN0001").await;
    let labels = |events: &Value| -> Vec<String> {
        let events = events.as_array().unwrap().iter();
        events
            .map(|event| format!("{} {}", event["detail"]["labelUpdated"], event["detail"]["versionId"]))
            .collect()
    };
    assert_eq!(labels(&ours), labels(&theirs));
    assert_eq!(ours, theirs);
    assert_eq!(ours.as_array().unwrap().len(), 9);
}
