//! The way of a mount, in reading order: parse, check the target, who is
//! asking, fetch everything at once, shape, deliver all or nothing.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    aws::{AwsFailure, FailureKind},
    cluster::{Cluster, ClusterError},
    identity::{Identity, IdentityError},
    model::{
        arn::{Region, Regions},
        file::MountFile,
        object::{Object, Reference, Service},
        request::{InvalidRequest, MountRequest, RawRequest, Rules},
    },
    reading::{Asker, ObjectResult, ReadFailure, Reader, Who},
    shape::{ShapeError, shape},
    writer::{KeepMtime, WriteError, Writer},
};

/// Bytes that the protocol adds to a file's path and contents, at most:
/// tags, lengths, mode, and the version entry.
const ENTRY_OVERHEAD: usize = 64;

/// Who puts the files into the pod.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// The driver does; the answer carries the contents.
    DriverWrites,
    /// We do; the answer carries the versions only.
    ProviderWrites(Writer),
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
    Objects(#[from] FailedObjects),
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
        tokio::time::timeout(self.deadline, self.carry_out(&request))
            .await
            .unwrap_or(Err(MountError::Deadline(self.deadline)))
    }

    async fn carry_out(&self, request: &MountRequest) -> Result<Mounted, MountError> {
        self.check_target(request).await?;
        let regions = self.regions(request).await?;
        let (principal, token) = self.identity.principal(request).await?;
        let who = Who::Pod { identity: &self.identity, request, principal: &principal, token: &token };
        let files = fetch(&self.reader, request, &Asker { who, regions: &regions }).await?;
        self.deliver(request, files).await
    }

    /// Wrong folders are refused before AWS is asked.
    async fn check_target(&self, request: &MountRequest) -> Result<(), MountError> {
        let Delivery::ProviderWrites(writer) = self.delivery.clone() else { return Ok(()) };
        let (target, uid) = (request.target_path.clone(), request.pod.uid.clone());
        blocking(move || writer.check(&target, &uid)).await
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

    async fn deliver(&self, request: &MountRequest, files: Vec<MountFile>) -> Result<Mounted, MountError> {
        match self.delivery.clone() {
            Delivery::DriverWrites => {
                TooLarge::check(&files, self.rules.limits.max_response_bytes)?;
                Ok(Mounted { files, driver_writes: true })
            }
            Delivery::ProviderWrites(writer) => {
                let (target, uid, written) =
                    (request.target_path.clone(), request.pod.uid.clone(), files.clone());
                blocking(move || writer.write(&target, &uid, &written, KeepMtime::No)).await?;
                Ok(Mounted { files, driver_writes: false })
            }
        }
    }
}

/// Reads and shapes everything that the request names.
///
/// # Errors
/// When there are no credentials, or every object that failed.
pub async fn fetch(
    reader: &Reader,
    request: &MountRequest,
    asker: &Asker<'_>,
) -> Result<Vec<MountFile>, MountError> {
    let (results, account) = reader.read(asker, &request.objects).await?;
    let files = shape_all(&request.objects, results).map_err(|failures| FailedObjects {
        failures,
        objects: request.objects.len(),
        class: format!("{}/{}", request.pod.namespace, request.class),
        who: asker.who.to_string(),
        account,
    })?;
    Ok(files)
}

/// Runs file system calls where they may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, WriteError> + Send + 'static,
) -> Result<T, MountError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(MountError::Bug),
    }
}

/// The files of all objects, or every object's failure.
fn shape_all(objects: &[Object], results: Vec<ObjectResult>) -> Result<Vec<MountFile>, Vec<ObjectFailure>> {
    let (mut files, mut failures) = (Vec::new(), Vec::new());
    for (object, result) in objects.iter().zip(results) {
        let cause = match result {
            Ok(reading) => match shape(object, &reading.value, &reading.version) {
                Ok(shaped) => {
                    files.extend(shaped);
                    continue;
                }
                Err(errors) => Cause::Shape(errors),
            },
            Err(failure) if object.optional && is_absent(&failure) => continue,
            Err(failure) => Cause::Read(failure),
        };
        failures.push(ObjectFailure { reference: object.reference.clone(), cause });
    }
    if failures.is_empty() { Ok(files) } else { Err(failures) }
}

/// Only "not found" in the primary Region makes an optional object absent: a
/// denial never does, and the failover Region, which is asked in an outage, may
/// lack what the pod has mounted.
fn is_absent(failure: &ReadFailure) -> bool {
    failure.primary.kind == FailureKind::NotFound
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
        write!(
            f,
            "{failed} of {objects} objects of SecretProviderClass {} failed for {}:",
            self.class, self.who
        )?;
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
