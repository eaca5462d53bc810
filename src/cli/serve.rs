//! The flags of `latchkey serve`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum, builder::RangedU64ValueParser};

use super::{
    LogArgs,
    flag_values::{
        AllowedRegions, AllowedRoles, AnyDuration, HttpAddress, OptionalBytes, OptionalDuration,
        OptionalObject, OptionalRegion, OptionalTaint, allowed_regions, any_duration, boolean, check_agent,
        expression_bytes, http_address, optional_bytes, optional_duration, optional_object, optional_region,
        optional_taint, poll_interval, positive_duration, role_patterns, socket_name,
    },
    region,
    status::{OptionalPath, STATUS_SOCKET, status_socket},
};
use crate::{
    app::Config,
    audit::AuditSettings,
    aws::AwsSettings,
    clock::Clock,
    cluster::ClusterSettings,
    identity::{AgentSettings, IdentitySettings},
    memory::Memory,
    model::{
        go_text::show_duration,
        rules::{Limits, Rules},
    },
    values::ValueSettings,
    writer::{FileSystem, Writer},
};

/// Where the driver's chart puts the providers' sockets.
const PROVIDER_VOLUME: &str = "/var/run/secrets-store-csi-providers";

/// The flags of `latchkey serve`, with their defaults.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Folder where the driver looks for providers' sockets
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = PROVIDER_VOLUME,
        help_heading = "Driver"
    )]
    provider_volume: PathBuf,
    /// File name of the socket; `<name>.sock` serves SecretProviderClasses with `provider: <name>`
    #[arg(long, value_name = "NAME", default_value_t = defaults().socket_name, value_parser = socket_name, help_heading = "Driver")]
    socket_name: String,
    /// User ids that may call the socket; the driver runs as root (0)
    #[arg(long, value_name = "UID", default_value = "0", value_delimiter = ',', help_heading = "Driver")]
    allowed_uids: Vec<u32>,
    /// Let the driver write the files; with =false, Latchkey writes them itself, and updates them as soon as a value changes
    #[arg(long, value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = boolean, action = clap::ArgAction::Set, help_heading = "Driver")]
    driver_writes_secrets: bool,
    /// kubelet's root folder; used only with --driver-writes-secrets=false
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/kubelet", help_heading = "Driver")]
    kubelet_path: PathBuf,
    /// Maximum time for one mount; keep it well below kubelet's two minutes
    #[arg(long, value_name = "DURATION", default_value = show_duration(defaults().mount_timeout), value_parser = positive_duration, help_heading = "Driver")]
    mount_timeout: Duration,

    /// Region for classes that do not name one [env: AWS_REGION]
    #[arg(long, value_name = "REGION", value_parser = optional_region, help_heading = "AWS")]
    region: Option<OptionalRegion>,
    /// Region of the node, from the downward API; used if --region is not set
    #[arg(long, value_name = "REGION", value_parser = optional_region, help_heading = "AWS")]
    pod_region: Option<OptionalRegion>,
    /// Regions that may be read, as patterns such as eu-*,us-east-1 [default: every Region]
    #[arg(long, value_name = "PATTERNS", value_parser = allowed_regions, help_heading = "AWS")]
    allowed_regions: Option<AllowedRegions>,
    /// Maximum number of concurrent AWS calls
    #[arg(long, value_name = "COUNT", default_value_t = defaults().aws.max_calls, value_parser = RangedU64ValueParser::<usize>::new().range(1..), help_heading = "AWS")]
    max_aws_calls: usize,
    /// Maximum time for a read in one Region, including retries
    #[arg(long, value_name = "DURATION", default_value = show_duration(defaults().aws.region_timeout), value_parser = positive_duration, help_heading = "AWS")]
    region_timeout: Duration,

    /// Maximum age of a served value; each value is read again once per interval
    #[arg(long, value_name = "DURATION", default_value = show_duration(defaults().values.interval), value_parser = poll_interval, help_heading = "Rotation and outages")]
    rotation_poll_interval: Duration,
    /// Minimum refreshInterval of a SecretProviderClass
    #[arg(long, value_name = "DURATION", default_value = show_duration(defaults().rules.min_refresh_interval), value_parser = poll_interval, help_heading = "Rotation and outages")]
    min_refresh_interval: Duration,
    /// Maximum refreshInterval of a SecretProviderClass, and of any interval while AWS throttles
    #[arg(long, value_name = "DURATION", default_value = show_duration(defaults().rules.max_refresh_interval), value_parser = positive_duration, help_heading = "Rotation and outages")]
    max_refresh_interval: Duration,
    /// Maximum age of a value while AWS is failing; 0 serves no stale values
    #[arg(long, value_name = "DURATION", default_value = show_duration(defaults().values.max_stale), value_parser = any_duration, help_heading = "Rotation and outages")]
    max_stale: AnyDuration,
    /// Interval for values whose changes are told by notices (--notices); it also bounds how long a revoked permission to read goes unnoticed
    #[arg(long, value_name = "DURATION", default_value = show_duration(defaults().values.notified_interval), value_parser = poll_interval, help_heading = "Rotation and outages")]
    notified_poll_interval: Duration,
    /// Stop polling a value, and drop it, when no mount has used it for this long
    #[arg(long, value_name = "DURATION", default_value = show_duration(defaults().values.idle_after), value_parser = positive_duration, help_heading = "Rotation and outages")]
    idle_after: Duration,
    /// Maximum memory for cached values [default: a share of --memory-limit, 30 MiB of 128 MiB]
    #[arg(long, value_name = "BYTES", value_parser = optional_bytes, help_heading = "Rotation and outages")]
    cache_max_bytes: Option<OptionalBytes>,

    /// Maximum age of credentials; a revoked trust takes effect within this time. STS sessions last 15 minutes to 1 hour
    #[arg(long, value_name = "DURATION", default_value = show_duration(defaults().identity.max_credential_age), value_parser = positive_duration, help_heading = "Identity")]
    max_credential_age: Duration,
    /// Allow a SecretProviderClass to name its own IRSA role (roleArn)
    #[arg(long, value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = boolean, action = clap::ArgAction::Set, help_heading = "Identity")]
    allow_role_arn: bool,
    /// Roles that a SecretProviderClass may name (roleArn, assumeRoleArn), as comma-separated patterns that match the whole ARN; * and ? are wildcards [default: any role; IAM decides]
    #[arg(long, value_name = "PATTERNS", value_parser = role_patterns, help_heading = "Identity")]
    allowed_roles: Option<AllowedRoles>,
    /// URL of the Pod Identity agent [default: its link-local IPv4 and IPv6 addresses]
    #[arg(long, value_name = "URL", help_heading = "Identity")]
    pod_identity_endpoint: Option<String>,
    /// Timeout for calls to the Pod Identity agent [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = optional_duration, help_heading = "Identity")]
    pod_identity_http_timeout: Option<OptionalDuration>,
    /// Which pods share credentials and values read with EKS Pod Identity
    #[arg(
        long,
        value_name = "SCOPE",
        value_enum,
        default_value = "serviceaccount",
        help_heading = "Identity"
    )]
    pod_identity_cache_scope: CacheScope,
    /// Name of the node; its Region is read from its labels if nothing else names one
    #[arg(long, value_name = "NAME", help_heading = "Kubernetes")]
    node_name: Option<String>,
    /// Kubeconfig file [default: the pod's service account, otherwise KUBECONFIG]
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes")]
    kubeconfig: Option<PathBuf>,
    /// ConfigMap with change notices, as NAMESPACE/NAME; `latchkey notices` writes it. Needs get, list and watch on it [default: none]
    #[arg(long, value_name = "OBJECT", value_parser = optional_object, help_heading = "Kubernetes")]
    notices: Option<OptionalObject>,
    /// Send an event on a pod when its secrets become stale or inaccessible, cannot be updated, or recover; needs create and patch on events of events.k8s.io
    #[arg(long, value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = boolean, action = clap::ArgAction::Set, help_heading = "Kubernetes")]
    pod_events: bool,
    /// Key of the taint to remove from the node once the socket is served; requires --node-name, and patch on nodes
    #[arg(long, value_name = "KEY", value_parser = optional_taint, help_heading = "Kubernetes")]
    startup_taint: Option<OptionalTaint>,

    /// Memory limit of the container; divided among values, mounts and volumes
    #[arg(long, value_name = "BYTES", default_value_t = defaults().memory_limit, value_parser = RangedU64ValueParser::<usize>::new().range(1..), help_heading = "Limits")]
    memory_limit: usize,
    /// Maximum number of concurrent mounts; one namespace may use at most half of them
    #[arg(long, value_name = "COUNT", default_value_t = defaults().max_mounts, value_parser = RangedU64ValueParser::<usize>::new().range(1..), help_heading = "Limits")]
    max_mounts: usize,
    /// Maximum number of files in one SecretProviderClass
    #[arg(long, value_name = "COUNT", default_value_t = defaults().rules.limits.max_objects, help_heading = "Limits")]
    max_objects: usize,
    /// Maximum length of a JMESPath expression, up to 1024
    #[arg(long, value_name = "BYTES", default_value_t = defaults().rules.limits.max_expression_bytes, value_parser = expression_bytes, help_heading = "Limits")]
    max_expression_bytes: usize,
    /// Maximum total size of one mount's files; the driver has its own limit, --max-call-recv-msg-size (4 MiB)
    #[arg(long, value_name = "BYTES", default_value_t = defaults().rules.limits.max_response_bytes, help_heading = "Limits")]
    max_response_bytes: usize,

    /// Address that serves /healthz, /readyz and /metrics; "off" disables them
    #[arg(long, value_name = "ADDRESS", default_value = ":8989", value_parser = http_address, help_heading = "Probes and metrics")]
    http_address: HttpAddress,
    /// Socket that `latchkey status` asks; "off" disables it. Not in --provider-volume: the driver takes each socket there for a provider
    #[arg(long, value_name = "PATH", default_value = STATUS_SOCKET, value_parser = status_socket, help_heading = "Probes and metrics")]
    status_socket: OptionalPath,
    /// Count mounts for each namespace (label namespace of latchkey_mounts_total, at most 256 namespaces)
    #[arg(long, value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = boolean, action = clap::ArgAction::Set, help_heading = "Probes and metrics")]
    metrics_namespace_label: bool,
    /// File, or stdout, for a line of JSON about each delivery and denial; SIGHUP opens the file again
    #[arg(long, value_name = "FILE", help_heading = "Audit")]
    audit_log: Option<String>,
    /// Folder that keeps across restarts what was read before (first_seen in the audit log)
    #[arg(long, value_name = "FOLDER", help_heading = "Audit")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,

    /// Version of the EKS add-on; becomes part of the user agent
    #[arg(long, value_name = "VERSION", help_heading = "Accepted for manifests of AWS's own provider")]
    eks_addon_version: Option<String>,
    /// No effect: Latchkey reads service accounts too rarely to need a rate limit
    #[arg(long, value_name = "COUNT", help_heading = "Accepted for manifests of AWS's own provider")]
    qps: Option<f64>,
    /// No effect; see --qps
    #[arg(long, value_name = "COUNT", help_heading = "Accepted for manifests of AWS's own provider")]
    burst: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum CacheScope {
    /// Each pod has its own session, for policies that use the session tags of single pods
    Pod,
    /// All pods of a service account share one session; CloudTrail names one of those pods
    Serviceaccount,
}

/// The defaults of a provider, which are those of the flags.
fn defaults() -> Config {
    Config::new(PROVIDER_VOLUME)
}

impl ServeArgs {
    pub(crate) fn log(&self) -> &LogArgs {
        &self.log
    }

    /// Combines the flags with `AWS_REGION` and `AWS_CA_BUNDLE`.
    ///
    /// # Errors
    /// If `AWS_REGION` or the agent's URL is invalid, or if two flags contradict
    /// each other.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let flag = |region: &Option<OptionalRegion>| region.as_ref().and_then(|region| region.0.clone());
        let aws_region = match variable("AWS_REGION") {
            Some(text) => Some(region(&text).map_err(anyhow::Error::msg).context("AWS_REGION")?),
            None => None,
        };
        if let Some(url) = &self.pod_identity_endpoint {
            // clap would print the rejected value, and a URL may contain a password.
            check_agent(url).context("--pod-identity-endpoint (LATCHKEY_POD_IDENTITY_ENDPOINT)")?;
        }
        let default_region = flag(&self.region).or(aws_region).or_else(|| flag(&self.pod_region));
        let allowed_regions = self.allowed_regions.as_ref().and_then(|allowed| allowed.0.clone());
        if let (Some(allowed), Some(region)) = (&allowed_regions, &default_region)
            && !allowed.allow(region)
        {
            bail!(
                "the default Region {region} is not allowed (--allowed-regions={allowed}); change the Region or the flag"
            );
        }
        if self.min_refresh_interval > self.max_refresh_interval {
            let (min, max) =
                (show_duration(self.min_refresh_interval), show_duration(self.max_refresh_interval));
            bail!("--min-refresh-interval {min} is longer than --max-refresh-interval {max}");
        }
        let startup_taint = self.startup_taint.as_ref().and_then(|taint| taint.0.clone());
        if startup_taint.is_some() && self.node_name.is_none() {
            bail!("--startup-taint requires --node-name");
        }
        let status_socket = self.status_socket.outside(&self.provider_volume)?;
        let agent =
            self.pod_identity_endpoint.as_deref().map_or_else(AgentSettings::default, AgentSettings::at);
        let timeout = self.pod_identity_http_timeout.and_then(|timeout| timeout.0).unwrap_or(agent.timeout);
        let memory = Memory::of(self.memory_limit, !self.driver_writes_secrets);
        let cache_bytes = self.cache_max_bytes.and_then(|bytes| bytes.0);
        let defaults = AwsSettings::default();
        let app_name = match &self.eks_addon_version {
            Some(version) if !version.is_empty() => format!("latchkey-{version}"),
            Some(_) | None => defaults.app_name.clone(),
        };
        Ok(Config {
            provider_volume: self.provider_volume.clone(),
            socket_name: self.socket_name.clone(),
            allowed_uids: self.allowed_uids.clone(),
            http_address: self.http_address.0,
            status_socket,
            writer: (!self.driver_writes_secrets)
                .then(|| Writer::new(&self.kubelet_path, FileSystem::TmpfsMountRoot)),
            rules: Rules {
                limits: Limits {
                    max_objects: self.max_objects,
                    max_expression_bytes: self.max_expression_bytes,
                    max_response_bytes: self.max_response_bytes,
                    ..Limits::default()
                },
                allow_role_arn: self.allow_role_arn,
                allowed_roles: self.allowed_roles.as_ref().and_then(|roles| roles.0.clone()),
                allowed_regions,
                min_refresh_interval: self.min_refresh_interval,
                max_refresh_interval: self.max_refresh_interval,
                default_region,
            },
            aws: AwsSettings {
                ca_bundle: variable("AWS_CA_BUNDLE").map(PathBuf::from),
                max_calls: self.max_aws_calls,
                region_timeout: self.region_timeout,
                app_name,
                ..defaults
            },
            identity: IdentitySettings {
                agent: AgentSettings { timeout, ..agent },
                share_pod_identity: self.pod_identity_cache_scope == CacheScope::Serviceaccount,
                max_credential_age: self.max_credential_age,
                role_age: self.rotation_poll_interval,
                max_stale: self.max_stale.0,
                clock: Clock::of_machine(),
            },
            values: ValueSettings {
                interval: self.rotation_poll_interval,
                max_interval: self.max_refresh_interval,
                notified_interval: self.notified_poll_interval,
                max_stale: self.max_stale.0,
                idle_after: self.idle_after,
                max_bytes: cache_bytes.unwrap_or(memory.values),
            },
            cluster: ClusterSettings {
                kubeconfig: self.kubeconfig.clone(),
                node_name: self.node_name.clone(),
            },
            notices: self.notices.as_ref().and_then(|object| object.0.clone()),
            pod_events: self.pod_events,
            startup_taint,
            mount_timeout: self.mount_timeout,
            audit: self.audit_log.as_deref().filter(|log| !log.is_empty()).map(|log| AuditSettings {
                log: log.into(),
                state_dir: self.state_dir.clone().filter(|folder| !folder.as_os_str().is_empty()),
                node: self.node_name.clone().filter(|name| !name.is_empty()),
            }),
            max_mounts: self.max_mounts,
            memory_limit: self.memory_limit,
            namespace_label: self.metrics_namespace_label,
            panics: Arc::default(),
        })
    }
}
