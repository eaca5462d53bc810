//! What Prometheus waits for.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::repetition::Repetition;
use crate::bench::{
    figures::{Bar, Measure, percentile_of},
    load::all_at_once,
    stage::Plan,
};

const SCRAPES: usize = 20;
/// Latchkey renders its metrics at most once a second.
const BETWEEN: Duration = Duration::from_millis(1100);
const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";

impl Repetition<'_> {
    pub(super) async fn scrape(&self) -> anyhow::Result<Vec<Measure>> {
        if !self.settings.subject.is_started_anew() {
            // Where a process that already runs has its metrics is not known.
            return Ok(Vec::new());
        }
        let address = free_address().await?;
        let provider =
            self.settings.subject.start(self.stage, &[format!("--http-address={address}")]).await?;
        let plan = Plan { pods: 100, accounts: 100, secrets: 10, pod_identity: false };
        all_at_once(&provider.driver, &self.stage.fleet(plan).requests).await?;
        let mut times = Vec::with_capacity(SCRAPES);
        let mut series = 0;
        for _ in 0..SCRAPES {
            tokio::time::sleep(BETWEEN).await;
            let started = Instant::now();
            let answer = scrape(address).await?;
            times.push(started.elapsed());
            series = answer.lines().filter(|line| line.starts_with("latchkey_")).count();
        }
        let p50 = Measure::time("p50", percentile_of(&times, 50.0)).bar(Bar::AtMost(5.0));
        let most = Measure::time("max", percentile_of(&times, 100.0));
        Ok(vec![p50, most, Measure::count("series", series as u64)])
    }
}

async fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot find a free port")?;
    Ok(listener.local_addr()?)
}

/// One scrape on a connection of its own.
async fn scrape(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await.context("cannot connect to the metrics")?;
    stream.write_all(REQUEST).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.context("cannot read the metrics")?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "the metrics are not served: {:?}", answer.lines().next());
    Ok(answer)
}
