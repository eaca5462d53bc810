//! Reads the estate that the inputs of a command name.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::bail;

use crate::{
    cli::tools::inputs::{ClusterArgs, Inputs},
    estate::Estate,
    live::{Live, LiveSettings, Progress, Scope},
    manifests::{self, Folders, Found, ManifestError},
};

/// The namespace of objects that name none, as kubectl chooses it.
const DEFAULT_NAMESPACE: &str = "default";

/// The estate of the files, or of the live cluster if there are none. Prints a warning for
/// what cannot be read next to it.
///
/// # Errors
/// If nothing can be read, or if there is no SecretProviderClass.
pub(super) async fn estate(inputs: &Inputs) -> anyhow::Result<Estate> {
    let cluster = &inputs.cluster;
    if !inputs.files.is_empty() {
        return of_files(inputs);
    }
    let live = connect(cluster).await?;
    let scope = live.scope(cluster.namespace.as_deref(), cluster.all_namespaces);
    let (estate, unread) = Estate::of_cluster(&live, &scope, &Progress::of_cluster()).await?;
    unread.iter().try_for_each(|error| writeln!(std::io::stderr(), "warning: {error}"))?;
    if estate.classes.is_empty() {
        match scope {
            Scope::All => bail!("the cluster has no SecretProviderClass with provider aws or latchkey"),
            Scope::Namespace(namespace) => bail!(
                "namespace {namespace} has no SecretProviderClass with provider aws or latchkey; -A reads all namespaces"
            ),
        }
    }
    Ok(estate)
}

fn of_files(inputs: &Inputs) -> anyhow::Result<Estate> {
    let found = read_files(&inputs.files)?;
    for unreadable in &found.unreadable {
        writeln!(std::io::stderr(), "warning: {} {}", unreadable.file, unreadable.problem)?;
    }
    let given = inputs.cluster.namespace.as_deref();
    let mut estate = Estate::of_manifests(&found, given.unwrap_or(DEFAULT_NAMESPACE));
    if let Some(namespace) = given {
        estate.keep_only(namespace);
    }
    if estate.classes.is_empty() {
        bail!("{} contains no SecretProviderClass with provider aws or latchkey", named(&inputs.files));
    }
    Ok(estate)
}

/// What the files contain.
///
/// # Errors
/// If one of them cannot be read.
pub(super) fn read_files(files: &[PathBuf]) -> Result<Found, ManifestError> {
    let read = || manifests::read(files.iter().map(PathBuf::as_path), Folders::Recursive);
    // Whoever types the manifest needs the line.
    let is_typed = files.iter().any(|file| file == Path::new("-"));
    if is_typed { read() } else { Progress::during("Reading the manifests", read) }
}

/// The cluster that kubectl's flags name.
///
/// # Errors
/// If there is no usable configuration.
pub(super) async fn connect(args: &ClusterArgs) -> anyhow::Result<Live> {
    let settings = LiveSettings { kubeconfig: args.kubeconfig.clone(), context: args.context.clone() };
    Ok(Live::connect(&settings).await?)
}

/// The files, for a message.
pub(super) fn named(files: &[PathBuf]) -> String {
    let name = |file: &PathBuf| match file == Path::new("-") {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    };
    files.iter().map(name).collect::<Vec<_>>().join(", ")
}
