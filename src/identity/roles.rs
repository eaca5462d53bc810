//! Caches the roles of service accounts, so that a republish needs no call to
//! Kubernetes.

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
    permits::{Load, Permit, Permits, Urgency},
    single_flight::Slots,
};

/// Maximum number of concurrent reads. A pod author may create many service
/// accounts.
const MAX_READS: usize = 32;

pub(super) struct Roles {
    cluster: Arc<Cluster>,
    accounts: Slots<(String, String), Known, ClusterError>,
    reads: Permits,
    /// How long a role is valid.
    age: Duration,
    /// How long a role is valid while Kubernetes does not respond.
    max_stale: Duration,
    /// The time of the last read without a response; `None` after a successful read.
    unanswered: Mutex<Option<Instant>>,
}

/// How long cached roles are used without another read after a read got no
/// response, so that not every mount waits for Kubernetes in vain.
const PAUSE: Duration = Duration::from_secs(10);

/// The result of a successful read.
#[derive(Clone, Debug)]
struct Known {
    role: Option<RoleArn>,
    /// The service account's uid in the token. A different uid means a different
    /// account of the same name.
    uid: Option<String>,
    read_at: Instant,
    /// Whether a mount has failed since. Somebody may have fixed the account.
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

    /// The reads that run and wait now.
    pub(super) fn calls(&self) -> Load {
        self.reads.load()
    }

    /// Returns the role in the service account's annotation. `Ok(None)` means that the
    /// account was read and has no annotation.
    ///
    /// # Errors
    /// If the read fails, unless Kubernetes does not respond and a cached role is still
    /// valid.
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
            // Boxed, so that the future stays small for mounts that need no read.
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
                            "{error}; using the last known role"
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

    /// Reads the account again for the next mount. Its cached role stays valid while
    /// Kubernetes does not respond.
    pub(super) fn doubt(&self, namespace: &str, account: &str) {
        let key = (namespace.to_owned(), account.to_owned());
        if let Some(known) = self.accounts.held(&key) {
            known.doubted.store(true, Ordering::Relaxed);
        }
    }
}
