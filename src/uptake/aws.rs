//! Which versions AWS holds, and their labels. Only metadata is read, never a value.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aws_credential_types::provider::SharedCredentialsProvider;
use futures_util::{StreamExt, stream};

use super::Object;
use crate::{
    aws::{Advice, Aws, AwsFailure, FailureKind},
    model::{
        arn::{Arn, Region},
        reference::Service,
    },
};

/// Calls at once: Secrets Manager allows 40 a second and account for DescribeSecret.
const CALLS: usize = 8;
const CURRENT: &str = "AWSCURRENT";

/// What AWS says about objects.
#[derive(Debug, Default)]
pub struct AwsVersions(BTreeMap<Place, Result<Stages, String>>);

/// The versions of an object.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    /// The labels of each version.
    labels: BTreeMap<String, Vec<String>>,
    /// The newest version of a parameter.
    newest: Option<String>,
}

/// An object of any version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    service: Service,
    id: String,
    region: Option<String>,
}

impl Place {
    fn of(object: &Object) -> Option<Self> {
        Some(Self { service: object.service?, id: object.id.clone(), region: object.region.clone() })
    }
}

/// Whether two objects are versions of the same one.
pub(super) fn are_of_one(one: &Object, other: &Object) -> bool {
    Place::of(one).is_some_and(|place| Place::of(other) == Some(place))
}

impl Stages {
    pub(super) fn labels_of(&self, version: &str) -> Option<Vec<String>> {
        self.labels.get(version).cloned()
    }

    /// The version with this label; without one, the current version.
    pub(super) fn current(&self, label: Option<&str>) -> Option<String> {
        match (label, &self.newest) {
            (None, Some(newest)) => Some(newest.clone()),
            (label, _) => {
                let wanted = label.unwrap_or(CURRENT);
                let found = self.labels.iter().find(|(_, labels)| labels.iter().any(|label| label == wanted));
                found.map(|(version, _)| version.clone())
            }
        }
    }
}

impl AwsVersions {
    pub(super) fn of(&self, object: &Object) -> Option<&Result<Stages, String>> {
        self.0.get(&Place::of(object)?)
    }

    /// The objects that AWS could not be asked about, and why.
    pub fn problems(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(place, stages)| Some((place.id.as_str(), stages.as_ref().err()?.as_str())))
    }

    /// Asks AWS about objects. `region` is for classes that name none.
    pub async fn ask(
        aws: &Aws,
        credentials: &SharedCredentialsProvider,
        region: Option<&Region>,
        objects: impl IntoIterator<Item = Arc<Object>>,
    ) -> Self {
        let places: BTreeSet<Place> = objects.into_iter().filter_map(|object| Place::of(&object)).collect();
        let calls = places.into_iter().map(|place| async move {
            let stages = place.ask(aws, credentials, region).await;
            (place, stages)
        });
        Self(stream::iter(calls).buffer_unordered(CALLS).collect().await)
    }
}

impl Place {
    async fn ask(
        &self,
        aws: &Aws,
        credentials: &SharedCredentialsProvider,
        default: Option<&Region>,
    ) -> Result<Stages, String> {
        let own = self.region.as_deref().and_then(Region::parse);
        let Some(region) = own.as_ref().or(default) else {
            return Err("its class names no Region; set AWS_REGION".to_owned());
        };
        let config = aws.config_for(region).to_builder().credentials_provider(credentials.clone()).build();
        match self.service {
            Service::SecretsManager => self.describe_secret(&config, region).await,
            Service::ParameterStore => self.describe_parameter(&config, region).await,
        }
    }

    async fn describe_secret(
        &self,
        config: &aws_config::SdkConfig,
        region: &Region,
    ) -> Result<Stages, String> {
        let client = aws_sdk_secretsmanager::Client::new(config);
        let answer = client.describe_secret().secret_id(&self.id).send().await;
        let answer =
            answer.map_err(|error| told(&AwsFailure::of("secretsmanager:DescribeSecret", region, &error)))?;
        let labels = answer.version_ids_to_stages.unwrap_or_default().into_iter().collect();
        Ok(Stages { labels, newest: None })
    }

    async fn describe_parameter(
        &self,
        config: &aws_config::SdkConfig,
        region: &Region,
    ) -> Result<Stages, String> {
        use aws_sdk_ssm::types::ParameterStringFilter;
        // The filter takes names only.
        let name = match Arn::parse(&self.id) {
            Some(arn) => {
                let name = arn.resource.strip_prefix("parameter").unwrap_or(arn.resource);
                // The ARN of a name without slashes has one, too.
                if name.matches('/').count() == 1 { name.trim_start_matches('/') } else { name }
            }
            None => &self.id,
        };
        let filter = ParameterStringFilter::builder().key("Name").option("Equals").values(name).build();
        let filter = filter.map_err(|_| "its name cannot be sent to AWS".to_owned())?;
        let client = aws_sdk_ssm::Client::new(config);
        let answer = client.describe_parameters().parameter_filters(filter).send().await;
        let answer =
            answer.map_err(|error| told(&AwsFailure::of("ssm:DescribeParameters", region, &error)))?;
        let newest = answer.parameters.unwrap_or_default().into_iter().next();
        let newest = newest.ok_or_else(|| format!("there is no such parameter in {region}"))?.version;
        Ok(Stages { labels: BTreeMap::new(), newest: Some(newest.to_string()) })
    }
}

fn told(failure: &AwsFailure) -> String {
    match (failure.kind, failure.advice.as_deref()) {
        (FailureKind::Denied, _) => {
            format!("{failure}. Allow {} for your own AWS credentials", failure.operation)
        }
        (_, Some(Advice::Known(advice))) => format!("{failure}. {advice}"),
        _ => failure.to_string(),
    }
}
