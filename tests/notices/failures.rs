//! What happens to changes while parts of the way fail.

use std::time::Duration;

use futures_util::future::{join, join_all};
use latchkey_emulator::{Fault, FaultKind};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    change::{Change, Times},
    node::Node,
    process::Process,
    scene::{ACCOUNTS, SECRETS, Scene},
    verdict::Verdict,
    watch::Nodes,
};

/// A Lease is free after 15 s, and a received message is visible again after 30 s.
const NEW_LEADER: Duration = Duration::from_secs(50);
/// Notices flow for so long after the last write.
const LAPSE: Duration = Duration::from_secs(60);
/// How long anything else may take on a busy machine.
const SLACK: Duration = Duration::from_secs(10);
/// The memory limit of `latchkey notices` in the chart, in KiB.
const BROKER_KIB: u64 = 128 << 10;
const FLOOD: usize = 10_000;

pub(crate) struct Failures<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) nodes: &'a Nodes,
    pub(crate) brokers: Vec<Process>,
    /// The memory limit of a node's provider in the chart, in bytes.
    pub(crate) memory: u64,
}

impl Failures<'_> {
    pub(crate) async fn play(&mut self, verdict: &mut Verdict) {
        self.leader_is_killed(verdict).await;
        self.object_is_deleted(verdict).await;
        self.flood(verdict).await;
        self.queue_is_away(verdict).await;
        self.all_are_killed(verdict).await;
    }

    async fn leader_is_killed(&mut self, verdict: &mut Verdict) {
        let leads = self.scene.cluster.leader().await.unwrap();
        let (began, kill) = (Instant::now(), Duration::from_secs(3));
        let (scene, nodes) = (self.scene, self.nodes);
        let changes = (0..30).map(|number| async move {
            sleep_until(began + Duration::from_millis(200) * number).await;
            let change = Change::make(scene, number as usize);
            change.reaches(&nodes.writes, NEW_LEADER + SLACK).await
        });
        let leader = self.brokers.iter().position(|broker| broker.name == leads).unwrap();
        let mut killed = self.brokers.remove(leader);
        let (times, ()) = join(join_all(changes), async {
            sleep_until(began + kill).await;
            killed.kill();
        })
        .await;
        let times = Times::of(times);
        verdict.must(times.lost() == 0, format!("the leader killed in the middle: {times}"));
        let three = self.scene.broker("three").await;
        self.brokers.push(three);
    }

    async fn object_is_deleted(&mut self, verdict: &mut Verdict) {
        self.scene.cluster.delete_object().await;
        let times = self.ten_changes(2 * SLACK).await;
        verdict.must(times.lost() == 0, format!("the object deleted: {times}"));
        self.all_covered(verdict, "the object is written anew").await;
    }

    async fn flood(&mut self, verdict: &mut Verdict) {
        let began = Instant::now();
        (0..FLOOD).for_each(|number| self.scene.send_foreign(number));
        let times = self.ten_changes(Duration::from_secs(60)).await;
        verdict.must(times.lost() == 0, format!("behind {FLOOD} messages that nobody waits for: {times}"));
        let drained = async {
            while self.scene.queued() > 0 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        let drained = tokio::time::timeout(Duration::from_secs(60), drained).await.is_ok();
        verdict.must(drained, format!("all of them deleted after {:.1} s", began.elapsed().as_secs_f64()));
        let nodes = [&self.nodes.writes, &self.nodes.serves].map(|node| (&node.provider, self.memory >> 10));
        let brokers = self.brokers.iter().map(|broker| (broker, BROKER_KIB));
        for (process, limit) in nodes.into_iter().chain(brokers) {
            let peak = process.usage().peak;
            let measured = format!("{}: peak {} MiB, limit {} MiB", process.name, peak >> 10, limit >> 10);
            verdict.must(peak < limit, measured);
        }
    }

    async fn queue_is_away(&mut self, verdict: &mut Verdict) {
        let fault = Fault::new(FaultKind::InternalError).operation("ReceiveMessage");
        let fault = self.scene.emulator.inject(fault);
        let began = Instant::now();
        // A receive that waits now still gets some of these. The others come by polling.
        let times = self.ten_changes(self.scene.plan.interval + 2 * SLACK).await;
        verdict.must(times.lost() == 0, format!("while the queue fails: {times}"));
        let back = self.nothing_covered(LAPSE + SLACK).await;
        verdict.must(
            back,
            format!("the queue away: nodes poll normally again after {:.0} s", began.elapsed().as_secs_f64()),
        );
        let times = self.ten_changes(self.scene.plan.interval + SLACK).await;
        verdict.must(
            times.lost() == 0,
            format!("by polling every {} s: {times}", self.scene.plan.interval.as_secs()),
        );
        self.scene.emulator.remove_fault(fault);
        self.all_covered(verdict, "the queue is back").await;
    }

    async fn all_are_killed(&mut self, verdict: &mut Verdict) {
        self.brokers.clear();
        let times = self.ten_changes(LAPSE + self.scene.plan.interval + SLACK).await;
        verdict.must(times.lost() == 0, format!("every process of latchkey notices killed: {times}"));
        let untold = self.nodes.writes.metric("latchkey_values_covered", "").await;
        verdict.must(untold == 0.0, format!("then {untold} values count as covered"));
        for name in ["four", "five"] {
            let broker = self.scene.broker(name).await;
            self.brokers.push(broker);
        }
        self.all_covered(verdict, "they run again").await;
        let times = self.ten_changes(SLACK).await;
        verdict.must(times.lost() == 0, format!("and then: {times}"));
    }

    /// Ten changes at once.
    async fn ten_changes(&self, patience: Duration) -> Times {
        let changes: Vec<_> = (40..50).map(|number| Change::make(self.scene, number)).collect();
        Times::of(join_all(changes.iter().map(|change| change.reaches(&self.nodes.writes, patience))).await)
    }

    async fn nothing_covered(&self, patience: Duration) -> bool {
        let nothing = async |node: &Node| while node.covered().await > 0.0 {};
        let both = join(nothing(&self.nodes.writes), nothing(&self.nodes.serves));
        tokio::time::timeout(patience, both).await.is_ok()
    }

    /// A value is covered from its next poll on.
    async fn all_covered(&self, verdict: &mut Verdict, since: &str) {
        let (began, all) = (Instant::now(), (ACCOUNTS * SECRETS) as f64);
        let covered = async |node: &Node| while node.covered().await < all {};
        let patience = 2 * self.scene.plan.interval + LAPSE + SLACK;
        let both = join(covered(&self.nodes.writes), covered(&self.nodes.serves));
        let holds = tokio::time::timeout(patience, both).await.is_ok();
        verdict
            .must(holds, format!("all values covered {:.0} s after {since}", began.elapsed().as_secs_f64()));
    }
}
