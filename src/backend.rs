//! Reading secrets and parameters from AWS: everything at once, and from the failover
//! Region in an outage of the primary one.

mod asker;
mod parameter_store;
mod read;
mod secrets_manager;

use std::{sync::Arc, time::Duration};

use aws_credential_types::Credentials;
use tokio::time::{Instant, sleep};

pub use self::{
    asker::{Asker, Who},
    parameter_store::BATCH,
    read::{ReadFailure, met_outage},
};
use crate::{
    aws::{Aws, AwsFailure, Effort, FailureKind},
    metrics::Place,
    model::{
        arn::Region,
        reference::{Reference, Service},
        secret::SecretValue,
    },
};

/// Connections to Secrets Manager that are opened at the start: as many as a pod
/// with ten secrets uses at once.
const CONNECTIONS_AHEAD: usize = 10;

/// How long a throttled call is made again for a pod that has nothing else to start with:
/// less than a mount may take, so that it can still say why it failed.
const PATIENCE: Duration = Duration::from_secs(45);
/// Pauses before a throttled call is made again. They double.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// One value as AWS served it.
#[derive(Clone, Debug)]
pub struct Reading {
    pub value: SecretValue,
    /// Secrets Manager VersionId, or the parameter's version number.
    pub version: String,
    /// The ARN; empty if the service did not answer one.
    pub arn: String,
    /// The Region that served the value.
    pub region: Region,
    /// The request id of the call that read it.
    pub request_id: Option<String>,
}

/// The result of reading one reference, from the failover Region too.
pub type ReadResult = Result<Reading, ReadFailure>;

/// The result of reading one reference from one Region.
type Answer = Result<Reading, AwsFailure>;

/// Secrets Manager and Parameter Store.
#[derive(Debug)]
pub struct Backend {
    aws: Arc<Aws>,
    secrets_manager: secrets_manager::SecretsManager,
    parameter_store: parameter_store::ParameterStore,
}

/// What every call of one read needs.
#[derive(Clone, Copy)]
struct Call<'a> {
    aws: &'a Aws,
    credentials: &'a Credentials,
    region: &'a Region,
    namespace: &'a str,
    effort: &'a Effort,
    place: Place,
}

impl Backend {
    /// Clients are created when they are first needed.
    pub fn new(aws: Arc<Aws>) -> Self {
        Self { aws, secrets_manager: Default::default(), parameter_store: Default::default() }
    }

    /// Opens connections to the Region's Secrets Manager, so that the first mounts
    /// do not wait for them.
    pub async fn connect_ahead(&self, region: &Region) {
        self.secrets_manager.connect_ahead(&self.aws, region, CONNECTIONS_AHEAD).await;
    }

    /// Reads groups of references from one Region, all at once and within the Region's
    /// time-out. The labels of one secret in one group are consistent. Each answer
    /// stands where its group and its reference do.
    async fn read_from(
        &self,
        asker: &Asker<'_>,
        credentials: &Credentials,
        region: &Region,
        groups: &[&[Reference]],
    ) -> Vec<Vec<Answer>> {
        let place = if *region == asker.regions.primary { Place::Primary } else { Place::Failover };
        let (aws, namespace, effort) = (&*self.aws, asker.namespace(), &asker.effort);
        let call = Call { aws, credentials, region, namespace, effort, place };
        let parameters: Vec<&Reference> =
            groups.iter().copied().flatten().filter(|reference| is_parameter(reference)).collect();
        let secrets: Vec<&[Reference]> =
            groups.iter().copied().filter(|group| !group.first().is_some_and(is_parameter)).collect();
        let (secrets, parameters) = tokio::join!(
            self.secrets_manager.read(call, &secrets),
            self.parameter_store.read(call, &parameters),
        );
        let (mut secrets, mut parameters) = (secrets.into_iter(), parameters.into_iter());
        let answers = groups.iter().map(|group| match group.first() {
            Some(first) if is_parameter(first) => parameters.by_ref().take(group.len()).collect(),
            Some(_) => secrets.next().unwrap_or_default(),
            None => Vec::new(),
        });
        answers.collect()
    }
}

fn is_parameter(reference: &Reference) -> bool {
    reference.service == Service::ParameterStore
}

/// Runs one AWS call once it has a permit. A throttled call of a patient effort is made
/// again, for [`PATIENCE`]. Nobody waits for that with a permit in hand.
async fn within<T, F: Future<Output = Result<T, AwsFailure>>>(
    call: Call<'_>,
    operation: &'static str,
    work: impl Fn() -> F,
) -> Result<T, AwsFailure> {
    let last = Instant::now() + PATIENCE;
    let mut pause = SHORTEST_PAUSE;
    loop {
        let result = {
            let _call = call.aws.permit(call.effort, call.region, call.namespace).await;
            call.aws.call(operation, (call.region, call.place), work()).await
        };
        let throttled = result.as_ref().is_err_and(|failure| failure.kind == FailureKind::Throttled);
        if !throttled || !call.effort.is_patient() || Instant::now() + pause > last {
            return result;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
