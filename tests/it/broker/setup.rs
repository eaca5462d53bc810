//! What `latchkey notices --print-setup` prints, and the way from AWS's own events to the
//! object, in an AWS that nobody here wrote.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::scene::Scene;
use crate::{
    harness::{ACCOUNT, eventually},
    policy::ministack::program,
};

fn setup(form: &str) -> Vec<u8> {
    let printed = Command::new(env!("CARGO_BIN_EXE_latchkey"))
        .env_clear()
        .args(["notices", "--print-setup", form])
        .output()
        .unwrap();
    assert!(printed.status.success() && printed.stderr.is_empty(), "{printed:?}");
    printed.stdout
}

fn written(folder: &TempDir, name: &str, form: &str) -> std::path::PathBuf {
    let file = folder.path().join(name);
    std::fs::write(&file, setup(form)).unwrap();
    file
}

#[test]
fn cfn_lint_finds_nothing_wrong() {
    let Some(cfn_lint) = program("cfn-lint") else { return };
    let folder = tempfile::tempdir().unwrap();
    let output =
        Command::new(cfn_lint).arg(written(&folder, "setup.yaml", "cloudformation")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn terraform_finds_nothing_to_format() {
    if !Command::new("terraform").arg("version").output().is_ok_and(|output| output.status.success()) {
        return println!("terraform is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = written(&folder, "setup.tf", "terraform");
    let output = Command::new("terraform").args(["fmt", "-check", "-diff"]).arg(&file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// MiniStack's server, which ends with the test.
struct MiniStack {
    process: Child,
    url: String,
    _folder: TempDir,
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
        // A loopback address that no other test uses.
        let listener = TcpListener::bind("127.78.3.1:0").unwrap();
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
        eventually("MiniStack listens", async || TcpStream::connect(address).await.ok()).await;
        Self { process, url: format!("http://{address}"), _folder: folder }
    }

    /// Runs a step of `tests/clients/notices_stack.py`; gives what it prints.
    async fn step(&self, python: &Path, args: &[&str]) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/notices_stack.py");
        let run = tokio::process::Command::new(python)
            .arg(script)
            .arg(&self.url)
            .args(args)
            .output()
            .await
            .unwrap();
        assert!(run.status.success(), "{args:?}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap().trim().to_owned()
    }
}

#[tokio::test]
async fn the_printed_stack_brings_an_independent_awss_events_into_the_object() {
    let (Some(ministack), Some(python)) = (program("ministack"), program("python")) else { return };
    let scene = Scene::start(1).await;
    let folder = tempfile::tempdir().unwrap();
    let template = written(&folder, "setup.yaml", "cloudformation");
    let aws = MiniStack::start(&ministack).await;
    let queue = aws.step(&python, &["create", template.to_str().unwrap(), "changes"]).await;
    assert!(queue.ends_with(&format!("/{ACCOUNT}/changes")), "{queue}");
    let _process = scene.process_as("one", ACCOUNT, &aws.url, &[]).await;
    scene.covered().await;
    let arn = aws.step(&python, &["change"]).await;
    scene.told(std::slice::from_ref(&arn)).await;
    let told = scene.changes_told();
    let (_, change) = told.last().unwrap();
    assert_eq!((change.arn.as_str(), change.label.as_deref()), (arn.as_str(), Some("AWSCURRENT")));
}
