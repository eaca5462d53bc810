//! What each failure leaves behind: the counters that it moves, its audit lines, and its
//! events, in `tests/messages/failures.md`. `tests/seen` shows the alerts that follow.

use std::{fmt::Write as _, pin::Pin, time::Duration};

use latchkey::{
    app::Config,
    audit::{AuditLog, AuditSettings},
    writer::{FileSystem, Writer},
};
use latchkey_emulator::FaultKind;
use serde_json::Value;

use crate::{
    harness::{Behaviour, GRACE, INTERVAL, REGION, Request, SECRET, STS, WEB, World, assert_lacks, pass},
    messages::{compare, stable},
};

/// The failure whose polls come at any time.
const HEALED: &str = "Secrets Manager works again";
const CANARY: &str = "canary-of-a-secret";
/// When the poller has looked exactly once, and a mount may not be served from memory.
const LATER: Duration = Duration::from_secs(INTERVAL.as_secs() + GRACE.as_secs() + 1);

type Work = for<'a> fn(&'a World) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

struct Failure {
    name: &'static str,
    change: fn(&mut Config),
    /// What runs before, and is not looked at.
    before: Work,
    work: Work,
}

macro_rules! failure {
    ($name:expr, |$before_world:ident| $before:expr, |$world:ident| $work:expr) => {
        Failure {
            name: $name,
            change: |_| {},
            before: |$before_world| {
                Box::pin(async move {
                    $before;
                })
            },
            work: |$world| {
                Box::pin(async move {
                    $work;
                })
            },
        }
    };
}

impl Failure {
    fn with(self, change: fn(&mut Config)) -> Self {
        Self { change, ..self }
    }
}

/// Nothing runs before.
async fn nothing() {}

/// The pod of a running Deployment.
async fn mounted(world: &World) {
    world.mount(&Request::new(SECRET)).await;
}

/// The pod is republished after the poller has looked.
async fn republished(world: &World) {
    pass(LATER).await;
    let _ = world.try_mount(&Request::new(SECRET)).await;
}

async fn refused(world: &World, request: Request) {
    let status = world.refusal(&request).await;
    assert_lacks(status.message(), CANARY);
}

fn failures() -> Vec<Failure> {
    vec![
        failure!("a cold mount", |_world| nothing().await, |world| mounted(world).await),
        failure!("a republish", |world| mounted(world).await, |world| mounted(world).await),
        failure!("a rotation is seen", |world| mounted(world).await, |world| {
            world.secret("shop/db", "canary-of-a-secret-2");
            republished(world).await;
        }),
        failure!("a running pod is denied its read", |world| mounted(world).await, |world| {
            world.emulator.clear_policy(WEB);
            republished(world).await;
        }),
        failure!("a new pod is denied its read", |_world| nothing().await, |world| {
            world.emulator.clear_policy(WEB);
            refused(world, Request::new(SECRET)).await;
        }),
        failure!("a role does not trust the service account", |_world| nothing().await, |world| {
            world.emulator.set_trust(WEB, &[]);
            refused(world, Request::new(SECRET)).await;
        }),
        failure!("KMS denies the key", |_world| nothing().await, |world| {
            world.emulator.set_kms_denied(REGION, "shop/db", WEB, true).unwrap();
            refused(world, Request::new(SECRET)).await;
        }),
        failure!("a running pod's secret is deleted", |world| mounted(world).await, |world| {
            world.emulator.delete_secret(REGION, "shop/db").unwrap();
            republished(world).await;
        }),
        failure!("a secret does not exist", |_world| nothing().await, |world| {
            refused(world, Request::new("- {objectName: shop/none, objectType: secretsmanager}")).await;
        }),
        failure!("AWS throttles a running pod for three intervals", |world| mounted(world).await, |world| {
            world.fault("GetSecretValue", FaultKind::Throttle);
            pass(2 * INTERVAL).await;
            republished(world).await;
        }),
        failure!("Secrets Manager fails for a running pod", |world| mounted(world).await, |world| {
            world.fault("GetSecretValue", FaultKind::InternalError);
            republished(world).await;
        }),
        failure!(
            HEALED,
            |world| {
                mounted(world).await;
                world.fault("GetSecretValue", FaultKind::InternalError);
                republished(world).await;
            },
            |world| {
                world.emulator.clear_faults();
                republished(world).await;
            }
        ),
        failure!("Secrets Manager fails for a new pod", |_world| nothing().await, |world| {
            world.fault("GetSecretValue", FaultKind::InternalError);
            refused(world, Request::new(SECRET)).await;
        }),
        failure!("STS fails for a new pod", |_world| nothing().await, |world| {
            world.fault("AssumeRoleWithWebIdentity", FaultKind::InternalError);
            refused(world, Request::new(SECRET)).await;
        }),
        failure!("the Pod Identity agent fails for a new pod", |_world| nothing().await, |world| {
            world.fault("PodIdentityCredentials", FaultKind::Reset);
            refused(world, Request::pod_identity(SECRET)).await;
        }),
        failure!("Kubernetes fails for a new pod", |_world| nothing().await, |world| {
            world.kubernetes.behave(Behaviour::Refuse(500));
            refused(world, Request::new(SECRET)).await;
            world.kubernetes.behave(Behaviour::Healthy);
        }),
        failure!("a pod brings the token of another", |_world| nothing().await, |world| {
            let other = Request::new(SECRET).numbered(7).pod.uid;
            let token = world.emulator.token("shop", "web", STS, "web-1", &other, LATER);
            refused(world, Request::new(SECRET).token(STS, &token)).await;
        }),
        failure!("a class is wrong", |_world| nothing().await, |world| {
            refused(world, Request::new("- {objectName: x, objectTyp: y}")).await;
        }),
        failure!("a running pod's class becomes wrong", |world| mounted(world).await, |world| {
            refused(world, Request::new("- {objectName: x, objectTyp: y}")).await;
        }),
        failure!("the files are too large", |_world| nothing().await, |world| {
            world.secret("shop/large", &CANARY.repeat(100));
            refused(world, Request::new("- {objectName: shop/large, objectType: secretsmanager}")).await;
        })
        .with(|config| config.rules.limits.max_response_bytes = 1000),
        failure!("the memory for volumes is full", |_world| nothing().await, |world| {
            world.secret("shop/large", &CANARY.repeat(3000));
            let large = "- {objectName: shop/large, objectType: secretsmanager, objectAlias: _}\n";
            let objects: String =
                (0..70).map(|number| large.replace('_', &format!("file-{number}"))).collect();
            let (request, _) = world.with_volume(Request::new(&objects));
            refused(world, request).await;
        })
        .with(|config| {
            let kubelet = config.provider_volume.join("kubelet");
            std::fs::create_dir(&kubelet).unwrap();
            config.writer = Some(Writer::new(&kubelet, FileSystem::Any));
            config.memory_limit = 49 << 20;
        }),
        failure!("a rotation cannot be written", |_world| nothing().await, |world| {
            let (request, volume) = world.with_volume(Request::new(SECRET));
            world.mount(&request).await;
            world.secret("shop/db", "canary-of-a-secret-2");
            // The pod's volume is replaced by a file.
            std::fs::remove_dir_all(&volume).unwrap();
            std::fs::write(&volume, "").unwrap();
            pass(LATER).await;
        })
        .with(|config| {
            let kubelet = config.provider_volume.join("kubelet");
            std::fs::create_dir(&kubelet).unwrap();
            config.writer = Some(Writer::new(&kubelet, FileSystem::Any));
        }),
        failure!("somebody else calls the socket", |_world| nothing().await, |world| {
            assert!(world.try_mount(&Request::new(SECRET)).await.is_err());
        })
        .with(|config| config.allowed_uids = vec![4711]),
    ]
}

/// A counter whose difference depends on the phase of polling, which is random.
fn without_phase(failure: &str, series: &str) -> String {
    let after_outage =
        failure == HEALED && ["outcome=\"ok\"", "result=\"read\""].iter().any(|part| series.contains(part));
    let retried = ["outcome=\"outage\"", "outcome=\"throttled\"", "result=\"kept\""]
        .iter()
        .any(|part| series.contains(part));
    let retried = retried || after_outage;
    match series.rsplit_once(" +") {
        Some((name, _)) if retried => format!("{name} +n"),
        _ => series.to_owned(),
    }
}

/// A line of the audit log without what changes from run to run, and without the texts
/// that other tables have.
fn audit_line(line: &str) -> String {
    let mut line: Value = serde_json::from_str(line).unwrap();
    let fields = line.as_object_mut().unwrap();
    for changing in ["time", "message"] {
        fields.remove(changing);
    }
    stable(&line.to_string())
}

fn event_line(event: &Value) -> String {
    let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let pod = event["regarding"]["name"].as_str().unwrap_or_default();
    format!("{} {} on {pod}: {}", text("type"), text("reason"), stable(&text("note")))
}

#[tokio::test(start_paused = true)]
async fn every_failure_leaves_exactly_its_traces() {
    let mut text = String::from(
        "# What each failure leaves behind\n\n`LATCHKEY_WRITE_MESSAGES=1 cargo test --test it failures` writes this file. The counters of durations, waits and token checks are left out.\n",
    );
    for failure in failures() {
        let mut world = World::watched(|config| {
            config.audit = Some(AuditSettings {
                log: AuditLog::File(config.provider_volume.join("audit.log")),
                state_dir: None,
                node: Some("node-1".to_owned()),
            });
            config.pod_events = true;
            (failure.change)(config);
        })
        .await;
        world.secret("shop/db", CANARY);
        (failure.before)(&world).await;
        // Events are sent by a task of their own.
        pass(Duration::from_secs(2)).await;
        let events_before = world.kubernetes.events().len();
        // Each pod that ran before has one line; a thread of its own writes it.
        let lines_before = world.scrape().await.value("latchkey_first_seen_reads_total") as usize;
        let moved = world
            .moved(async {
                (failure.work)(&world).await;
                pass(Duration::from_secs(2)).await;
            })
            .await;
        let metrics = world.scrape().await;
        assert_lacks(&metrics.text, "canary");
        let events = world.kubernetes.events();
        world.stop().await.unwrap();
        let lines = audit_lines(&world);
        writeln!(text, "\n## {}\n", failure.name).unwrap();
        let left_out = ["duration_seconds", "wait_seconds", "token_checks", "audit_lines"];
        for series in moved.iter().filter(|series| !left_out.iter().any(|name| series.contains(name))) {
            writeln!(text, "- `{}`", without_phase(failure.name, series)).unwrap();
        }
        for line in &lines[lines_before..] {
            writeln!(text, "- audit: `{}`", audit_line(line)).unwrap();
        }
        for event in &events[events_before..] {
            let folder = world.folder().to_str().unwrap();
            writeln!(text, "- event: {}", event_line(event).replace(folder, "<folder>")).unwrap();
        }
    }
    assert_lacks(&text, "canary");
    compare("failures.md", &text);
}

fn audit_lines(world: &World) -> Vec<String> {
    let text = std::fs::read_to_string(world.config.provider_volume.join("audit.log")).unwrap();
    text.lines().map(str::to_owned).collect()
}
