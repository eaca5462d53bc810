//! The roles of service accounts, remembered so that a republish needs no
//! Kubernetes call.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    cluster::{Cluster, ClusterError},
    model::arn::RoleArn,
    permits::{Permit, Permits, Urgency},
    single_flight::Slots,
};

/// Most reads of Kubernetes at once: a pod's author may make many service accounts.
const MAX_READS: usize = 32;

/// Remembers what Kubernetes said of a service account.
pub(super) struct Roles {
    cluster: Arc<Cluster>,
    accounts: Slots<(String, String), Known, ClusterError>,
    reads: Permits,
    /// How long it is believed.
    age: Duration,
    /// How long it is believed while Kubernetes does not answer.
    max_stale: Duration,
    /// When Kubernetes did not answer last; `None` once it did.
    unanswered: Mutex<Option<Instant>>,
}

/// After a read that got no answer, what is remembered is used this long without
/// another one: not each mount waits for Kubernetes in vain.
const PAUSE: Duration = Duration::from_secs(10);

/// What a successful read said.
#[derive(Clone, Debug)]
struct Known {
    role: Option<RoleArn>,
    /// The uid in the token at that time: another one is another account of the
    /// same name.
    uid: Option<String>,
    read_at: Instant,
    /// Whether a mount has failed since: the account may be what was repaired.
    doubted: Arc<AtomicBool>,
}

impl Roles {
    pub(super) fn new(cluster: Arc<Cluster>, age: Duration, max_stale: Duration) -> Self {
        Self {
            cluster,
            accounts: Slots::new(),
            reads: Permits::new(MAX_READS),
            age,
            max_stale,
            unanswered: Mutex::default(),
        }
    }

    /// The role that the pod's service account is annotated with. `Ok(None)`
    /// says that the account was read and carries no annotation.
    ///
    /// # Errors
    /// Anything but a successful read. Only when Kubernetes does not answer, what
    /// it said before still counts.
    pub(super) async fn of(
        &self,
        namespace: &str,
        account: &str,
        uid: Option<&str>,
    ) -> Result<Option<RoleArn>, ClusterError> {
        let key = (namespace.to_owned(), account.to_owned());
        let now = Instant::now();
        let believed =
            |known: &Known, age| known.uid.as_deref() == uid && now.duration_since(known.read_at) < age;
        let quiet = self.unanswered().is_some_and(|at| now.duration_since(at) < PAUSE);
        let fresh = |known: &Known| {
            let sure = believed(known, self.age) && !known.doubted.load(Ordering::Relaxed);
            sure || quiet && believed(known, self.max_stale)
        };
        let admit = || self.reads.take(Urgency::Mount, namespace, "");
        let read = async |_permit: Permit| {
            self.accounts.sweep(|known| now.duration_since(known.read_at) < self.max_stale.max(self.age));
            // On the heap, so that a mount which needs no read stays small.
            let role = Box::pin(self.cluster.role_of(namespace, account)).await?;
            *self.unanswered() = None;
            Ok(Known { role, uid: uid.map(str::to_owned), read_at: now, doubted: Arc::default() })
        };
        let result = self.accounts.get_or_fetch(&key, fresh, |_| true, admit, read).await;
        match result {
            Ok(known) => Ok(known.role),
            Err(error @ (ClusterError::Setup { .. } | ClusterError::Unreachable { .. })) => {
                *self.unanswered() = Some(Instant::now());
                match self.accounts.held(&key).filter(|known| believed(known, self.max_stale)) {
                    Some(known) => {
                        tracing::warn!(
                            service_account = %format_args!("{namespace}/{account}"),
                            "{error}; the role that it told before is used"
                        );
                        Ok(known.role)
                    }
                    None => Err(error),
                }
            }
            Err(error) => {
                self.accounts.forget(&key, |_| true);
                Err(error)
            }
        }
    }

    fn unanswered(&self) -> MutexGuard<'_, Option<Instant>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A mount failed: the account is read again for the next one. What it said
    /// still counts while Kubernetes does not answer.
    pub(super) fn doubt(&self, namespace: &str, account: &str) {
        let key = (namespace.to_owned(), account.to_owned());
        if let Some(known) = self.accounts.held(&key) {
            known.doubted.store(true, Ordering::Relaxed);
        }
    }
}
