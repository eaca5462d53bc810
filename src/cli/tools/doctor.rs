//! The options of `latchkey doctor`.

use clap::{Args, ValueEnum};

use super::inputs::ClusterArgs;
use crate::findings::Form;

const EXAMPLES: &str = "\
Examples:
  latchkey doctor --all-namespaces
  latchkey doctor shop/web-0

Reads only. Exit code: 0 nothing is wrong, 1 findings, 2 the cluster cannot be read.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// Look only at this pod: NAME or NAMESPACE/NAME [default: all pods of the namespace]
    #[arg(value_name = "POD", conflicts_with = "all_namespaces")]
    pub(crate) pod: Option<String>,
    /// Form of the output
    #[arg(short, long, value_name = "FORM", value_enum, default_value = "table")]
    pub(crate) output: DoctorForm,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DoctorForm {
    /// What is wrong and what to do, after a list of what was looked at
    Table,
    /// One JSON document
    Json,
    /// A table for a ticket or a pull request
    Markdown,
}

impl From<DoctorForm> for Form {
    fn from(form: DoctorForm) -> Self {
        match form {
            DoctorForm::Table => Self::Table,
            DoctorForm::Json => Self::Json,
            DoctorForm::Markdown => Self::Markdown,
        }
    }
}
