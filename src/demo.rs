//! `latchkey demo`: the whole path of a secret on one machine, with nothing else
//! installed. The provider, its socket, gRPC and the HTTP requests are real. AWS and the
//! driver are played.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::Write as _,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use latchkey_emulator::{Emulator, Store};
use latchkey_lab::{
    driver::{Driver, Pod, SocketFolder},
    protocol::MountResponse,
};
use serde_json::json;
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    app::{self, Config},
    identity::AgentSettings,
};

const REGION: &str = "eu-central-1";
const KUBECONFIG: &str = "kubeconfig";
/// Short, so that the demo takes seconds.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often the played driver republishes, and when it gives up.
const REPUBLISH_PAUSE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads by IRSA, as a role.
const WEB: Pod<'static> = Pod {
    namespace: "shop",
    name: "web-7d4b9",
    uid: "3b0c6a52-7d1e-4a0e-9d5b-000000000001",
    service_account: "web",
    parameters: &[
        ("region", REGION),
        ("roleArn", "arn:aws:iam::111122223333:role/shop"),
        ("pathTranslation", "False"),
        ("objects", include_str!("demo/shop.yaml")),
    ],
};

/// Reads by EKS Pod Identity.
const WORKER: Pod<'static> = Pod {
    namespace: "billing",
    name: "worker-0",
    uid: "3b0c6a52-7d1e-4a0e-9d5b-000000000002",
    service_account: "worker",
    parameters: &[
        ("region", REGION),
        ("usePodIdentity", "true"),
        ("objects", include_str!("demo/billing.yaml")),
    ],
};

/// Asks for a secret of another team.
const NOSY: Pod<'static> = Pod {
    name: "nosy-0",
    uid: "3b0c6a52-7d1e-4a0e-9d5b-000000000003",
    parameters: &[
        ("region", REGION),
        ("usePodIdentity", "true"),
        ("objects", "- {objectName: shop/database, objectType: secretsmanager}"),
    ],
    ..WORKER
};

/// Plays the demo and prints it.
///
/// # Errors
/// When a step does not work as it should.
pub async fn run() -> anyhow::Result<ExitCode> {
    let emulator = Emulator::new(Store::from_yaml(include_str!("demo/store.yaml"))?);
    let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on 127.0.0.1")?;
    let aws = format!("http://{}", listener.local_addr()?);
    tokio::spawn(emulator.clone().serve(listener, std::future::pending()));

    let folder = SocketFolder::new()?;
    std::fs::write(folder.path().join(KUBECONFIG), kubeconfig(&aws))
        .context("cannot write the kubeconfig")?;
    let (stop, stopped) = oneshot::channel::<()>();
    let provider = tokio::spawn(app::serve(config(folder.path(), &aws), async {
        let _ = stopped.await;
    }));
    let socket = folder.path().join("aws.sock");
    let mut driver = Driver::connect(&socket).await?;

    say(&format!("An emulated AWS answers on {aws}."))?;
    say(&format!(
        "{} serves the Secrets Store CSI Driver on {}.\n",
        driver.version().await?,
        socket.display()
    ))?;

    say("1. Pod shop/web-7d4b9 starts. IRSA: its service account takes on role/shop.\n")?;
    mount(&mut driver, &emulator, &WEB).await?;

    say("2. Pod billing/worker-0 starts. EKS Pod Identity: the agent gives its credentials.\n")?;
    mount(&mut driver, &emulator, &WORKER).await?;

    say("3. The driver republishes shop/web-7d4b9, as it does every minute or so: nothing has changed,")?;
    say("   and nothing is asked again.\n")?;
    let before = republish(&mut driver, &emulator, |_| true).await?;

    say("4. Somebody rotates shop/database: a new version, and AWSCURRENT moves to it. Latchkey polls")?;
    say(&format!(
        "   once an interval ({POLL_INTERVAL:?} here, 2 min by default); the next republish has it:\n"
    ))?;
    emulator.put_secret(
        REGION,
        "shop/database",
        r#"{"username":"shop","password":"next-week","db-port":5432}"#,
    );
    let after =
        republish(&mut driver, &emulator, |answer| answer.object_version != before.object_version).await?;
    say(&files(&after))?;
    say(&changes(&before, &after))?;

    say("5. A pod of service account billing/worker asks for a secret that its role may not read:\n")?;
    match driver.mount(NOSY.request(&emulator)).await {
        Ok(_) => anyhow::bail!("a pod got a secret that it may not read"),
        Err(status) => say(&format!("{}\n", wrapped(&format!("{:?}: {}", status.code(), status.message()))))?,
    }

    let _ = stop.send(());
    provider.await??;
    say("The provider stopped; its socket is gone. Next: README.md, \"Install on EKS\".")?;
    Ok(ExitCode::SUCCESS)
}

fn config(folder: &Path, aws: &str) -> Config {
    let mut config = Config::new(folder);
    config.allowed_uids = vec![rustix::process::geteuid().as_raw()];
    config.aws.endpoint_url = Some(aws.to_owned());
    config.identity.agent = AgentSettings::at(aws);
    config.values.interval = POLL_INTERVAL;
    config.rules.allow_role_arn = true;
    config.cluster.kubeconfig = Some(folder.join(KUBECONFIG));
    config
}

/// Points at the emulator. Of the Kubernetes API, the emulator serves only the keys of
/// its tokens.
fn kubeconfig(url: &str) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "demo", "cluster": { "server": url } }],
        "users": [{ "name": "demo", "user": {} }],
        "contexts": [{ "name": "demo", "context": { "cluster": "demo", "user": "demo" } }],
        "current-context": "demo",
    });
    // JSON is YAML.
    config.to_string()
}

/// Mounts, and prints the files and the AWS calls of the mount.
async fn mount(driver: &mut Driver, emulator: &Emulator, pod: &Pod<'_>) -> anyhow::Result<MountResponse> {
    emulator.reset_calls();
    let started = Instant::now();
    let answer = driver.mount(pod.request(emulator)).await?;
    let millis = started.elapsed().as_secs_f64() * 1000.0;
    say(&files(&answer))?;
    say(&format!("   {millis:.1} ms; AWS calls: {}\n", calls(emulator)))?;
    Ok(answer)
}

/// Republishes the first pod until `enough`, and prints the AWS calls of the last
/// republish.
async fn republish(
    driver: &mut Driver,
    emulator: &Emulator,
    enough: impl Fn(&MountResponse) -> bool,
) -> anyhow::Result<MountResponse> {
    let began = Instant::now();
    loop {
        emulator.reset_calls();
        let started = Instant::now();
        let answer = driver.mount(WEB.request(emulator)).await?;
        if enough(&answer) {
            let millis = started.elapsed().as_secs_f64() * 1000.0;
            say(&format!("   {millis:.1} ms; AWS calls: {}\n", calls(emulator)))?;
            return Ok(answer);
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "the rotated value has not arrived within {PATIENCE:?}");
        tokio::time::sleep(REPUBLISH_PAUSE).await;
    }
}

/// The operations that the emulated AWS has seen, each with its number of calls.
fn calls(emulator: &Emulator) -> String {
    let calls: Vec<String> =
        emulator.call_counts().into_iter().map(|(operation, count)| format!("{count} {operation}")).collect();
    if calls.is_empty() { "none".to_owned() } else { calls.join(", ") }
}

/// A table of files. It may show the contents, because they are made up.
fn files(answer: &MountResponse) -> String {
    let versions: BTreeMap<&str, &str> =
        answer.object_version.iter().map(|entry| (entry.id.as_str(), entry.version.as_str())).collect();
    let mut table = format!("   {:<24} {:<5} {:<37} CONTENTS\n", "FILE", "MODE", "VERSION");
    for file in &answer.files {
        let version = versions.get(file.path.as_str()).copied().unwrap_or_default();
        let contents = match std::str::from_utf8(&file.contents) {
            Ok(text) => text.to_owned(),
            Err(_) => {
                format!("{} bytes: {}", file.contents.len(), data_encoding::HEXLOWER.encode(&file.contents))
            }
        };
        // Writing into a String cannot fail.
        let _ = writeln!(table, "   {:<24} {:04o}  {version:<37} {contents}", file.path, file.mode);
    }
    table
}

/// The files whose version has changed.
fn changes(before: &MountResponse, after: &MountResponse) -> String {
    let mut text = String::from("   Changed:\n");
    for (old, new) in before.object_version.iter().zip(&after.object_version) {
        if old.version != new.version {
            let _ = writeln!(text, "   {:<24} {} -> {}", new.id, old.version, new.version);
        }
    }
    text
}

fn wrapped(text: &str) -> String {
    let mut lines = vec![String::from("  ")];
    for word in text.split(' ') {
        if lines.last().is_some_and(|line| line.len() + word.len() > 100) {
            lines.push(String::from("  "));
        }
        if let Some(line) = lines.last_mut() {
            let _ = write!(line, " {word}");
        }
    }
    lines.join("\n")
}

fn say(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}
