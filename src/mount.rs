//! The way of a mount, in reading order: parse, check the target, who is
//! asking, fetch everything at once, shape, deliver all or nothing.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    aws::{AwsFailure, FailureKind},
    cluster::{Cluster, ClusterError},
    fetch::{ObjectResult, ReadFailure},
    identity::{Identity, IdentityError},
    model::{
        arn::{Region, Regions},
        file::MountFile,
        object::{Reference, Service},
        request::{InvalidRequest, MountRequest, RawRequest, Rules},
    },
    reading::{PodAsker, Read, Reader},
    shape::{ShapeError, shape},
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
    #[error("the Region is not known: {}", crate::aws::causes(.0))]
    Region(ClusterError),
    /// The pod has no usable AWS identity.
    #[error("{}", crate::aws::causes(.0))]
    Identity(#[from] IdentityError),
    /// Objects could not be read or do not have the form that was asked for.
    #[error(transparent)]
    Objects(#[from] Box<FailedObjects>),
    /// The answer would be larger than the driver takes.
    #[error(transparent)]
    Size(#[from] TooLarge),
    /// The files could not be written; what was mounted before is still there.
    #[error("cannot write into the pod's volume: {}", crate::aws::causes(.0))]
    Write(#[from] WriteError),
    /// Our own deadline.
    #[error("the mount was given up after {} s (--mount-timeout); kubelet tries again", .0.as_secs())]
    Deadline(Duration),
    /// A bug.
    #[error("Latchkey failed by a bug of its own; its log has the place. The next mount is not affected")]
    Bug,
}

impl Mounter {
    /// Mounts what the request names, within the deadline.
    ///
    /// # Errors
    /// Everything that is wrong, at once; then nothing was delivered.
    pub async fn mount(&self, raw: RawRequest) -> Result<Mounted, MountError> {
        let request = MountRequest::parse(raw, &self.rules)?;
        for warning in &request.warnings {
            tracing::warn!(pod = %request.pod, class = %request.class, "{warning}");
        }
        tokio::time::timeout(self.deadline, self.carry_out(request))
            .await
            .unwrap_or(Err(MountError::Deadline(self.deadline)))
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
        if origin == Origin::LastKnownGood {
            let (pod, class) = (&request.pod, &request.class);
            tracing::warn!(%pod, class, "AWS fails; last known good values are served (stale)");
        }
        let files = shape_all(&request, objects, &principal, || self.identity.account(&principal))?;
        self.deliver(request, &files, entries).await?;
        Ok(Mounted { files, origin, driver_writes: matches!(self.delivery, Delivery::DriverWrites) })
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

/// The files of all objects.
///
/// # Errors
/// Every object that failed, and for whom; `account` is theirs, where it is known.
pub fn shape_all(
    request: &MountRequest,
    results: Vec<ObjectResult>,
    who: &dyn fmt::Display,
    account: impl FnOnce() -> Option<String>,
) -> Result<Vec<MountFile>, Box<FailedObjects>> {
    let (mut files, mut failures) = (Vec::new(), Vec::new());
    for (object, result) in request.objects.iter().zip(results) {
        let cause = match result {
            Ok(reading) => match shape(object, &reading.value, &reading.version) {
                Ok(shaped) => {
                    files.extend(shaped);
                    continue;
                }
                Err(errors) => Cause::Shape(errors),
            },
            // Only "not found" makes an optional object absent; a denial never does.
            Err(failure) if object.optional && failure.kind() == FailureKind::NotFound => continue,
            Err(failure) => Cause::Read(failure),
        };
        failures.push(ObjectFailure { reference: object.reference.clone(), cause });
    }
    if failures.is_empty() {
        return Ok(files);
    }
    Err(Box::new(FailedObjects {
        failures,
        objects: request.objects.len(),
        class: format!("{}/{}", request.pod.namespace, request.class),
        who: who.to_string(),
        account: account(),
    }))
}

/// Objects that failed, and for whom.
#[derive(Debug, thiserror::Error)]
pub struct FailedObjects {
    /// Each of them.
    pub failures: Vec<ObjectFailure>,
    objects: usize,
    class: String,
    who: String,
    account: Option<String>,
}

/// One object that failed.
#[derive(Debug)]
pub struct ObjectFailure {
    reference: Reference,
    /// Why.
    pub cause: Cause,
}

/// Why an object failed.
#[derive(Debug)]
pub enum Cause {
    /// It could not be read.
    Read(ReadFailure),
    /// Its value has another form than the class says.
    Shape(Vec<ShapeError>),
}

impl FailedObjects {
    fn write_failure(
        &self,
        f: &mut fmt::Formatter<'_>,
        failure: &AwsFailure,
        reference: &Reference,
    ) -> fmt::Result {
        write!(f, "{failure}")?;
        let account = self.account.as_deref().unwrap_or("*");
        match failure.kind {
            FailureKind::Denied => {
                let resource = resource(reference, &failure.region, account);
                write!(f, "; missing: {} on {resource}", failure.operation)
            }
            FailureKind::KmsDenied => f.write_str("; missing: kms:Decrypt on the KMS key that encrypts it"),
            FailureKind::NotFound if reference.service == Service::SecretsManager => f.write_str(
                "; use the secret's name without the random suffix of its ARN, or the full ARN, and the Region it is in",
            ),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for FailedObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, objects) = (self.failures.len(), self.objects);
        let (class, who) = (&self.class, &self.who);
        write!(f, "{failed} of {objects} objects of SecretProviderClass {class} failed for {who}:")?;
        for (number, failure) in self.failures.iter().enumerate() {
            let reference = &failure.reference;
            write!(f, " ({}) {} {:?}: ", number + 1, reference.service, reference.to_string())?;
            match &failure.cause {
                Cause::Read(read) => {
                    self.write_failure(f, &read.primary, reference)?;
                    if let Some(failover) = &read.failover {
                        f.write_str("; then the failover Region: ")?;
                        self.write_failure(f, failover, reference)?;
                    }
                }
                Cause::Shape(errors) => {
                    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
                    f.write_str(&texts.join("; "))?;
                }
            }
            f.write_str(";")?;
        }
        f.write_str(" nothing was changed in the pod")
    }
}

/// What an IAM policy must name for `reference`.
fn resource(reference: &Reference, region: &Region, account: &str) -> String {
    if reference.id.starts_with("arn:") {
        return reference.id.clone();
    }
    let partition = region.partition();
    match reference.service {
        // AWS adds six random characters to a secret's name.
        Service::SecretsManager => {
            format!("arn:{partition}:secretsmanager:{region}:{account}:secret:{}-??????", reference.id)
        }
        Service::ParameterStore => {
            format!(
                "arn:{partition}:ssm:{region}:{account}:parameter/{}",
                reference.id.trim_start_matches('/')
            )
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
