//! Queues, an API server, and processes of `latchkey notices` between them.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use latchkey::notices::{Area, Change, Document};
use latchkey_emulator::{Emulator, Store};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use super::api::Api;
use crate::harness::{ACCOUNT, REGION, Scrape, eventually, free_address, scrape, serve_emulator};

/// The emulator lets its bearer do everything.
const ADMINISTRATOR: &str = "AKIAEXAMPLEADMIN0001";

pub(crate) struct Scene {
    pub(crate) emulator: Emulator,
    pub(crate) api: Api,
    /// The queue of the first Region.
    pub(crate) queue: String,
    aws_url: String,
    folder: TempDir,
}

impl Scene {
    /// One queue with all changes of one Region, and a cluster of so many nodes.
    pub(crate) async fn start(nodes: u64) -> Self {
        let store = format!("staticKeys: [{{accessKeyId: {ADMINISTRATOR}}}]");
        let emulator = Emulator::new(Store::from_yaml(&store).unwrap());
        let queue = emulator.queue_of_changes(REGION, "changes");
        let aws_url = serve_emulator(&emulator).await;
        let folder = tempfile::tempdir().unwrap();
        let api = Api::start(folder.path(), nodes).await;
        Self { emulator, api, queue, aws_url, folder }
    }

    /// A process that receives from the first queue.
    pub(crate) async fn process(&self, name: &str) -> Process {
        self.process_with(name, &[]).await
    }

    /// A process with more arguments.
    pub(crate) async fn process_with(&self, name: &str, args: &[&str]) -> Process {
        self.process_as(name, ADMINISTRATOR, &self.aws_url, args).await
    }

    /// A process with these credentials, and AWS at this URL.
    pub(crate) async fn process_as(&self, name: &str, key: &str, aws_url: &str, args: &[&str]) -> Process {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let address = free_address([127, 78, 2, NEXT.fetch_add(1, Ordering::Relaxed)]).await;
        let log = self.folder.path().join(format!("{name}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
        command
            .env_clear()
            .env("AWS_ENDPOINT_URL", aws_url)
            .env("AWS_ACCESS_KEY_ID", key)
            .env("AWS_SECRET_ACCESS_KEY", "anything")
            .args(["notices", "--object=kube-system/latchkey-notices"])
            .arg(format!("--identity={name}"))
            .arg(format!("--queue-url={}", self.queue))
            .arg(format!("--http-address={address}"))
            .arg(format!("--kubeconfig={}", self.api.kubeconfig().display()))
            .args(args)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap());
        Process { child: command.spawn().unwrap(), address, log }
    }

    /// Waits until a document is as wanted.
    pub(crate) async fn document(&self, what: &str, wanted: impl Fn(&Document) -> bool) -> Document {
        eventually(what, async || self.api.document().filter(&wanted)).await
    }

    /// Waits until the first queue is covered.
    pub(crate) async fn covered(&self) -> Document {
        self.document("the queue is covered", |document| document.covered.contains(&area(REGION))).await
    }

    /// Waits until a document tells of these.
    pub(crate) async fn told(&self, arns: &[String]) {
        eventually("the object tells of every change", async || {
            let told = self.arns_told();
            arns.iter().all(|arn| told.contains(arn)).then_some(())
        })
        .await;
    }

    /// Every ARN that any document told of.
    pub(crate) fn arns_told(&self) -> BTreeSet<String> {
        self.changes_told().into_iter().map(|(_, change)| change.arn).collect()
    }

    /// Each change in the order of its number, with when it was first told.
    pub(crate) fn changes_told(&self) -> Vec<(Instant, Change)> {
        let mut told: Vec<(Instant, Change)> = Vec::new();
        let mut last = 0;
        for (at, document) in self.api.documents() {
            let new = document.changes.into_iter().filter(|change| change.number > last);
            told.extend(new.map(|change| (at, change)));
            last = document.number;
        }
        told
    }

    /// Waits until nothing is left in the queue.
    pub(crate) async fn drained(&self) {
        let drained = async || {
            let depth = self.emulator.queue_depth(&self.queue);
            (depth.visible + depth.in_flight + depth.delayed == 0).then_some(())
        };
        eventually("every message is deleted", drained).await;
    }

    /// Changes a secret; gives its ARN.
    pub(crate) fn change(&self, name: &str) -> String {
        if self.emulator.secret_arn(REGION, name).is_none() {
            // A new secret sends no event.
            self.emulator.put_secret(REGION, name, "first");
        }
        self.emulator.put_secret(REGION, name, "next");
        self.emulator.secret_arn(REGION, name).unwrap()
    }
}

/// The store's account in a Region.
pub(crate) fn area(region: &str) -> Area {
    Area { account: ACCOUNT.to_owned(), region: region.to_owned() }
}

/// A process of `latchkey notices`, which ends with the test.
pub(crate) struct Process {
    child: Child,
    /// Where it serves its metrics.
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("log of the process:\n{}", self.log());
        }
    }
}

impl Process {
    /// Ends it without a chance to do anything.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and waits until it has; gives whether it succeeded.
    pub(crate) async fn stop(&mut self) -> bool {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        eventually("the process ends", async || self.child.try_wait().unwrap()).await.success()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) async fn scrape(&self) -> Scrape {
        scrape(self.address, "text/plain").await
    }

    /// The status and the body of `/readyz`.
    pub(crate) async fn readyz(&self) -> String {
        let mut stream = eventually("it listens", async || TcpStream::connect(self.address).await.ok()).await;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        format!("{} {body}", head.split(' ').nth(1).unwrap())
    }

    /// Resident memory, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }
}

/// Waits that long by the machine's clock.
pub(crate) async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}
