//! AWS Secrets Manager: one GetSecretValue for each secret version.
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>

use aws_credential_types::Credentials;
use aws_sdk_secretsmanager::{Client, config::Builder, operation::get_secret_value::GetSecretValueOutput};
use aws_types::request_id::RequestId;
use futures_util::future::join_all;

use super::{ReadResult, Reading};
use crate::{
    aws::{Aws, AwsFailure, FailureKind, PerRegion},
    model::{arn::Region, object::Reference, secret::SecretValue},
};

const OPERATION: &str = "secretsmanager:GetSecretValue";

#[derive(Debug, Default)]
pub(super) struct SecretsManager {
    clients: PerRegion<Client>,
}

impl SecretsManager {
    pub(super) async fn read(
        &self,
        aws: &Aws,
        credentials: &Credentials,
        region: &Region,
        references: &[Reference],
    ) -> Vec<ReadResult> {
        let client = self.clients.get(region, || Client::new(&aws.config_for(region)));
        let reads = references.iter().map(|reference| async {
            let read = read_one(aws, &client, credentials, region, reference);
            let limit = aws.region_timeout();
            tokio::time::timeout(limit, read)
                .await
                .unwrap_or_else(|_| Err(AwsFailure::timed_out(OPERATION, region, limit)))
        });
        join_all(reads).await
    }
}

async fn read_one(
    aws: &Aws,
    client: &Client,
    credentials: &Credentials,
    region: &Region,
    reference: &Reference,
) -> ReadResult {
    let _permit = aws.permit().await;
    let answer = client
        .get_secret_value()
        .secret_id(&reference.id)
        .set_version_id(reference.selector.version.clone())
        .set_version_stage(reference.selector.label.clone())
        .customize()
        .config_override(Builder::new().credentials_provider(credentials.clone()))
        .send()
        .await
        .map_err(|error| AwsFailure::of(OPERATION, region, &error))?;
    reading(answer).ok_or_else(|| AwsFailure {
        kind: FailureKind::Unusable,
        operation: OPERATION,
        region: region.clone(),
        code: None,
        message: "the version holds neither a string nor a binary value".to_owned(),
        request_id: None,
    })
}

/// `None` when the version holds no value.
fn reading(mut answer: GetSecretValueOutput) -> Option<Reading> {
    let request_id = answer.request_id().map(str::to_owned);
    // Moved out, not copied: the SDK's own type would keep its text unwiped.
    let value = match (answer.secret_string.take(), answer.secret_binary.take()) {
        (Some(text), _) => SecretValue::from(text),
        (None, Some(binary)) => SecretValue::new(binary.into_inner()),
        (None, None) => return None,
    };
    Some(Reading {
        value,
        version: answer.version_id.unwrap_or_default(),
        labels: answer.version_stages.unwrap_or_default(),
        arn: answer.arn.unwrap_or_default(),
        request_id,
    })
}
