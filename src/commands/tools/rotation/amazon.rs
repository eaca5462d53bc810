//! AWS, with the user's own credentials.

use std::sync::Arc;

use anyhow::{Context, ensure};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use crate::{
    aws::{Aws, AwsSettings},
    model::arn::Region,
    uptake::{AwsVersions, Report},
};

/// Objects that AWS is asked about at most. Each takes a call.
const MOST: usize = 500;

pub(super) struct Amazon {
    aws: Aws,
    credentials: SharedCredentialsProvider,
    region: Option<Region>,
}

impl Amazon {
    pub(super) async fn load() -> anyhow::Result<Self> {
        const NONE: &str = "cannot use your AWS credentials";
        let caller = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12()).load().await;
        let credentials = caller.credentials_provider().context(NONE)?;
        // What the SDK says may contain more than the reason.
        if credentials.provide_credentials().await.is_err() {
            anyhow::bail!(
                "{NONE}: log in (aws sso login), or set AWS_PROFILE; check with: aws sts get-caller-identity. Without them, name the version with --version, or leave --aws out"
            );
        }
        let region = caller.region().and_then(|region| Region::parse(region.as_ref()));
        let ca_bundle = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(Into::into);
        let aws = Aws::load(&AwsSettings { ca_bundle, ..AwsSettings::default() }, Arc::default()).await?;
        Ok(Self { aws, credentials, region })
    }

    /// The versions of all objects of the report.
    pub(super) async fn ask(&self, report: &Report<'_>) -> anyhow::Result<AwsVersions> {
        let objects: Vec<_> = report.objects.iter().map(|report| Arc::clone(&report.object)).collect();
        ensure!(
            objects.len() <= MOST,
            "these are {} objects, and AWS is asked about at most {MOST}: name one of them",
            objects.len()
        );
        Ok(AwsVersions::ask(&self.aws, &self.credentials, self.region.as_ref(), objects).await)
    }
}
