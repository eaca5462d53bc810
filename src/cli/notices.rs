//! The options of `latchkey notices`.

use std::path::PathBuf;

use anyhow::bail;
#[cfg(feature = "tools")]
use clap::ValueEnum;
use clap::{Args, builder::RangedU64ValueParser};

use super::{
    LogArgs,
    flag_values::{
        HttpAddress, OptionalArea, OptionalObject, OptionalQueue, http_address, optional_area,
        optional_object, optional_queue,
    },
};
use crate::{
    aws::AwsSettings,
    broker::Config,
    cluster::{ClusterSettings, watched::ObjectName},
    notices::Rates,
};

const EXAMPLES: &str = "\
Examples:
  latchkey notices --object kube-system/latchkey-notices \\
    --queue-url https://sqs.eu-west-1.amazonaws.com/111122223333/latchkey-notices
  latchkey notices --print-setup cloudformation > notices.yaml";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct NoticesArgs {
    /// URL of an SQS queue with events of Secrets Manager and Parameter Store; repeat it for several Regions
    #[arg(long, value_name = "URL", value_delimiter = ',', value_parser = optional_queue)]
    queue_url: Vec<OptionalQueue>,
    /// Account and Region whose events other buses forward to a queue, besides those in the queues' URLs; repeatable
    #[arg(long, value_name = "ACCOUNT/REGION", value_delimiter = ',', value_parser = optional_area)]
    covers: Vec<OptionalArea>,
    /// ConfigMap that the nodes watch (their --notices)
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = optional_object)]
    object: Option<OptionalObject>,
    /// Lease that decides which process sends notices, in the namespace of --object
    #[arg(long, value_name = "NAME", default_value = "latchkey-notices")]
    lease: String,
    /// Name of this process in the Lease [default: HOSTNAME and the process id]
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    /// Reads per second of Secrets Manager that all nodes together may make after notices, in one account and Region; AWS's quota is 10000
    #[arg(long, value_name = "COUNT", default_value_t = Rates::default().secretsmanager, value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    secrets_manager_rate: u32,
    /// Reads per second of Parameter Store that all nodes together may make after notices, in one account and Region; AWS's default quota is 40
    #[arg(long, value_name = "COUNT", default_value_t = Rates::default().ssm, value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    parameter_store_rate: u32,
    /// Kubeconfig file [default: the pod's service account, otherwise KUBECONFIG]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Address that serves /healthz, /readyz and /metrics; "off" disables them
    #[arg(long, value_name = "ADDRESS", default_value = ":8989", value_parser = http_address)]
    http_address: HttpAddress,
    /// Print what AWS needs (rules of EventBridge, the queue, its policy, the role), and exit
    #[cfg(feature = "tools")]
    #[arg(long, value_name = "FORM", value_enum)]
    pub(crate) print_setup: Option<SetupForm>,
    #[command(flatten)]
    log: LogArgs,
}

#[cfg(feature = "tools")]
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum SetupForm {
    /// A CloudFormation template
    Cloudformation,
    /// A Terraform module
    Terraform,
}

impl NoticesArgs {
    pub(crate) fn log(&self) -> &LogArgs {
        &self.log
    }

    /// Combines the flags with `AWS_CA_BUNDLE` and `HOSTNAME`.
    ///
    /// # Errors
    /// If a required flag is missing.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let queues: Vec<_> = self.queue_url.iter().filter_map(|queue| queue.0.clone()).collect();
        if queues.is_empty() {
            bail!("--queue-url (LATCHKEY_QUEUE_URL) is required: the SQS queue with AWS's events");
        }
        let Some(object) = self.object.as_ref().and_then(|object| object.0.clone()) else {
            bail!(
                "--object (LATCHKEY_OBJECT) is required: the ConfigMap that the nodes watch, as NAMESPACE/NAME"
            );
        };
        if ObjectName::parse(&format!("{}/{}", object.namespace, self.lease)).is_err() {
            bail!("--lease must be the name of an object of Kubernetes, such as latchkey-notices");
        }
        let host = || std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
        let own_name =
            || format!("{}_{}", host().unwrap_or_else(|| "latchkey".to_owned()), std::process::id());
        let ca_bundle = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(Config {
            queues,
            covers: self.covers.iter().filter_map(|area| area.0.clone()).collect(),
            object,
            lease: self.lease.clone(),
            identity: self.identity.clone().filter(|name| !name.is_empty()).unwrap_or_else(own_name),
            rates: Rates { secretsmanager: self.secrets_manager_rate, ssm: self.parameter_store_rate },
            http_address: self.http_address.0,
            aws: AwsSettings { ca_bundle, ..AwsSettings::default() },
            cluster: ClusterSettings { kubeconfig: self.kubeconfig.clone(), node_name: None },
        })
    }
}
