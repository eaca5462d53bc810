//! A pod's memory cgroup with a container's in it, version 1 or 2, as kubelet
//! makes them: what a container leaves charged stays with the pod.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const ROOT: &str = "/sys/fs/cgroup";
/// A cgroup goes as soon as its last process has been reaped.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Version {
    One,
    Two,
}

/// Both have the limit, and neither has swap.
pub(crate) struct PodCgroup {
    version: Version,
    folder: PathBuf,
    container: PathBuf,
    limit: u64,
}

impl PodCgroup {
    /// Creates both.
    ///
    /// # Errors
    /// When this machine has no memory cgroups, or lets nobody create one.
    pub(crate) fn new(limit: u64) -> io::Result<Self> {
        let (version, root) = hierarchy()?;
        let folder = root.join(format!("latchkey-limits-{}", std::process::id()));
        create(version, &folder, limit)?;
        match version {
            // The default on old kernels is that nothing is inherited.
            Version::One => drop(fs::write(folder.join("memory.use_hierarchy"), "1")),
            Version::Two => fs::write(folder.join("cgroup.subtree_control"), "+memory")?,
        }
        let container = folder.join("container-0");
        create(version, &container, limit)?;
        Ok(Self { version, folder, container, limit })
    }

    /// The file that takes the container's processes.
    pub(crate) fn processes(&self) -> PathBuf {
        self.container.join("cgroup.procs")
    }

    /// Another container in the same pod, as after a restart.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        remove(&self.container);
        self.container = self.folder.join("container-1");
        create(self.version, &self.container, self.limit)
    }

    /// Most bytes that were ever charged to the pod.
    pub(crate) fn peak(&self) -> u64 {
        let name = match self.version {
            Version::One => "memory.max_usage_in_bytes",
            Version::Two => "memory.peak",
        };
        number(&self.folder.join(name)).unwrap_or(0)
    }

    /// Processes of the container that were killed because memory ran out.
    pub(crate) fn killed(&self) -> u64 {
        let name = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let text = fs::read_to_string(self.container.join(name)).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

impl Drop for PodCgroup {
    fn drop(&mut self) {
        remove(&self.container);
        remove(&self.folder);
    }
}

fn hierarchy() -> io::Result<(Version, PathBuf)> {
    let root = Path::new(ROOT);
    let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
    if controllers.split_whitespace().any(|controller| controller == "memory") {
        // Done already wherever systemd runs.
        drop(fs::write(root.join("cgroup.subtree_control"), "+memory"));
        return Ok((Version::Two, root.to_owned()));
    }
    let one = root.join("memory");
    if one.join("memory.limit_in_bytes").exists() {
        return Ok((Version::One, one));
    }
    Err(io::Error::other("there is no memory cgroup"))
}

fn create(version: Version, folder: &Path, limit: u64) -> io::Result<()> {
    fs::create_dir(folder)?;
    let limit = limit.to_string();
    match version {
        Version::One => {
            fs::write(folder.join("memory.limit_in_bytes"), &limit)?;
            // Absent where the kernel does not account swap.
            let with_swap = folder.join("memory.memsw.limit_in_bytes");
            if with_swap.exists() { fs::write(with_swap, &limit) } else { Ok(()) }
        }
        Version::Two => {
            fs::write(folder.join("memory.max"), &limit)?;
            let swap = folder.join("memory.swap.max");
            if swap.exists() { fs::write(swap, "0") } else { Ok(()) }
        }
    }
}

fn remove(folder: &Path) {
    let started = Instant::now();
    while fs::remove_dir(folder).is_err() && folder.exists() && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
