//! `latchkey bench`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use latchkey_lab::bench::{Scenario, Settings, Subject};

use crate::cli::serve::{AnyDuration, any_duration, poll_interval, positive_duration};

/// `latchkey bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What is played [default: everything]
    #[arg(value_name = "SCENARIO", value_parser = scenario)]
    scenarios: Vec<Scenario>,
    /// Show the scenarios
    #[arg(long)]
    list: bool,

    /// The latchkey program that is measured [default: this one]
    #[arg(long, value_name = "PROGRAM", help_heading = "What is measured")]
    provider: Option<PathBuf>,
    /// A flag for its `serve`; may be given several times
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true, help_heading = "What is measured")]
    provider_flag: Vec<String>,
    /// Measure the provider that serves this socket instead
    #[arg(long, value_name = "PATH", conflicts_with_all = ["provider", "provider_flag"], help_heading = "What is measured")]
    socket: Option<PathBuf>,
    /// Its process, for CPU and memory
    #[arg(long, requires = "socket", help_heading = "What is measured")]
    pid: Option<u32>,

    /// How long AWS takes for each answer, and for each round trip of a new TLS connection
    #[arg(long, value_name = "DURATION", default_value = "10ms", value_parser = any_duration, help_heading = "What is played")]
    latency: AnyDuration,
    /// How long the Kubernetes API takes for each answer
    #[arg(long, value_name = "DURATION", default_value = "2ms", value_parser = any_duration, help_heading = "What is played")]
    kubernetes_latency: AnyDuration,
    /// HTTP instead of HTTPS to AWS, to see what TLS costs
    #[arg(long, help_heading = "What is played")]
    plain: bool,
    /// Where Secrets Manager is served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", help_heading = "What is played")]
    aws_address: SocketAddr,
    /// Where STS is served: another host than Secrets Manager, so that TLS sessions are not mixed up
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.2:0", help_heading = "What is played")]
    sts_address: SocketAddr,
    /// Where the Pod Identity agent is served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", help_heading = "What is played")]
    agent_address: SocketAddr,
    /// Where the Kubernetes API is served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", help_heading = "What is played")]
    kubernetes_address: SocketAddr,
    /// Mounts under way in the loop
    #[arg(long, value_name = "COUNT", default_value = "32", value_parser = clap::value_parser!(u32).range(1..), help_heading = "What is played")]
    at_once: u32,
    /// How long the loop runs
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = positive_duration, help_heading = "What is played")]
    loop_time: Duration,
    /// How long nothing happens before idle memory is read
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = positive_duration, help_heading = "What is played")]
    idle_time: Duration,
    /// --rotation-poll-interval in rotation, change and outage: stands for two minutes
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = poll_interval, help_heading = "What is played")]
    interval: Duration,
    /// Intervals of rotation: 30 are an hour
    #[arg(long, value_name = "COUNT", default_value = "30", value_parser = clap::value_parser!(u32).range(1..), help_heading = "What is played")]
    intervals: u32,
    /// Changes of a value
    #[arg(long, value_name = "COUNT", default_value = "20", value_parser = clap::value_parser!(u32).range(1..), help_heading = "What is played")]
    changes: u32,

    /// How often each scenario is played [default: 10, 5 or 1, by scenario]
    #[arg(long, value_name = "COUNT", help_heading = "Figures")]
    repeat: Option<u32>,
    /// Also write the figures into this file
    #[arg(long, value_name = "FILE", help_heading = "Figures")]
    json: Option<PathBuf>,
}

impl BenchArgs {
    /// Whether only the scenarios are shown.
    pub fn list(&self) -> bool {
        self.list
    }

    /// What to measure.
    pub fn settings(&self) -> Settings {
        let subject = match &self.socket {
            Some(socket) => Subject::Running { socket: socket.clone(), pid: self.pid },
            None => Subject::Program { path: self.provider.clone(), args: self.provider_flag.clone() },
        };
        let scenarios =
            if self.scenarios.is_empty() { Scenario::ALL.to_vec() } else { self.scenarios.clone() };
        Settings {
            subject,
            scenarios,
            repeat: self.repeat,
            latency: self.latency.0,
            kubernetes_latency: self.kubernetes_latency.0,
            plain: self.plain,
            aws_address: self.aws_address,
            sts_address: self.sts_address,
            agent_address: self.agent_address,
            kubernetes_address: self.kubernetes_address,
            at_once: self.at_once,
            loop_time: self.loop_time,
            idle_time: self.idle_time,
            interval: self.interval,
            intervals: self.intervals,
            changes: self.changes,
            json: self.json.clone(),
        }
    }
}

fn scenario(text: &str) -> Result<Scenario, String> {
    let names = || Scenario::ALL.map(Scenario::name).join(", ");
    Scenario::named(text).ok_or_else(|| format!("one of these is expected: {}", names()))
}
