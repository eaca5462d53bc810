//! The whole path of a mount, in order: parse the request, check the target, identify
//! the pod, read everything at once, make files, and deliver all or nothing.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::Instant;
use tracing::Instrument;

use crate::{
    classes::Classes,
    cluster::{Cluster, ClusterError},
    delivery::{AnswerMemory, Delivered, Delivery, NotDelivered},
    identity::{Identity, IdentityError},
    model::{
        arn::Regions,
        file::MountFile,
        message::causes,
        mistakes::Invalid,
        objects::Objects,
        principal::Principal,
        reason::Reason,
        request::{MountRequest, Opened, Pod, RawRequest},
        rules::Rules,
        token::Tokens,
    },
    report::{self, Failure, MountReport, Report, Success},
    shape::{NotShaped, Subject, TooLarge},
    shares::{Refused, Share, Shares},
    values::{NotRead, Origin, PodAsker, Reader},
    workers::{Panicked, Workers},
};

/// Memory of a running mount in addition to its request: its task, and its part of the
/// connection.
const MOUNT_BYTES: usize = 8 << 10;
/// Largest parsed request that waits for its memory: dozens of objects.
const MAX_WAITING_BYTES: usize = 16 << 10;
/// Largest request that is opened on the threads that answer.
const MAX_OPENED_HERE: usize = 64 << 10;

/// Carries out mounts.
pub struct Mounter {
    pub rules: Arc<Rules>,
    /// Classes that were parsed before.
    pub classes: Arc<Classes>,
    /// Answers what a request leaves open.
    pub cluster: Arc<Cluster>,
    pub identity: Arc<Identity>,
    pub reader: Arc<Reader>,
    pub delivery: Arc<Delivery>,
    /// Parse large manifests.
    pub workers: Arc<Workers>,
    /// Turns: how many mounts are computed at once, while they wait for nothing.
    pub turns: Arc<Shares>,
    /// Places: how many mounts run at once.
    pub places: Arc<Shares>,
    /// Memory of the requests of running mounts.
    pub requests: Arc<Shares>,
    pub report: Arc<Report>,
    /// Maximum duration of a mount. It must end well before kubelet's two minutes,
    /// because a mount that kubelet gives up may start the pod without files.
    pub deadline: Duration,
}

/// What was mounted.
#[derive(Debug)]
pub struct Mounted {
    pub files: Vec<MountFile>,
    /// The memory of the contents in the answer; `None` if they are in the pod already.
    pub answer: Option<AnswerMemory>,
}

/// A mount's result with everything that is reported of it.
struct Done {
    objects: Arc<Objects>,
    origin: Origin,
    delivered: Delivered,
}

/// Why nothing was mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The class or the driver's request is invalid.
    #[error(transparent)]
    Request(#[from] Invalid),
    #[error("the Region is not known: {}", causes(.0))]
    Region(ClusterError),
    /// The pod has no usable AWS identity.
    #[error("{}", causes(.0))]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Delivery(#[from] NotDelivered),
    /// The namespace has more mounts running than it may.
    #[error(
        "namespace {namespace} has too many mounts running on this node: their requests hold {held} bytes, and {asked} more do not fit (all namespaces hold {taken} of {max}). kubelet will retry",
        held = refused.held, asked = refused.asked, taken = refused.taken, max = refused.max
    )]
    Busy { namespace: String, refused: Refused },
    #[error("the mount was aborted after {} s (--mount-timeout); kubelet will retry", .0.as_secs())]
    Deadline(Duration),
    #[error("internal error (a bug in Latchkey; its log has the location). The next mount is not affected")]
    Bug,
}

impl MountError {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Request(_) => Reason::InvalidRequest,
            Self::Region(error) => error.reason(),
            Self::Identity(error) => error.reason(),
            Self::Delivery(error) => error.reason(),
            Self::Busy { .. } => Reason::Busy,
            Self::Deadline(_) => Reason::Deadline,
            Self::Bug => Reason::Bug,
        }
    }

    fn failure(&self) -> Failure<'_> {
        Failure { reason: self.reason(), error: self }
    }
}

impl Mounter {
    /// Mounts what the request names, within the deadline and the caller's patience, and
    /// reports the result. `entrance` is dropped as soon as the raw request is parsed
    /// and gone.
    ///
    /// # Errors
    /// Everything that is wrong, at once; then nothing was delivered.
    pub async fn mount(
        &self,
        raw: RawRequest,
        entrance: impl Send + 'static,
        patience: Option<Duration>,
    ) -> Result<Mounted, MountError> {
        let deadline = patience.map_or(self.deadline, |patience| patience.min(self.deadline));
        let started = Instant::now();
        let until = started + deadline;
        let target_path = raw.target_path.clone();
        let namespace = raw.namespace_in_line().to_owned();
        let _counted = PanicCounted { report: &self.report, namespace: &namespace, started };
        // A small request waits for its turn outside, where it holds nothing up.
        let small = raw.bytes() <= MAX_WAITING_BYTES;
        let entrance = (!small).then_some(entrance);
        let named = OnceLock::new();
        let parsed = tokio::time::timeout_at(until, self.parse(raw, entrance, &namespace, &named));
        let (request, tokens) =
            parsed.await.unwrap_or(Err(MountError::Deadline(deadline))).inspect_err(|error| {
                self.report.refused(&report::Refused {
                    namespace: &namespace,
                    named: named.get(),
                    target_path: &target_path,
                    took: started.elapsed(),
                    failure: error.failure(),
                });
            })?;
        let (pod, class) = named.into_inner().unwrap_or_default();
        let principal = OnceLock::new();
        let warnings: Vec<String> =
            request.class.warnings.iter().map(|warning| warning.text.clone()).collect();
        let span = self.report.span();
        // In a box, because the compiler gives up on futures nested this deeply.
        let carried_out = Box::pin(self.carry_out(request, tokens, &principal).instrument(span.clone()));
        let result =
            tokio::time::timeout_at(until, carried_out).await.unwrap_or(Err(MountError::Deadline(deadline)));
        let _entered = span.entered();
        if let Err(MountError::Identity(_) | MountError::Delivery(NotDelivered::Objects(_))) = &result {
            self.identity.doubt(&pod.namespace, &pod.service_account);
        }
        self.report.mount(&MountReport {
            pod: &pod,
            class: &class,
            target_path: Path::new(&target_path),
            principal: principal.get(),
            warnings: &warnings,
            took: started.elapsed(),
            result: result.as_ref().map(Done::success).map_err(MountError::failure),
        });
        let Delivered { files, answer, .. } = result?.delivered;
        Ok(Mounted { files, answer })
    }

    /// Parses the request. A pod author decides how much work that is, and other pods wait
    /// here, so the workers do what is large. A class is parsed once.
    async fn parse(
        &self,
        raw: RawRequest,
        entrance: impl Send + 'static,
        namespace: &str,
        named: &OnceLock<(Pod, String)>,
    ) -> Result<(MountRequest, Tokens), MountError> {
        let (_entrance, rules) = (entrance, Arc::clone(&self.rules));
        // A turn is for what is computed here. The workers take turns by themselves.
        let (opened, turn) = if raw.bytes() <= MAX_OPENED_HERE {
            let turn = self.turns.take(namespace, 1).await;
            (Opened::open(raw, &rules), Some(turn))
        } else {
            (self.aside(namespace, move || Opened::open(raw, &rules)).await?, None)
        };
        let _ = named.get_or_init(|| opened.named());
        let digest = opened.text().digest();
        let namespace = opened.namespace().to_owned();
        let known = self.classes.get(&namespace, digest);
        if known.is_some() {
            return Ok(opened.read(known, &self.rules)?);
        }
        let (request, tokens) = if opened.text().is_quick() {
            opened.read(None, &self.rules)?
        } else {
            drop(turn);
            let rules = Arc::clone(&self.rules);
            self.aside(&namespace, move || opened.read(None, &rules)).await??
        };
        self.classes.keep(&namespace, digest, &request.class.objects);
        Ok((request, tokens))
    }

    /// Runs `work` on the workers.
    async fn aside<T: Send + 'static>(
        &self,
        namespace: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, MountError> {
        let mut work = Some(work);
        let done = self.workers.run(namespace, move |_| match work.take() {
            Some(work) => ControlFlow::Break(work()),
            None => ControlFlow::Continue(()),
        });
        done.await.map_err(|Panicked| MountError::Bug)
    }

    /// Takes memory for the request. A small one waits for it; a large one would hold too
    /// much while it waits.
    async fn admit(&self, request: &MountRequest) -> Result<Share, MountError> {
        let (namespace, bytes) = (&request.pod.namespace, request.bytes());
        if bytes <= MAX_WAITING_BYTES {
            return Ok(self.requests.take(namespace, MOUNT_BYTES + bytes).await);
        }
        let share = self.requests.try_take(namespace, MOUNT_BYTES + bytes);
        share.map_err(|refused| MountError::Busy { namespace: namespace.clone(), refused })
    }

    /// `known` is set to the principal as soon as it is known.
    async fn carry_out(
        &self,
        request: MountRequest,
        tokens: Tokens,
        known: &OnceLock<Principal>,
    ) -> Result<Done, MountError> {
        let namespace = request.pod.namespace.clone();
        let _request = self.admit(&request).await?;
        let _place = self.places.take(&namespace, 1).await;
        self.delivery.check(&request).await?;
        let regions = self.regions(&request).await?;
        let (principal, proof) =
            self.identity.principal(&request.pod, &request.class.identity, tokens).await?;
        let principal = known.get_or_init(|| principal);
        let asker = PodAsker {
            principal,
            proof: &proof,
            regions: &regions,
            interval: request.class.refresh_interval,
        };
        let turn = self.turns.take(&namespace, 1).await;
        let objects = Arc::clone(&request.class.objects);
        let read = self.reader.read(&asker, &objects, turn).await.map_err(|error| self.not_read(error))?;
        read.outages.iter().for_each(|outage| self.report.refreshed(outage));
        let subject = Subject {
            class: format!("{namespace}/{}", request.class.name),
            who: principal.to_string(),
            account: self.identity.account(principal),
            namespace,
        };
        let origin = read.origin;
        let delivered = self.delivery.deliver(request, read, subject).await?;
        Ok(Done { objects, origin, delivered })
    }

    async fn regions(&self, request: &MountRequest) -> Result<Regions, MountError> {
        let failover = request.class.failover_region.clone();
        if let Some(primary) = request.class.region.clone() {
            return Ok(Regions { primary, failover });
        }
        // On the heap, because most mounts need no read.
        let primary = Box::pin(self.cluster.region_of_node()).await.map_err(MountError::Region)?;
        request.check_region(&primary, &self.rules)?;
        Ok(Regions { primary, failover })
    }

    fn not_read(&self, error: NotRead) -> MountError {
        match error {
            NotRead::Session(error) => error.into(),
            NotRead::TooLarge(values) => {
                let limit = self.rules.limits.max_response_bytes;
                NotDelivered::from(NotShaped::from(TooLarge::of_values(&values, limit))).into()
            }
        }
    }
}

/// Reports the mount if it panics.
struct PanicCounted<'a> {
    report: &'a Report,
    namespace: &'a str,
    started: Instant,
}

impl Drop for PanicCounted<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.report.panicked(self.namespace, self.started.elapsed());
        }
    }
}

impl Done {
    fn success(&self) -> Success<'_> {
        Success {
            origin: self.origin,
            objects: &self.objects,
            found: &self.delivered.found,
            files: &self.delivered.files,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Format, Metrics, Now};

    #[tokio::test]
    async fn a_mount_that_panics_is_counted_once_and_one_that_ends_is_not() {
        let metrics = Arc::new(Metrics::new(true));
        let report = Arc::new(Report::new(Arc::clone(&metrics), None, None));
        for panics in [false, true] {
            let report = Arc::clone(&report);
            let mount = tokio::spawn(async move {
                let _counted = PanicCounted { report: &report, namespace: "shop", started: Instant::now() };
                tokio::task::yield_now().await;
                assert!(!panics);
            });
            assert_eq!(mount.await.is_err(), panics);
        }
        let text = metrics.render(Format::Prometheus, &Now::default());
        let mounts: Vec<&str> =
            text.lines().filter(|line| line.starts_with("latchkey_mounts_total{")).collect();
        assert_eq!(mounts, ["latchkey_mounts_total{result=\"failed\",reason=\"bug\",namespace=\"shop\"} 1"]);
    }
}
