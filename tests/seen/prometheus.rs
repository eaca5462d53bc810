//! A Prometheus process, and what it thinks.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use crate::harness::{eventually, free_address};

/// Whether `promtool check metrics` finds nothing to say about a scrape.
pub(crate) fn is_clean(programs: &Path, text: &str) -> bool {
    let mut promtool = Command::new(programs.join("promtool"));
    let promtool = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut running = promtool.spawn().unwrap();
    running.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let done = running.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    let clean = done.status.success() && said.is_empty();
    println!("promtool check metrics: {}", if clean { "clean" } else { &said });
    clean
}

/// What is scraped, as cluster and node of its name.
pub(crate) struct Target {
    pub(crate) job: &'static str,
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
}

pub(crate) struct Prometheus {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    /// Scrapes every target each half second.
    pub(crate) async fn start(programs: &Path, rules: &Path, targets: &[Target]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let jobs = targets.iter().map(|Target { job, name, address }| {
            format!(
                "      - targets: ['{address}']\n        labels: {{job: '{job}', cluster: '{name}', node: '{name}', namespace: kube-system}}\n"
            )
        });
        let config = format!(
            "global: {{scrape_interval: 500ms, evaluation_interval: 500ms, scrape_timeout: 450ms}}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n  - job_name: latchkey\n    static_configs:\n{}",
            rules.display(),
            jobs.collect::<String>()
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let address = free_address([127, 79, 1, 1]).await;
        let process = Command::new(programs.join("prometheus"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let this = Self { process, address, _folder: folder };
        eventually("Prometheus is ready", async || {
            this.get("/-/ready").await.filter(|answer| answer.starts_with("HTTP/1.1 200"))
        })
        .await;
        this
    }

    /// Waits until every target was scraped at least twice.
    pub(crate) async fn scraped_twice(&self, targets: &[Target]) {
        let query = "/api/v1/query?query=count_over_time(process_start_time_seconds[1m])%20%3E%3D%203";
        eventually("every target is scraped", async || {
            let found = self.data(query).await?["result"].as_array()?.len();
            sleep(Duration::from_millis(200)).await;
            (found == targets.len()).then_some(())
        })
        .await;
    }

    /// The firing alerts, by the target that they are about.
    pub(crate) async fn firing(&self) -> BTreeMap<String, BTreeSet<String>> {
        let data = self.data("/api/v1/alerts").await.unwrap_or_default();
        let mut firing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for alert in data["alerts"].as_array().into_iter().flatten() {
            let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
            assert_eq!(alert["state"], "firing", "{alert}");
            firing.entry(label("cluster")).or_default().insert(label("alertname"));
        }
        firing
    }

    /// Evaluates the dashboard's queries. Returns the number of those without data.
    pub(crate) async fn panels_without_data(&self, panels: &str) -> usize {
        let panels: Vec<Value> = serde_json::from_str(panels).unwrap();
        let mut empty = 0;
        for panel in &panels {
            let query = percent_encoded(panel["query"].as_str().unwrap());
            let data = self.data(&format!("/api/v1/query?query={query}")).await.unwrap_or_default();
            if data["result"].as_array().is_none_or(Vec::is_empty) {
                println!("FAILED {}: no data for {}", panel["panel"], panel["query"]);
                empty += 1;
            }
        }
        println!("{} of {} queries of the dashboard have data", panels.len() - empty, panels.len());
        assert!(panels.len() > 20, "only {} queries", panels.len());
        empty
    }

    async fn data(&self, path: &str) -> Option<Value> {
        let answer = self.get(path).await?;
        let body = answer.split_once("\r\n\r\n")?.1;
        let mut answer: Value = serde_json::from_str(body).ok()?;
        Some(answer["data"].take())
    }

    async fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        // HTTP/1.0, so that the answer is neither chunked nor kept alive.
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer.replacen("HTTP/1.0", "HTTP/1.1", 1))
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
