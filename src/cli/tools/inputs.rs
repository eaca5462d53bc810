//! Where the tools read from: manifests, or a live cluster. The same in every command.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Inputs {
    /// Manifests: files, folders, or - for standard input; without any, the live cluster
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

/// kubectl's own flags.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// Namespace to read; in manifests, also that of objects that name none
    #[arg(
        short,
        long,
        value_name = "NAMESPACE",
        help_heading = "Cluster",
        conflicts_with = "all_namespaces"
    )]
    pub(crate) namespace: Option<String>,
    /// Read all namespaces
    #[arg(short = 'A', long, help_heading = "Cluster")]
    pub(crate) all_namespaces: bool,
    /// Context of the kubeconfig to use
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    pub(crate) context: Option<String>,
    /// Kubeconfig file [default: KUBECONFIG, then ~/.kube/config]
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    pub(crate) kubeconfig: Option<PathBuf>,
}
