//! The attacker's side: repeated mounts, as kubelet would try them, and
//! their results.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use latchkey::server::protocol::MountRequest;
use tokio::{sync::watch, task::JoinSet};
use tonic::Code;

use crate::{
    harness::{Driver, FINAL_CODES},
    node::Node,
};

/// kubelet waits before a retry, half a second at first. A tenant may have any
/// number of pods, so the pause here is short.
const PAUSE: Duration = Duration::from_millis(1);

/// One attack under way. It ends with its runtime.
#[derive(Clone)]
pub(crate) struct Siege {
    pub(crate) node: Arc<Node>,
    /// The driver's one connection, which all pods of the node share.
    pub(crate) driver: Driver,
    pub(crate) tally: Arc<Mutex<Tally>>,
    begun: watch::Sender<bool>,
    over: Arc<AtomicBool>,
}

/// The results of the attempts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answers: BTreeMap<String, u64>,
    pub(crate) longest: Duration,
    /// Answers that kubelet does not take for final.
    pub(crate) not_final: Option<String>,
    /// A message that is longer than an event may be, or has several lines.
    pub(crate) unfit: Option<String>,
    /// One of the refusals, as an example.
    pub(crate) example: Option<String>,
}

impl Siege {
    pub(crate) fn new(node: Arc<Node>, driver: Driver) -> Self {
        let (tally, over) = (Arc::default(), Arc::default());
        Self { node, driver, tally, begun: watch::Sender::new(false), over }
    }

    /// Signals that the preparation is done and the attack has begun.
    pub(crate) fn begin(&self) {
        self.begun.send_replace(true);
    }

    /// Waits until the attack has begun.
    pub(crate) async fn begun(&self) {
        // The sender is here.
        let _ = self.begun.subscribe().wait_for(|begun| *begun).await;
    }

    /// Stops counting.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// One attempt.
    pub(crate) async fn mount(&self, message: MountRequest) -> Code {
        let started = Instant::now();
        let answer = self.driver.client().mount(message).await;
        let code = answer.as_ref().map_or_else(tonic::Status::code, |_| Code::Ok);
        if self.over.load(Ordering::Relaxed) {
            return code;
        }
        let mut tally = self.tally.lock().unwrap();
        *tally.answers.entry(format!("{code:?}")).or_default() += 1;
        tally.longest = tally.longest.max(started.elapsed());
        if let Err(status) = answer {
            let message = status.message();
            // Larger than the driver's own limit: no pod can make the driver send it.
            let too_large = code == Code::OutOfRange;
            let told = || format!("{code:?}: {}", shown(message));
            if !FINAL_CODES.contains(&code) && !too_large {
                tally.not_final.get_or_insert_with(told);
            }
            if message.len() > 4000 || message.contains(['\n', '\r']) {
                tally.unfit.get_or_insert_with(|| format!("{} bytes: {}", message.len(), told()));
            }
            tally.example.get_or_insert_with(told);
        }
        code
    }

    /// Mounts all `messages` again and again, `at_once` of them at any time, forever.
    pub(crate) async fn mount_for_ever(&self, messages: Vec<MountRequest>, at_once: usize) {
        let messages: Arc<[MountRequest]> = messages.into();
        self.begin();
        let mut workers = JoinSet::new();
        for worker in 0..at_once {
            let (siege, messages) = (self.clone(), Arc::clone(&messages));
            workers.spawn(async move {
                let mut at = worker;
                loop {
                    siege.mount(messages[at % messages.len()].clone()).await;
                    at += at_once;
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        while workers.join_next().await.is_some() {}
    }

    /// Mounts each of `messages` once, `at_once` of them at any time.
    pub(crate) async fn mount_each(&self, messages: Vec<MountRequest>, at_once: usize) {
        let mut messages = messages.into_iter();
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < at_once {
                let Some(message) = messages.next() else { break };
                let siege = self.clone();
                under_way.spawn(async move { siege.mount(message).await });
            }
            if under_way.join_next().await.is_none() {
                return;
            }
        }
    }
}

impl Tally {
    /// All attempts that were answered.
    pub(crate) fn attempts(&self) -> u64 {
        self.answers.values().sum()
    }
}

fn shown(message: &str) -> String {
    message.chars().take(160).collect::<String>().escape_debug().to_string()
}
