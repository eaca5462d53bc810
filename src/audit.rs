//! The audit log: a JSON line for each delivery to a pod and for each denial. It names
//! objects, versions, and files, and never holds a value.
//!
//! Nothing here blocks or fails a mount. A finished line goes into a bounded queue, and
//! a thread of its own writes it.

mod denials;
mod first_seen;
mod last_delivery;
mod line;
mod objects;
mod output;
mod queue;
mod state_file;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use self::{
    denials::Denials,
    first_seen::{FirstSeen, Pair},
    last_delivery::LastDeliveries,
    line::Head,
    output::Output,
    queue::Queue,
    state_file::StateFile,
};
pub use self::{output::AuditError, queue::Counts};
use crate::{
    model::{file::MountFile, object::Object, principal::Principal, reason::Reason, request::Pod},
    values::{Found, Origin},
};

/// What the operator decides about the audit log.
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// `--audit-log`
    pub log: AuditLog,
    /// `--state-dir`: remembers first reads across restarts; `None` since the start.
    pub state_dir: Option<PathBuf>,
    /// The node's name, for every line.
    pub node: Option<String>,
}

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditLog {
    Stdout,
    File(PathBuf),
}

/// Files that a pod was given.
pub struct Delivery<'a> {
    pub pod: &'a Pod,
    /// The SecretProviderClass's name.
    pub class: &'a str,
    /// The folder that the files are in.
    pub target_path: &'a Path,
    pub principal: &'a Principal,
    pub origin: Origin,
    pub objects: &'a [Object],
    /// What was read for each object.
    pub found: &'a [Found],
    /// The files made from it, in the order of the objects.
    pub files: &'a [MountFile],
}

/// A mount that was refused.
pub struct Denial<'a> {
    /// As far as it is known: unknown fields are empty.
    pub pod: &'a Pod,
    pub class: &'a str,
    pub principal: Option<&'a Principal>,
    pub reason: Reason,
    pub error: &'a dyn fmt::Display,
}

/// Writes the audit log.
pub struct Audit {
    node: Option<String>,
    last: LastDeliveries,
    denials: Denials,
    first_seen: Arc<Mutex<FirstSeen>>,
    queue: Arc<Queue>,
}

impl From<&str> for AuditLog {
    /// `stdout`, or the path of a file.
    fn from(text: &str) -> Self {
        if text == "stdout" { Self::Stdout } else { Self::File(text.into()) }
    }
}

impl Audit {
    /// Opens the log, reads the state, and starts the thread that writes.
    ///
    /// # Errors
    /// When the log cannot be opened. State that cannot be read is only a warning.
    pub fn open(settings: AuditSettings) -> Result<Self, AuditError> {
        let AuditSettings { log, state_dir, node } = settings;
        let output = Output::open(log)?;
        let (state, first_seen) = match state_dir {
            Some(folder) => {
                let (state, first_seen) = StateFile::open(&folder);
                (Some(state), first_seen)
            }
            None => (None, FirstSeen::default()),
        };
        let first_seen = Arc::new(Mutex::new(first_seen));
        let queue = Queue::new();
        writer::start(output, state, Arc::clone(&first_seen), Arc::clone(&queue), node.clone())
            .map_err(AuditError::Thread)?;
        let (last, denials) = (LastDeliveries::default(), Denials::default());
        Ok(Self { node, last, denials, first_seen, queue })
    }

    /// Files that a pod was given. Writes nothing if they are the ones that the pod had.
    /// A delivery whose line is lost counts as new the next time.
    pub fn delivered(&self, delivery: &Delivery<'_>) {
        let Some(news) = self.last.news(delivery) else { return };
        let Delivery { pod, class, principal, origin, .. } = delivery;
        let objects = objects::delivered(delivery);
        let pairs: Vec<Pair> = objects.iter().map(|object| Pair::of(pod, object.id())).collect();
        let mut head = Head::new("delivered", self.node.as_deref(), pod, class, Some(principal));
        head.from = Some(origin_name(*origin));
        // Locked until the line is queued: only a line that is kept makes a pair known.
        let mut first_seen = self.first_seen.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<bool> = pairs.iter().map(|pair| !first_seen.contains(pair)).collect();
        let Ok(lines) = head.lines(&objects, &new) else { return self.queue.lose(1) };
        let mut new: Vec<Pair> =
            pairs.into_iter().zip(new).filter_map(|(pair, new)| new.then_some(pair)).collect();
        new.sort_unstable();
        new.dedup();
        if self.queue.push(&pod.namespace, lines, new.clone()) {
            self.queue.first_seen.fetch_add(new.len() as u64, Ordering::Relaxed);
            new.into_iter().for_each(|pair| first_seen.insert(pair));
            news.remember();
        }
    }

    /// A mount that failed. Writes nothing unless the reason is about access: an outage
    /// or an oversize is no denial.
    pub fn denied(&self, denial: &Denial<'_>) {
        let Denial { pod, class, principal, reason, error } = denial;
        if !is_denial(*reason) {
            return;
        }
        let mut head = Head::new("denied", self.node.as_deref(), pod, class, *principal);
        head.reason = Some(reason.as_str());
        head.message = Some(line::message(error));
        let Ok(bytes) = head.line().map(|line| line.len()) else { return self.queue.lose(1) };
        let Some(not_written) = self.denials.pay(&pod.namespace, bytes) else { return };
        head.not_written = (not_written > 0).then_some(not_written);
        match head.line() {
            Ok(line) => drop(self.queue.push(&pod.namespace, vec![line], Vec::new())),
            Err(_) => self.queue.lose(1),
        }
    }

    /// Closes the log and opens its path again, as log rotation needs it. Lines that
    /// come meanwhile wait.
    pub fn reopen(&self) {
        self.queue.reopen();
    }

    pub fn counts(&self) -> Counts {
        self.queue.counts()
    }

    /// Forgets the last deliveries to volumes that nobody has mounted for so long.
    pub fn drop_idle(&self, idle_after: Duration) {
        self.last.drop_idle(idle_after);
    }

    /// Writes what waits, for at most `within`, and ends the thread. Blocks.
    pub fn close(&self, within: Duration) {
        let left = self.queue.close(within);
        if left > 0 {
            tracing::warn!(
                lines = left,
                "the audit log lost lines at the end: they were not written in time"
            );
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.queue.close(Duration::ZERO);
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("node", &self.node).finish_non_exhaustive()
    }
}

fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Aws => "aws",
        Origin::Cache => "memory",
        Origin::LastKnownGood => "last_known_good",
    }
}

/// Whether somebody who may not decided the mount's end: AWS, Kubernetes, or the
/// operator's rules.
fn is_denial(reason: Reason) -> bool {
    match reason {
        Reason::Denied
        | Reason::KmsDenied
        | Reason::KubernetesForbidden
        | Reason::TokenMissing
        | Reason::TokenRefused
        | Reason::NoIdentity
        | Reason::CredentialsRefused
        // Also a role or a Region that the operator does not allow.
        | Reason::InvalidRequest => true,
        Reason::NotFound
        | Reason::KubernetesNotFound
        | Reason::Unusable
        | Reason::ValueMismatch
        | Reason::TooLarge
        | Reason::BadAnnotation
        | Reason::NoRegion
        | Reason::WriteFailed
        | Reason::VolumesFull
        | Reason::RejectedByAws
        | Reason::Throttled
        | Reason::Outage
        | Reason::KubernetesOutage
        | Reason::Busy
        | Reason::Deadline
        | Reason::Bug => false,
    }
}
