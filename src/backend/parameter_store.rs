//! AWS Systems Manager Parameter Store: GetParameters, ten names a call.
//!
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html>

use std::collections::BTreeSet;

use aws_sdk_ssm::{Client, config::Builder, types::Parameter};
use aws_types::request_id::RequestId;
use futures_util::future::join_all;

use super::{Answer, Call, Reading, within};
use crate::{
    aws::{AwsFailure, FailureKind, PerRegion, RetriesCounted, retry_partition},
    model::{
        arn::Region,
        iam,
        reference::{Reference, Service},
        secret::SecretValue,
    },
};

const OPERATION: &str = iam::action(Service::ParameterStore);
/// Maximum number of names in one call.
pub const BATCH: usize = 10;

#[derive(Debug, Default)]
pub(super) struct ParameterStore {
    clients: PerRegion<Client>,
}

impl ParameterStore {
    pub(super) async fn read(&self, call: Call<'_>, references: &[&Reference]) -> Vec<Answer> {
        if references.is_empty() {
            return Vec::new();
        }
        let client = self.clients.get(call.region, || {
            let config = call.aws.config_for(call.region);
            Client::from_conf(Builder::from(&config).retry_partition(retry_partition()).build())
        });
        let caller = Caller { call, client: &client };
        let batches = references.chunks(BATCH).map(|batch| caller.read_batch(batch));
        join_all(batches).await.into_iter().flatten().collect()
    }
}

struct Caller<'a> {
    call: Call<'a>,
    client: &'a Client,
}

impl Caller<'_> {
    /// Reads a batch. One parameter that is denied, or whose key is, fails the whole call.
    /// Then each is read alone, so that the others succeed and the error names the right
    /// one. Parameters whose answers are ambiguous are read alone, too.
    async fn read_batch(&self, batch: &[&Reference]) -> Vec<Answer> {
        match self.get_parameters(batch).await {
            Ok(answers) => {
                let unclear: BTreeSet<&str> = batch
                    .iter()
                    .zip(&answers)
                    .filter(|(_, answer)| answer.is_none())
                    .map(|(reference, _)| reference.id.as_str())
                    .collect();
                let clear = batch.iter().zip(answers).map(|(reference, answer)| async {
                    match answer {
                        Some(answer) if !unclear.contains(reference.id.as_str()) => answer,
                        None if batch.len() == 1 => Err(self.unanswered()),
                        Some(_) | None => self.read_alone(reference).await,
                    }
                });
                join_all(clear).await
            }
            Err(failure) if batch.len() == 1 || !blames_one(failure.kind) => vec![Err(failure); batch.len()],
            Err(_) => join_all(batch.iter().map(|reference| self.read_alone(reference))).await,
        }
    }

    async fn read_alone(&self, reference: &Reference) -> Answer {
        let mut answers = self.get_parameters(&[reference]).await?;
        answers.pop().flatten().unwrap_or_else(|| Err(self.unanswered()))
    }

    fn unanswered(&self) -> AwsFailure {
        let message = "the answer holds neither the parameter nor its name among the invalid ones";
        AwsFailure::own(FailureKind::Outage, OPERATION, self.call.region, message.to_owned())
    }

    /// One call; `None` for a reference that the answer does not mention.
    async fn get_parameters(&self, batch: &[&Reference]) -> Result<Vec<Option<Answer>>, AwsFailure> {
        let call = self.call;
        let mut answer = within(call, OPERATION, || async {
            let credentials = call.credentials.clone();
            let overrides = Builder::new()
                .credentials_provider(credentials)
                .retry_config(call.effort.retries())
                .interceptor(RetriesCounted::new(OPERATION, call.aws.metrics()));
            self.client
                .get_parameters()
                .set_names(Some(batch.iter().copied().map(asked_name).collect()))
                .with_decryption(true)
                .customize()
                .config_override(overrides)
                .send()
                .await
                .map_err(|error| AwsFailure::of(OPERATION, call.region, &error))
        })
        .await?;
        let request_id = answer.request_id().map(str::to_owned);
        let invalid = answer.invalid_parameters.take().unwrap_or_default();
        let found = answer.parameters.take().unwrap_or_default();
        let results = matched(batch, found).into_iter().zip(batch).map(|(parameter, reference)| {
            if let Some(parameter) = parameter {
                return Some(Ok(reading(parameter, call.region, request_id.clone())));
            }
            invalid.contains(&asked_name(reference)).then(|| {
                let message = match selector(reference) {
                    Some(_) => "there is no such parameter, or not this version or label of it",
                    None => "there is no such parameter",
                };
                Err(AwsFailure {
                    code: Some("InvalidParameters".into()),
                    request_id: request_id.clone(),
                    ..AwsFailure::own(FailureKind::NotFound, OPERATION, call.region, message.to_owned())
                })
            })
        });
        Ok(results.collect())
    }
}

/// Whether one parameter alone may have failed the batch.
fn blames_one(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Outage
        | FailureKind::TimedOut
        | FailureKind::Throttled
        | FailureKind::StaleCredentials
        | FailureKind::TokenRefused
        | FailureKind::TokenUnverified => false,
        FailureKind::Denied
        | FailureKind::KmsDenied
        | FailureKind::NotFound
        | FailureKind::Unusable
        | FailureKind::Invalid => true,
    }
}

/// `name`, `name:version` or `name:label`.
fn asked_name(reference: &Reference) -> String {
    match selector(reference) {
        Some(selector) => format!("{}:{selector}", reference.id),
        None => reference.id.clone(),
    }
}

fn selector(reference: &Reference) -> Option<&str> {
    reference.selector.version.as_deref().or(reference.selector.label.as_deref())
}

/// Matches parameters to references. Answers come in alphabetical order, and two versions
/// of one parameter have the same name, so only name and selector together identify one.
/// AWS always answers the selector. Some other implementations do not; without it, an
/// answer counts only if one reference was asked for.
fn matched(batch: &[&Reference], mut found: Vec<Parameter>) -> Vec<Option<Parameter>> {
    let alone = batch.len() == 1;
    let answers = |parameter: &Parameter, reference: &Reference| {
        let (asked, answered) = (selector(reference), answered_selector(parameter));
        let version = reference.selector.version.as_deref();
        let untold =
            alone && answered.is_none() && version.is_none_or(|it| it == parameter.version().to_string());
        is_of(parameter, reference) && (asked == answered || untold)
    };
    let mut take = |reference: &Reference| {
        let at = found.iter().position(|parameter| answers(parameter, reference))?;
        Some(found.swap_remove(at))
    };
    batch.iter().copied().map(&mut take).collect()
}

/// A shared parameter is read by its ARN.
fn is_of(parameter: &Parameter, reference: &Reference) -> bool {
    [parameter.name(), parameter.arn()].contains(&Some(reference.id.as_str()))
}

fn answered_selector(parameter: &Parameter) -> Option<&str> {
    parameter.selector().map(|selector| selector.trim_start_matches(':')).filter(|text| !text.is_empty())
}

fn reading(mut parameter: Parameter, region: &Region, request_id: Option<String>) -> Reading {
    let version = match parameter.version() {
        // A reference to a secret (/aws/reference/secretsmanager/…) has no version of its
        // own. Without the secret's, a change would go unnoticed.
        0 => parameter.source_result().and_then(secret_version).unwrap_or_else(|| "0".to_owned()),
        number => number.to_string(),
    };
    Reading {
        value: SecretValue::from(parameter.value.take().unwrap_or_default()),
        version,
        arn: parameter.arn.take().unwrap_or_default(),
        region: region.clone(),
        request_id,
    }
}

fn secret_version(source_result: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Source {
        #[serde(rename = "versionId", alias = "VersionId", alias = "versionID")]
        version_id: String,
    }
    serde_json::from_str::<Source>(source_result).ok().map(|source| source.version_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reference::{Selector, Service};

    fn reference(id: &str, version: Option<&str>, label: Option<&str>) -> Reference {
        let selector = Selector { version: version.map(str::to_owned), label: label.map(str::to_owned) };
        Reference { service: Service::ParameterStore, id: id.to_owned(), selector }
    }

    fn parameter(version: i64, selector: Option<&str>) -> Parameter {
        Parameter::builder()
            .name("/a")
            .arn("arn:x:/a")
            .version(version)
            .set_selector(selector.map(str::to_owned))
            .build()
    }

    /// The versions that the references get.
    fn versions(batch: &[Reference], found: Vec<Parameter>) -> Vec<Option<i64>> {
        let batch: Vec<&Reference> = batch.iter().collect();
        matched(&batch, found).into_iter().map(|found| found.map(|it| it.version())).collect()
    }

    #[test]
    fn an_answer_is_matched_by_name_and_selector() {
        let batch = [
            reference("/a", None, Some("live")),
            reference("/a", Some("3"), None),
            reference("/b", None, None),
            reference("arn:x:/a", None, None),
            reference("arn:x:/a", Some("1"), None),
        ];
        let found = vec![
            parameter(3, None),
            parameter(1, Some(":1")),
            parameter(3, Some(":3")),
            parameter(2, Some(":live")),
        ];
        assert_eq!(versions(&batch, found), [Some(2), Some(3), None, Some(3), Some(1)]);
    }

    #[test]
    fn the_current_version_never_stands_for_a_label() {
        let batch = [reference("/a", None, Some("gone")), reference("arn:x:/a", None, None)];
        assert_eq!(versions(&batch, vec![parameter(3, None)]), [None, Some(3)]);
    }

    #[test]
    fn an_answer_without_a_selector_is_accepted_for_a_single_request() {
        let alone = |version, label| versions(&[reference("/a", version, label)], vec![parameter(3, None)]);
        assert_eq!(alone(None, Some("live")), [Some(3)]);
        assert_eq!(alone(Some("3"), None), [Some(3)]);
        assert_eq!(alone(Some("4"), None), [None]);
        let two = [reference("/a", None, Some("live")), reference("/a", Some("3"), None)];
        assert_eq!(versions(&two, vec![parameter(3, None), parameter(4, None)]), [None, None]);
    }

    #[test]
    fn a_referenced_secret_has_the_secrets_version() {
        let parameter =
            Parameter::builder().version(0).source_result(r#"{"ARN":"a","versionId":"v-1"}"#).build();
        let region = Region::parse("us-east-1").unwrap();
        assert_eq!(reading(parameter, &region, None).version, "v-1");
    }
}
