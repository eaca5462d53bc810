//! The failures, and the alerts that each must fire.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    process::Command,
    sync::atomic::Ordering,
    time::Duration,
};

use latchkey::{
    app::Config,
    writer::{FileSystem, Writer},
};
use latchkey_emulator::FaultKind;
use tokio::time::sleep;

use crate::{
    harness::{Behaviour, Driver, Keys, REGION, Request, SECRET, STS, WEB, World},
    notices,
};

const INTERVAL: Duration = Duration::from_secs(1);

/// What happens when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Before,
    Failure,
    Healed,
}

type Play = for<'a> fn(&'a World, Stage) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A failure of one node.
pub(crate) struct Plan {
    name: &'static str,
    play: Play,
    change: fn(&mut Config),
    alerts: &'static [&'static str],
    /// The alerts after it is healed; `None` if nothing heals.
    alerts_after: Option<&'static [&'static str]>,
}

/// A node that runs.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) alerts: &'static [&'static str],
    pub(crate) heals: bool,
    pub(crate) alerts_after: &'static [&'static str],
    play: Play,
    pub(crate) world: World,
}

impl Plan {
    pub(crate) async fn start(self) -> Case {
        let world = World::watched(|config| {
            config.values.interval = INTERVAL;
            (self.change)(config);
        })
        .await;
        world.secret("shop/db", "hunter2");
        Case {
            name: self.name,
            alerts: self.alerts,
            heals: self.alerts_after.is_some(),
            alerts_after: self.alerts_after.unwrap_or_default(),
            play: self.play,
            world,
        }
    }

    fn healing(self, alerts_after: &'static [&'static str]) -> Self {
        Self { alerts_after: Some(alerts_after), ..self }
    }

    fn with(self, change: fn(&mut Config)) -> Self {
        Self { change, ..self }
    }
}

impl Case {
    pub(crate) async fn play(&self, stage: Stage) {
        (self.play)(&self.world, stage).await;
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.world.config.http_address.unwrap()
    }

    /// The node's metrics.
    pub(crate) async fn text(&self) -> String {
        self.world.scrape().await.text
    }

    /// What the node's metrics say of mounts.
    pub(crate) async fn shown(&self) -> String {
        let series = self.world.scrape().await.series();
        let told = |name: &str| {
            ["mounts_total", "pods{", "aws_requests", "stale", "credentials_total", "kubernetes"]
                .iter()
                .any(|part| name.contains(part))
        };
        let series = series.into_iter().filter(|(name, value)| *value != 0.0 && told(name));
        series.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join("\n    ")
    }
}

/// A case whose pod runs before the failure, and is republished after it.
macro_rules! running {
    ($name:literal, $alerts:expr, |$world:ident| $failure:expr) => {
        running!($name, $alerts, |$world| $failure, |_world| {})
    };
    ($name:literal, $alerts:expr, |$world:ident| $failure:expr, |$healed:ident| $heal:expr) => {
        plan($name, $alerts, |world, stage| {
            Box::pin(async move {
                match stage {
                    Stage::Before => drop(world.mount(&Request::new(SECRET)).await),
                    Stage::Failure => {
                        let $world = world;
                        $failure;
                        // The value is older than a mount may be served then.
                        sleep(INTERVAL * 4).await;
                        let _ = world.try_mount(&Request::new(SECRET)).await;
                    }
                    Stage::Healed => {
                        let $healed = world;
                        $heal;
                        sleep(INTERVAL * 2).await;
                        let _ = world.try_mount(&Request::new(SECRET)).await;
                    }
                }
            })
        })
    };
}

/// A case whose pod starts after the failure has begun.
macro_rules! starting {
    ($name:literal, $alerts:expr, |$world:ident| $failure:expr, $request:expr) => {
        plan($name, $alerts, |$world, stage| {
            Box::pin(async move {
                if stage == Stage::Failure {
                    $failure;
                    let status = $world.refusal(&$request).await;
                    assert!(!status.message().contains("hunter2"));
                }
            })
        })
    };
}

fn plan(name: &'static str, alerts: &'static [&'static str], play: Play) -> Plan {
    Plan { name, play, change: |_| {}, alerts, alerts_after: None }
}

pub(crate) fn all() -> Vec<Plan> {
    vec![
        running!("healthy", &[], |_world| {}).healing(&[]),
        running!("rotation", &[], |world| {
            world.emulator.put_secret(REGION, "shop/db", "hunter3".to_owned());
        }),
        running!("denied read of a running pod", &["LatchkeyDenials", "LatchkeyRotationMasked"], |world| {
            world.emulator.clear_policy(WEB)
        }),
        starting!(
            "denied read of a new pod",
            &["LatchkeyDenials", "LatchkeyPodsCannotStart"],
            |world| world.emulator.clear_policy(WEB),
            Request::new(SECRET)
        ),
        starting!(
            "denied trust",
            &["LatchkeyCredentialsFail", "LatchkeyDenials", "LatchkeyPodsCannotStart"],
            |world| world.emulator.set_trust(WEB, &[]),
            Request::new(SECRET)
        ),
        starting!(
            "KMS denial",
            &["LatchkeyDenials", "LatchkeyPodsCannotStart"],
            |world| world.emulator.set_kms_denied(REGION, "shop/db", WEB, true).unwrap(),
            Request::new(SECRET)
        ),
        running!("deleted secret", &["LatchkeyRotationMasked"], |world| {
            world.emulator.delete_secret(REGION, "shop/db").unwrap();
        }),
        starting!(
            "secret not found",
            &["LatchkeyPodsCannotStart"],
            |world| {},
            Request::new("- {objectName: shop/none, objectType: secretsmanager}")
        ),
        running!(
            "throttling",
            &["LatchkeyPollsStretched", "LatchkeyThrottled", "LatchkeyValuesStale"],
            |world| world.fault("GetSecretValue", FaultKind::Throttle)
        ),
        running!(
            "outage of Secrets Manager",
            &["LatchkeyValuesStale"],
            |world| world.fault("GetSecretValue", FaultKind::InternalError),
            |world| world.emulator.clear_faults()
        )
        .healing(&[]),
        starting!(
            "outage of STS",
            &["LatchkeyCredentialsFail", "LatchkeyPodsCannotStart"],
            |world| world.fault("AssumeRoleWithWebIdentity", FaultKind::InternalError),
            Request::new(SECRET)
        ),
        starting!(
            "outage of the agent",
            &["LatchkeyCredentialsFail", "LatchkeyPodsCannotStart"],
            |world| world.fault("PodIdentityCredentials", FaultKind::Reset),
            Request::pod_identity(SECRET)
        ),
        starting!(
            "outage of Kubernetes",
            &["LatchkeyPodsCannotStart"],
            |world| world.kubernetes.behave(Behaviour::Refuse(500)),
            Request::new(SECRET)
        ),
        starting!("token of another pod", &["LatchkeyPodsCannotStart"], |world| {}, {
            let other = Request::new(SECRET).numbered(7).pod.uid;
            let ttl = Duration::from_secs(600);
            let token = world.emulator.token("shop", "web", STS, "web-1", &other, ttl);
            Request::new(SECRET).token(STS, &token)
        }),
        starting!(
            "wrong manifest",
            &["LatchkeyPodsCannotStart"],
            |world| {},
            Request::new("- {objectName: x, objectTyp: y}")
        ),
        starting!(
            "too large",
            &["LatchkeyPodsCannotStart"],
            |world| world.secret("shop/large", &"x".repeat(2000)),
            Request::new("- {objectName: shop/large, objectType: secretsmanager}")
        )
        .with(|config| config.rules.limits.max_response_bytes = 1000),
        plan("caller that is not root", &["LatchkeyRefusedCallers"], |world, stage| {
            Box::pin(async move {
                if stage == Stage::Failure {
                    let driver = Driver::connect(&world.socket()).await;
                    assert!(driver.mount(Request::new(SECRET).message(&world.emulator)).await.is_err());
                }
            })
        })
        .with(|config| config.allowed_uids = vec![4711]),
        plan("panic", &["LatchkeyPanics"], |world, stage| {
            Box::pin(async move {
                if stage == Stage::Failure {
                    world.config.panics.fetch_add(1, Ordering::Relaxed);
                }
            })
        }),
        plan("unreadable keys", &["LatchkeyTokenKeysUnreadable"], |world, stage| {
            Box::pin(async move {
                if stage == Stage::Failure {
                    world.kubernetes.serve_keys(Keys::Behave(Behaviour::Refuse(403)));
                    // Tokens of an unknown key make Latchkey read the keys again.
                    world.emulator.rotate_token_key();
                    drop(world.mount(&Request::new(SECRET)).await);
                }
            })
        }),
        plan("another provider", &["LatchkeySocketTaken"], |world, stage| {
            Box::pin(async move {
                if stage == Stage::Failure {
                    let socket = world.socket();
                    std::fs::remove_file(&socket).unwrap();
                    // It listens until the process ends, and never says who it is.
                    std::mem::forget(std::os::unix::net::UnixListener::bind(socket).unwrap());
                }
            })
        }),
        // The node itself has no failure: what it listens to has one.
        plan(notices::CASE, &["LatchkeyNoticesFailing", "LatchkeyNoticesStopped"], |_world, _stage| {
            Box::pin(async {})
        })
        .with(|config| config.notices = Some(notices::object()))
        .healing(&[]),
        plan("full volume", &["LatchkeyPodsCannotStart"], |world, stage| {
            Box::pin(async move {
                if stage == Stage::Failure {
                    let (request, volume) = world.with_volume(Request::new(SECRET));
                    let _full = Tmpfs::full(&volume);
                    let status = world.refusal(&request).await;
                    assert!(status.message().contains("no space left"), "{status}");
                }
            })
        })
        .with(|config| {
            let kubelet = config.provider_volume.join("kubelet");
            std::fs::create_dir(&kubelet).unwrap();
            config.writer = Some(Writer::new(&kubelet, FileSystem::Any));
        }),
    ]
}

/// A file system without room, until it is dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn full(path: &Path) -> Self {
        let mount = ["-t", "tmpfs", "-o", "size=4k", "tmpfs"];
        assert!(Command::new("mount").args(mount).arg(path).status().unwrap().success(), "needs root");
        let full = std::fs::write(path.join("other"), [0; 4096]);
        assert!(full.is_ok(), "{full:?}");
        Self(path.to_owned())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
