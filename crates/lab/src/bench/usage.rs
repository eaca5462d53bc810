//! CPU and memory of the provider's process, as Linux counts them in `/proc`.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;

/// One tick of `/proc/<pid>/stat`: USER_HZ is 100 on every architecture that
/// this program is built for.
const TICK: Duration = Duration::from_millis(10);
const KIBIBYTES_OF_MEBIBYTE: f64 = 1024.0;

/// The usage of a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Usage {
    /// CPU time of all its threads since it started, in steps of 10 ms.
    pub(super) cpu: Duration,
    /// Resident memory now, in MiB.
    pub(super) rss: f64,
    /// The peak, in MiB.
    pub(super) peak_rss: f64,
    /// Resident memory with shared pages counted proportionally, in MiB. Only root can
    /// read it, or the same user if the process is dumpable.
    pub(super) pss: Option<f64>,
}

impl Usage {
    /// Reads the usage of a process.
    ///
    /// # Errors
    /// When there is no such process or no `/proc`.
    pub(super) fn of(pid: u32) -> anyhow::Result<Self> {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let status = read("status")?;
        let memory =
            |key| memory_of(&status, key).with_context(|| format!("{key} of process {pid} is unknown"));
        Ok(Self {
            cpu: cpu_of(&read("stat")?).with_context(|| format!("CPU of process {pid} is unknown"))?,
            rss: memory("VmRSS:")?,
            peak_rss: memory("VmHWM:")?,
            pss: read("smaps_rollup").ok().and_then(|rollup| memory_of(&rollup, "Pss:")),
        })
    }
}

/// User and system time, the 14th and 15th fields. The name, the second field, may
/// contain spaces and parentheses.
fn cpu_of(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_whitespace().skip(11).map(str::parse::<u32>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some(TICK * user.checked_add(system)?)
}

/// The MiB of a line such as `VmRSS:     8192 kB`.
fn memory_of(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes / KIBIBYTES_OF_MEBIBYTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_after_any_process_name() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 100 0 0 0 7 5 0 0 20 0 3 0 99 1 2 3";
        assert_eq!(cpu_of(stat), Some(Duration::from_millis(120)));
        assert_eq!(cpu_of("nonsense"), None);
    }

    #[test]
    fn memory_is_read_by_key() {
        let status = "Name:\tx\nVmHWM:\t   10240 kB\nVmRSS:\t    8192 kB\n";
        assert_eq!(memory_of(status, "VmRSS:"), Some(8.0));
        assert_eq!(memory_of(status, "VmHWM:"), Some(10.0));
        assert_eq!(memory_of(status, "Pss:"), None);
    }

    #[test]
    fn this_processs_usage_is_known() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.rss > 0.0, "{usage:?}");
        assert!(usage.peak_rss >= usage.rss * 0.9, "{usage:?}");
    }
}
