//! AWS Systems Manager Parameter Store: GetParameters in tens.
//!
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html>

use aws_sdk_ssm::{Client, config::Builder, types::Parameter};
use aws_types::request_id::RequestId;
use futures_util::future::join_all;

use super::{Call, ReadResult, Reading, within};
use crate::{
    aws::{AwsFailure, FailureKind, PerRegion},
    model::{object::Reference, secret::SecretValue},
};

const OPERATION: &str = "ssm:GetParameters";
/// Most names in one call.
const BATCH: usize = 10;

#[derive(Debug, Default)]
pub(super) struct ParameterStore {
    clients: PerRegion<Client>,
}

impl ParameterStore {
    pub(super) async fn read(&self, call: Call<'_>, references: &[&Reference]) -> Vec<ReadResult> {
        if references.is_empty() {
            return Vec::new();
        }
        let client = self.clients.get(call.region, || Client::new(&call.aws.config_for(call.region)));
        let batches = references.chunks(BATCH).map(|batch| read_batch(call, &client, batch));
        join_all(batches).await.into_iter().flatten().collect()
    }
}

/// Reads a batch. One parameter that is denied, or whose key is, fails the whole
/// call; asked one by one, the healthy ones come and the error names the right one.
async fn read_batch(call: Call<'_>, client: &Client, batch: &[&Reference]) -> Vec<ReadResult> {
    match get_parameters(call, client, batch).await {
        Ok(results) => results,
        Err(failure) if batch.len() == 1 || !blames_one(failure.kind) => vec![Err(failure); batch.len()],
        Err(_) => {
            let singles = batch.iter().map(|reference| async {
                let one = std::slice::from_ref(reference);
                get_parameters(call, client, one).await.map_or_else(Err, |mut results| results.swap_remove(0))
            });
            join_all(singles).await
        }
    }
}

async fn get_parameters(
    call: Call<'_>,
    client: &Client,
    batch: &[&Reference],
) -> Result<Vec<ReadResult>, AwsFailure> {
    let mut answer = within(call, OPERATION, async {
        let overrides =
            Builder::new().credentials_provider(call.credentials.clone()).retry_config(call.effort.retries());
        client
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
    let mut found = answer.parameters.take().unwrap_or_default();
    let results = batch.iter().copied().map(|reference| {
        if let Some(at) = found.iter().position(|parameter| answers(parameter, reference)) {
            return Ok(reading(found.swap_remove(at), request_id.clone()));
        }
        let named = invalid.contains(&asked_name(reference));
        let message = if named {
            "there is no such parameter, version or label"
        } else {
            "the answer holds neither the parameter nor its name among the invalid ones"
        };
        Err(AwsFailure {
            kind: if named { FailureKind::NotFound } else { FailureKind::Outage },
            operation: OPERATION,
            region: call.region.clone(),
            code: named.then(|| "InvalidParameters".to_owned()),
            message: message.to_owned(),
            request_id: request_id.clone(),
        })
    });
    Ok(results.collect())
}

/// Whether a failed batch may be the fault of one of its parameters.
fn blames_one(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Outage
        | FailureKind::Throttled
        | FailureKind::StaleCredentials
        | FailureKind::TokenRefused => false,
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

/// Answers come in alphabetical order, and two versions of one parameter under
/// the same name: only name and selector together tell which was asked.
fn answers(parameter: &Parameter, reference: &Reference) -> bool {
    let same = |text: Option<&str>| text == Some(reference.id.as_str());
    // A shared parameter is asked by its ARN.
    let named = same(parameter.name()) || same(parameter.arn());
    let answered =
        parameter.selector().map(|selector| selector.trim_start_matches(':')).filter(|s| !s.is_empty());
    let selected = match (selector(reference), answered) {
        (asked, Some(answered)) => asked == Some(answered),
        (None, None) => true,
        // Some implementations leave the selector out; a version still tells.
        (Some(asked), None) => reference.selector.label.is_some() || asked == parameter.version().to_string(),
    };
    named && selected
}

fn reading(mut parameter: Parameter, request_id: Option<String>) -> Reading {
    let version = match parameter.version() {
        // A reference to a secret (/aws/reference/secretsmanager/…) has no
        // version of its own; without the secret's, a change would go unseen.
        0 => parameter.source_result().and_then(secret_version).unwrap_or_else(|| "0".to_owned()),
        number => number.to_string(),
    };
    Reading {
        value: SecretValue::from(parameter.value.take().unwrap_or_default()),
        version,
        arn: parameter.arn.take().unwrap_or_default(),
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
    use crate::model::object::{Selector, Service};

    fn reference(id: &str, version: Option<&str>, label: Option<&str>) -> Reference {
        let selector = Selector { version: version.map(str::to_owned), label: label.map(str::to_owned) };
        Reference { service: Service::ParameterStore, id: id.to_owned(), selector }
    }

    #[test]
    fn an_answer_is_matched_by_name_and_selector() {
        let parameter = |selector: Option<&str>| {
            Parameter::builder()
                .name("/a")
                .arn("arn:x:/a")
                .version(3)
                .set_selector(selector.map(str::to_owned))
                .build()
        };
        assert!(answers(&parameter(Some(":3")), &reference("/a", Some("3"), None)));
        assert!(!answers(&parameter(Some(":3")), &reference("/a", Some("2"), None)));
        assert!(!answers(&parameter(Some(":3")), &reference("/a", None, None)));
        assert!(answers(&parameter(Some(":live")), &reference("/a", None, Some("live"))));
        assert!(answers(&parameter(None), &reference("arn:x:/a", None, None)));
        assert!(answers(&parameter(None), &reference("/a", Some("3"), None)));
        assert!(!answers(&parameter(None), &reference("/a", Some("4"), None)));
        assert!(!answers(&parameter(None), &reference("/b", None, None)));
    }

    #[test]
    fn a_reference_to_a_secret_has_the_secrets_version() {
        let parameter =
            Parameter::builder().version(0).source_result(r#"{"ARN":"a","versionId":"v-1"}"#).build();
        assert_eq!(reading(parameter, None).version, "v-1");
    }
}
