//! A node without its provider: AWS, Kubernetes, pods' volumes, and the tenants.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use latchkey::server::protocol::MountRequest;
use latchkey_emulator::{Emulator, Store};

use crate::harness::{ACCOUNT, Kubernetes, Pod, REGION, Request, serve_emulator};

/// How old a served value may be in these tests.
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);
/// How long AWS takes for an answer.
const LATENCY: Duration = Duration::from_millis(10);
/// Where Linux distributions, and the image, have their certificate authorities.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Who writes the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    DriverWrites,
    ProviderWrites,
}

/// All parts of a node except the provider.
pub(crate) struct Node {
    pub(crate) emulator: Emulator,
    pub(crate) mode: Mode,
    /// Where the probes are served.
    pub(crate) http: SocketAddr,
    kubernetes: Kubernetes,
    aws_url: String,
    folder: PathBuf,
    volumes: Mutex<Vec<PathBuf>>,
    pods: AtomicU32,
}

impl Node {
    /// Starts AWS and Kubernetes; files are kept below `folder`.
    pub(crate) async fn start(mode: Mode, folder: &Path) -> Self {
        let emulator = Emulator::new(Store::default());
        emulator.set_delay(None, LATENCY);
        let aws_url = serve_emulator(&emulator).await;
        let folder = folder.to_owned();
        let kubernetes = Kubernetes::start(&folder.join("kubeconfig"), &emulator).await;
        // Another process is unlikely to take the port meanwhile.
        let http = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (volumes, pods) = (Mutex::default(), AtomicU32::new(0));
        Self { emulator, mode, http, kubernetes, aws_url, folder, volumes, pods }
    }

    /// The driver's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("aws.sock")
    }

    /// Flags of `serve`.
    pub(crate) fn flags(&self) -> Vec<String> {
        let folder = self.folder.display();
        let kubeconfig = self.kubernetes.kubeconfig().display();
        let mut flags = vec![
            format!("--provider-volume={folder}"),
            format!("--http-address={}", self.http),
            "--status-socket=off".to_owned(),
            format!("--kubeconfig={kubeconfig}"),
            format!("--pod-identity-endpoint={}", self.aws_url),
            format!("--rotation-poll-interval={}s", INTERVAL.as_secs()),
            "--log-format=json".to_owned(),
        ];
        if self.mode == Mode::ProviderWrites {
            flags.push("--driver-writes-secrets=false".to_owned());
            flags.push(format!("--kubelet-path={folder}"));
        }
        flags
    }

    /// Variables of `serve`.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables =
            vec![("AWS_ENDPOINT_URL", self.aws_url.clone()), ("AWS_REGION", REGION.to_owned())];
        if Path::new(ROOTS).exists() {
            variables.push(("SSL_CERT_FILE", ROOTS.to_owned()));
        }
        variables
    }

    /// Service accounts of a namespace; all have its one role by IRSA, which may
    /// read everything. Those of an earlier call lose it.
    pub(crate) fn tenant<S: AsRef<str>>(&self, namespace: &str, accounts: &[S]) {
        let role = format!("arn:aws:iam::{ACCOUNT}:role/{namespace}");
        for action in ["secretsmanager:GetSecretValue", "ssm:GetParameters"] {
            self.emulator.allow(&role, action, "*");
        }
        let subject = |account: &S| format!("system:serviceaccount:{namespace}:{}", account.as_ref());
        let subjects: Vec<String> = accounts.iter().map(subject).collect();
        self.emulator.set_trust(&role, &subjects.iter().map(String::as_str).collect::<Vec<_>>());
        for account in accounts {
            self.kubernetes.annotate(namespace, account.as_ref(), &role);
        }
    }

    /// The mount of a new pod, with a volume of its own.
    pub(crate) fn request(&self, namespace: &str, account: &str, objects: &str) -> Request {
        let pod = Pod::numbered(namespace, account, self.pods.fetch_add(1, Ordering::Relaxed));
        let target = match self.mode {
            Mode::DriverWrites => Path::new("/var/lib/kubelet").join(volume_of(&pod)),
            Mode::ProviderWrites => self.volume(&pod),
        };
        Request::of_pod(pod, objects).target(&target)
    }

    /// What the driver sends for a new pod.
    pub(crate) fn message(&self, namespace: &str, account: &str, objects: &str) -> MountRequest {
        self.request(namespace, account, objects).message(&self.emulator)
    }

    /// A tmpfs, as the driver makes it for a pod.
    fn volume(&self, pod: &Pod) -> PathBuf {
        let path = self.folder.join(volume_of(pod));
        std::fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&path).status().unwrap();
        assert!(mounted.success(), "cannot mount a tmpfs at {}", path.display());
        self.volumes.lock().unwrap().push(path.clone());
        path
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for volume in self.volumes.get_mut().unwrap().drain(..) {
            let _ = Command::new("umount").arg("--lazy").arg(volume).status();
        }
    }
}

fn volume_of(pod: &Pod) -> String {
    format!("pods/{}/volumes/kubernetes.io~csi/secrets-store-inline/mount", pod.uid)
}

/// A list of objects, one a line.
pub(crate) fn objects(entries: impl IntoIterator<Item = String>) -> String {
    entries.into_iter().map(|entry| format!("- {{{entry}}}\n")).collect()
}

/// A text of exactly `bytes` bytes that differs from number to number.
pub(crate) fn filler(number: usize, bytes: usize) -> String {
    let mut text = format!("{number:08}");
    text.push_str(&"x".repeat(bytes.saturating_sub(text.len())));
    text
}

/// Names of many service accounts.
pub(crate) fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number}")).collect()
}
