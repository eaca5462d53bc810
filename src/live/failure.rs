//! Why the cluster could not be read: a sentence for each case, with what to do. No error
//! of a library is printed in its own words, because it may hold a token.

use std::{error::Error, time::Duration};

use kube::client::AuthError;

use super::Live;
use crate::model::foreign::{reason, said};

/// Why the cluster could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LiveError {
    /// There is no usable configuration.
    #[error("{0}")]
    Configuration(String),
    /// The credentials could not be had, or are not accepted.
    #[error("{0}")]
    Credentials(String),
    #[error("the cluster at {server} does not allow you to {action}: {said}. {advice}")]
    Forbidden { server: String, action: String, said: String, advice: String },
    /// The API server has no such path.
    #[error("{0}")]
    NotServed(String),
    /// The place to go on from is too old.
    #[error("cannot {action}: the API server has forgotten where to go on; run the command again")]
    Expired { action: String },
    /// No answer, or not a useful one. May work later.
    #[error("{0}")]
    Unreachable(String),
    /// There is more than may be kept.
    #[error("cannot {action}: there are more than {most}. Read one namespace with --namespace")]
    TooMany { action: String, most: usize },
}

/// A call that is being made, for the sentences about it.
pub(super) struct Call<'a> {
    server: &'a str,
    verb: &'static str,
    /// As in "pods in namespace shop".
    what: String,
}

impl<'a> Call<'a> {
    pub(super) fn new(live: &'a Live, verb: &'static str, what: String) -> Self {
        Self { server: &live.server, verb, what }
    }

    pub(super) fn action(&self) -> String {
        format!("{} {}", self.verb, self.what)
    }

    pub(super) fn late(&self, patience: Duration) -> LiveError {
        self.unreachable(&format!("no answer within {} s", patience.as_secs()), CHECK_SERVER)
    }

    pub(super) fn broken(&self) -> LiveError {
        self.unreachable("the connection broke during the answer", "Run the command again")
    }

    pub(super) fn unreadable(&self) -> LiveError {
        self.unreachable(
            "the answer is not what an API server of Kubernetes sends",
            "Check that the server in the kubeconfig is one, and that no proxy answers in its place",
        )
    }

    fn unreachable(&self, cause: &str, advice: &str) -> LiveError {
        let (action, server) = (self.action(), self.server);
        LiveError::Unreachable(format!("cannot {action} at {server}: {cause}. {advice}"))
    }

    /// An answer with a status that is not a success.
    pub(super) fn refused(&self, status: u16, message: &str) -> LiveError {
        let said = said(message);
        match status {
            401 => LiveError::Credentials(format!(
                "the API server at {} does not accept your credentials (HTTP 401). Log in again, or check the user of the context: kubectl auth whoami",
                self.server
            )),
            403 => LiveError::Forbidden {
                server: self.server.to_owned(),
                action: self.action(),
                said: if said.is_empty() { "HTTP 403".to_owned() } else { said },
                advice: format!(
                    "Ask for a Role or ClusterRole that allows {} on {}",
                    self.verb,
                    self.what.split(' ').next().unwrap_or_default()
                ),
            },
            404 => LiveError::NotServed(self.not_served()),
            410 => LiveError::Expired { action: self.action() },
            _ => self.unreachable(
                &format!("HTTP {status} {said}"),
                "Run the command again; if this persists, check the API server",
            ),
        }
    }

    fn not_served(&self) -> String {
        let (action, server) = (self.action(), self.server);
        let advice = if self.what.contains("secrets-store.csi.x-k8s.io") {
            "Install the Secrets Store CSI Driver with its CustomResourceDefinitions, or choose another context with --context"
        } else {
            "Check that the server in the kubeconfig is an API server of Kubernetes"
        };
        format!("cannot {action}: the cluster at {server} does not serve them (HTTP 404). {advice}")
    }

    /// No answer.
    pub(super) fn failed(&self, error: &kube::Error) -> LiveError {
        if let Some(error) = auth_error(error) {
            return LiveError::Credentials(credentials(error, None));
        }
        let cause = reason(error);
        let advice = if cause.contains("certificate") || cause.contains("fatal alert") {
            "Check certificate-authority-data and tls-server-name in the kubeconfig, and that no proxy replaces the certificate"
        } else {
            CHECK_SERVER
        };
        self.unreachable(&cause, advice)
    }
}

const CHECK_SERVER: &str = "Check that the cluster is up, and the network path to it: VPN, proxy (HTTPS_PROXY, NO_PROXY), firewall; or choose another context with --context";

/// The error about credentials within another one.
pub(super) fn auth_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a AuthError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<AuthError>() {
            return Some(found);
        }
        if let Some(kube::Error::Auth(found)) = error.downcast_ref::<kube::Error>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The program that a kubeconfig runs for credentials.
pub(super) struct Plugin {
    pub(super) command: String,
    pub(super) install_hint: Option<String>,
}

/// Why there are no credentials. What a plugin has printed is not repeated.
pub(super) fn credentials(error: &AuthError, plugin: Option<&Plugin>) -> String {
    let name = plugin.map_or_else(|| "of the kubeconfig".to_owned(), |plugin| said(&plugin.command));
    match error {
        AuthError::AuthExecStart(error) => {
            let hint = plugin.and_then(|plugin| plugin.install_hint.as_deref()).map(said);
            let hint = hint
                .filter(|hint| !hint.is_empty())
                .unwrap_or_else(|| "Install it, or add its folder to PATH".to_owned());
            format!(
                "cannot start the exec plugin {name}, which gets your credentials: {}. {hint}",
                reason(error)
            )
        }
        AuthError::AuthExecRun { out, .. } => {
            let how = match out.status.code() {
                Some(code) => format!("exit code {code}"),
                None => "ended by a signal".to_owned(),
            };
            format!(
                "the exec plugin {name}, which gets your credentials, failed ({how}). Its output is not repeated here; to see it, run: kubectl auth whoami"
            )
        }
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed => format!(
            "the exec plugin {name} printed no credentials (an ExecCredential with a status). Check its arguments and version"
        ),
        AuthError::ReadTokenFile(error, path) => {
            format!("cannot read the token file {} of the kubeconfig: {}", path.display(), reason(error))
        }
        AuthError::InvalidBearerToken(_) | AuthError::InvalidBasicAuth(_) => {
            "the credentials of the kubeconfig cannot be sent: check that the token is a single line"
                .to_owned()
        }
        AuthError::NoValidNativeRootCA(_) => {
            "this machine has no certificate authorities, and the kubeconfig names none".to_owned()
        }
        _ => "the user of the kubeconfig has no usable credentials. Check it with: kubectl auth whoami"
            .to_owned(),
    }
}
