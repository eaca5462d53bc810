//! The options of `latchkey cost`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::inputs::Inputs;
use crate::cli::{
    flag_values::{poll_interval, positive_duration},
    region,
};
use crate::{
    model::{arn::Region, go_text::show_duration},
    values::ValueSettings,
};

const EXAMPLES: &str = "\
Examples:
  latchkey cost --nodes 40 manifests/
  latchkey cost -A --higher-throughput --output markdown";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CostArgs {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Nodes of the cluster, for pods whose node is unknown [default: as many as the most replicas]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) nodes: Option<u32>,
    /// Pods of each class that no workload mounts
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub(crate) pods: u32,
    /// Pods that start each day, on nodes chosen by chance
    #[arg(long, value_name = "COUNT", default_value = "0")]
    pub(crate) churn: u32,
    /// The provider's --rotation-poll-interval
    #[arg(long, value_name = "DURATION", default_value = show_duration(ValueSettings::default().interval), value_parser = poll_interval)]
    pub(crate) interval: Duration,
    /// Region of classes that name none
    #[arg(long, value_parser = region)]
    pub(crate) region: Option<Region>,
    /// Add the KMS requests of customer-managed keys
    #[arg(long)]
    pub(crate) customer_keys: bool,
    /// Parameter Store has higher throughput
    #[arg(long)]
    pub(crate) higher_throughput: bool,
    /// How often AWS's own provider reads again for each pod, to compare
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = positive_duration)]
    pub(crate) republish: Duration,
    /// YAML file with other prices and quotas (see the page of this command)
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    /// Form of the output
    #[arg(short, long, value_name = "FORM", value_enum, default_value = "table")]
    pub(crate) output: CostForm,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum CostForm {
    /// Tables of about 100 columns
    Table,
    /// One JSON document
    Json,
    /// Tables for a pull request
    Markdown,
}
