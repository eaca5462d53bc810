//! Reads the estate that the inputs of a command name.

use std::{io::Write, path::Path};

use anyhow::bail;

use crate::{
    cli::tools::inputs::Inputs,
    estate::Estate,
    live::{Live, LiveSettings, Progress, Scope},
    manifests::{self, Folders},
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
    let settings = LiveSettings { kubeconfig: cluster.kubeconfig.clone(), context: cluster.context.clone() };
    let live = Live::connect(&settings).await?;
    let scope = live.scope(cluster.namespace.as_deref(), cluster.all_namespaces);
    let (estate, unread) = Estate::of_cluster(&live, &scope, &Progress::start()).await?;
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
    let paths = inputs.files.iter().map(|file| file.as_path());
    let found = manifests::read(paths, Folders::Recursive)?;
    for unreadable in &found.unreadable {
        writeln!(std::io::stderr(), "warning: {} {}", unreadable.file, unreadable.problem)?;
    }
    let given = inputs.cluster.namespace.as_deref();
    let estate = Estate::of_manifests(&found, given.unwrap_or(DEFAULT_NAMESPACE));
    let estate = given.map_or_else(|| estate.clone(), |namespace| only(&estate, namespace));
    if estate.classes.is_empty() {
        let names: Vec<String> = inputs.files.iter().map(|file| shown(file)).collect();
        bail!("{} contains no SecretProviderClass with provider aws or latchkey", names.join(", "));
    }
    Ok(estate)
}

fn shown(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

fn only(estate: &Estate, namespace: &str) -> Estate {
    let mut estate = estate.clone();
    estate.classes.retain(|class| class.namespace == namespace);
    estate.workloads.retain(|workload| workload.namespace == namespace);
    estate.accounts.retain(|account| account.namespace == namespace);
    estate.associations.retain(|association| association.namespace == namespace);
    estate
}
