//! The options of `latchkey simulate`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::{
    cli::flag_values::poll_interval,
    cost::Prices,
    model::{go_text::show_duration, rules::Rules},
    values::ValueSettings,
};

const EXAMPLES: &str = "\
Examples:
  latchkey simulate --nodes 10000 --secrets-manager-quota 5000
  latchkey simulate --nodes 10000 --notices --scenario change";

/// Without the empty line below the first one, the help fits one screen.
const TEMPLATE: &str = "{about}\n{usage-heading} {usage}\n\n{all-args}{after-help}";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, help_template = TEMPLATE)]
pub(crate) struct SimulateArgs {
    /// Nodes of the cluster
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) nodes: u32,
    /// Principals (service accounts) on each node
    #[arg(long, value_name = "COUNT", default_value = "22", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) accounts_per_node: u32,
    /// Secrets of each principal
    #[arg(long, value_name = "COUNT", default_value = "5", value_parser = clap::value_parser!(u32).range(..=1_000))]
    pub(crate) values: u32,
    /// Parameters of each principal
    #[arg(long, value_name = "COUNT", default_value = "0", value_parser = clap::value_parser!(u32).range(..=1_000))]
    pub(crate) parameters: u32,
    /// The provider's --rotation-poll-interval
    #[arg(long, value_name = "DURATION", default_value = show_duration(ValueSettings::default().interval), value_parser = poll_interval)]
    pub(crate) interval: Duration,
    /// The provider's --max-refresh-interval: no interval is stretched beyond it
    #[arg(long, value_name = "DURATION", default_value = show_duration(Rules::default().max_refresh_interval), value_parser = poll_interval)]
    pub(crate) max_refresh_interval: Duration,
    /// Change notices flow
    #[arg(long)]
    pub(crate) notices: bool,
    /// The provider's --notified-poll-interval
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = poll_interval)]
    pub(crate) notified_poll_interval: Duration,
    /// Pods that start on each node in an hour, with a new principal
    #[arg(long, value_name = "COUNT", default_value = "4", value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub(crate) pod_starts: u32,
    /// GetSecretValue calls a second that AWS answers
    #[arg(long, value_name = "COUNT", default_value = Prices::default().get_secret_value_quota.to_string(), value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) secrets_manager_quota: u32,
    /// GetParameters calls a second that AWS answers
    #[arg(long, value_name = "COUNT", default_value = Prices::default().get_parameters_quota.to_string(), value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) parameter_store_quota: u32,
    /// What happens
    #[arg(long, value_name = "NAME", value_enum, default_value = "steady")]
    pub(crate) scenario: ScenarioArg,
    /// How long to simulate
    #[arg(long, value_name = "HOURS", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=48))]
    pub(crate) hours: u32,
    /// Number that decides everything that happens by chance
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub(crate) seed: u64,
    /// Form of the output
    #[arg(short, long, value_name = "FORM", value_enum, default_value = "text")]
    pub(crate) output: SimulateForm,
}

// Without a text for each, so that the help fits one screen.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum ScenarioArg {
    Steady,
    Restart,
    Outage,
    Change,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum SimulateForm {
    Text,
    Json,
}
