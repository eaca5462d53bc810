//! The provider that is measured: a child process of our own making, or
//! whoever serves a socket.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context;

use super::{
    stage::{REGION, ROOTS, Stage},
    usage::Usage,
};
use crate::driver::Driver;

/// The only variable that the child keeps; others could change how it works.
const PATH: &str = "PATH";

/// Which provider is measured.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Latchkey, started anew for each repetition.
    Program {
        /// The program; this one when none is named.
        path: Option<PathBuf>,
        /// More flags of `serve`.
        args: Vec<String>,
    },
    /// Any provider that runs already.
    Running {
        /// Its socket.
        socket: PathBuf,
        /// Its process, for CPU and memory.
        pid: Option<u32>,
    },
}

/// A provider that serves; one that was started ends when this is dropped.
pub(super) struct Provider {
    /// Speaks to it.
    pub(super) driver: Driver,
    pid: Option<u32>,
    _process: Option<Process>,
}

/// A process that ends with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Subject {
    /// Starts the provider, with more flags of `serve` that a scenario needs, or
    /// connects to the one that runs.
    ///
    /// # Errors
    /// When it cannot be started, or does not serve; its last words are told.
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
    /// CPU and memory so far; `None` when the process is not known.
    ///
    /// # Errors
    /// When the process is gone.
    pub(super) fn usage(&self) -> anyhow::Result<Option<Usage>> {
        self.pid.map(Usage::of).transpose()
    }

    /// Which one it is.
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
        None => std::env::current_exe().context("this program's own file is not known")?,
    };
    // A container's log is a file as well.
    let log = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    let mut command = Command::new(path);
    command
        .env_clear()
        .envs(std::env::var_os(PATH).map(|path| (PATH, path)))
        // As in the image: one file of roots, not a folder of hundreds beside it.
        .envs(Path::new(ROOTS).exists().then_some(("SSL_CERT_FILE", ROOTS)))
        .envs(stage.aws.environment())
        .env("AWS_REGION", REGION)
        .arg("serve")
        .arg("--provider-volume")
        .arg(stage.folder())
        .arg(format!("--allowed-uids={}", rustix::process::geteuid().as_raw()))
        .arg("--http-address=off")
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
