//! What a provider needs around it: an emulated AWS, a small Kubernetes API, a folder
//! for the socket, and pods.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Context;
use latchkey_emulator::{Authority, Connections, Emulator, Store};
use serde_json::json;
use tokio::net::TcpListener;

use super::{
    kubernetes::{Kubernetes, ROLE, kubeconfig},
    settings::Settings,
};
use crate::{
    driver::{Pod, SocketFolder},
    protocol::MountRequest,
};

/// The Region of all secrets and requests.
pub(super) const REGION: &str = "eu-central-1";

/// Where Linux distributions and the image keep their certificate authorities.
pub(super) const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Everything but the provider. This process serves AWS and Kubernetes.
pub(super) struct Stage {
    pub(super) emulator: Emulator,
    pub(super) aws: Endpoints,
    pub(super) kubernetes: Kubernetes,
    pub(super) kubeconfig: PathBuf,
    folder: SocketFolder,
    fleets: AtomicU32,
}

/// Secrets Manager and STS have hosts of their own, as at AWS, and so they have
/// separate connections. The agent speaks HTTP, as on a node.
pub(super) struct Endpoints {
    pub(super) secrets_manager: String,
    pub(super) sts: String,
    pub(super) agent: String,
    /// The file with the authority of their certificates; `None` without TLS.
    pub(super) authority: Option<PathBuf>,
}

/// The pods of a fleet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) pods: u32,
    /// How many service accounts the pods have; all are in one namespace.
    pub(super) accounts: u32,
    /// How many secrets each pod mounts. All pods mount the same secrets.
    pub(super) secrets: u32,
    /// Whether they use EKS Pod Identity instead of IRSA.
    pub(super) pod_identity: bool,
}

/// Pods that no provider has seen before, with secrets that none has read.
pub(super) struct Fleet {
    /// The driver's request for each pod.
    pub(super) requests: Vec<MountRequest>,
    pub(super) secrets: Vec<String>,
}

impl Stage {
    /// Starts AWS and Kubernetes.
    ///
    /// # Errors
    /// When an address cannot be listened on, or a file cannot be written.
    pub(super) async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let store = json!({
            "region": REGION,
            "roles": [{
                "arn": ROLE,
                "allow": [{ "actions": ["secretsmanager:GetSecretValue"], "resources": ["bench/*"] }],
            }],
        });
        let emulator = Emulator::new(Store::from_yaml(&store.to_string())?);
        emulator.set_delay(None, settings.latency);
        let folder = SocketFolder::new()?;
        let aws = Endpoints::serve(&emulator, settings, folder.path()).await?;

        let (kubernetes_listener, address) = listen(settings.kubernetes_address).await?;
        let kubernetes = Kubernetes::new(emulator.clone(), settings.kubernetes_latency);
        tokio::spawn(kubernetes.clone().serve(kubernetes_listener));

        let path = folder.path().join("kubeconfig");
        let authority = folder.path().join("authority.crt");
        if let Some(certificate) = first_certificate() {
            std::fs::write(&authority, certificate)?;
        }
        std::fs::write(&path, kubeconfig(address, authority.exists().then_some(&authority)))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { emulator, aws, kubernetes, kubeconfig: path, folder, fleets: AtomicU32::new(0) })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Creates pods whose names, service accounts and secrets are new to every provider.
    pub(super) fn fleet(&self, plan: Plan) -> Fleet {
        let number = self.fleets.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("bench-{number}");
        let secrets: Vec<String> =
            (0..plan.secrets).map(|secret| format!("bench/{number}/secret-{secret}")).collect();
        for secret in &secrets {
            self.put(secret, 0);
        }
        let accounts: Vec<String> = (0..plan.accounts).map(|account| format!("account-{account}")).collect();
        let subjects: Vec<String> =
            accounts.iter().map(|account| format!("system:serviceaccount:{namespace}:{account}")).collect();
        self.emulator.set_trust(ROLE, &subjects.iter().map(String::as_str).collect::<Vec<_>>());
        for account in accounts.iter().filter(|_| plan.pod_identity) {
            self.emulator.set_association(&namespace, account, Some(ROLE));
        }
        let objects = objects(&secrets);
        let mut parameters = vec![("region", REGION), ("objects", &objects)];
        if plan.pod_identity {
            parameters.push(("usePodIdentity", "true"));
        }
        let request = |pod: u32| {
            let pod_of = Pod {
                namespace: &namespace,
                name: &format!("pod-{pod}"),
                uid: &format!("{number:08x}-0000-4000-8000-{pod:012}"),
                service_account: &accounts[(pod % plan.accounts) as usize],
                parameters: &parameters,
            };
            pod_of.request(&self.emulator)
        };
        Fleet { requests: (0..plan.pods).map(request).collect(), secrets }
    }

    /// Puts a new value the size of database credentials into a secret, and returns
    /// its version.
    pub(super) fn put(&self, secret: &str, change: u32) -> String {
        let value = json!({
            "engine": "postgres",
            "host": "database.cluster-c1example.eu-central-1.rds.amazonaws.com",
            "port": 5432,
            "username": "application",
            "password": format!("{change:032}"),
        });
        self.emulator.put_secret(REGION, secret, value.to_string())
    }

    /// Counts connections from zero again, because a provider starts.
    pub(super) fn reset_connections(&self) {
        self.emulator.reset_connections();
    }

    /// The connections that the provider has opened to AWS since it started.
    pub(super) fn connections(&self) -> Connections {
        self.emulator.connections()
    }

    /// Forgets the calls to AWS and Kubernetes.
    pub(super) fn reset_calls(&self) {
        self.emulator.reset_calls();
        self.kubernetes.reset();
    }

    /// Calls to AWS by operation, and their sum.
    pub(super) fn aws_calls(&self) -> (BTreeMap<String, u64>, u64) {
        let calls = self.emulator.call_counts();
        let sum = calls.values().sum();
        (calls, sum)
    }
}

impl Endpoints {
    async fn serve(emulator: &Emulator, settings: &Settings, folder: &Path) -> anyhow::Result<Self> {
        let (listener, agent) = listen(settings.agent_address).await?;
        tokio::spawn(emulator.clone().serve(listener, std::future::pending()));
        let (secrets_manager, secrets_manager_address) = listen(settings.aws_address).await?;
        let (sts, sts_address) = listen(settings.sts_address).await?;
        let hosts = [(secrets_manager, secrets_manager_address), (sts, sts_address)];
        let scheme = if settings.plain { "http" } else { "https" };
        let endpoint = |address: SocketAddr| format!("{scheme}://{address}");
        let mut endpoints = Self {
            secrets_manager: endpoint(secrets_manager_address),
            sts: endpoint(sts_address),
            agent: format!("http://{agent}"),
            authority: None,
        };
        if settings.plain {
            for (listener, _) in hosts {
                tokio::spawn(emulator.clone().serve(listener, std::future::pending()));
            }
            return Ok(endpoints);
        }
        let authority = Authority::new()?;
        for (listener, address) in hosts {
            let server = authority.server(&[address.ip().to_string()])?;
            let round_trip = settings.latency;
            tokio::spawn(emulator.clone().serve_tls(listener, server, round_trip, std::future::pending()));
        }
        let path = folder.join("aws-authority.pem");
        std::fs::write(&path, authority.pem()).with_context(|| format!("cannot write {}", path.display()))?;
        endpoints.authority = Some(path);
        Ok(endpoints)
    }

    /// The variables that point a provider at this AWS.
    pub(super) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", OsString::from(&self.secrets_manager)),
            ("AWS_ENDPOINT_URL_STS", OsString::from(&self.sts)),
        ];
        variables.extend(self.authority.iter().map(|path| ("AWS_CA_BUNDLE", path.into())));
        variables
    }
}

impl Plan {
    /// One pod with some secrets.
    pub(super) fn of_secrets(secrets: u32) -> Self {
        Self { pods: 1, accounts: 1, secrets, pod_identity: false }
    }

    /// A full node: 110 pods with five secrets each.
    pub(super) fn full_node(accounts: u32) -> Self {
        Self { pods: 110, accounts, secrets: 5, pod_identity: false }
    }
}

/// The `objects` of the SecretProviderClass, as people write it.
fn objects(secrets: &[String]) -> String {
    secrets.iter().fold(String::new(), |mut text, secret| {
        // Writing into a String cannot fail.
        let _ = write!(text, "- objectName: \"{secret}\"\n  objectType: \"secretsmanager\"\n");
        text
    })
}

/// A cluster reached without TLS needs no particular authority. But a real cluster has
/// one of its own, and a client without one would read all of the system's.
fn first_certificate() -> Option<String> {
    const END: &str = "-----END CERTIFICATE-----\n";
    let roots = std::fs::read_to_string(ROOTS).ok()?;
    let end = roots.find(END)? + END.len();
    Some(roots[..end].to_owned())
}

async fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
