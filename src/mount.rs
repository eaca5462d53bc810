//! The way of a mount, in reading order: parse, check the target, who is
//! asking, fetch everything at once, shape, deliver all or nothing.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    classes::Classes,
    cluster::{Cluster, ClusterError},
    identity::{Identity, IdentityError},
    model::{
        arn::{Region, Regions},
        file::MountFile,
        message::{logged, quoted},
        mistakes::Invalid,
        principal::Principal,
        request::{MountRequest, Opened, RawRequest},
        rules::Rules,
        token::Tokens,
    },
    refusals::Refusals,
    shape::{NotShaped, Shaped, Shaping, Subject, TooLarge},
    shares::{Refused, Share, Shares},
    values::{Entry, Found, NotRead, Origin, PodAsker, Read, Reader},
    volumes::{VolumeError, Volumes},
    workers::{Panicked, Workers},
    writer::WriteError,
};

/// What a mount under way takes beside its request: its task, and the connection's
/// part of it.
const MOUNT_BYTES: usize = 8 << 10;
/// Largest request that waits for its memory, as it was read: dozens of objects.
const MAX_WAITING_BYTES: usize = 16 << 10;
/// Longest request that is opened on the threads that answer.
const MAX_OPENED_HERE: usize = 64 << 10;

/// Who puts the files into the pod.
#[derive(Clone)]
pub enum Delivery {
    /// The driver does; the answer carries the contents.
    DriverWrites,
    /// We do, at every mount and as soon as the poller sees a change; the answer
    /// carries the versions only.
    ProviderWrites(Arc<Volumes>),
}

/// Bytes of answers that are sent at once. They share the driver's one connection:
/// what one namespace is sent stands before what another waits for.
pub const SENT_AT_ONCE: usize = 1 << 20;

/// Carries out mounts.
pub struct Mounter {
    /// The operator's rules.
    pub rules: Arc<Rules>,
    /// Classes that were read before.
    pub classes: Arc<Classes>,
    /// Kubernetes, for what a request leaves open.
    pub cluster: Arc<Cluster>,
    /// Who is asking.
    pub identity: Arc<Identity>,
    /// Reads objects.
    pub reader: Arc<Reader>,
    /// Who writes the files.
    pub delivery: Delivery,
    /// Read large manifests and shape values.
    pub workers: Arc<Workers>,
    /// Turns: how many mounts are computed at once, while they wait for nobody.
    pub turns: Arc<Shares>,
    /// Places: how many mounts are under way at once.
    pub places: Arc<Shares>,
    /// Memory of the requests of mounts under way.
    pub requests: Arc<Shares>,
    /// Memory of their files and answers.
    pub answers: Arc<Shares>,
    /// Bytes of answers that are being sent.
    pub sending: Arc<Shares>,
    /// What was refused lately, so that the log does not repeat it.
    pub refusals: Arc<Refusals>,
    /// The most that one mount may take. It must end well before kubelet's two
    /// minutes, because a mount that kubelet gives up may start the pod empty.
    pub deadline: Duration,
}

/// What was mounted.
#[derive(Debug)]
pub struct Mounted {
    /// Every file with its version.
    pub files: Vec<MountFile>,
    /// The least fresh origin of them.
    pub origin: Origin,
    /// Who they were read as.
    pub principal: Principal,
    /// The memory of the contents that the answer must carry. `None` when they are
    /// in the pod already.
    pub answer: Option<AnswerMemory>,
}

/// The memory of an answer, to be kept until it is sent.
#[derive(Debug)]
pub struct AnswerMemory {
    _values: Option<Share>,
    _files: Share,
    _sending: Share,
}

/// Why nothing was mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The manifest or the driver's request is wrong.
    #[error(transparent)]
    Request(#[from] Invalid),
    /// The Region is not known.
    #[error("the Region is not known: {}", crate::model::message::causes(.0))]
    Region(ClusterError),
    /// The pod has no usable AWS identity.
    #[error("{}", crate::model::message::causes(.0))]
    Identity(#[from] IdentityError),
    /// Objects could not be read, do not have the form that was asked for, or are
    /// too large.
    #[error("{0}; nothing was changed in the pod")]
    Objects(#[from] NotShaped),
    /// The pod's folder cannot be written.
    #[error("cannot write into the pod's volume: {}", crate::model::message::causes(.0))]
    Write(#[from] WriteError),
    /// The node's memory for volumes is used up.
    #[error("{0}; nothing was changed in the pod")]
    Memory(VolumeError),
    /// The namespace has more mounts under way than it may.
    #[error(
        "namespace {namespace} has too much under way on this node: the requests of its mounts hold {held} bytes, and {asked} more do not fit (all namespaces hold {taken} of {max}). kubelet tries again",
        held = refused.held, asked = refused.asked, taken = refused.taken, max = refused.max
    )]
    Busy {
        /// The pod's namespace.
        namespace: String,
        /// How much was asked for and is taken.
        refused: Refused,
    },
    /// Our own deadline.
    #[error("the mount was given up after {} s (--mount-timeout); kubelet tries again", .0.as_secs())]
    Deadline(Duration),
    /// A bug.
    #[error("internal error (a bug in Latchkey; its log has the location). The next mount is not affected")]
    Bug,
}

impl Mounter {
    /// Mounts what the request names, within the deadline and the caller's
    /// patience, and logs what became of it. `entrance` is dropped as soon as the
    /// raw request is read and gone.
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
        let target_path = quoted(&raw.target_path).to_string();
        let namespace = raw.namespace_in_line().to_owned();
        // A small request waits for its turn outside, so that it is in nobody's way.
        let small = raw.bytes() <= MAX_WAITING_BYTES;
        let entrance = (!small).then_some(entrance);
        let parsed = tokio::time::timeout_at(until, self.parse(raw, entrance, &namespace));
        let (request, tokens) =
            parsed.await.unwrap_or(Err(MountError::Deadline(deadline))).inspect_err(|error| {
                let class = match error {
                    MountError::Request(error) => error.heading.as_str(),
                    _ => "",
                };
                let text = logged(error);
                if let Some(untold) = self.refusals.tell(&namespace, class, &text) {
                    tracing::error!(%target_path, "mount refused: {text}{untold}");
                }
            })?;
        let (pod, class) = (request.pod.clone(), request.class.name.clone());
        let warnings = request.class.warnings.join("; ");
        // In a box, because the compiler gives up on futures nested this deeply.
        let result = tokio::time::timeout_at(until, Box::pin(self.carry_out(request, tokens)))
            .await
            .unwrap_or(Err(MountError::Deadline(deadline)));
        if let Err(MountError::Identity(_) | MountError::Objects(_)) = &result {
            self.identity.doubt(&pod.namespace, &pod.service_account);
        }
        let millis = started.elapsed().as_millis();
        // Once, and not at every republish that AWS is not asked for.
        let warm = result.as_ref().is_ok_and(|mounted| mounted.origin == Origin::Cache);
        if !warnings.is_empty()
            && !warm
            && let Some(untold) = self.refusals.tell(&pod.namespace, &class, &warnings)
        {
            tracing::warn!(%pod, class, "{warnings}{untold}");
        }
        match &result {
            Err(error) => {
                let text = logged(error);
                if let Some(untold) = self.refusals.tell(&pod.namespace, &class, &text) {
                    tracing::error!(%pod, class, millis, "mount failed: {text}{untold}");
                }
            }
            Ok(Mounted { files, origin, principal, .. }) => {
                let files = files.len();
                match origin {
                    // Every pod's every republish: too much to read about.
                    Origin::Cache => tracing::debug!(%pod, class, %principal, files, millis, "mounted"),
                    Origin::Aws => tracing::info!(%pod, class, %principal, files, millis, "mounted"),
                    Origin::LastKnownGood => tracing::warn!(
                        %pod, class, %principal, files, millis,
                        "mounted from last known good values (stale), because AWS fails"
                    ),
                }
            }
        }
        result
    }

    /// Reads the request; what is much work aside: a pod author decides how much that
    /// is, and other pods wait here. A class that was read before is not read again.
    async fn parse(
        &self,
        raw: RawRequest,
        entrance: impl Send + 'static,
        namespace: &str,
    ) -> Result<(MountRequest, Tokens), MountError> {
        let (_entrance, rules) = (entrance, Arc::clone(&self.rules));
        // A turn is for what is computed here. The workers take turns by themselves.
        let (opened, turn) = if raw.bytes() <= MAX_OPENED_HERE {
            let turn = self.turns.take(namespace, 1).await;
            (Opened::open(raw, &rules), Some(turn))
        } else {
            (self.aside(namespace, move || Opened::open(raw, &rules)).await?, None)
        };
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

    /// Memory for the request. A small one waits for it; a large one would hold too
    /// much while it waits.
    async fn admit(&self, request: &MountRequest) -> Result<Share, MountError> {
        let (namespace, bytes) = (&request.pod.namespace, request.bytes());
        if bytes <= MAX_WAITING_BYTES {
            return Ok(self.requests.take(namespace, MOUNT_BYTES + bytes).await);
        }
        let share = self.requests.try_take(namespace, MOUNT_BYTES + bytes);
        share.map_err(|refused| MountError::Busy { namespace: namespace.clone(), refused })
    }

    async fn carry_out(&self, request: MountRequest, tokens: Tokens) -> Result<Mounted, MountError> {
        let namespace = request.pod.namespace.clone();
        let _request = self.admit(&request).await?;
        let _place = self.places.take(&namespace, 1).await;
        self.check_target(&request).await?;
        let regions = self.regions(&request).await?;
        let (principal, proof) =
            self.identity.principal(&request.pod, &request.class.identity, tokens).await?;
        let asker = PodAsker {
            principal: &principal,
            proof: &proof,
            regions: &regions,
            interval: request.class.refresh_interval,
        };
        let turn = self.turns.take(&namespace, 1).await;
        let read = self.reader.read(&asker, &request.class.objects, turn).await;
        let Read { objects, origin, entries, memory, turn } = read.map_err(|error| self.not_read(error))?;
        let subject = Subject {
            class: format!("{namespace}/{}", request.class.name),
            who: principal.to_string(),
            account: self.identity.account(&principal),
        };
        let (files, answer) = match &self.delivery {
            Delivery::DriverWrites => {
                let (shaped, files) = self.shape(&request, objects, subject, turn).await?;
                self.recount(&shaped, &entries);
                // However large, two answers are sent at once: a short one ends first.
                let sent = shaped.bytes().min(SENT_AT_ONCE / 2);
                let sending = self.sending.take(&namespace, sent).await;
                let memory = AnswerMemory { _values: memory, _files: files, _sending: sending };
                (shaped.files, Some(memory))
            }
            Delivery::ProviderWrites(volumes) => {
                let shaped = volumes.mount(request, entries.clone(), objects, subject, turn).await?;
                self.recount(&shaped, &entries);
                (shaped.files, None)
            }
        };
        Ok(Mounted { files, origin, principal, answer })
    }

    /// Makes the files for an answer, in memory that is the namespace's: the
    /// values, and once more the message that carries them.
    async fn shape(
        &self,
        request: &MountRequest,
        objects: Vec<Found>,
        subject: Subject,
        mut turn: Option<Share>,
    ) -> Result<(Shaped, Share), MountError> {
        let namespace = &request.pod.namespace;
        let limit = self.rules.limits.max_response_bytes;
        let shaping = Shaping::new(Arc::clone(&request.class.objects), objects, subject, limit);
        if shaping.needs_work() {
            turn = None;
        }
        let mut memory = self.answers.take_giving_up(&mut turn, namespace, 2 * shaping.max_bytes()).await;
        let shaped = shaping.run(&self.workers, namespace).await.map_err(|Panicked| MountError::Bug)??;
        drop(turn);
        memory.shrink_to(2 * shaped.bytes());
        Ok((shaped, memory))
    }

    fn not_read(&self, error: NotRead) -> MountError {
        match error {
            NotRead::Session(error) => error.into(),
            NotRead::TooLarge(values) => {
                let limit = self.rules.limits.max_response_bytes;
                NotShaped::Size(TooLarge::of_values(&values, limit)).into()
            }
        }
    }

    /// What was taken out of values is kept with them, and counts.
    fn recount(&self, shaped: &Shaped, entries: &[Arc<Entry>]) {
        if shaped.computed {
            self.reader.recount(entries);
        }
    }

    /// Wrong folders are refused before AWS is asked.
    async fn check_target(&self, request: &MountRequest) -> Result<(), MountError> {
        match &self.delivery {
            Delivery::DriverWrites => Ok(()),
            Delivery::ProviderWrites(volumes) => Ok(volumes.check(request).await?),
        }
    }

    async fn regions(&self, request: &MountRequest) -> Result<Regions, MountError> {
        let failover = request.class.failover_region.clone();
        if let Some(primary) = request.class.region.clone() {
            return Ok(Regions { primary, failover });
        }
        // On the heap, because most mounts need no read.
        let primary: Region = Box::pin(self.cluster.region_of_node()).await.map_err(MountError::Region)?;
        request.check_region(&primary, &self.rules)?;
        Ok(Regions { primary, failover })
    }
}

impl From<VolumeError> for MountError {
    fn from(error: VolumeError) -> Self {
        match error {
            VolumeError::NotShaped(error) => Self::Objects(error),
            VolumeError::Write(error) => Self::Write(error),
            VolumeError::Memory { .. } => Self::Memory(error),
            VolumeError::Panicked(Panicked) => Self::Bug,
        }
    }
}
