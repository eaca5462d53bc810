//! The options of `latchkey explain`.

use clap::{Args, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  latchkey explain refreshInterval
  latchkey explain objects.jmesPath.path
  latchkey explain --output json kms_denied";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExplainArgs {
    /// A parameter or key of a SecretProviderClass, a flag, an environment variable, a chart value, a
    /// reason, a finding, an event, a metric, or an alert; without it, an overview
    #[arg(value_name = "NAME", allow_hyphen_values = true)]
    pub(crate) name: Option<String>,
    /// Form of the output
    #[arg(short, long, value_name = "FORM", value_enum, default_value = "text")]
    pub(crate) output: ExplainForm,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum ExplainForm {
    /// Text of at most 100 columns
    Text,
    /// One JSON document
    Json,
}
