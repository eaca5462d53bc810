//! What the script decides.

use std::{path::PathBuf, time::Duration};

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How long the nodes are watched before anything fails.
    pub(crate) watch: Duration,
    /// How often nodes poll what no notices cover.
    pub(crate) interval: Duration,
    pub(crate) folder: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    /// Of the cluster's tokens.
    pub(crate) issuer: String,
}

impl Plan {
    /// `None` if the script did not run this.
    pub(crate) fn read() -> Option<Self> {
        let variable = |name: &str| std::env::var(format!("LATCHKEY_NOTICES_{name}")).ok();
        let seconds = |name: &str| variable(name)?.parse().ok().map(Duration::from_secs);
        Some(Self {
            watch: seconds("WATCH")?,
            interval: seconds("INTERVAL")?,
            folder: variable("FOLDER")?.into(),
            kubeconfig: variable("KUBECONFIG")?.into(),
            issuer: variable("ISSUER")?,
        })
    }
}
