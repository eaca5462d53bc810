//! The way of a mount, in reading order: parse, check the target, who is
//! asking, fetch everything at once, shape, deliver all or nothing.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    cluster::{Cluster, ClusterError},
    fetch::ObjectResult,
    identity::{Identity, IdentityError},
    model::{
        arn::{Region, Regions},
        file::MountFile,
        message::{logged, quoted},
        principal::Principal,
        request::{InvalidRequest, MountRequest, RawRequest, Rules},
    },
    reading::{PodAsker, Read, Reader},
    refusals::Refusals,
    shape::{NotShaped, shape_all},
    values::{Entry, Origin},
    volumes::Volumes,
    writer::WriteError,
};

/// Fields that are taken out without a thread of their own.
const FEW_FIELDS: usize = 20;

/// Who puts the files into the pod.
#[derive(Clone)]
pub enum Delivery {
    /// The driver does; the answer carries the contents.
    DriverWrites,
    /// We do, at every mount and as soon as the poller sees a change; the answer
    /// carries the versions only.
    ProviderWrites(Arc<Volumes>),
}

/// Carries out mounts.
pub struct Mounter {
    /// The operator's rules.
    pub rules: Rules,
    /// Kubernetes, for what a request leaves open.
    pub cluster: Arc<Cluster>,
    /// Who is asking.
    pub identity: Arc<Identity>,
    /// Reads objects.
    pub reader: Reader,
    /// Who writes the files.
    pub delivery: Delivery,
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
    /// Whether the answer must carry the contents.
    pub driver_writes: bool,
}

/// Why nothing was mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The manifest or the driver's request is wrong.
    #[error(transparent)]
    Request(#[from] InvalidRequest),
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
    /// The files could not be written; what was mounted before is still there.
    #[error("cannot write into the pod's volume: {}", crate::model::message::causes(.0))]
    Write(#[from] WriteError),
    /// Our own deadline.
    #[error("the mount was given up after {} s (--mount-timeout); kubelet tries again", .0.as_secs())]
    Deadline(Duration),
    /// A bug.
    #[error("Latchkey failed by a bug of its own; its log has the place. The next mount is not affected")]
    Bug,
}

impl Mounter {
    /// Mounts what the request names, within the deadline and the caller's
    /// patience, and logs what became of it.
    ///
    /// # Errors
    /// Everything that is wrong, at once; then nothing was delivered.
    pub async fn mount(&self, raw: RawRequest, patience: Option<Duration>) -> Result<Mounted, MountError> {
        let deadline = patience.map_or(self.deadline, |patience| patience.min(self.deadline));
        let started = Instant::now();
        let target_path = quoted(&raw.target_path).to_string();
        let request = MountRequest::parse(raw, &self.rules).inspect_err(|error| {
            let (text, namespace) = (logged(error), error.class.split('/').next().unwrap_or_default());
            if let Some(untold) = self.refusals.tell(namespace, &error.class, &text) {
                tracing::error!(%target_path, "mount refused: {text}{untold}");
            }
        })?;
        let (pod, class) = (request.pod.clone(), request.class.clone());
        let warnings = request.warnings.join("; ");
        // In a box, because the compiler gives up on futures nested this deeply.
        let result = tokio::time::timeout(deadline, Box::pin(self.carry_out(request)))
            .await
            .unwrap_or(Err(MountError::Deadline(deadline)));
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

    async fn carry_out(&self, mut request: MountRequest) -> Result<Mounted, MountError> {
        self.check_target(&request).await?;
        let regions = self.regions(&request).await?;
        let (principal, proof) = self.identity.principal(&request).await?;
        // From here on only the proof is needed; nothing may keep the pod's tokens.
        request.tokens.clear();
        let asker = PodAsker {
            principal: &principal,
            proof: &proof,
            regions: &regions,
            interval: request.refresh_interval,
        };
        let Read { objects, origin, entries } = self.reader.read(&asker, &request.objects).await?;
        let account = self.identity.account(&principal);
        let limit = self.rules.limits.max_response_bytes;
        let (request, files) = shape_aside(request, objects, principal.to_string(), account, limit).await?;
        let files = self.deliver(request, files, entries).await?;
        let driver_writes = matches!(self.delivery, Delivery::DriverWrites);
        Ok(Mounted { files, origin, principal, driver_writes })
    }

    /// Wrong folders are refused before AWS is asked.
    async fn check_target(&self, request: &MountRequest) -> Result<(), MountError> {
        match &self.delivery {
            Delivery::DriverWrites => Ok(()),
            Delivery::ProviderWrites(volumes) => Ok(volumes.check(request).await?),
        }
    }

    async fn regions(&self, request: &MountRequest) -> Result<Regions, MountError> {
        let failover = request.failover_region.clone();
        if let Some(primary) = request.region.clone() {
            return Ok(Regions { primary, failover });
        }
        // On the heap, because most mounts need no read.
        let primary: Region = Box::pin(self.cluster.region_of_node()).await.map_err(MountError::Region)?;
        request.check_region(&primary)?;
        Ok(Regions { primary, failover })
    }

    /// Gives back the files that are in the pod, or in the answer.
    async fn deliver(
        &self,
        request: MountRequest,
        files: Vec<MountFile>,
        entries: Vec<Arc<Entry>>,
    ) -> Result<Vec<MountFile>, MountError> {
        match &self.delivery {
            Delivery::DriverWrites => Ok(files),
            Delivery::ProviderWrites(volumes) => Ok(volumes.mount(request, entries, files).await?),
        }
    }
}

/// Makes the files. Many fields are taken out on a thread that may be busy for
/// long: a pod author decides how much work that is, and other pods wait here.
async fn shape_aside(
    request: MountRequest,
    objects: Vec<ObjectResult>,
    who: String,
    account: Option<String>,
    limit: usize,
) -> Result<(MountRequest, Vec<MountFile>), MountError> {
    let fields: usize = request.objects.iter().map(|object| object.fields.len()).sum();
    let work = move || {
        let files = shape_all(&request, objects, &who, account, limit)?;
        Ok((request, files))
    };
    if fields <= FEW_FIELDS {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(MountError::Bug))
}
