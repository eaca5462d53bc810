//! `latchkey notices`: what AWS says has changed, from queues into the object that every
//! node watches. Of several processes one leads; the others wait.

mod election;
mod event;
mod leader;
mod lease;
mod object;
mod place;
mod queue;
mod ring;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU32},
    time::SystemTime,
};

use tokio::sync::watch;

pub use self::place::{QueueUrl, area};
use self::{
    leader::Leader,
    lease::{Lease, Standing},
    queue::Queue,
};
use crate::{
    aws::{Aws, AwsSettings, AwsSetupError},
    cluster::{Cluster, ClusterSettings, watched::ObjectName},
    metrics::{NoticesMetrics, NoticesNow},
    notices::{Area, Rates},
    server::endpoints,
};

/// Everything that the operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// At least one.
    pub queues: Vec<QueueUrl>,
    /// Accounts and Regions whose events other buses forward.
    pub covers: Vec<Area>,
    /// The ConfigMap that nodes watch.
    pub object: ObjectName,
    /// The Lease's name, in the object's namespace.
    pub lease: String,
    /// The name of this process in the Lease.
    pub identity: String,
    pub rates: Rates,
    /// Address of the HTTP endpoints; `None` serves none.
    pub http_address: Option<SocketAddr>,
    pub aws: AwsSettings,
    pub cluster: ClusterSettings,
}

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("AWS cannot be set up")]
    Aws(#[from] AwsSetupError),
    #[error("the probes cannot be served on {address} (--http-address)")]
    Http { address: SocketAddr, source: io::Error },
    #[error("there is no queue (--queue-url)")]
    NoQueue,
}

/// Takes part in the election until `shutdown` completes, and sends notices while this
/// process leads.
///
/// # Errors
/// If something is wrong with the configuration.
pub async fn serve(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), BrokerError> {
    let first = config.queues.first().ok_or(BrokerError::NoQueue)?;
    let aws = Aws::load(&config.aws, Arc::default()).await?;
    let credentials = aws.own_credentials(first.region()).await;
    let metrics = Arc::new(NoticesMetrics::new());
    let covers: Arc<[Area]> =
        config.queues.iter().map(QueueUrl::area).chain(config.covers.iter().cloned()).collect();
    let queue = |url: &QueueUrl| {
        Queue::new(url.clone(), &aws, credentials.clone(), Arc::clone(&metrics), Arc::clone(&covers))
    };
    let leader = Arc::new(Leader {
        cluster: Arc::new(Cluster::new(config.cluster.clone(), Arc::default())),
        queues: config.queues.iter().map(queue).collect(),
        object: config.object.clone(),
        covers: config.covers.clone(),
        rates: config.rates,
        metrics: Arc::clone(&metrics),
        nodes: AtomicU32::new(0),
        last_write: Mutex::default(),
    });
    let lease = ObjectName { name: config.lease.clone(), ..config.object.clone() };
    let mut lease =
        Lease::new(Arc::clone(&leader.cluster), lease, config.identity.clone(), Arc::clone(&metrics));
    let (standing, stands) = watch::channel(Standing::Unknown(None));
    if let Some(address) = config.http_address {
        let listener = endpoints::bind(address).map_err(|source| BrokerError::Http { address, source })?;
        let (leader, ready) = (Arc::clone(&leader), (Arc::clone(&leader), stands.clone()));
        let stands = stands.clone();
        let shown = endpoints::Shown {
            ready: Box::new(move || readiness(&ready.0, &ready.1.borrow())),
            metrics: Box::new(move |format| leader.metrics.render(format, &leader.now(&stands.borrow()))),
        };
        tokio::spawn(endpoints::serve(listener, shown, std::future::pending()));
    }
    let (stopping, stop) = watch::channel(false);
    let leading = async {
        let mut stands = stands;
        loop {
            let stopped = async {
                let _ = stop.clone().wait_for(|stopping| *stopping).await;
            };
            let mut waiting = stop.clone();
            tokio::select! {
                leads = stands.wait_for(Standing::leads) => if leads.is_err() { return },
                _ = waiting.wait_for(|stopping| *stopping) => return,
            }
            leader.lead(stands.clone(), stopped).await;
        }
    };
    let stops = async {
        shutdown.await;
        stopping.send_replace(true);
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(leading, stops) } => {}
        // The lease is renewed until the last write is done.
        () = lease.run(&standing) => {}
    }
    lease.release().await;
    Ok(())
}

/// Ready means that this process leads, or would if the leader ended. Failing queues are
/// only warnings: a restart would not help.
fn readiness(leader: &Leader, standing: &Standing) -> Result<String, String> {
    match standing {
        Standing::Leads { .. } if standing.leads() => {
            let problems = leader.queues.iter().filter_map(Queue::problem);
            let warnings: String = problems.map(|problem| format!("warning: {problem}\n")).collect();
            Ok(format!("leads\n{warnings}"))
        }
        Standing::Leads { .. } => Err("the lease could not be renewed in time".to_owned()),
        Standing::Waits { holder } => Ok(format!("waits: {holder} leads\n")),
        Standing::Unknown(None) => Err("the lease was not read yet".to_owned()),
        Standing::Unknown(Some(problem)) => Err(problem.clone()),
    }
}

impl Leader {
    fn now(&self, standing: &Standing) -> NoticesNow {
        let last_write = *self.last_write.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs_f64())
        };
        NoticesNow {
            leads: standing.leads(),
            queues: self.queues.len(),
            queues_received: self.queues.iter().filter(|queue| queue.receives()).count(),
            nodes: self.nodes.load(std::sync::atomic::Ordering::Relaxed),
            last_write: last_write.and_then(seconds),
        }
    }
}
