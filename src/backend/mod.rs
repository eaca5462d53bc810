//! Reading secrets and parameters of one Region, all at once.

mod parameter_store;
mod secrets_manager;

use std::sync::Arc;

use aws_credential_types::Credentials;

use crate::{
    aws::{Aws, AwsFailure},
    model::{
        arn::Region,
        object::{Reference, Service},
        secret::SecretValue,
    },
};

/// One value as AWS served it.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The value.
    pub value: SecretValue,
    /// Secrets Manager VersionId, or the parameter's version number.
    pub version: String,
    /// The staging labels on that version, where the service tells them.
    pub labels: Vec<String>,
    /// The ARN, empty where the service tells none.
    pub arn: String,
    /// The request id of the call that read it.
    pub request_id: Option<String>,
}

/// What reading one object gave.
pub type ReadResult = Result<Reading, AwsFailure>;

/// Secrets Manager and Parameter Store.
#[derive(Debug)]
pub struct Backend {
    aws: Arc<Aws>,
    secrets_manager: secrets_manager::SecretsManager,
    parameter_store: parameter_store::ParameterStore,
}

impl Backend {
    /// Clients are made when they are first needed.
    pub fn new(aws: Arc<Aws>) -> Self {
        Self { aws, secrets_manager: Default::default(), parameter_store: Default::default() }
    }

    /// Reads distinct references at once, within the Region's time. The
    /// results stand in the order of `references`.
    pub async fn read(
        &self,
        credentials: &Credentials,
        region: &Region,
        references: &[Reference],
    ) -> Vec<ReadResult> {
        let of = |service| {
            references
                .iter()
                .filter(move |reference| reference.service == service)
                .cloned()
                .collect::<Vec<_>>()
        };
        let (secrets, parameters) = (of(Service::SecretsManager), of(Service::ParameterStore));
        let (secrets, parameters) = tokio::join!(
            self.secrets_manager.read(&self.aws, credentials, region, &secrets),
            self.parameter_store.read(&self.aws, credentials, region, &parameters),
        );
        let (mut secrets, mut parameters) = (secrets.into_iter(), parameters.into_iter());
        let next = |reference: &Reference| match reference.service {
            Service::SecretsManager => secrets.next(),
            Service::ParameterStore => parameters.next(),
        };
        references.iter().filter_map(next).collect()
    }
}
