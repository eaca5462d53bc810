//! The options of `latchkey policy`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::inputs::Inputs;
use crate::cli::region;
use crate::{
    iam::{
        Home, KmsKey,
        trust::{ClusterArn, OidcProvider},
    },
    model::arn::{Region, is_account},
    policy::Settings,
};

const AFTER_HELP: &str = "\
Examples:
  latchkey policy --oidc-provider https://oidc.eks.eu-central-1.amazonaws.com/id/0123ABCD deploy/
  latchkey policy deploy/ --check policy.json";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct PolicyArgs {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Form of the output [default: json; with --check: table]
    #[arg(short, long, value_name = "FORM", value_enum)]
    pub(crate) output: Option<PolicyForm>,
    /// Compare this policy: a document, or what aws iam get-role-policy and the like print
    #[arg(long, value_name = "POLICY")]
    pub(crate) check: Vec<PathBuf>,
    /// Only this service account; needed if no pod is given
    #[arg(long, value_name = "NS/NAME", value_parser = service_account)]
    pub(crate) service_account: Option<(String, String)>,
    /// Compare with this role only, if a service account has several
    #[arg(long, value_name = "NAME", requires = "check")]
    pub(crate) role: Option<String>,
    /// Account of the secrets, parameters and roles, where no ARN says so
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    pub(crate) account: Option<String>,
    /// Region of classes that name none
    #[arg(long, value_name = "REGION", value_parser = region)]
    pub(crate) region: Option<Region>,
    /// Partition of the ARNs [default: the Region's]
    #[arg(long, value_name = "NAME", value_parser = partition)]
    pub(crate) partition: Option<String>,
    /// Customer managed key that encrypts what is read, by its ARN; can be repeated
    #[arg(long, value_name = "ARN", value_parser = KmsKey::parse)]
    pub(crate) kms_key: Vec<KmsKey>,
    /// Issuer of the cluster's tokens, for the trust policy of IRSA
    #[arg(long, value_name = "URL", value_parser = OidcProvider::parse)]
    pub(crate) oidc_provider: Option<OidcProvider>,
    /// Cluster that the trust policy of EKS Pod Identity is limited to
    #[arg(long, value_name = "ARN", value_parser = ClusterArn::parse)]
    pub(crate) cluster_arn: Option<ClusterArn>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum PolicyForm {
    Json,
    Terraform,
    Cloudformation,
    // Findings: only with --check.
    Table,
}

impl PolicyArgs {
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            account: self.service_account.clone(),
            namespace: self.inputs.cluster.namespace.clone(),
            home: Home { account: self.account.clone(), partition: self.partition.clone() },
            region: self.region.clone(),
            keys: self.kms_key.clone(),
            oidc_provider: self.oidc_provider.clone(),
            cluster: self.cluster_arn.clone(),
        }
    }
}

fn service_account(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        Some(_) | None => Err("expected NAMESPACE/NAME".to_owned()),
    }
}

fn account(text: &str) -> Result<String, String> {
    is_account(text).then(|| text.to_owned()).ok_or_else(|| "expected twelve digits".to_owned())
}

fn partition(text: &str) -> Result<String, String> {
    let named = text.starts_with("aws") && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    named
        .then(|| text.to_owned())
        .ok_or_else(|| "expected aws, aws-cn, aws-us-gov or another partition".to_owned())
}
