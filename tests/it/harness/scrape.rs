//! Scrapes of `/metrics`, as Prometheus makes them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use latchkey::app::Config;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{World, free_address};

/// What one scrape returned.
#[derive(Clone, Debug)]
pub(crate) struct Scrape {
    pub(crate) content_type: String,
    pub(crate) text: String,
}

impl World {
    /// The world with a provider that serves its metrics.
    pub(crate) async fn watched(change: impl FnOnce(&mut Config)) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let address = free_address([127, 78, 1, NEXT.fetch_add(1, Ordering::Relaxed)]).await;
        Self::with(|config| {
            config.http_address = Some(address);
            change(config);
        })
        .await
    }

    /// The metrics in Prometheus's text format.
    pub(crate) async fn scrape(&self) -> Scrape {
        scrape(self.config.http_address.unwrap(), "text/plain").await
    }

    /// The counters that `work` moved, as `name{labels} +difference`.
    pub(crate) async fn moved(&self, work: impl Future<Output = ()>) -> Vec<String> {
        let before = self.scrape().await.counters();
        work.await;
        let after = self.scrape().await.counters();
        let moved = after.into_iter().filter_map(|(series, value)| {
            let difference = value - before.get(&series).copied().unwrap_or_default();
            (difference != 0.0).then(|| format!("{series} +{difference}"))
        });
        moved.collect()
    }
}

/// One scrape that accepts `accept`.
pub(crate) async fn scrape(address: SocketAddr, accept: &str) -> Scrape {
    // A scrape is rendered at most once a second.
    tokio::time::sleep(Duration::from_millis(1001)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let content_type = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap();
    Scrape { content_type: content_type.to_owned(), text: text.to_owned() }
}

impl Scrape {
    /// Every series with its value.
    pub(crate) fn series(&self) -> BTreeMap<String, f64> {
        let lines = self.text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').unwrap();
                (series.to_owned(), value.parse().unwrap())
            })
            .collect()
    }

    /// The value of one series.
    #[track_caller]
    pub(crate) fn value(&self, series: &str) -> f64 {
        let all = self.series();
        *all.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", all.keys()))
    }

    /// Latchkey's counters; of histograms, how often they were observed.
    fn counters(&self) -> BTreeMap<String, f64> {
        let counts = |series: &str| {
            let name = series.split('{').next().unwrap();
            name.starts_with("latchkey_") && (name.ends_with("_total") || name.ends_with("_count"))
        };
        self.series().into_iter().filter(|(series, _)| counts(series)).collect()
    }
}
