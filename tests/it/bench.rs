//! `latchkey bench`, measuring a provider of this very process.

#![cfg(feature = "emulator")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use latchkey::{app::Config, identity::AgentSettings};
use serde_json::Value;

use crate::harness::Provider;

/// Kills the bench when an assertion fails before its end.
struct Bench(Child);

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_provider_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path());
    let (socket, figures) = (folder.path().join(&config.socket_name), folder.path().join("figures.json"));
    let mut bench = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    bench
        .args(["bench", "start", "cold", "loop", "--repeat=1", "--latency=0s", "--kubernetes-latency=0s"])
        // In this process, an environment variable would apply to every test.
        .args(["--plain", "--at-once=4", "--loop-time=100ms"])
        .arg("--socket")
        .arg(&socket)
        .arg(format!("--pid={}", std::process::id()))
        .arg("--json")
        .arg(&figures)
        .stdout(Stdio::piped());
    let mut bench = Bench(bench.spawn().unwrap());
    let mut lines = BufReader::new(bench.0.stdout.take().unwrap()).lines().map(Result::unwrap);

    // It says how the provider must run, and waits for it.
    let mut conditions = String::new();
    while !conditions.contains("SCENARIO") {
        conditions.push_str(&lines.next().expect("it ended early"));
        conditions.push('\n');
    }
    let said = |before: &str| {
        let (_, after) = conditions.split_once(before).unwrap_or_else(|| panic!("{conditions}"));
        after.split([',', ' ', '\n']).next().unwrap().to_owned()
    };
    config.allowed_uids = vec![rustix::process::geteuid().as_raw()];
    config.aws.endpoint_url = Some(said("AWS_ENDPOINT_URL_SECRETS_MANAGER="));
    config.identity.agent = AgentSettings::at(&said("the Pod Identity agent "));
    config.cluster.kubeconfig = Some(said("the kubeconfig ").into());
    let _provider = Provider::start(config);

    let printed = tokio::task::spawn_blocking(move || lines.collect::<Vec<_>>().join("\n")).await.unwrap();
    assert!(bench.0.wait().unwrap().success(), "{printed}");
    let figures: Value = serde_json::from_slice(&std::fs::read(figures).unwrap()).unwrap();
    let rows = figures["figures"].as_array().unwrap();
    let value = |scenario: &str, figure: &str| {
        let row = rows.iter().find(|row| row["scenario"] == scenario && row["figure"] == figure);
        row.unwrap_or_else(|| panic!("no {figure:?} of {scenario}: {printed}"))["median"].as_f64().unwrap()
    };

    assert!(rows.iter().all(|row| row["scenario"] != "start"), "it runs already: {printed}");

    assert_eq!(value("cold", "10 secrets, first: GetSecretValue"), 10.0);
    assert_eq!(value("cold", "50 secrets, later: AWS calls"), 51.0);
    assert_eq!(value("cold", "50 secrets, first: Kubernetes calls"), 1.0);

    assert!(value("loop", "mounts") > 10.0, "{printed}");
    assert_eq!(value("loop", "AWS calls"), 0.0);
    assert!(value("loop", "memory, RSS") > 1.0, "{printed}");
}
