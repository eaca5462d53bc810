//! Events on pods: what `kubectl describe pod` shows about a pod's secrets. Sending an
//! event neither blocks nor fails: events wait in a bounded queue for one task.

mod budget;
mod series;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::{Instant, sleep},
};

use self::{budget::PodBudgets, series::Series};
use super::{Cluster, ClusterError};
use crate::{
    metrics::KubernetesRequest,
    model::{
        message::{shortened, told},
        reason::Reason,
        request::Pod,
    },
    shares::{Share, Shares},
};

/// Events that wait. One namespace may have half of them.
const MAX_QUEUED: usize = 256;
/// Time from one event to the next, and the events that may be sent at once.
const INTERVAL: Duration = Duration::from_millis(100);
const BURST: u32 = 25;
/// Pause before the only retry.
const RETRY_AFTER: Duration = Duration::from_secs(1);

// Limits of the API server:
// <https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/apis/core/validation/events.go>.
/// Maximum size of a note; the API server's limit is 1,024.
const MAX_NOTE_BYTES: usize = 1000;
const MAX_INSTANCE_BYTES: usize = 128;
/// A name is a DNS subdomain.
const MAX_NAME_BYTES: usize = 253;

/// The controller in `kubectl describe pod`, and what it does for the pod.
const CONTROLLER: &str = "latchkey";
const ACTION: &str = "DeliverSecrets";

const REMEDY: &str = "Grant create and patch on events of events.k8s.io (chart value podEvents.enabled), or turn off --pod-events";

/// What changed for a pod's secrets.
pub enum PodChange<'a> {
    /// AWS denies access to a secret that the pod has.
    AccessLost(Trouble<'a>),
    /// The pod has last known good values, because AWS fails.
    ServedStale(Trouble<'a>),
    /// The pod keeps its files, because they could not be renewed. The driver does not
    /// show this.
    RotationFailed(Trouble<'a>),
    /// The pod has fresh values again.
    Recovered {
        /// The SecretProviderClass's name.
        class: &'a str,
    },
}

/// Why a pod has no fresh secrets.
pub struct Trouble<'a> {
    /// The SecretProviderClass's name.
    pub class: &'a str,
    pub reason: Reason,
    pub error: &'a dyn fmt::Display,
}

/// Events so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    pub sent: u64,
    /// The queue was full, or the pod had too many.
    pub dropped: u64,
    /// The API server did not take them.
    pub failed: u64,
}

/// Sends events on pods.
#[derive(Debug)]
pub struct Events {
    queue: UnboundedSender<Queued>,
    /// Bounds the queue.
    places: Arc<Shares>,
    budgets: PodBudgets,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

struct Queued {
    event: Event,
    /// Held until the event is sent.
    _place: Share,
}

struct Event {
    pod: Pod,
    class: String,
    kind: Kind,
    reason: Option<Reason>,
    note: String,
    at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    AccessLost,
    ServedStale,
    RotationFailed,
    Recovered,
}

impl Events {
    /// Starts the task that sends. It ends when the queue is empty and this is dropped.
    /// `node` is the name of this node.
    pub fn new(cluster: Arc<Cluster>, node: Option<&str>) -> Self {
        let (queue, queued) = mpsc::unbounded_channel();
        let counters = Arc::<Counters>::default();
        let sender = Sender {
            cluster,
            instance: shortened(node.unwrap_or(CONTROLLER), MAX_INSTANCE_BYTES).to_owned(),
            pace: Pace { full_at: Instant::now() },
            series: Series::default(),
            counters: Arc::clone(&counters),
            failing: false,
        };
        tokio::spawn(sender.run(queued));
        Self { queue, places: Shares::new(MAX_QUEUED), budgets: PodBudgets::default(), counters }
    }

    /// Queues an event. Drops it if its pod has had too many, or its namespace has too many
    /// in the queue.
    pub fn send(&self, pod: &Pod, change: PodChange<'_>) {
        let place = self.places.try_take(&pod.namespace, 1).ok().filter(|_| self.budgets.pay(pod));
        let Some(place) = place else {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let _ = self.queue.send(Queued { event: Event::new(pod, &change), _place: place });
    }

    pub fn counts(&self) -> EventCounts {
        let Counters { sent, dropped, failed } = &*self.counters;
        let [sent, dropped, failed] = [sent, dropped, failed].map(|count| count.load(Ordering::Relaxed));
        EventCounts { sent, dropped, failed }
    }
}

impl Event {
    fn new(pod: &Pod, change: &PodChange<'_>) -> Self {
        let (kind, class, trouble) = match change {
            PodChange::AccessLost(trouble) => (Kind::AccessLost, trouble.class, Some(trouble)),
            PodChange::ServedStale(trouble) => (Kind::ServedStale, trouble.class, Some(trouble)),
            PodChange::RotationFailed(trouble) => (Kind::RotationFailed, trouble.class, Some(trouble)),
            PodChange::Recovered { class } => (Kind::Recovered, *class, None),
        };
        let note = match trouble {
            Some(Trouble { reason, error, .. }) => note(&format_args!(
                "SecretProviderClass {class}: {} (reason {}): {error}",
                kind.summary(),
                reason.as_str()
            )),
            None => note(&format_args!("SecretProviderClass {class}: {}", kind.summary())),
        };
        let reason = trouble.map(|trouble| trouble.reason);
        Self { pod: pod.clone(), class: class.to_owned(), kind, reason, note, at: Timestamp::now() }
    }

    /// The event's name, as kube and client-go build it: the pod's name and the time.
    fn name(&self) -> String {
        let time = format!(".{:x}", self.at.as_nanosecond());
        let pod = shortened(&self.pod.name, MAX_NAME_BYTES - time.len());
        // A part of a DNS subdomain ends with a letter or a digit.
        format!("{}{time}", pod.trim_end_matches(['-', '.']))
    }

    fn object(&self, name: &str, instance: &str) -> Value {
        let Pod { namespace, name: pod, uid, .. } = &self.pod;
        json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": { "namespace": namespace, "name": name },
            "eventTime": micros(self.at),
            "type": self.kind.event_type(),
            "reason": self.kind.reason(),
            "action": ACTION,
            "note": self.note,
            "regarding": { "apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": pod, "uid": uid },
            "reportingController": CONTROLLER,
            "reportingInstance": instance,
        })
    }
}

impl Kind {
    /// The reason of the Kubernetes event. It never changes.
    fn reason(self) -> &'static str {
        match self {
            Self::AccessLost => "SecretAccessLost",
            Self::ServedStale => "SecretStale",
            Self::RotationFailed => "SecretRotationFailed",
            Self::Recovered => "SecretRecovered",
        }
    }

    fn event_type(self) -> &'static str {
        match self {
            Self::AccessLost | Self::ServedStale | Self::RotationFailed => "Warning",
            Self::Recovered => "Normal",
        }
    }

    fn summary(self) -> &'static str {
        match self {
            Self::AccessLost => "the pod lost access to its secrets",
            Self::ServedStale => "the pod has last known good values, which may be stale",
            Self::RotationFailed => "the pod keeps its files, because they could not be updated",
            Self::Recovered => "the pod's secrets are up to date again",
        }
    }
}

/// The task behind the queue.
struct Sender {
    cluster: Arc<Cluster>,
    instance: String,
    pace: Pace,
    series: Series,
    counters: Arc<Counters>,
    /// The last event failed, and the log says why.
    failing: bool,
}

impl Sender {
    async fn run(mut self, mut queued: UnboundedReceiver<Queued>) {
        while let Some(Queued { event, _place }) = queued.recv().await {
            match self.send(&event).await {
                Ok(()) => {
                    self.failing = false;
                    self.counters.sent.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    self.counters.failed.fetch_add(1, Ordering::Relaxed);
                    if !self.failing {
                        tracing::warn!(pod = %event.pod, reason = error.reason().as_str(), "an event was not sent: {error}. Further failures are only counted");
                    }
                    self.failing = true;
                }
            }
        }
    }

    /// Sends an event, again after an error that may pass.
    async fn send(&mut self, event: &Event) -> Result<(), ClusterError> {
        match self.try_send(event).await {
            Err(ClusterError::Setup { .. } | ClusterError::Unreachable { .. }) => {
                sleep(RETRY_AFTER).await;
                self.try_send(event).await
            }
            result => result,
        }
    }

    async fn try_send(&mut self, event: &Event) -> Result<(), ClusterError> {
        if let Some((name, count)) = self.series.next(event) {
            self.pace.turn().await;
            match self.cluster.count_event(event, &name, count).await {
                Ok(()) => {
                    self.series.put(event, name, count);
                    return Ok(());
                }
                // Somebody deleted the event: create another one.
                Err(ClusterError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.pace.turn().await;
        let name = event.name();
        match self.cluster.create_event(event, &name, &self.instance).await {
            // The first attempt succeeded, and its response was lost.
            Ok(()) | Err(ClusterError::Rejected { status: 409, .. }) => {
                self.series.put(event, name, 1);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Cluster {
    async fn create_event(&self, event: &Event, name: &str, instance: &str) -> Result<(), ClusterError> {
        let namespace = &event.pod.namespace;
        let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        let request = http::Request::post(path).header(http::header::CONTENT_TYPE, "application/json");
        let action = format!("create an event in namespace {namespace}");
        self.write(KubernetesRequest::Event, &action, REMEDY, request, &event.object(name, instance)).await
    }

    /// Tells the API server that an event occurred for the `count`th time.
    async fn count_event(&self, event: &Event, name: &str, count: u32) -> Result<(), ClusterError> {
        let namespace = &event.pod.namespace;
        let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events/{name}");
        let request =
            http::Request::patch(path).header(http::header::CONTENT_TYPE, "application/merge-patch+json");
        let series = json!({ "series": { "count": count, "lastObservedTime": micros(event.at) } });
        let action = format!("patch an event in namespace {namespace}");
        self.write(KubernetesRequest::Event, &action, REMEDY, request, &series).await
    }
}

/// At most [`BURST`] events at once, and one for each [`INTERVAL`].
struct Pace {
    /// When the whole burst is available again.
    full_at: Instant,
}

impl Pace {
    async fn turn(&mut self) {
        let now = Instant::now();
        self.full_at = self.full_at.max(now) + INTERVAL;
        let wait = self.full_at.saturating_duration_since(now + INTERVAL * BURST);
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }
}

fn note(text: &dyn fmt::Display) -> String {
    told(text, MAX_NOTE_BYTES, " …")
}

/// Kubernetes' `MicroTime`.
fn micros(time: Timestamp) -> String {
    format!("{time:.6}")
}
