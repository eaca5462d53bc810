//! A process of Latchkey, and what it uses.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// USER_HZ is 100 on every architecture that this program is built for.
const TICK: Duration = Duration::from_millis(10);

/// It ends when this is dropped.
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) http: SocketAddr,
    child: Child,
    log: PathBuf,
}

/// Memory in KiB, and the CPU time so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) rss: u64,
    pub(crate) peak: u64,
    pub(crate) cpu: Duration,
}

impl Process {
    /// Starts `latchkey` with nothing but these variables, and its probes on `http`.
    pub(crate) fn start(
        name: &str,
        http: SocketAddr,
        folder: &Path,
        arguments: &[String],
        variables: &[(String, String)],
    ) -> Self {
        let log = folder.join(format!("{name}.log"));
        let child = Command::new(env!("CARGO_BIN_EXE_latchkey"))
            .args(arguments)
            .arg(format!("--http-address={http}"))
            .env_clear()
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(&log).unwrap())
            .spawn()
            .unwrap();
        Self { name: name.to_owned(), http, child, log }
    }

    /// Ends it without a chance to do anything.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn usage(&self) -> Usage {
        let folder = Path::new("/proc").join(self.child.id().to_string());
        let stat = std::fs::read_to_string(folder.join("stat")).unwrap();
        let status = std::fs::read_to_string(folder.join("status")).unwrap();
        let kibibytes = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
            line.trim().strip_suffix("kB").unwrap().trim().parse().unwrap()
        };
        // User and system time; the name, the second field, may hold anything.
        let (_, after_name) = stat.rsplit_once(')').unwrap();
        let ticks: u32 =
            after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u32>().unwrap()).sum();
        Usage { rss: kibibytes("VmRSS:"), peak: kibibytes("VmHWM:"), cpu: TICK * ticks }
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
