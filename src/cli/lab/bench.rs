//! `latchkey bench`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use latchkey_lab::bench::{Scenario, Settings, Subject};

use crate::cli::flag_values::{AnyDuration, any_duration, poll_interval, positive_duration};

/// `latchkey bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Scenarios to play [default: all]
    #[arg(value_name = "SCENARIO", value_parser = scenario)]
    scenarios: Vec<Scenario>,
    /// List the scenarios
    #[arg(long)]
    list: bool,

    /// Measure this latchkey program [default: this one]
    #[arg(long, value_name = "PROGRAM", help_heading = "Provider")]
    provider: Option<PathBuf>,
    /// Pass this flag to its `serve`; may be repeated
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true, help_heading = "Provider")]
    provider_flag: Vec<String>,
    /// Measure the provider that serves this socket, instead of starting one
    #[arg(long, value_name = "PATH", conflicts_with_all = ["provider", "provider_flag"], help_heading = "Provider")]
    socket: Option<PathBuf>,
    /// Id of its process, to measure CPU and memory
    #[arg(long, requires = "socket", help_heading = "Provider")]
    pid: Option<u32>,

    /// How long AWS takes to answer, and how long each round trip of a new TLS connection takes
    #[arg(long, value_name = "DURATION", default_value = "10ms", value_parser = any_duration, help_heading = "Load")]
    latency: AnyDuration,
    /// How long the Kubernetes API takes to answer
    #[arg(long, value_name = "DURATION", default_value = "2ms", value_parser = any_duration, help_heading = "Load")]
    kubernetes_latency: AnyDuration,
    /// Use HTTP instead of HTTPS to reach AWS, to see the cost of TLS
    #[arg(long, help_heading = "Load")]
    plain: bool,
    /// Address of Secrets Manager
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", help_heading = "Load")]
    aws_address: SocketAddr,
    /// Address of STS; its host must differ from Secrets Manager's, so that TLS sessions are not mixed up
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.2:0", help_heading = "Load")]
    sts_address: SocketAddr,
    /// Address of the Pod Identity agent
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", help_heading = "Load")]
    agent_address: SocketAddr,
    /// Address of the Kubernetes API
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", help_heading = "Load")]
    kubernetes_address: SocketAddr,
    /// How many mounts the loop keeps running at once
    #[arg(long, value_name = "COUNT", default_value = "32", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Load")]
    at_once: u32,
    /// How long the loop runs
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = positive_duration, help_heading = "Load")]
    loop_time: Duration,
    /// How long to wait before the memory of an idle provider is read
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = positive_duration, help_heading = "Load")]
    idle_time: Duration,
    /// --rotation-poll-interval in rotation, change and outage; stands for two minutes
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = poll_interval, help_heading = "Load")]
    interval: Duration,
    /// How many intervals rotation lasts; 30 stand for an hour
    #[arg(long, value_name = "COUNT", default_value = "30", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Load")]
    intervals: u32,
    /// How many changes of a value to time
    #[arg(long, value_name = "COUNT", default_value = "20", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Load")]
    changes: u32,

    /// How often to play each scenario [default: 10, 5 or 1, depending on the scenario]
    #[arg(long, value_name = "COUNT", help_heading = "Figures")]
    repeat: Option<u32>,
    /// Also write the figures to this file, as JSON
    #[arg(long, value_name = "FILE", help_heading = "Figures")]
    json: Option<PathBuf>,
}

impl BenchArgs {
    /// Whether to list the scenarios and do nothing else.
    pub(crate) fn list(&self) -> bool {
        self.list
    }

    /// What to measure.
    pub(crate) fn settings(&self) -> Settings {
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
    Scenario::named(text).ok_or_else(|| format!("expected one of: {}", names()))
}
