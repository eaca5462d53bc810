//! The provider under measurement: a child process, or a provider that already runs.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::Context;

use super::{
    settings::Subject,
    stage::{REGION, ROOTS, Stage},
    usage::Usage,
};
use crate::driver::Driver;

/// The only variable that the child inherits: others could change how it works.
const PATH: &str = "PATH";

/// A provider that serves. A child process ends when this is dropped.
pub(super) struct Provider {
    pub(super) driver: Driver,
    pid: Option<u32>,
    _process: Option<Process>,
}

/// A child process that is killed when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // The process may already have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Subject {
    /// Starts the provider with the flags that a scenario needs, or connects to the
    /// provider that already runs.
    ///
    /// # Errors
    /// When it cannot be started or does not answer, with the end of its log.
    pub(super) async fn start(&self, stage: &Stage, flags: &[String]) -> anyhow::Result<Provider> {
        match self {
            Self::Running { socket, pid } => {
                Ok(Provider { driver: Driver::connect(socket).await?, pid: *pid, _process: None })
            }
            Self::Program { path, args } => {
                stage.reset_connections();
                let log = stage.folder().join("provider.log");
                let child = command(path.as_deref(), stage, &log)?
                    .args(flags)
                    .args(args)
                    .spawn()
                    .context("cannot start the provider (--provider)")?;
                let pid = child.id();
                let process = Process(child);
                let connected = Driver::connect(&stage.folder().join("aws.sock")).await;
                let driver = connected.with_context(|| last_words(&log))?;
                Ok(Provider { driver, pid: Some(pid), _process: Some(process) })
            }
        }
    }

    /// Whether each start is a new process.
    pub(super) fn is_started_anew(&self) -> bool {
        matches!(self, Self::Program { .. })
    }
}

impl Provider {
    /// CPU and memory so far; `None` when the process is unknown.
    ///
    /// # Errors
    /// When the process has ended.
    pub(super) fn usage(&self) -> anyhow::Result<Option<Usage>> {
        self.pid.map(Usage::of).transpose()
    }

    /// The provider's name and version.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn name(&self) -> anyhow::Result<String> {
        self.driver.clone().version().await
    }
}

/// `latchkey serve` as on a node, with the stage's AWS and Kubernetes.
fn command(path: Option<&Path>, stage: &Stage, log: &Path) -> anyhow::Result<Command> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()
            .context("cannot find the file of this program; name a program with --provider")?,
    };
    // A container's log is a file too.
    let log = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    let mut command = Command::new(path);
    command
        .env_clear()
        .envs(std::env::var_os(PATH).map(|path| (PATH, path)))
        // As in the image: a single file of roots, without a folder of hundreds.
        .envs(Path::new(ROOTS).exists().then_some(("SSL_CERT_FILE", ROOTS)))
        .envs(stage.aws.environment())
        .env("AWS_REGION", REGION)
        // Variables, which a scenario's flags override and older programs ignore.
        .env("LATCHKEY_STATUS_SOCKET", "off")
        .env("LATCHKEY_HTTP_ADDRESS", "off")
        .arg("serve")
        .arg("--provider-volume")
        .arg(stage.folder())
        .arg(format!("--allowed-uids={}", rustix::process::geteuid().as_raw()))
        .arg(format!("--pod-identity-endpoint={}", stage.aws.agent))
        .arg("--kubeconfig")
        .arg(&stage.kubeconfig)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    Ok(command)
}

/// The end of the provider's log.
fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let mut lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.reverse();
    format!("the provider's log ends with: {}", lines.join(" | "))
}
