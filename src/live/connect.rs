//! From a kubeconfig, or a pod's own service account, to a client.

use std::{io, path::Path, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError, LoadDataError},
};

use super::{
    Live, LiveError, LiveSettings,
    failure::{Plugin, auth_error, credentials},
};
use crate::model::foreign::{reason, said};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Contexts that a message names.
const NAMED_CONTEXTS: usize = 10;

pub(super) async fn connect(settings: &LiveSettings) -> Result<Live, LiveError> {
    let (mut config, plugin) = config(settings).await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    let namespace = config.default_namespace.clone();
    let server = server_of(&config.cluster_url);
    // Run in a separate task: kube panics if the token is not a valid header value. A
    // blocking thread, because an exec plugin may wait for a person.
    let made = tokio::task::spawn_blocking(move || Client::try_from(config));
    let client = match made.await {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return Err(unusable_client(&error, plugin.as_ref())),
        Err(_) => {
            return Err(LiveError::Credentials(
                "the credentials of the kubeconfig cannot be sent: check that the token is a single line"
                    .to_owned(),
            ));
        }
    };
    Ok(Live { client, namespace, server })
}

async fn config(settings: &LiveSettings) -> Result<(Config, Option<Plugin>), LiveError> {
    let LiveSettings { kubeconfig: path, context } = settings;
    let read = path.as_deref().map_or_else(Kubeconfig::read, Kubeconfig::read_from);
    let kubeconfig = match read {
        Ok(kubeconfig) => kubeconfig,
        Err(error) if path.is_none() && is_absent(&error) => {
            // As kubectl does: the service account of a pod comes last.
            return match Config::incluster() {
                Ok(config) if context.is_none() => Ok((config, None)),
                _ => Err(LiveError::Configuration(no_kubeconfig(&error))),
            };
        }
        Err(error) => return Err(LiveError::Configuration(unusable(&error, path.as_deref(), &[]))),
    };
    let contexts: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| LiveError::Configuration(unusable(&error, path.as_deref(), &contexts)))?;
    let plugin = config.auth_info.exec.as_ref().map(|exec| Plugin {
        command: exec.command.clone().unwrap_or_default(),
        install_hint: exec.install_hint.clone(),
    });
    Ok((config, plugin))
}

fn is_absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, _) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

fn no_kubeconfig(error: &KubeconfigError) -> String {
    let place = match error {
        KubeconfigError::ReadConfig(_, path) => format!(" at {}", path.display()),
        _ => String::new(),
    };
    format!(
        "no cluster: there is no kubeconfig{place}, and this is not a pod with a service account. Name a kubeconfig with --kubeconfig or KUBECONFIG (on EKS, create one: aws eks update-kubeconfig --name CLUSTER)"
    )
}

/// What is wrong with a kubeconfig. The parser's own message may quote a token.
fn unusable(error: &KubeconfigError, path: Option<&Path>, contexts: &[String]) -> String {
    let file =
        path.map_or_else(|| "the kubeconfig".to_owned(), |path| format!("the kubeconfig {}", path.display()));
    match error {
        KubeconfigError::ReadConfig(error, path) => {
            format!("cannot read the kubeconfig {}: {}", path.display(), reason(error))
        }
        KubeconfigError::Parse(_) => format!("{file} is not valid YAML for a kubeconfig"),
        KubeconfigError::CurrentContextNotSet => {
            format!("{file} has no current-context. {}", choose(contexts))
        }
        KubeconfigError::LoadContext(name) => {
            format!("{file} has no context \"{}\". {}", said(name), choose(contexts))
        }
        KubeconfigError::LoadClusterOfContext(name) => {
            format!("{file} does not contain the cluster \"{}\" of its context", said(name))
        }
        KubeconfigError::MissingClusterUrl | KubeconfigError::ParseClusterUrl(_) => {
            format!("the cluster of the context has no valid server URL in {file}")
        }
        KubeconfigError::ParseProxyUrl(_) => {
            "the proxy URL is not valid: check proxy-url in the kubeconfig, and HTTPS_PROXY".to_owned()
        }
        KubeconfigError::ParseNoProxy(_) => "NO_PROXY is not valid".to_owned(),
        KubeconfigError::LoadCertificateAuthority(error) => {
            format!("cannot load the cluster's certificate authority of {file}: {}", unloaded(error))
        }
        KubeconfigError::LoadClientCertificate(error) | KubeconfigError::LoadClientKey(error) => {
            format!("cannot load the client certificate or its key of {file}: {}", unloaded(error))
        }
        KubeconfigError::ParseCertificates(_) => {
            format!("the cluster's certificate authority in {file} is not PEM")
        }
        _ => format!("the cluster or the user of the context is unusable in {file}"),
    }
}

fn unloaded(error: &LoadDataError) -> String {
    match error {
        LoadDataError::ReadFile(error, path) => format!("{}: {}", path.display(), reason(error)),
        LoadDataError::DecodeBase64(_) => "it is not base64".to_owned(),
        LoadDataError::NoBase64DataOrFile => "there is none".to_owned(),
    }
}

fn choose(contexts: &[String]) -> String {
    if contexts.is_empty() {
        return "It has no contexts at all".to_owned();
    }
    let named: Vec<String> = contexts.iter().take(NAMED_CONTEXTS).map(|name| said(name)).collect();
    let more = if contexts.len() > NAMED_CONTEXTS { ", …" } else { "" };
    format!("Choose one with --context: {}{more}", named.join(", "))
}

fn unusable_client(error: &kube::Error, plugin: Option<&Plugin>) -> LiveError {
    if let Some(error) = auth_error(error) {
        return LiveError::Credentials(credentials(error, plugin));
    }
    LiveError::Configuration(match error {
        kube::Error::RustlsTls(_) => {
            "the certificates or the client key of the kubeconfig are unusable".to_owned()
        }
        kube::Error::ProxyProtocolUnsupported { .. } | kube::Error::ProxyProtocolDisabled { .. } => {
            "the proxy must be an http:// or https:// URL: check proxy-url in the kubeconfig, and HTTPS_PROXY"
                .to_owned()
        }
        other => format!("cannot set up a client for the cluster: {}", reason(other)),
    })
}

/// Scheme, host and port. A URL could also hold a password.
fn server_of(url: &http::Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("https");
    let host = url.host().unwrap_or("(no host)");
    match url.port_u16() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}
