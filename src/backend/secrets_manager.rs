//! AWS Secrets Manager: one GetSecretValue for each secret version.
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>

use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials;
use aws_sdk_secretsmanager::{Client, config::Builder, operation::get_secret_value::GetSecretValueOutput};
use aws_types::request_id::RequestId;
use futures_util::future::join_all;

use super::{Answer, Call, Reading, within};
use crate::{
    aws::{Aws, AwsFailure, FailureKind, Greeting, PerRegion, RetriesCounted, retry_partition},
    model::{
        arn::Region,
        iam,
        reference::{Reference, Service},
        secret::SecretValue,
        source::PREVIOUS_LABEL,
    },
};

const OPERATION: &str = iam::action(Service::SecretsManager);
/// How often labels are read that move during the read.
const MAX_TRIES: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct SecretsManager {
    clients: PerRegion<Client>,
}

impl SecretsManager {
    pub(super) async fn read(&self, call: Call<'_>, groups: &[&[Reference]]) -> Vec<Vec<Answer>> {
        if groups.is_empty() {
            return Vec::new();
        }
        let client = self.client(call.aws, call.region);
        join_all(groups.iter().map(|group| read_group(call, &client, group))).await
    }

    /// Opens connections to the Region's endpoint; ignores failures.
    pub(super) async fn connect_ahead(&self, aws: &Aws, region: &Region, connections: usize) {
        let client = self.client(aws, region);
        // The SDK insists on signing; the signature is not sent.
        let nobody = || Credentials::new("", "", None, None, "latchkey-greeting");
        let overrides = || {
            Builder::new()
                .credentials_provider(nobody())
                .retry_config(RetryConfig::disabled())
                .interceptor(Greeting)
        };
        let greeting = client.get_secret_value().secret_id("-");
        join_all((0..connections).map(|_| greeting.clone().customize().config_override(overrides()).send()))
            .await;
    }

    fn client(&self, aws: &Aws, region: &Region) -> Client {
        self.clients.get(region, || {
            let config = Builder::from(&aws.config_for(region)).retry_partition(retry_partition());
            Client::from_conf(config.build())
        })
    }
}

/// Reads one secret's labels consistently, as far as AWS's own reads allow: one label, the
/// others, and the first one again.
async fn read_group(call: Call<'_>, client: &Client, group: &[Reference]) -> Vec<Answer> {
    if let [single] = group {
        return vec![read_one(call, client, single).await];
    }
    let Some(first) = most_moved(group) else { return Vec::new() };
    for _ in 0..MAX_TRIES {
        let before = read_one(call, client, &group[first]).await;
        if let Err(failure) = &before
            && failure.kind != FailureKind::NotFound
        {
            // Every other label of the secret would fail the same way.
            return vec![Err(failure.clone()); group.len()];
        }
        let others = group.iter().enumerate().filter(|(at, _)| *at != first);
        let mut results = join_all(others.map(|(_, other)| read_one(call, client, other))).await;
        let again = read_one(call, client, &group[first]).await;
        results.insert(first, before);
        let unmoved = match (&results[first], &again) {
            (Ok(before), Ok(after)) => before.version == after.version,
            (before, after) => before.is_err() && after.is_err(),
        };
        if unmoved && !is_torn(group, &results) {
            return results;
        }
    }
    let message = format!("the secret's staging labels moved during each of {MAX_TRIES} reads");
    let moved = AwsFailure::own(FailureKind::Outage, OPERATION, call.region, message);
    vec![Err(moved); group.len()]
}

/// The label to read twice: AWSCURRENT or AWSPREVIOUS, because every rotation moves them.
fn most_moved(group: &[Reference]) -> Option<usize> {
    let at =
        |label: Option<&str>| group.iter().position(|reference| reference.selector.label.as_deref() == label);
    at(None).or_else(|| at(Some(PREVIOUS_LABEL))).or(if group.is_empty() { None } else { Some(0) })
}

/// Whether both AWSCURRENT and AWSPREVIOUS gave one version: they moved in between.
fn is_torn(group: &[Reference], results: &[Answer]) -> bool {
    let version_under = |label: Option<&str>| {
        let at = group.iter().position(|reference| reference.selector.label.as_deref() == label)?;
        results[at].as_ref().ok().map(|reading| reading.version.as_str())
    };
    let previous = version_under(Some(PREVIOUS_LABEL));
    previous.is_some() && previous == version_under(None)
}

async fn read_one(call: Call<'_>, client: &Client, reference: &Reference) -> Answer {
    within(call, OPERATION, || async {
        let overrides = Builder::new()
            .credentials_provider(call.credentials.clone())
            .retry_config(call.effort.retries())
            .interceptor(RetriesCounted::new(OPERATION, call.aws.metrics()));
        let answer = client
            .get_secret_value()
            .secret_id(&reference.id)
            .set_version_id(reference.selector.version.clone())
            .set_version_stage(reference.selector.label.clone())
            .customize()
            .config_override(overrides)
            .send()
            .await
            .map_err(|error| AwsFailure::of(OPERATION, call.region, &error))?;
        reading(answer, call.region).ok_or_else(|| {
            let message = "the version holds neither a string nor a binary value".to_owned();
            AwsFailure::own(FailureKind::Unusable, OPERATION, call.region, message)
        })
    })
    .await
}

/// `None` if the version holds no value.
fn reading(mut answer: GetSecretValueOutput, region: &Region) -> Option<Reading> {
    let request_id = answer.request_id().map(str::to_owned);
    // Moved out, not copied: the SDK's own type does not wipe its text.
    let value = match (answer.secret_string.take(), answer.secret_binary.take()) {
        (Some(text), _) => SecretValue::from(text),
        (None, Some(binary)) => SecretValue::new(binary.into_inner()),
        (None, None) => return None,
    };
    Some(Reading {
        value,
        version: answer.version_id.unwrap_or_default(),
        arn: answer.arn.unwrap_or_default(),
        region: region.clone(),
        request_id,
    })
}
