//! One attack from start to end: its figures, and whether every promise was
//! kept.

use std::{
    fmt::{self, Write as _},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::Runtime;

use crate::{
    cgroup::PodCgroup,
    chart::Chart,
    harness::Driver,
    node::{Mode, Node},
    provider::{Provider, Usage},
    siege::{Siege, Tally},
    victim::{ROTATION_BOUND, Seen, Victim},
};

/// A warm republish of another namespace, at the 99th percentile.
const REPUBLISH_BOUND: Duration = Duration::from_millis(50);
/// A new pod of another namespace, whose secret was never read.
const NEW_POD_BOUND: Duration = Duration::from_secs(1);
/// kubelet's time-out of a probe where the chart sets none.
const PROBE_BOUND: Duration = Duration::from_secs(1);
/// The log of one attempt.
const LOG_BYTES_BOUND: u64 = 8 << 10;
/// The default of --mount-timeout, with time for the answer.
const MOUNT_BOUND: Duration = Duration::from_millis(60_500);
/// Preparations of an attack, which are mounts as well.
const PREPARATION: Duration = Duration::from_secs(30);

/// An attack.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) modes: &'static [Mode],
    flags: &'static [&'static str],
    answered_within: Duration,
    restarts: bool,
    attack: Attack,
}

pub(crate) type Attack = fn(Siege) -> BoxFuture<'static, ()>;

impl Case {
    /// An attack in both modes.
    pub(crate) fn new(name: &'static str, about: &'static str, attack: Attack) -> Self {
        let modes = &[Mode::DriverWrites, Mode::ProviderWrites];
        let (flags, answered_within) = (&[], MOUNT_BOUND);
        Self { name, about, modes, flags, answered_within, restarts: false, attack }
    }

    /// Only with driver-writes: the attacked code is the same in both modes.
    pub(crate) fn driver_writes(mut self) -> Self {
        self.modes = &[Mode::DriverWrites];
        self
    }

    /// Only with provider-writes.
    pub(crate) fn provider_writes(mut self) -> Self {
        self.modes = &[Mode::ProviderWrites];
        self
    }

    /// With more flags of `serve`.
    pub(crate) fn flags(mut self, flags: &'static [&'static str]) -> Self {
        self.flags = flags;
        self
    }

    /// Every attempt of the attacker is answered within this time.
    pub(crate) fn answered_within(mut self, bound: Duration) -> Self {
        self.answered_within = bound;
        self
    }

    /// Afterwards the container is started again in the same pod, and serves.
    pub(crate) fn restarts(mut self) -> Self {
        self.restarts = true;
        self
    }
}

/// The figures of one attack, and the broken promises.
pub(crate) struct Verdict {
    seen: Seen,
    tally: Tally,
    usage: Usage,
    elapsed: Duration,
    peak: u64,
    logged: u64,
    /// Failures that do not depend on how busy the machine is.
    pub(crate) failures: Vec<String>,
    /// What took too long.
    pub(crate) slow: Vec<String>,
}

/// Plays one attack in one mode.
pub(crate) fn play(case: &Case, mode: Mode, chart: &Chart, folder: &Path) -> std::io::Result<Verdict> {
    // On a node AWS and the attackers' pods compute elsewhere, or are throttled.
    let (victim, aws, attacker) = (runtime(0)?, runtime(5)?, runtime(10)?);
    let verdict = victim.block_on(play_in(case, mode, chart, folder, &aws, &attacker));
    for runtime in [attacker, aws, victim] {
        runtime.shutdown_background();
    }
    verdict
}

/// Threads with a lower priority than this one.
fn runtime(nicer: i32) -> std::io::Result<Runtime> {
    let nice = getpriority_process(None)? + nicer;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(move || {
            // Without it only the figures are worse.
            let _ = setpriority_process(None, nice);
        })
        .enable_all()
        .build()
}

async fn play_in(
    case: &Case,
    mode: Mode,
    chart: &Chart,
    folder: &Path,
    aws: &Runtime,
    attacker: &Runtime,
) -> std::io::Result<Verdict> {
    let starting = folder.to_owned();
    let node = aws.spawn(async move { Node::start(mode, &starting).await });
    let node = Arc::new(node.await.map_err(std::io::Error::other)?);
    let mut cgroup = PodCgroup::new(chart.memory)?;
    let flags: Vec<String> = case.flags.iter().map(|&flag| flag.to_owned()).collect();
    let mut provider = Provider::start(&node, &cgroup, chart, &flags)?;
    let driver = Driver::connect(&node.socket()).await;
    let mut failures = Vec::new();
    let victim = match Victim::settle(Arc::clone(&node), driver.clone()).await {
        Ok(victim) => victim,
        Err(failure) => panic!("the provider does not work: {failure}; {}", provider.end()),
    };

    let before = provider.usage().unwrap_or_default();
    let siege = Siege::new(Arc::clone(&node), driver);
    let attack = attacker.spawn((case.attack)(siege.clone()));
    if tokio::time::timeout(PREPARATION, siege.begun()).await.is_err() {
        failures.push(format!("the attack was not prepared within {PREPARATION:?}"));
    }
    let started = Instant::now();
    let seen = victim.live().await;
    let elapsed = started.elapsed();
    siege.end();
    let after = provider.usage().unwrap_or(before);
    let usage = Usage { cpu: after.cpu.saturating_sub(before.cpu), ..after };
    if !provider.lives() || cgroup.killed() > 0 {
        failures.push(format!(
            "the process did not live: {} killed for memory; {}",
            cgroup.killed(),
            provider.end()
        ));
    }
    let tally = siege.tally.lock().unwrap().clone();
    // An attack that ends early attacks nothing.
    if attack.is_finished() {
        failures.push(format!("the attack ended early: {:?}", attack.await));
    } else {
        attack.abort();
    }
    let mut verdict = Verdict {
        seen,
        tally,
        usage,
        elapsed,
        peak: cgroup.peak(),
        logged: provider.logged(),
        failures,
        slow: Vec::new(),
    };
    verdict.judge(case);
    if case.restarts {
        drop(provider);
        cgroup.restart()?;
        let mut provider = Provider::start(&node, &cgroup, chart, &flags)?;
        let driver = Driver::connect(&node.socket()).await;
        let again = Victim::settle(Arc::clone(&node), driver).await;
        if let Some(failure) = again.err() {
            verdict.failures.push(format!("after a restart: {failure}"));
        }
        if !provider.lives() || cgroup.killed() > 0 {
            verdict.failures.push(format!("after a restart: {}", provider.end()));
        }
    }
    Ok(verdict)
}

impl Verdict {
    fn judge(&mut self, case: &Case) {
        let (mut broken, mut slow) = (Vec::new(), Vec::new());
        let mut bound = |what: &str, is: Duration, most: Duration| {
            if is > most {
                slow.push(format!("{what}: {is:.1?}; the maximum is {most:?}"));
            }
        };
        bound(
            "another namespace's warm republish, p99",
            percentile(&self.seen.republishes, 99),
            REPUBLISH_BOUND,
        );
        bound("another namespace's new pod, slowest", percentile(&self.seen.new_pods, 100), NEW_POD_BOUND);
        bound("the slowest probe", self.seen.slowest_probe, PROBE_BOUND);
        bound("the attacker's slowest answer", self.tally.longest, case.answered_within);
        match self.seen.rotation {
            Some(rotation) => bound("another namespace's rotation", rotation, ROTATION_BOUND),
            None => slow.push(format!("another namespace's rotation did not come within {ROTATION_BOUND:?}")),
        }
        if let Some(first) = self.seen.failures.first() {
            broken.push(format!(
                "{} failures of another namespace, the first: {first}",
                self.seen.failures.len()
            ));
        }
        if self.logged > LOG_BYTES_BOUND * (self.tally.attempts() + self.seen.republishes.len() as u64) {
            let (attempts, republishes) = (self.tally.attempts(), self.seen.republishes.len());
            broken.push(format!(
                "{} bytes of log for {attempts} attempts and {republishes} republishes; the maximum is {LOG_BYTES_BOUND} for each",
                self.logged
            ));
        }
        broken.extend(self.tally.not_final.iter().map(|told| format!("not final for kubelet: {told}")));
        broken.extend(self.tally.unfit.iter().map(|told| format!("unfit for an event: {told}")));
        self.failures.extend(broken);
        self.slow.extend(slow);
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seen, tally, usage, elapsed, .. } = self;
        let share = usage.cpu.as_secs_f64() / elapsed.as_secs_f64() * 100.0;
        let mut answers = String::new();
        for (code, count) in &tally.answers {
            write!(answers, " {code} {count}")?;
        }
        write!(
            f,
            "p50 {:.1?}, p99 {:.1?}, {} republishes; new pod {:.1?}; probe {:.1?}; rotation {}; \
             memory {} MiB, RSS {} MiB; CPU {share:.0} %; log {} KiB; answers{answers}, slowest {:.1?}",
            percentile(&seen.republishes, 50),
            percentile(&seen.republishes, 99),
            seen.republishes.len(),
            percentile(&seen.new_pods, 100),
            seen.slowest_probe,
            seen.rotation.map_or_else(|| "none".to_owned(), |rotation| format!("{rotation:.1?}")),
            self.peak >> 20,
            usage.peak_rss >> 20,
            self.logged >> 10,
            tally.longest,
        )?;
        tally.example.iter().try_for_each(|example| write!(f, "\n    e.g. {example}"))
    }
}

/// The nearest rank; zero of none.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}
