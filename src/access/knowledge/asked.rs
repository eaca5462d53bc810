//! Asks AWS itself, with the user's credentials. The answers become the documents that AWS's
//! command line prints, so they are read in one way only.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_iam::types::{EntityType, ManagedPolicyDetail, RoleDetail};
use aws_smithy_types::date_time::Format;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{Knowledge, KnowledgeError};
use crate::{
    aws::{Aws, AwsFailure, FailureKind},
    model::arn::Region,
};

/// Calls at once. Secrets Manager allows 50 GetResourcePolicy a second and account.
const CALLS: usize = 8;
/// Where the answers come from, for a message.
const SOURCE: &str = "AWS's answer";

/// Whom to ask, and about what.
pub struct Asking<'a> {
    pub aws: &'a Aws,
    pub credentials: &'a SharedCredentialsProvider,
    /// The Regions whose secrets and parameters are listed. IAM is asked in the first one.
    pub regions: &'a BTreeSet<Region>,
    /// Hears how many of what have been read.
    pub read: &'a (dyn Fn(&str, usize) + Sync),
}

impl Knowledge {
    /// Adds what AWS says about the account of the credentials. What it does not say stays
    /// unknown, with a warning.
    ///
    /// # Errors
    /// If an answer contains a policy that is none.
    pub async fn ask(&mut self, asking: &Asking<'_>) -> Result<(), KnowledgeError> {
        if let Some(region) = asking.regions.first() {
            self.ask_roles(asking, region).await?;
        }
        for region in asking.regions {
            self.ask_secrets(asking, region).await?;
            self.ask_parameters(asking, region).await?;
        }
        Ok(())
    }

    /// Roles with their policies. Of an answer that ends early, a role whose policies did
    /// not come has unknown policies.
    async fn ask_roles(&mut self, asking: &Asking<'_>, region: &Region) -> Result<(), KnowledgeError> {
        let client = aws_sdk_iam::Client::new(&asking.config(region));
        let filters = [EntityType::Role, EntityType::LocalManagedPolicy, EntityType::AwsManagedPolicy];
        let call = client.get_account_authorization_details().set_filter(Some(filters.to_vec()));
        let mut pages = call.into_paginator().send();
        let (mut roles, mut policies) = (Vec::new(), Vec::new());
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => {
                    roles.extend(page.role_detail_list().iter().map(role));
                    policies.extend(page.policies().iter().map(managed_policy));
                    (asking.read)("roles", roles.len());
                }
                Err(error) => {
                    let failure = AwsFailure::of("iam:GetAccountAuthorizationDetails", region, &error);
                    let unknown = "what the roles of this AWS account allow is not fully known";
                    self.warn(&failure, unknown, "--iam");
                    break;
                }
            }
        }
        self.add(SOURCE, &json!({ "RoleDetailList": roles, "Policies": policies })).map(drop)
    }

    async fn ask_secrets(&mut self, asking: &Asking<'_>, region: &Region) -> Result<(), KnowledgeError> {
        let client = aws_sdk_secretsmanager::Client::new(&asking.config(region));
        let mut pages = client.list_secrets().into_paginator().send();
        let mut secrets = Vec::new();
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => secrets.extend(page.secret_list.unwrap_or_default()),
                Err(error) => {
                    let failure = AwsFailure::of("secretsmanager:ListSecrets", region, &error);
                    // Part of a list would make the other secrets look as if they did not exist.
                    let unknown = format!("the secrets in {region} are not known");
                    self.warn(&failure, &unknown, "--secrets");
                    self.refused_policies.insert(region.to_string());
                    return Ok(());
                }
            }
            (asking.read)(&format!("secrets in {region}"), secrets.len());
        }
        let listed: Vec<Value> = secrets.iter().map(secret).collect();
        self.add(SOURCE, &json!({ "SecretList": listed }))?;
        let arns = secrets.iter().filter_map(|secret| secret.arn());
        let policies = arns.map(|arn| {
            let call = client.get_resource_policy().secret_id(arn).send();
            async move {
                let refused =
                    |error| (arn, AwsFailure::of("secretsmanager:GetResourcePolicy", region, &error));
                let answer = call.await.map_err(refused)?;
                Ok(json!({ "ARN": arn, "ResourcePolicy": answer.resource_policy }))
            }
        });
        let mut policies = stream::iter(policies).buffer_unordered(CALLS);
        let (mut read, mut failures) = (0, Vec::new());
        while let Some(policy) = policies.next().await {
            match policy {
                Ok(policy) => {
                    self.add(SOURCE, &policy)?;
                    read += 1;
                    (asking.read)(&format!("resource policies in {region}"), read);
                }
                Err(failure) => failures.push(failure),
            }
        }
        if let Some((_, failure)) = failures.first() {
            let unknown = format!(
                "the resource policies of {} of {} secrets in {region} are not known",
                failures.len(),
                secrets.len()
            );
            self.warn(failure, &unknown, "--secrets");
            self.refused_policies.extend(failures.iter().map(|(arn, _)| (*arn).to_owned()));
        }
        Ok(())
    }

    async fn ask_parameters(&mut self, asking: &Asking<'_>, region: &Region) -> Result<(), KnowledgeError> {
        let client = aws_sdk_ssm::Client::new(&asking.config(region));
        let mut pages = client.describe_parameters().into_paginator().send();
        let mut parameters = Vec::new();
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => parameters.extend(page.parameters().iter().map(|parameter| {
                    json!({ "Name": parameter.name(), "ARN": parameter.arn(), "KeyId": parameter.key_id() })
                })),
                Err(error) => {
                    let failure = AwsFailure::of("ssm:DescribeParameters", region, &error);
                    let unknown = format!("the parameters in {region} are not known");
                    self.warn(&failure, &unknown, "--secrets");
                    return Ok(());
                }
            }
            (asking.read)(&format!("parameters in {region}"), parameters.len());
        }
        self.add(SOURCE, &json!({ "Parameters": parameters })).map(drop)
    }

    fn warn(&mut self, failure: &AwsFailure, unknown: &str, flag: &str) {
        let action = match failure.kind {
            FailureKind::Denied => format!("allow {} for your own AWS credentials", failure.operation),
            _ => "try again".to_owned(),
        };
        let fix = format!("{action}, or name what AWS's command line prints with {flag}");
        self.warnings.push(format!("{failure}; {unknown}: {fix}"));
    }
}

impl Asking<'_> {
    fn config(&self, region: &Region) -> SdkConfig {
        let config = self.aws.config_for(region).to_builder();
        config.credentials_provider(self.credentials.clone()).build()
    }
}

fn role(role: &RoleDetail) -> Value {
    let inline = role.role_policy_list().iter();
    let inline =
        inline.map(|it| json!({ "PolicyName": it.policy_name(), "PolicyDocument": it.policy_document() }));
    let attached = role.attached_managed_policies().iter().map(|it| json!({ "PolicyArn": it.policy_arn() }));
    let boundary = role.permissions_boundary().and_then(|boundary| boundary.permissions_boundary_arn());
    let tags = role.tags().iter().map(|tag| json!({ "Key": tag.key(), "Value": tag.value() }));
    json!({
        "Arn": role.arn(),
        "AssumeRolePolicyDocument": role.assume_role_policy_document(),
        "RolePolicyList": inline.collect::<Value>(),
        "AttachedManagedPolicies": attached.collect::<Value>(),
        "PermissionsBoundary": { "PermissionsBoundaryArn": boundary },
        "Tags": tags.collect::<Value>(),
    })
}

fn managed_policy(policy: &ManagedPolicyDetail) -> Value {
    let versions = policy.policy_version_list().iter();
    let versions = versions.map(
        |version| json!({ "IsDefaultVersion": version.is_default_version(), "Document": version.document() }),
    );
    json!({ "Arn": policy.arn(), "PolicyVersionList": versions.collect::<Value>() })
}

fn secret(secret: &aws_sdk_secretsmanager::types::SecretListEntry) -> Value {
    let tags = secret.tags().iter().map(|tag| json!({ "Key": tag.key(), "Value": tag.value() }));
    json!({
        "ARN": secret.arn(),
        "Name": secret.name(),
        "KmsKeyId": secret.kms_key_id(),
        "Tags": tags.collect::<Value>(),
        "LastAccessedDate": secret.last_accessed_date().and_then(|date| date.fmt(Format::DateTime).ok()),
    })
}
