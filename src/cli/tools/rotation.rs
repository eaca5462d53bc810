//! The options of `latchkey rotation`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::inputs::ClusterArgs;
use crate::cli::flag_values::positive_duration;

const EXAMPLES: &str = "\
Examples:
  latchkey rotation -A
  latchkey rotation shop/database -n shop --wait --timeout 10m --version \"$VERSION_ID\"";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RotationArgs {
    /// Secret or parameter (name or ARN), file, or SecretProviderClass; without it, all objects
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Form of the output: versions with their pods, a row for each pod, or JSON
    #[arg(short, long, value_name = "FORM", value_enum, default_value = "table")]
    pub(crate) output: RotationForm,
    /// Ask AWS which versions are current and previous, with your own credentials
    #[arg(long)]
    pub(crate) aws: bool,
    /// Show changes as they happen, until you press Ctrl-C
    #[arg(long, conflicts_with = "wait")]
    pub(crate) watch: bool,
    /// Wait until every running pod holds the current version of NAME; exit with 1 if they do not in time
    #[arg(long, requires = "name", help_heading = "Wait")]
    pub(crate) wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = positive_duration, requires = "wait", help_heading = "Wait")]
    pub(crate) timeout: Duration,
    /// Version to wait for, such as the one that put-secret-value returns [default: ask AWS for the current one]
    #[arg(long, value_name = "ID", requires = "wait", help_heading = "Wait")]
    pub(crate) version: Option<String>,
}

// Without a text for each form, so that the help fits one screen.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum RotationForm {
    Table,
    Wide,
    Json,
}
