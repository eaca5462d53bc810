//! Another namespace's pods during an attack: republishes, new pods, a rotation,
//! and kubelet's probes of the provider.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use latchkey::server::protocol::MountRequest;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    harness::{Driver, REGION},
    node::{INTERVAL, Mode, Node, objects},
};

const NAMESPACE: &str = "shop";
const ACCOUNT: &str = "web";
const ROTATED: &str = "shop/rotated";
/// Between republishes, new pods and probes.
const REPUBLISH_PAUSE: Duration = Duration::from_millis(5);
const NEW_POD_PAUSE: Duration = Duration::from_millis(700);
const PROBE_PAUSE: Duration = Duration::from_millis(100);
/// The timeout of the victim's calls; all bounds are below it.
const PATIENCE: Duration = Duration::from_secs(2);
/// The time from the start of the attack until a value changes.
const BEFORE_ROTATION: Duration = Duration::from_millis(500);
/// The minimum duration of an attack.
const LEAST: Duration = Duration::from_secs(3);
/// When a changed value must be served: one interval, and then a mount itself
/// reads a value that is two seconds older.
pub(crate) const ROTATION_BOUND: Duration = INTERVAL.saturating_add(Duration::from_millis(2500));

/// What the victim saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) republishes: Vec<Duration>,
    pub(crate) new_pods: Vec<Duration>,
    pub(crate) slowest_probe: Duration,
    /// From the change in AWS until it was served.
    pub(crate) rotation: Option<Duration>,
    pub(crate) failures: Vec<String>,
}

/// A pod that runs, whose values the provider has.
pub(crate) struct Victim {
    node: Arc<Node>,
    driver: Driver,
    request: MountRequest,
    volume: PathBuf,
    /// Pods that start during the attack. Their mounts are prepared, so that the
    /// preparation does not count.
    newcomers: Vec<MountRequest>,
    over: AtomicBool,
}

impl Victim {
    /// The first mount, before the attack.
    pub(crate) async fn settle(node: Arc<Node>, driver: Driver) -> Result<Self, String> {
        node.tenant(NAMESPACE, &[ACCOUNT]);
        for number in 0..5 {
            let value = json!({ "user": "application", "password": format!("{number:032}"), "port": 5432 });
            node.emulator.put_secret(REGION, &format!("shop/{number}"), value.to_string());
        }
        node.emulator.put_secret(REGION, ROTATED, "before");
        let fields = "jmesPath: [{path: user, objectAlias: user}, {path: \"join('@', [user, password])\", objectAlias: login}]";
        let entries = (0..5)
            .map(|number| {
                let fields = fields.replace("objectAlias: ", &format!("objectAlias: {number}-"));
                format!("objectName: shop/{number}, objectType: secretsmanager, {fields}")
            })
            .chain([format!("objectName: {ROTATED}, objectType: secretsmanager, objectAlias: rotated")]);
        let request = node.request(NAMESPACE, ACCOUNT, &objects(entries));
        let volume = PathBuf::from(&request.target_path);
        let request = request.message(&node.emulator);
        let newcomer = |number: usize| {
            let name = format!("shop/new-{number}");
            node.emulator.put_secret(REGION, &name, "new");
            node.message(
                NAMESPACE,
                ACCOUNT,
                &objects([format!("objectName: {name}, objectType: secretsmanager")]),
            )
        };
        let newcomers = (0..10).map(newcomer).collect();
        driver
            .client()
            .mount(request.clone())
            .await
            .map_err(|status| format!("before the attack: {status}"))?;
        Ok(Self { node, driver, request, volume, newcomers, over: AtomicBool::new(false) })
    }

    /// Mounts during the attack, until its minimum duration is over and the changed value was
    /// served or is overdue.
    pub(crate) async fn live(self) -> Seen {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let this = Arc::new(self);
        let started = Instant::now();
        let mut life = JoinSet::new();
        life.spawn(Arc::clone(&this).republish(Arc::clone(&seen)));
        life.spawn(Arc::clone(&this).start_pods(Arc::clone(&seen)));
        life.spawn(Arc::clone(&this).probe(Arc::clone(&seen)));
        let most = LEAST.max(BEFORE_ROTATION + ROTATION_BOUND) + REPUBLISH_PAUSE;
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let elapsed = started.elapsed();
            let rotated = seen.lock().unwrap().rotation.is_some();
            if elapsed >= most || (rotated && elapsed >= LEAST) {
                break;
            }
        }
        this.over.store(true, Ordering::Relaxed);
        // Calls in progress count as well.
        life.join_all().await;
        seen.lock().unwrap().clone()
    }

    async fn republish(self: Arc<Self>, seen: Arc<Mutex<Seen>>) {
        let started = Instant::now();
        let mut changed: Option<(Instant, String)> = None;
        while !self.is_over() {
            if changed.is_none() && started.elapsed() >= BEFORE_ROTATION {
                let version = self.node.emulator.put_secret(REGION, ROTATED, "after");
                changed = Some((Instant::now(), version));
            }
            let (time, answer) = self.mount(self.request.clone()).await;
            {
                let mut seen = seen.lock().unwrap();
                match answer {
                    Err(failure) => seen.failures.push(format!("a republish after {time:.1?}: {failure}")),
                    Ok(versions) => {
                        seen.republishes.push(time);
                        if let Some((at, version)) = &changed
                            && seen.rotation.is_none()
                            && versions.contains(version)
                            && self.has_rotated()
                        {
                            seen.rotation = Some(at.elapsed());
                        }
                    }
                }
            }
            tokio::time::sleep(REPUBLISH_PAUSE).await;
        }
    }

    async fn start_pods(self: Arc<Self>, seen: Arc<Mutex<Seen>>) {
        for newcomer in self.newcomers.clone() {
            tokio::time::sleep(NEW_POD_PAUSE).await;
            if self.is_over() {
                return;
            }
            let (time, answer) = self.mount(newcomer).await;
            let mut seen = seen.lock().unwrap();
            match answer {
                Ok(_) => seen.new_pods.push(time),
                Err(failure) => seen.failures.push(format!("a new pod after {time:.1?}: {failure}")),
            }
        }
    }

    async fn probe(self: Arc<Self>, seen: Arc<Mutex<Seen>>) {
        while !self.is_over() {
            let started = Instant::now();
            let answer = tokio::time::timeout(PATIENCE, get(self.node.http, "/healthz")).await;
            let time = started.elapsed();
            {
                let mut seen = seen.lock().unwrap();
                seen.slowest_probe = seen.slowest_probe.max(time);
                match answer {
                    Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200") => {}
                    Ok(other) => seen.failures.push(format!("a probe after {time:.1?}: {other:?}")),
                    Err(_) => seen.failures.push(format!("a probe without an answer in {time:.1?}")),
                }
            }
            tokio::time::sleep(PROBE_PAUSE).await;
        }
    }

    /// The time, and the versions that were served.
    async fn mount(&self, request: MountRequest) -> (Duration, Result<Vec<String>, String>) {
        let started = Instant::now();
        let mut client = self.driver.client();
        let answer = tokio::time::timeout(PATIENCE, client.mount(request)).await;
        let answer = match answer {
            Err(_) => Err(format!("no answer within {PATIENCE:?}")),
            Ok(Err(status)) => Err(status.to_string().chars().take(300).collect()),
            Ok(Ok(answer)) => {
                Ok(answer.into_inner().object_version.into_iter().map(|entry| entry.version).collect())
            }
        };
        (started.elapsed(), answer)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn has_rotated(&self) -> bool {
        match self.node.mode {
            Mode::DriverWrites => true,
            Mode::ProviderWrites => {
                std::fs::read(self.volume.join("rotated")).is_ok_and(|contents| contents == b"after")
            }
        }
    }
}

/// kubelet's probe.
async fn get(address: std::net::SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
