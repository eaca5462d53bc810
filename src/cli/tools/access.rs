//! The options of `latchkey access`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::inputs::Inputs;
use crate::{
    access::{Bounds, Settings},
    model::arn::Region,
};

const EXAMPLES: &str = "\
Examples:
  latchkey access manifests/ --iam iam.json --secrets secrets.json -o html > access.html
  latchkey access -A --aws --if-compromised shop/web";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AccessArgs {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Form of the output; html is one page with a picture
    #[arg(short, long, value_name = "FORM", value_enum, default_value = "table")]
    pub(crate) output: AccessForm,
    /// Read roles, secrets and parameters from AWS, with your own credentials
    #[arg(long, help_heading = "AWS")]
    pub(crate) aws: bool,
    /// Answer of aws iam get-account-authorization-details
    #[arg(long, value_name = "FILE", help_heading = "AWS")]
    pub(crate) iam: Vec<PathBuf>,
    /// Answer of aws secretsmanager list-secrets, ssm describe-parameters
    #[arg(long, value_name = "FILE", help_heading = "AWS")]
    pub(crate) secrets: Vec<PathBuf>,
    /// Issuer of the cluster's tokens, if trust policies name several
    #[arg(long, value_name = "URL", help_heading = "AWS", value_parser = issuer)]
    pub(crate) oidc_provider: Option<Issuer>,
    /// Region of classes that do not name one
    #[arg(long, value_name = "NAME", help_heading = "AWS", value_parser = crate::cli::region)]
    pub(crate) region: Option<Region>,
    /// Show who can read this secret or parameter
    #[arg(long, value_name = "NAME", help_heading = "Questions", conflicts_with = "if_compromised")]
    pub(crate) secret: Option<String>,
    /// Show what falls with a pod of this service account
    #[arg(long, value_name = "NAMESPACE/NAME", help_heading = "Questions")]
    pub(crate) if_compromised: Option<String>,
    /// Maximum service accounts that share a secret [default: one namespace]
    #[arg(long, value_name = "NUMBER", help_heading = "Limits")]
    pub(crate) shared_by: Option<usize>,
    /// Maximum prefixes (shop in shop/db) that an account reads
    #[arg(long, value_name = "NUMBER", help_heading = "Limits", default_value_t = 1)]
    pub(crate) prefixes: usize,
    /// Segments in a prefix; with 2, that of prod/shop/db is prod/shop
    #[arg(long, value_name = "NUMBER", help_heading = "Limits", default_value_t = 1)]
    pub(crate) prefix_depth: usize,
}

/// Without a text for each, so that the help stays short.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum AccessForm {
    Table,
    Json,
    Mermaid,
    Html,
}

/// The issuer, as the ARN of an OIDC provider ends.
#[derive(Clone, Debug)]
pub(crate) struct Issuer(String);

impl AccessArgs {
    pub(crate) fn settings(&self) -> Settings {
        let oidc_provider = self.oidc_provider.as_ref().map(|issuer| issuer.0.clone());
        Settings { region: self.region.clone(), oidc_provider }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        let Self { shared_by, prefixes, prefix_depth, .. } = *self;
        Bounds { shared_by, prefixes, prefix_depth }
    }
}

fn issuer(text: &str) -> Result<Issuer, String> {
    let issuer = text.split_once(":oidc-provider/").map_or(text, |(_, issuer)| issuer);
    let issuer = issuer.strip_prefix("https://").unwrap_or(issuer).trim_end_matches('/');
    let shaped = issuer.contains('.') && !issuer.contains(char::is_whitespace) && !issuer.contains("://");
    if shaped {
        Ok(Issuer(issuer.to_owned()))
    } else {
        Err("expected a URL, such as https://oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF"
            .to_owned())
    }
}
