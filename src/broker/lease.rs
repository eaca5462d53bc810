//! Takes and renews the Lease of the one process that leads.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::election::{Election, LEADS_FOR, LOOK_EVERY, RENEW_EVERY, Step};
use crate::{
    clock::rfc3339,
    cluster::{Cluster, ClusterError, stored::Place, watched::ObjectName},
    metrics::{NoticesFailure, NoticesMetrics},
};

const REMEDY: &str = "Grant get and update on this Lease, and create on leases of coordination.k8s.io (chart value rbac.install grants them with notices.enabled)";
/// Time for one call. Two of them fit into [`LEADS_FOR`].
const CALL_TIME: Duration = Duration::from_secs(5);

/// Who leads, as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The lease was not read yet.
    Unknown(Option<String>),
    Waits {
        holder: String,
    },
    /// This process leads until then, if it does not renew the lease.
    Leads {
        until: Instant,
    },
}

impl Standing {
    pub(super) fn leads(&self) -> bool {
        matches!(self, Self::Leads { until } if Instant::now() < *until)
    }
}

pub(super) struct Lease {
    cluster: Arc<Cluster>,
    place: Place,
    election: Election,
    started: Instant,
    metrics: Arc<NoticesMetrics>,
    /// The last call failed, and the log says why.
    failing: bool,
}

impl Lease {
    pub(super) fn new(
        cluster: Arc<Cluster>,
        name: ObjectName,
        identity: String,
        metrics: Arc<NoticesMetrics>,
    ) -> Self {
        let ObjectName { namespace, name } = name;
        let root = "/apis/coordination.k8s.io/v1";
        let place = Place { root, plural: "leases", namespace, name, remedy: REMEDY };
        let election = Election::new(identity);
        Self { cluster, place, election, started: Instant::now(), metrics, failing: false }
    }

    /// Takes part in the election until the future is dropped.
    pub(super) async fn run(&mut self, standing: &watch::Sender<Standing>) {
        loop {
            let began = Instant::now();
            let looked = timeout(CALL_TIME, self.look()).await;
            let next = match looked {
                Ok(Ok(holder)) => {
                    if std::mem::take(&mut self.failing) {
                        tracing::info!("the lease can be read and renewed again");
                    }
                    Some(match holder {
                        None => Standing::Leads { until: began + LEADS_FOR },
                        Some(holder) => Standing::Waits { holder },
                    })
                }
                Ok(Err(error)) => self.failed(&error.to_string(), standing),
                Err(_) => self.failed(&self.no_answer(), standing),
            };
            if let Some(next) = next {
                announce(&next, &standing.borrow());
                standing.send_replace(next);
            }
            let pause = if standing.borrow().leads() && !self.failing { RENEW_EVERY } else { LOOK_EVERY };
            sleep(pause.saturating_sub(began.elapsed())).await;
        }
    }

    /// Looks at the lease, and takes or renews it. Returns its holder unless that is this
    /// process.
    async fn look(&mut self) -> Result<Option<String>, ClusterError> {
        let lease = self.cluster.stored(&self.place).await?;
        match self.election.look(lease.as_ref(), &now(), self.started.elapsed()) {
            Step::Wait { holder } => Ok(Some(holder)),
            Step::Write(mut lease) => {
                lease["metadata"]["namespace"] = Value::String(self.place.namespace.clone());
                lease["metadata"]["name"] = Value::String(self.place.name.clone());
                match self.cluster.store(&self.place, &lease).await {
                    Ok(_) => Ok(None),
                    // Another one was faster.
                    Err(ClusterError::Rejected { status: 409, .. }) => Ok(Some("another one".to_owned())),
                    Err(error) => Err(error),
                }
            }
        }
    }

    fn no_answer(&self) -> String {
        let (Place { namespace, name, .. }, seconds) = (&self.place, CALL_TIME.as_secs());
        format!(
            "cannot renew lease {namespace}/{name}: the Kubernetes API gave no response within {seconds} s"
        )
    }

    /// What a failed call means: this process leads on until its time is over.
    fn failed(&mut self, error: &str, standing: &watch::Sender<Standing>) -> Option<Standing> {
        self.metrics.failures.count(NoticesFailure::Lease);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!("{error}. Further failures are only counted");
        }
        (!standing.borrow().leads()).then(|| Standing::Unknown(Some(error.to_owned())))
    }

    /// Gives the lease back, so that another one leads at once.
    pub(super) async fn release(&self) {
        let release = async {
            let lease = self.cluster.stored(&self.place).await?;
            match lease.and_then(|lease| self.election.release(&lease, &now())) {
                Some(released) => self.cluster.store(&self.place, &released).await.map(drop),
                None => Ok(()),
            }
        };
        match timeout(CALL_TIME, release).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the lease is not released, and ends by itself: {error}"),
            Err(_) => tracing::warn!("the lease is not released, and ends by itself: no response in time"),
        }
    }
}

fn announce(next: &Standing, before: &Standing) {
    match (before, next) {
        (Standing::Leads { .. }, Standing::Leads { .. }) => {}
        (_, Standing::Leads { .. }) => tracing::info!("leads"),
        (Standing::Waits { holder: before }, Standing::Waits { holder }) if before == holder => {}
        (_, Standing::Waits { holder }) => tracing::info!("waits: {holder} leads"),
        (Standing::Leads { .. }, Standing::Unknown(_)) => {
            tracing::warn!("no longer leads: the lease could not be renewed in time");
        }
        _ => {}
    }
}

/// The wall clock's time as Kubernetes' `MicroTime`.
fn now() -> String {
    let millis = rfc3339(SystemTime::now());
    format!("{}000Z", millis.trim_end_matches('Z'))
}
