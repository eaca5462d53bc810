//! `latchkey serve` as a process of its own, in the chart's memory.

use std::{
    io::{self, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{cgroup::PodCgroup, chart::Chart, node::Node};

/// USER_HZ is 100 on every architecture that this program is built for.
const TICK: Duration = Duration::from_millis(10);
/// The end of the log that is shown when the process has died.
const LAST_WORDS_BYTES: usize = 2000;

/// A provider that runs until this is dropped.
pub(crate) struct Provider {
    child: Child,
    log: Log,
}

/// The log that a container runtime would keep.
#[derive(Clone, Default)]
struct Log {
    bytes: Arc<AtomicU64>,
    end: Arc<Mutex<Vec<u8>>>,
}

/// What the process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// The most resident memory, in bytes.
    pub(crate) peak_rss: u64,
}

impl Provider {
    /// Starts it in the container's cgroup, which the shell enters before it
    /// becomes the provider.
    ///
    /// # Errors
    /// When there is no shell.
    pub(crate) fn start(
        node: &Node,
        cgroup: &PodCgroup,
        chart: &Chart,
        flags: &[String],
    ) -> io::Result<Self> {
        let enter = r#"echo $$ > "$0" && exec "$@""#;
        let mut child = Command::new("sh")
            .args(["-c", enter])
            .arg(cgroup.processes())
            .arg(env!("CARGO_BIN_EXE_latchkey"))
            .arg("serve")
            .args(node.flags())
            .args(flags)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(chart.environment.iter().map(|(name, value)| (name, value)))
            .envs(node.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = Log::default();
        if let Some(stderr) = child.stderr.take() {
            let log = log.clone();
            std::thread::spawn(move || log.collect(stderr));
        }
        Ok(Self { child, log })
    }

    /// Whether the process that was started still runs.
    pub(crate) fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How it ended, and the end of its log.
    pub(crate) fn end(&mut self) -> String {
        let status = self.child.try_wait().ok().flatten();
        let status = status.map_or_else(|| "still runs".to_owned(), |status| status.to_string());
        let end = self.log.end.lock().unwrap();
        let end = String::from_utf8_lossy(&end);
        let line = end.lines().last().unwrap_or_default();
        format!("{status}; the end of its log: {}", line.chars().take(200).collect::<String>())
    }

    /// Bytes of log since the start.
    pub(crate) fn logged(&self) -> u64 {
        self.log.bytes.load(Ordering::Relaxed)
    }

    /// CPU time and memory; what was last known when the process is gone.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let folder = Path::new("/proc").join(self.child.id().to_string());
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        let status = std::fs::read_to_string(folder.join("status")).ok()?;
        // User and system time; the name, the second field, may hold anything.
        let (_, after_name) = stat.rsplit_once(')')?;
        let mut times = after_name.split_whitespace().skip(11).map(str::parse::<u32>);
        let cpu = TICK * (times.next()?.ok()? + times.next()?.ok()?);
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(Usage { cpu, peak_rss: kibibytes << 10 })
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    fn collect(&self, mut from: impl Read) {
        let mut piece = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            self.bytes.fetch_add(length as u64, Ordering::Relaxed);
            let mut end = self.end.lock().unwrap();
            end.extend_from_slice(&piece[..length]);
            let surplus = end.len().saturating_sub(LAST_WORDS_BYTES);
            end.drain(..surplus);
        }
    }
}
