//! The wiring: from a configuration to a provider that serves.

mod gauges;
mod status;
mod stop;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use self::{
    gauges::{Gauges, SharedMemory},
    stop::Stop,
};
use crate::{
    audit::{Audit, AuditError, AuditSettings},
    aws::{Aws, AwsSettings, AwsSetupError},
    backend::Backend,
    classes::Classes,
    cluster::{Cluster, ClusterSettings, events::Events, taint::TaintKey, watched::ObjectName},
    delivery::{Answers, Delivery, Means, Volumes},
    identity::{Identity, IdentitySettings},
    memory::{self, Memory},
    metrics::Metrics,
    model::rules::Rules,
    mount::Mounter,
    report::Report,
    rotation::{Listener, Poller},
    server::{
        self, endpoints,
        grpc::Provider,
        socket::{Socket, SocketError, SocketState},
    },
    shape::Shaper,
    shares::Shares,
    values::{Reader, ValueSettings, Values},
    workers::Workers,
    writer::Writer,
};

/// The folder of older drivers, which the driver still searches first.
const LEGACY_VOLUME: &str = "/etc/kubernetes/secrets-store-csi-providers";

/// Mounts that are computed at once: enough for all cores, and few enough that another
/// namespace's mount never queues behind hundreds.
const MOUNTS_COMPUTED_AT_ONCE: usize = 4;

/// How long the end waits for the audit log.
const AUDIT_END: Duration = Duration::from_secs(5);

/// Everything that the operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of the providers' sockets.
    pub provider_volume: PathBuf,
    /// The socket's file name.
    pub socket_name: String,
    /// User ids that may call the socket.
    pub allowed_uids: Vec<u32>,
    /// Address of the HTTP endpoints; `None` serves none.
    pub http_address: Option<SocketAddr>,
    /// The socket of `latchkey status`; `None` serves none.
    pub status_socket: Option<PathBuf>,
    /// Writes the files; `None` leaves that to the driver.
    pub writer: Option<Writer>,
    pub rules: Rules,
    pub aws: AwsSettings,
    pub identity: IdentitySettings,
    pub values: ValueSettings,
    pub cluster: ClusterSettings,
    /// The ConfigMap with change notices; `None` polls only.
    pub notices: Option<ObjectName>,
    /// Sends events on pods.
    pub pod_events: bool,
    /// Removed from the node once the socket is served.
    pub startup_taint: Option<TaintKey>,
    /// Maximum duration of a mount.
    pub mount_timeout: Duration,
    /// Where deliveries and denials are written; `None` writes none.
    pub audit: Option<AuditSettings>,
    /// Maximum number of mounts that run at once.
    pub max_mounts: usize,
    /// Memory of the whole process, in bytes.
    pub memory_limit: usize,
    /// Whether mounts are counted for each namespace.
    pub namespace_label: bool,
    /// Counts the panics of the process (`telemetry`).
    pub panics: Arc<AtomicU64>,
}

impl Config {
    /// The defaults, with the socket in `provider_volume`.
    pub fn new(provider_volume: impl Into<PathBuf>) -> Self {
        Self {
            provider_volume: provider_volume.into(),
            socket_name: "aws.sock".to_owned(),
            allowed_uids: vec![0],
            http_address: None,
            status_socket: None,
            writer: None,
            rules: Rules::default(),
            aws: AwsSettings::default(),
            identity: IdentitySettings::default(),
            values: ValueSettings::default(),
            cluster: ClusterSettings::default(),
            notices: None,
            pod_events: false,
            startup_taint: None,
            mount_timeout: Duration::from_secs(60),
            audit: None,
            max_mounts: 256,
            memory_limit: memory::DEFAULT_LIMIT,
            namespace_label: false,
            panics: Arc::default(),
        }
    }
}

/// Why the provider does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("the driver's socket cannot be served")]
    Socket(#[from] SocketError),
    #[error("the audit log cannot be opened")]
    Audit(#[from] AuditError),
    #[error("AWS cannot be set up")]
    Aws(#[from] AwsSetupError),
    #[error("the probes cannot be served on {address} (--http-address)")]
    Http { address: SocketAddr, source: io::Error },
    /// The poller never ends by itself.
    #[error("the rotation poller ended (a bug in Latchkey; its log has the location)")]
    Poller,
    #[error("the gRPC server failed")]
    Grpc(#[from] tonic::transport::Error),
}

/// Serves the driver until `shutdown` completes, and then finishes the mounts
/// that run.
///
/// # Errors
/// When something that serving needs fails.
pub async fn serve(
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    // Everything that needs no network is checked before the socket is taken: a process
    // that cannot serve must not take the socket from one that does.
    let audit = config.audit.clone().map(Audit::open).transpose()?.map(Arc::new);
    let Rooms { mounter, poller, gauges } = rooms(&config, audit.clone()).await?;
    connect_ahead(&config, &poller);
    let probes = match config.http_address {
        Some(address) => {
            Some(endpoints::bind(address).map_err(|source| ServeError::Http { address, source })?)
        }
        None => None,
    };
    warn_of_a_shadowing_socket(&config.socket_name);
    let socket = Socket::open(config.provider_volume.join(&config.socket_name)).await?;

    let stop = Stop::on(shutdown);
    let (state, warning) = (socket.state(), mounter.identity.key_warning());
    let status = status::serve(&config, status::snapshotter(&config, &mounter, &gauges, &state), stop.wait());
    if let Some(key) = config.startup_taint {
        tokio::spawn(remove_taint(Arc::clone(&mounter.cluster), key, state.clone(), stop.wait()));
    }
    let listener = config.notices.clone().map(|object| {
        let (cluster, values) = (Arc::clone(&mounter.cluster), Arc::clone(mounter.reader.values()));
        let listener = Listener { cluster, values, report: Arc::clone(&mounter.report), object };
        tokio::spawn(listener.run())
    });
    let (connections, keeper) = socket.run(stop.wait());
    let provider = Provider::new(Arc::new(mounter), &config.allowed_uids);
    let mut poller = tokio::spawn(poller.run());
    if let Some(listener) = probes {
        let sockets = state.clone();
        let shown = endpoints::Shown {
            ready: Box::new(move || state.borrow().readiness(warning.borrow().as_deref())),
            metrics: Box::new(move |format| gauges.render(&sockets, format)),
        };
        tokio::spawn(endpoints::serve(listener, shown, stop.wait()));
    }
    if let Some(audit) = audit.clone() {
        tokio::spawn(reopen_on_hangup(audit, stop.wait()));
    }
    let server = server::serve(provider, connections, stop.wait());
    let served = tokio::select! {
        served = server => served.map_err(ServeError::Grpc),
        // Without it values would become stale unnoticed: a restart is better.
        _ = &mut poller => Err(ServeError::Poller),
    };
    stop.now();
    poller.abort();
    if let Some(listener) = listener {
        listener.abort();
    }
    // The keeper removes the socket; it has nothing else left to do.
    let _ = keeper.await;
    if let Some(audit) = audit {
        let _ = tokio::task::spawn_blocking(move || audit.close(AUDIT_END)).await;
    }
    if let Some(status) = status {
        let _ = status.await;
    }
    served
}

/// What runs.
struct Rooms {
    mounter: Mounter,
    poller: Poller,
    gauges: Gauges,
}

/// Builds the mounter, the poller that runs next to it, and what shows both.
async fn rooms(config: &Config, audit: Option<Arc<Audit>>) -> Result<Rooms, AwsSetupError> {
    let metrics = Arc::new(Metrics::new(config.namespace_label));
    let aws = Arc::new(Aws::load(&config.aws, Arc::clone(&metrics)).await?);
    let cluster = Arc::new(Cluster::new(config.cluster.clone(), Arc::clone(&metrics)));
    let identity = Arc::new(Identity::new(Arc::clone(&aws), Arc::clone(&cluster), config.identity.clone()));
    let backend = Arc::new(Backend::new(Arc::clone(&aws)));
    let memory = Memory::of(config.memory_limit, config.writer.is_some());
    let values = Arc::new(Values::new(config.values.clone(), Arc::clone(&metrics)));
    let (reads, answers) = (Shares::new(memory.reads), Shares::new(memory.answers));
    let reader = Arc::new(Reader::new(
        Arc::clone(&identity),
        backend,
        Arc::clone(&values),
        Arc::clone(&reads),
        max_value_bytes(&config.rules),
    ));
    let workers = Workers::new();
    let shaper = Shaper {
        workers: Arc::clone(&workers),
        memory: Arc::clone(&answers),
        values: Arc::clone(&values),
        max_bytes: config.rules.limits.max_response_bytes,
    };
    let delivery = Arc::new(match config.writer.clone() {
        None => Delivery::DriverWrites(Answers::new(shaper)),
        Some(writer) => {
            let means = Means { writer, shaper, max_kept: memory.volumes };
            Delivery::ProviderWrites(Box::new(Volumes::new(means)))
        }
    });
    let node = config.cluster.node_name.as_deref();
    let events = config.pod_events.then(|| Events::new(Arc::clone(&cluster), node));
    let report = Arc::new(Report::new(Arc::clone(&metrics), audit, events));
    let classes = Arc::new(Classes::new(memory.classes));
    let mounter = Mounter {
        rules: Arc::new(config.rules.clone()),
        classes: Arc::clone(&classes),
        cluster,
        identity: Arc::clone(&identity),
        reader: Arc::clone(&reader),
        delivery: Arc::clone(&delivery),
        workers,
        turns: Shares::new(MOUNTS_COMPUTED_AT_ONCE),
        places: Shares::new(config.max_mounts),
        requests: Shares::new(memory.requests),
        report: Arc::clone(&report),
        deadline: config.mount_timeout,
    };
    let memory = SharedMemory {
        requests: Arc::clone(&mounter.requests),
        classes: Arc::clone(classes.memory()),
        reads,
        answers,
        volumes: delivery.memory().cloned(),
    };
    let gauges = Gauges {
        metrics,
        aws: Arc::clone(&aws),
        identity: Arc::clone(&identity),
        values,
        report: Arc::clone(&report),
        places: Arc::clone(&mounter.places),
        memory,
        panics: Arc::clone(&config.panics),
    };
    Ok(Rooms { mounter, poller: Poller { aws, identity, reader, delivery, classes, report }, gauges })
}

/// Opens the audit log again at each SIGHUP, as log rotation sends it.
async fn reopen_on_hangup(audit: Arc<Audit>, stop: impl Future<Output = ()>) {
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => {
            return tracing::warn!(
                "SIGHUP cannot be received: {error}. Restart Latchkey after the audit log was rotated"
            );
        }
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            Some(()) = hangups.recv() => audit.reopen(),
            () = &mut stop => return,
        }
    }
}

/// Maximum bytes of values for one mount. Decoding halves hexadecimal values.
fn max_value_bytes(rules: &Rules) -> usize {
    2 * rules.limits.max_response_bytes
}

/// Opens a few connections during the start, if the Region is known. Nothing waits for
/// them, and unused ones end by themselves.
fn connect_ahead(config: &Config, poller: &Poller) {
    let Some(region) = config.rules.default_region.clone() else { return };
    let reader = Arc::clone(&poller.reader);
    tokio::spawn(async move { reader.connect_ahead(&region).await });
}

/// Removes the node's startup taint once the socket is ours. If a newer Latchkey takes the
/// socket first, that one removes the taint.
async fn remove_taint(
    cluster: Arc<Cluster>,
    key: TaintKey,
    mut state: watch::Receiver<SocketState>,
    stop: impl Future<Output = ()>,
) {
    let remove = async {
        if state.wait_for(|state| *state == SocketState::Ours).await.is_ok() {
            cluster.remove_startup_taint(&key).await;
        }
    };
    tokio::select! {
        () = remove => {}
        () = stop => {}
    }
}

/// The driver looks into the old folder first, so a dead socket there hides ours. It is
/// visible only if that folder is mounted, too.
fn warn_of_a_shadowing_socket(name: &str) {
    let shadow = PathBuf::from(LEGACY_VOLUME).join(name);
    if shadow.exists() {
        tracing::warn!(socket = %shadow.display(), "this socket hides ours from the driver; remove it, unless a provider serves it");
    }
}
