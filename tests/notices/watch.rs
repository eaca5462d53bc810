//! Nodes under a watch: how soon changes are served, and what it costs.

use std::{sync::Arc, time::Duration};

use futures_util::future::{join, join_all};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    change::{Change, Times},
    node::Node,
    process::{Process, Usage},
    scene::Scene,
    verdict::{Verdict, note},
};

/// The least number of changes.
const CHANGES: u32 = 50;
/// The longest pause between two changes.
const PAUSE: Duration = Duration::from_secs(60);
/// The bars.
const HALF: Duration = Duration::from_secs(2);
const MOST: Duration = Duration::from_secs(5);
const GROWTH_KIB: i64 = 4 << 10;
/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_secs(5);

/// Two nodes that hear notices, and one that only polls.
pub(crate) struct Nodes {
    pub(crate) writes: Arc<Node>,
    pub(crate) serves: Arc<Node>,
    pub(crate) polls: Arc<Node>,
}

/// Changes values while everything works.
pub(crate) async fn watch(scene: &Scene, nodes: &Nodes, leader: &Process, verdict: &mut Verdict) {
    let watch = scene.plan.watch;
    let pause = (watch / CHANGES).min(PAUSE);
    let count = (watch.as_secs_f64() / pause.as_secs_f64()) as u32;
    let (began, patience) = (Instant::now(), watch + scene.plan.interval);
    let changes = (0..count).map(|number| async move {
        sleep_until(began + pause * number).await;
        let change = Change::make(scene, number as usize);
        join(change.reaches(&nodes.writes, patience), change.reaches(&nodes.serves, patience)).await
    });
    let reads = [&nodes.writes, &nodes.polls].map(|node| node.reads());
    let before = join_all(reads).await;
    let (stop, stopped) = oneshot::channel();
    let processes = [&nodes.writes.provider, &nodes.serves.provider, &nodes.polls.provider, leader];
    let (times, samples) = join(
        async {
            let times = join_all(changes).await;
            sleep_until(began + watch).await;
            let _ = stop.send(());
            times
        },
        sample(&processes, stopped),
    )
    .await;
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let reads = [&nodes.writes, &nodes.polls].map(|node| node.reads());
    let rates: Vec<f64> =
        join_all(reads).await.iter().zip(before).map(|(after, before)| (after - before) / minutes).collect();

    let (written, served): (Vec<_>, Vec<_>) = times.into_iter().unzip();
    for (what, times) in
        [("written into all pods of provider-writes", written), ("served for driver-writes", served)]
    {
        let times = Times::of(times);
        let holds = times.lost() == 0 && times.at(0.5) < HALF && times.at(0.99) < MOST;
        verdict.must(holds, format!("{what}: {times} (p50 < 2 s, p99 < 5 s)"));
    }
    let changed = f64::from(count) / minutes;
    verdict.must(
        rates[0] < rates[1],
        format!(
            "GetSecretValue a minute of one node: {:.1} with notices at {changed:.1} changes a minute, {:.1} by polling every {} s",
            rates[0],
            rates[1],
            scene.plan.interval.as_secs()
        ),
    );
    for (process, samples) in processes.iter().zip(samples) {
        let growth = growth(&samples);
        let (first, last) = (samples[0].1, samples[samples.len() - 1].1);
        let hours = (samples[samples.len() - 1].0 - samples[0].0).as_secs_f64() / 3600.0;
        let cpu = last.cpu.saturating_sub(first.cpu).as_secs_f64();
        verdict.must(
            growth <= GROWTH_KIB,
            format!(
                "{} for {minutes:.1} minutes: memory {:.1} MiB to {:.1} MiB, grown by {:.1} MiB (at most 4), peak {:.1} MiB; CPU {cpu:.2} s, {:.0} s an hour",
                process.name,
                first.rss as f64 / 1024.0,
                last.rss as f64 / 1024.0,
                growth as f64 / 1024.0,
                last.peak as f64 / 1024.0,
                cpu / hours,
            ),
        );
    }
}

/// What each process uses, until told to stop.
async fn sample(processes: &[&Process], mut stopped: oneshot::Receiver<()>) -> Vec<Vec<(Instant, Usage)>> {
    let (mut all, mut told) = (vec![Vec::new(); processes.len()], Instant::now());
    loop {
        for (process, samples) in processes.iter().zip(&mut all) {
            samples.push((Instant::now(), process.usage()));
        }
        if told.elapsed() > 120 * SAMPLE {
            told = Instant::now();
            let memory: Vec<_> = processes
                .iter()
                .map(|process| format!("{} {:.1} MiB", process.name, process.usage().rss as f64 / 1024.0))
                .collect();
            note(memory.join(", "));
        }
        tokio::select! {
            () = sleep(SAMPLE) => {}
            _ = &mut stopped => return all,
        }
    }
}

/// By how many KiB memory is larger in the last tenth than in the first.
fn growth(samples: &[(Instant, Usage)]) -> i64 {
    let tenth = (samples.len() / 10).max(1);
    let middle = |part: &[(Instant, Usage)]| {
        let mut sizes: Vec<u64> = part.iter().map(|(_, usage)| usage.rss).collect();
        sizes.sort_unstable();
        sizes[sizes.len() / 2].cast_signed()
    };
    middle(&samples[samples.len() - tenth..]) - middle(&samples[..tenth])
}
