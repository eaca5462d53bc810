//! What `latchkey bench` measures, and how.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::scenario::Scenario;

/// What to measure, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    pub subject: Subject,
    /// What to play, in this order.
    pub scenarios: Vec<Scenario>,
    /// How often to play each scenario; `None` for the scenario's own number.
    pub repeat: Option<u32>,
    /// How long AWS takes to answer, and how long each round trip of a new TLS
    /// connection takes.
    pub latency: Duration,
    /// How long Kubernetes takes to answer.
    pub kubernetes_latency: Duration,
    /// Use HTTP instead of HTTPS to reach AWS.
    pub plain: bool,
    /// The address of Secrets Manager.
    pub aws_address: SocketAddr,
    pub sts_address: SocketAddr,
    pub agent_address: SocketAddr,
    pub kubernetes_address: SocketAddr,
    /// How many mounts the loop keeps running at once.
    pub at_once: u32,
    pub loop_time: Duration,
    /// How long to wait before the memory of an idle provider is read.
    pub idle_time: Duration,
    /// The provider's poll interval in the scenarios rotation, change and outage.
    pub interval: Duration,
    /// How many intervals the scenario rotation lasts.
    pub intervals: u32,
    /// How many changes of a value to time.
    pub changes: u32,
    /// Where to write the figures as JSON.
    pub json: Option<PathBuf>,
}

/// The provider to measure.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Latchkey, started again for each repetition.
    Program {
        /// The program; `None` for this one.
        path: Option<PathBuf>,
        /// Additional flags for `serve`.
        args: Vec<String>,
    },
    /// Any provider that already runs.
    Running {
        socket: PathBuf,
        /// Its process id; without it, CPU and memory are not measured.
        pid: Option<u32>,
    },
}
