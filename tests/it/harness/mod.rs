//! Everything that a mount needs, started in one call: AWS (the emulator over
//! HTTP), Kubernetes, the provider on a unix socket, and the driver's part.
//!
//! All of it runs in the test's own runtime, so that a paused clock is paused
//! for everyone: time then passes only while nobody has anything to do.

#[cfg(feature = "tools")]
mod cluster;
mod driver;
mod facts;
mod kubernetes;
mod logs;
mod rooms;
mod scrape;
mod tee;
mod time;

use std::{
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use latchkey::{
    app::{Config, ServeError, serve},
    clock::Clock,
    identity::AgentSettings,
    writer::{FileSystem, Writer},
};
use latchkey_emulator::{Call, Emulator, Fault, FaultId, FaultKind, ParameterType, Store};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

#[cfg(feature = "tools")]
pub(crate) use self::cluster::{ClusterApi, kubeconfig_for};
pub(crate) use self::{
    driver::{Answer, Driver, FINAL_CODES, POD_IDENTITY, Pod, Request, SECRET, STS, many},
    facts::{assert_code, assert_codes, assert_contains, assert_lacks, assert_says},
    kubernetes::{Behaviour, Keys, Kubernetes},
    logs::Log,
    rooms::Rooms,
    scrape::{Scrape, scrape},
    tee::Tee,
    time::{GRACE, INTERVAL, pass, seconds},
};

/// The store's account.
pub(crate) const ACCOUNT: &str = "111122223333";
/// The Region of requests that name no other.
pub(crate) const REGION: &str = "us-east-1";
/// The Region that fails over.
pub(crate) const FAILOVER: &str = "us-west-2";
/// The role of service account shop/web, by IRSA.
pub(crate) const WEB: &str = "arn:aws:iam::111122223333:role/web";
/// The role of service account pay/worker, by Pod Identity.
pub(crate) const WORKER: &str = "arn:aws:iam::111122223333:role/worker";
/// The time limit for a condition to come true.
const PATIENCE: Duration = Duration::from_secs(60);

/// A world in which service account shop/web has role [`WEB`] by IRSA,
/// pay/worker has role [`WORKER`] by Pod Identity, and both may read everything.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) kubernetes: Kubernetes,
    pub(crate) aws_url: String,
    pub(crate) driver: Driver,
    pub(crate) config: Config,
    provider: Provider,
    // Removed at the end of the test.
    folder: TempDir,
}

impl World {
    /// The world with the provider's defaults.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The world without a cache, in which every mount calls AWS.
    pub(crate) async fn uncached() -> Self {
        Self::with(|config| config.values.max_bytes = 0).await
    }

    /// The world with a changed configuration.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::of(Store::default(), change).await
    }

    /// The world with provider-writes delivery into any file system.
    pub(crate) async fn provider_writes(change: impl FnOnce(&mut Config)) -> Self {
        let mut kubelet = PathBuf::new();
        let world = Self::with(|config| {
            kubelet = config.provider_volume.join("kubelet");
            config.writer = Some(Writer::new(&kubelet, FileSystem::Any));
            change(config);
        });
        let world = world.await;
        std::fs::create_dir(&kubelet).unwrap();
        world
    }

    /// The world with more in AWS than the default.
    pub(crate) async fn of(store: Store, change: impl FnOnce(&mut Config)) -> Self {
        Self::set_up(store, |_| {}, change).await
    }

    /// The world with a Kubernetes that was changed before the provider starts.
    pub(crate) async fn with_kubernetes(
        prepare: impl FnOnce(&Kubernetes),
        change: impl FnOnce(&mut Config),
    ) -> Self {
        Self::set_up(Store::default(), prepare, change).await
    }

    async fn set_up(
        store: Store,
        prepare: impl FnOnce(&Kubernetes),
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let emulator = Emulator::new(store);
        for (role, action) in [WEB, WORKER].into_iter().flat_map(|role| {
            ["secretsmanager:GetSecretValue", "ssm:GetParameters"].map(|action| (role, action))
        }) {
            emulator.allow(role, action, "*");
        }
        emulator.set_trust(WEB, &["system:serviceaccount:shop:web"]);
        emulator.set_association("pay", "worker", Some(WORKER));
        let aws_url = serve_emulator(&emulator).await;

        let folder = tempfile::tempdir().unwrap();
        let kubernetes = Kubernetes::start(&folder.path().join("kubeconfig"), &emulator).await;
        kubernetes.annotate("shop", "web", WEB);
        kubernetes.add_account("pay", "worker");
        prepare(&kubernetes);

        let mut config = Config::new(folder.path());
        config.allowed_uids = vec![rustix::process::getuid().as_raw()];
        config.aws.endpoint_url = Some(aws_url.clone());
        config.identity.agent = AgentSettings::at(&aws_url);
        config.identity.clock = Clock::of_tokio();
        config.cluster.kubeconfig = Some(kubernetes.kubeconfig().to_owned());
        // The operator of this world lets classes name any role.
        config.rules.allow_role_arn = true;
        change(&mut config);

        let provider = Provider::start(config.clone());
        let driver = Driver::connect(&config.provider_volume.join(&config.socket_name)).await;
        Self { emulator, kubernetes, aws_url, driver, config, provider, folder }
    }

    /// A folder of this world.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The driver's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.config.provider_volume.join(&self.config.socket_name)
    }

    /// The request with a volume as the driver makes it, and the volume's folder.
    pub(crate) fn with_volume(&self, request: Request) -> (Request, PathBuf) {
        let folder = request.pod.volume(&self.folder().join("kubelet"));
        std::fs::create_dir_all(&folder).unwrap();
        (request.target(&folder), folder)
    }

    /// Mounts, and expects that it succeeds.
    pub(crate) async fn mount(&self, request: &Request) -> Answer {
        self.try_mount(request).await.unwrap_or_else(|status| panic!("{status}"))
    }

    /// Mounts, and expects that it fails.
    pub(crate) async fn refusal(&self, request: &Request) -> tonic::Status {
        match self.try_mount(request).await {
            Ok(answer) => panic!("mounted {:?}", answer.paths()),
            Err(status) => status,
        }
    }

    /// Mounts with the tokens that kubelet would send.
    pub(crate) async fn try_mount(&self, request: &Request) -> Result<Answer, tonic::Status> {
        self.driver.mount(request.message(&self.emulator)).await
    }

    /// A secret with a text value in the primary Region; gives its version id.
    pub(crate) fn secret(&self, name: &str, value: &str) -> String {
        self.emulator.put_secret(REGION, name, value.to_owned())
    }

    /// The secrets `many/N` with any value in the primary Region; gives the objects that name them.
    pub(crate) fn many(&self, numbers: Range<usize>) -> String {
        for number in numbers.clone() {
            self.secret(&format!("many/{number}"), "x");
        }
        many(numbers)
    }

    /// A parameter in the primary Region.
    pub(crate) fn parameter(&self, name: &str, value: &str) -> usize {
        self.emulator.put_parameter(REGION, name, ParameterType::String, value)
    }

    /// A fault of one operation.
    pub(crate) fn fault(&self, operation: &str, kind: FaultKind) -> FaultId {
        self.emulator.inject(Fault::new(kind).operation(operation))
    }

    /// How often an operation was called.
    pub(crate) fn calls(&self, operation: &str) -> u64 {
        self.emulator.call_counts().get(operation).copied().unwrap_or(0)
    }

    /// The Regions in which an operation was called, in order.
    pub(crate) fn regions_of(&self, operation: &str) -> Vec<String> {
        let calls = self.emulator.calls().into_iter().filter(|call| call.operation == operation);
        calls.filter_map(|call| call.region).collect()
    }

    /// The calls that AWS refused or failed.
    pub(crate) fn failed_calls(&self) -> Vec<Call> {
        self.emulator.calls().into_iter().filter(|call| call.error.is_some()).collect()
    }

    /// Stops the provider; gives the result of `serve`.
    pub(crate) async fn stop(&mut self) -> Result<(), ServeError> {
        self.provider.stop().await
    }

    /// Restarts the provider with a changed configuration.
    pub(crate) async fn restart(&mut self, change: impl FnOnce(&mut Config)) {
        self.stop().await.unwrap();
        change(&mut self.config);
        self.provider = Provider::start(self.config.clone());
        self.driver = Driver::connect(&self.socket()).await;
    }
}

/// Serves the emulator until the test ends; gives its URL.
pub(crate) async fn serve_emulator(emulator: &Emulator) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(emulator.clone().serve(listener, std::future::pending()));
    format!("http://{address}")
}

/// An address that no other test uses: each has a loopback address of its own.
pub(crate) async fn free_address(loopback: [u8; 4]) -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::from((loopback, 0))).await.unwrap();
    listener.local_addr().unwrap()
}

/// A provider that serves.
pub(crate) struct Provider {
    shutdown: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Provider {
    /// Serves until it is stopped or the test ends.
    pub(crate) fn start(config: Config) -> Self {
        let (shutdown, stopped) = oneshot::channel();
        let stopped = async move {
            // A dropped sender is the end of the test, not a request to stop.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        Self { shutdown: Some(shutdown), served: tokio::spawn(serve(config, stopped)) }
    }

    /// Asks it to stop, without waiting.
    pub(crate) fn ask_to_stop(&mut self) {
        // A provider that has failed has dropped the receiver.
        let _ = self.shutdown.take().unwrap().send(());
    }

    /// Stops it; gives the result of `serve`.
    pub(crate) async fn stop(&mut self) -> Result<(), ServeError> {
        self.ask_to_stop();
        self.ended().await
    }

    /// The result of `serve`.
    pub(crate) async fn ended(&mut self) -> Result<(), ServeError> {
        tokio::time::timeout(PATIENCE, &mut self.served).await.expect("the provider does not stop").unwrap()
    }
}

/// Waits until `condition` returns a value.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let started = tokio::time::Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
