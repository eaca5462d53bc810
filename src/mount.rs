//! The way of a mount, in reading order: parse, check the target, who is
//! asking, fetch everything at once, shape, deliver all or nothing.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    cluster::{Cluster, ClusterError},
    identity::{Identity, IdentityError},
    model::{
        arn::{Region, Regions},
        file::MountFile,
        principal::Principal,
        request::{InvalidRequest, MountRequest, RawRequest, Rules},
    },
    reading::{PodAsker, Read, Reader},
    shape::{FailedObjects, shape_all},
    values::{Entry, Origin},
    volumes::Volumes,
    writer::WriteError,
};

/// Bytes that the protocol adds to a file's path and contents, at most:
/// tags, lengths, mode, and the version entry.
const ENTRY_OVERHEAD: usize = 64;

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
    /// Objects could not be read or do not have the form that was asked for.
    #[error("{0}; nothing was changed in the pod")]
    Objects(#[from] Box<FailedObjects>),
    /// The answer would be larger than the driver takes.
    #[error(transparent)]
    Size(#[from] TooLarge),
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
    /// Mounts what the request names, within the deadline, and logs what became
    /// of it.
    ///
    /// # Errors
    /// Everything that is wrong, at once; then nothing was delivered.
    pub async fn mount(&self, raw: RawRequest) -> Result<Mounted, MountError> {
        let started = Instant::now();
        let target_path = raw.target_path.clone();
        let request = MountRequest::parse(raw, &self.rules).inspect_err(|error| {
            tracing::error!(target_path, "mount refused: {error}");
        })?;
        let (pod, class) = (request.pod.clone(), request.class.clone());
        for warning in &request.warnings {
            tracing::warn!(%pod, class, "{warning}");
        }
        let result = tokio::time::timeout(self.deadline, self.carry_out(request))
            .await
            .unwrap_or(Err(MountError::Deadline(self.deadline)));
        let millis = started.elapsed().as_millis();
        match &result {
            Err(error) => tracing::error!(%pod, class, millis, "mount failed: {error}"),
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
        let files = shape_all(&request, objects, &principal, || self.identity.account(&principal))?;
        self.deliver(request, &files, entries).await?;
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
        let primary: Region = self.cluster.region_of_node().await.map_err(MountError::Region)?;
        request.check_region(&primary)?;
        Ok(Regions { primary, failover })
    }

    async fn deliver(
        &self,
        request: MountRequest,
        files: &[MountFile],
        entries: Vec<Arc<Entry>>,
    ) -> Result<(), MountError> {
        match &self.delivery {
            Delivery::DriverWrites => Ok(TooLarge::check(files, self.rules.limits.max_response_bytes)?),
            Delivery::ProviderWrites(volumes) => Ok(volumes.mount(request, entries, files.to_vec()).await?),
        }
    }
}

/// The answer is larger than the driver takes.
#[derive(Debug, thiserror::Error)]
#[error(
    "the files are {sum} bytes with their names, more than the {limit} that the driver takes in one answer (its --max-call-recv-msg-size, our --max-response-bytes); the largest: {largest}"
)]
pub struct TooLarge {
    sum: usize,
    limit: usize,
    largest: String,
}

impl TooLarge {
    fn check(files: &[MountFile], limit: usize) -> Result<(), Self> {
        let size = |file: &MountFile| {
            file.contents.len() + 2 * file.path.as_str().len() + file.version.len() + ENTRY_OVERHEAD
        };
        let sum = files.iter().map(size).sum();
        if sum <= limit {
            return Ok(());
        }
        let mut sizes: Vec<(usize, &str)> =
            files.iter().map(|file| (file.contents.len(), file.path.as_str())).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let largest: Vec<String> =
            sizes.iter().take(10).map(|(bytes, path)| format!("{path:?} {bytes} bytes")).collect();
        Err(Self { sum, limit, largest: largest.join(", ") })
    }
}
