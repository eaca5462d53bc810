//! AWS, with the user's own credentials.

use std::sync::Arc;

use anyhow::Context;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use crate::{
    aws::{Aws, AwsSettings},
    model::arn::Region,
};

pub(super) struct Amazon {
    pub(super) aws: Aws,
    pub(super) credentials: SharedCredentialsProvider,
    /// That of the environment or the profile.
    pub(super) region: Option<Region>,
}

impl Amazon {
    /// # Errors
    /// If there are no credentials. `otherwise` says what to do then.
    pub(super) async fn load(otherwise: &str) -> anyhow::Result<Self> {
        const NONE: &str = "cannot use your AWS credentials";
        let caller = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12()).load().await;
        let credentials = caller.credentials_provider().context(NONE)?;
        // What the SDK says may contain more than the reason.
        if credentials.provide_credentials().await.is_err() {
            anyhow::bail!(
                "{NONE}: log in (aws sso login), or set AWS_PROFILE; check with: aws sts get-caller-identity. Without them, {otherwise}"
            );
        }
        let region = caller.region().and_then(|region| Region::parse(region.as_ref()));
        let ca_bundle = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(Into::into);
        let aws = Aws::load(&AwsSettings { ca_bundle, ..AwsSettings::default() }, Arc::default()).await?;
        Ok(Self { aws, credentials, region })
    }
}
