//! A node: a real provider, its pods and their volumes, and the driver's part.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use latchkey_emulator::Emulator;
use tokio::time::{Instant, sleep};

use crate::{
    change::Change,
    cluster::{Bound, NAMESPACE, NOTICES, SYSTEM},
    harness::{Answer, Driver, Pod, Request, STS, free_address, scrape},
    process::Process,
    scene::{ACCOUNTS, PODS, SECRETS, Scene, account, secret},
};

/// How often the driver republishes a pod, and how many it does at once.
const REPUBLISH: Duration = Duration::from_secs(120);
/// How often a file, and the answer to a mount, is looked at.
const LOOK: Duration = Duration::from_millis(5);
const MOUNT: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    DriverWrites,
    ProviderWrites,
}

pub(crate) struct Node {
    pub(crate) provider: Process,
    mode: Mode,
    driver: Driver,
    emulator: Emulator,
    volumes: Vec<Volume>,
}

struct Volume {
    account: usize,
    request: Request,
    folder: PathBuf,
}

impl Node {
    /// A node with [`PODS`] pods of [`ACCOUNTS`] service accounts, all mounted.
    pub(crate) async fn start(scene: &Scene, name: &str, mode: Mode, notices: bool) -> Arc<Self> {
        scene.cluster.add_node(name).await;
        let folder = scene.folder.join(name);
        std::fs::create_dir(&folder).unwrap();
        let http = free_address([127, 78, 4, 1]).await;
        let mut flags = vec![
            "serve".to_owned(),
            format!("--provider-volume={}", folder.display()),
            "--status-socket=off".to_owned(),
            format!("--kubeconfig={}", scene.kubeconfig.display()),
            format!("--rotation-poll-interval={}s", scene.plan.interval.as_secs()),
            "--log-format=json".to_owned(),
        ];
        if mode == Mode::ProviderWrites {
            flags.push("--driver-writes-secrets=false".to_owned());
            flags.push(format!("--kubelet-path={}", folder.display()));
        }
        if notices {
            flags.push(format!("--notices={SYSTEM}/{NOTICES}"));
        }
        let provider = Process::start(name, http, &scene.folder, &flags, &scene.provider_variables);
        let driver = Driver::connect(&folder.join("aws.sock")).await;
        let pods = (0..PODS).map(|number| async move {
            let of = number % ACCOUNTS;
            let pod = scene.cluster.add_pod(&format!("{name}-{number}"), name, &account(of)).await;
            (of, pod)
        });
        let mut volumes = Vec::new();
        for (of, pod) in join_all(pods).await {
            volumes.push(Volume::of(of, pod, &folder, mode));
        }
        let node = Arc::new(Self { provider, mode, driver, emulator: scene.emulator.clone(), volumes });
        join_all(node.volumes.iter().map(|volume| node.mount(volume))).await;
        node
    }

    /// Republishes every pod every two minutes, one after the other, as long as it is polled.
    pub(crate) async fn republish(&self) {
        let pause = REPUBLISH / u32::try_from(self.volumes.len()).unwrap();
        loop {
            for volume in &self.volumes {
                self.mount(volume).await;
                sleep(pause).await;
            }
        }
    }

    /// Waits until every pod has a changed value. Gives when.
    pub(crate) async fn has(&self, change: &Change) -> Instant {
        let of = self.volumes.iter().filter(|volume| volume.account == change.account);
        match self.mode {
            Mode::ProviderWrites => {
                for volume in of {
                    while std::fs::read_to_string(volume.folder.join(&change.file)).unwrap() != change.value {
                        sleep(LOOK).await;
                    }
                }
            }
            // All pods of a service account are served from one entry.
            Mode::DriverWrites => {
                for volume in of.take(1) {
                    while self.mount(volume).await.text(&change.file) != change.value {
                        sleep(MOUNT).await;
                    }
                }
            }
        }
        Instant::now()
    }

    /// The sum of all series of a metric whose text holds `part`.
    pub(crate) async fn metric(&self, name: &str, part: &str) -> f64 {
        let series = scrape(self.provider.http, "text/plain").await.series();
        let of = |series: &str| series.split('{').next() == Some(name) && series.contains(part);
        series.iter().filter(|(series, _)| of(series)).map(|(_, value)| value).sum()
    }

    /// Calls of GetSecretValue so far.
    pub(crate) async fn reads(&self) -> f64 {
        self.metric("latchkey_aws_requests_total", r#"operation="GetSecretValue""#).await
    }

    /// Values whose changes are told by notices.
    pub(crate) async fn covered(&self) -> f64 {
        self.metric("latchkey_values_covered", "").await
    }

    async fn mount(&self, volume: &Volume) -> Answer {
        let message = volume.request.message(&self.emulator);
        self.driver.mount(message).await.unwrap_or_else(|status| panic!("{}: {status}", self.provider.name))
    }
}

impl Volume {
    fn of(account_number: usize, bound: Bound, folder: &Path, mode: Mode) -> Self {
        let Bound { name, uid, token } = bound;
        let objects = (0..SECRETS)
            .map(|index| {
                format!("- {{objectName: {}, objectType: secretsmanager}}\n", secret(account_number, index))
            })
            .collect::<String>();
        let pod =
            Pod { namespace: NAMESPACE.to_owned(), service_account: account(account_number), name, uid };
        let path = pod.volume(folder);
        if mode == Mode::ProviderWrites {
            // As the driver makes it for a pod. It vanishes with the run's mount namespace.
            std::fs::create_dir_all(&path).unwrap();
            let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&path).status().unwrap();
            assert!(mounted.success(), "cannot mount a tmpfs at {}", path.display());
        }
        let request = Request::of_pod(pod, &objects).token(STS, &token).target(&path);
        Self { account: account_number, request, folder: path }
    }
}
