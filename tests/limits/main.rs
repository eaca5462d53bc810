//! Attacks of one tenant on a provider that has the memory of its chart, while
//! another namespace's pods go on: `tests/limits/run` runs them.
//!
//! The provider is a process of its own in a memory cgroup. This process plays
//! everything else: AWS, Kubernetes, the driver, the tenants.

#![cfg(test)]

mod attacks;
mod cgroup;
mod chart;
#[path = "../it/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "made for tests/it, which uses all of it")]
mod harness;
mod node;
mod play;
mod provider;
mod siege;
mod victim;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use crate::{
    cgroup::PodCgroup,
    chart::Chart,
    node::Mode,
    play::{Case, play},
};

/// A private folder in a private mount namespace; the script makes both.
const FOLDER: &str = "LATCHKEY_LIMITS_FOLDER";
/// How often an attack that was only too slow is repeated.
const TRIES: u32 = 3;
/// The exit code of a run that this machine does not allow.
const SKIPPED: u8 = 77;

fn main() -> ExitCode {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted.iter().any(|argument| argument == "--list") {
        for case in attacks::all() {
            println!("{:<28}{}", case.name, case.about);
        }
        return ExitCode::SUCCESS;
    }
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        println!("run by tests/limits/run, as root");
        return ExitCode::SUCCESS;
    };
    wanted.retain(|argument| !argument.starts_with("--"));
    let chart = Chart::read();
    if let Err(error) = PodCgroup::new(chart.memory) {
        println!("SKIPPED: {error}\n0 passed, 0 failed, not run");
        return ExitCode::from(SKIPPED);
    }
    println!("{} MiB, {:?}", chart.memory >> 20, chart.environment);
    let (mut passed, mut failed) = (0, 0);
    for case in attacks::all() {
        if !wanted.is_empty() && !wanted.iter().any(|part| case.name.contains(part)) {
            continue;
        }
        for &mode in case.modes {
            if play_until_quiet(&case, mode, &chart, &folder) { passed += 1 } else { failed += 1 }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether every promise was kept. Slowness may be due to the machine, so
/// such an attack is repeated.
fn play_until_quiet(case: &Case, mode: Mode, chart: &Chart, folder: &Path) -> bool {
    for number in 1..=TRIES {
        let here = folder.join(format!("{}-{mode:?}-{number}", case.name));
        std::fs::create_dir(&here).unwrap();
        let started = Instant::now();
        let verdict = play(case, mode, chart, &here).unwrap();
        let (failed, last) = (!verdict.failures.is_empty(), number == TRIES);
        let word = match (verdict.slow.is_empty(), failed || last) {
            (true, _) if !failed => "passed",
            (_, true) => "FAILED",
            (_, false) => "slow, and played again:",
        };
        println!("{word} {} ({mode:?}, {:.1} s): {verdict}", case.name, started.elapsed().as_secs_f64());
        for problem in verdict.failures.iter().chain(&verdict.slow) {
            println!("    {problem}");
        }
        if failed || verdict.slow.is_empty() {
            return !failed;
        }
    }
    false
}
