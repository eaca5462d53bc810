//! The options of `latchkey status`, and the flag of its socket.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::{Args, ValueEnum};

/// Where `latchkey serve` puts the socket of `latchkey status`.
pub(super) const STATUS_SOCKET: &str = "/run/latchkey/status.sock";

const EXAMPLES: &str = "\
Examples:
  kubectl -n kube-system exec ds/latchkey -- /latchkey status
  latchkey status --output json --namespace shop";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatusArgs {
    /// Socket of the running provider (its --status-socket)
    #[arg(long, value_name = "PATH", default_value = STATUS_SOCKET)]
    pub(crate) socket: PathBuf,
    /// Form of the output
    #[arg(long, value_name = "FORM", value_enum, default_value = "text")]
    pub(crate) output: StatusForm,
    /// Show only what belongs to this namespace
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Show every column in full, with roles, Regions and ARNs
    #[arg(long)]
    pub(crate) wide: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum StatusForm {
    /// Tables of at most 100 columns
    Text,
    /// One JSON document
    Json,
}

/// `--status-socket`; `None` serves none.
#[derive(Clone, Debug)]
pub(super) struct OptionalPath(Option<PathBuf>);

impl OptionalPath {
    /// The path.
    ///
    /// # Errors
    /// If it is in `provider_volume`.
    pub(super) fn outside(&self, provider_volume: &Path) -> anyhow::Result<Option<PathBuf>> {
        if let Some(path) = &self.0 {
            ensure!(
                !is_within(path, provider_volume),
                "--status-socket {} is in --provider-volume, where the driver would take it for a provider; use another folder, or \"off\"",
                path.display()
            );
        }
        Ok(self.0.clone())
    }
}

/// Whether `path` is in `folder`, also by another name such as `/run` for `/var/run`.
fn is_within(path: &Path, folder: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.starts_with(folder) || path.parent().is_some_and(|parent| real(parent).starts_with(real(folder)))
}

/// Parses `--status-socket`.
pub(super) fn status_socket(text: &str) -> Result<OptionalPath, String> {
    match text {
        "" | "off" => Ok(OptionalPath(None)),
        path if path.starts_with('/') => Ok(OptionalPath(Some(PathBuf::from(path)))),
        _ => Err("expected \"off\" or an absolute path".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_outside_of_the_providers_folder_by_every_name() {
        let folder = tempfile::tempdir().unwrap();
        let (providers, link) = (folder.path().join("providers"), folder.path().join("link"));
        std::fs::create_dir(&providers).unwrap();
        std::os::unix::fs::symlink(&providers, &link).unwrap();
        for (path, good) in [
            (providers.join("status.sock"), false),
            (providers.join("deeper/status.sock"), false),
            (link.join("status.sock"), false),
            (folder.path().join("providers.sock"), true),
            (folder.path().join("absent/status.sock"), true),
        ] {
            let socket = status_socket(path.to_str().unwrap()).unwrap();
            assert_eq!(socket.outside(&providers).is_ok(), good, "{}", path.display());
        }
        assert_eq!(status_socket("off").unwrap().outside(&providers).unwrap(), None);
        assert!(status_socket("status.sock").is_err());
    }
}
