//! The same provider against moto, an independent emulation of AWS, if Python has
//! it (`pip install 'moto[server]'`).

use std::{
    io::Write,
    process::{Child, Command, Stdio},
    time::Duration,
};

use aws_credential_types::Credentials;
use aws_sdk_secretsmanager::{config::BehaviorVersion, primitives::Blob};
use aws_sdk_ssm::types::ParameterType;
use latchkey::app::Config;
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;

use crate::harness::{REGION, Request, World, assert_says, eventually};

/// moto's account.
const ROLE: &str = "arn:aws:iam::123456789012:role/web";

/// moto's server, which ends with the test.
struct Moto {
    process: Child,
    url: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Moto {
    /// `None`, with a notice, if moto is not installed.
    async fn start() -> Option<Self> {
        let python = |code: &str| Command::new("python3").args(["-c", code]).stderr(Stdio::null()).status();
        if !python("import moto.server, flask").is_ok_and(|status| status.success()) {
            // Past the test runner's capture: a skipped test must be seen.
            std::io::stderr()
                .write_all(b"SKIPPED: no second opinion from moto, which is not installed\n")
                .unwrap();
            return None;
        }
        // A loopback address that no other test uses.
        let listener = TcpListener::bind("127.78.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let process = Command::new("python3")
            .args(["-m", "moto.server", "-H", &host, "-p", &port])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moto = Self { process, url: format!("http://{address}") };
        eventually("moto listens", async || TcpStream::connect(address).await.ok()).await;
        Some(moto)
    }

    async fn config(&self) -> aws_config::SdkConfig {
        aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(&self.url)
            .region(aws_config::Region::new(REGION))
            .credentials_provider(Credentials::new("AKIATEST", "test", None, None, "test"))
            .load()
            .await
    }

    /// A world whose AWS is this one.
    async fn world(&self) -> World {
        let url = self.url.clone();
        let world = World::with(|config: &mut Config| {
            config.aws.endpoint_url = Some(url);
            config.aws.region_timeout = Duration::from_secs(30);
            config.values.max_bytes = 0;
        });
        let world = world.await;
        world.kubernetes.annotate("shop", "web", ROLE);
        world
    }
}

#[tokio::test]
async fn moto_gives_the_same_files_as_the_emulator() {
    let Some(moto) = Moto::start().await else { return };
    let world = moto.world().await;
    let config = moto.config().await;
    secrets(&world, &aws_sdk_secretsmanager::Client::new(&config)).await;
    parameters(&world, &aws_sdk_ssm::Client::new(&config)).await;
    assert_eq!(world.emulator.calls(), [], "the emulator was asked instead");
}

async fn secrets(world: &World, client: &aws_sdk_secretsmanager::Client) {
    let first = client.create_secret().name("shop/db").secret_string("one").send().await.unwrap();
    let (arn, first) = (first.arn().unwrap().to_owned(), first.version_id().unwrap().to_owned());
    let second = client
        .put_secret_value()
        .secret_id("shop/db")
        .secret_string(r#"{"price":1.10}"#)
        .send()
        .await
        .unwrap();
    let second = second.version_id().unwrap();
    let bytes = Blob::new([0, 255, 254, 10]);
    client.create_secret().name("shop/binary").secret_binary(bytes).send().await.unwrap();

    let objects = format!(
        "
- objectName: shop/db
  objectType: secretsmanager
  jmesPath: [{{path: price, objectAlias: number}}]
- {{objectName: '{arn}', objectAlias: by-arn}}
- {{objectName: shop/db, objectType: secretsmanager, objectAlias: pinned, objectVersion: {first}}}
- {{objectName: shop/db, objectType: secretsmanager, objectAlias: previous, objectVersionLabel: AWSPREVIOUS}}
- {{objectName: shop/binary, objectType: secretsmanager}}
- {{objectName: shop/none, objectType: secretsmanager, optional: true}}"
    );
    let answer = world.mount(&Request::new(&objects)).await;
    answer.assert_texts([
        ("shop_db", r#"{"price":1.10}"#),
        ("number", "1.10"),
        ("by-arn", r#"{"price":1.10}"#),
        ("pinned", "one"),
        ("previous", "one"),
    ]);
    assert_eq!(answer.bytes("shop_binary"), [0, 255, 254, 10]);
    answer.assert_versions([("shop_db", second), ("pinned", &first)]);

    let absent = "- {objectName: shop/none, objectType: secretsmanager}";
    assert_says(&world.refusal(&Request::new(absent)).await, Code::NotFound, &["ResourceNotFoundException"]);
    client.delete_secret().secret_id("shop/binary").recovery_window_in_days(7).send().await.unwrap();
    let deleted = "- {objectName: shop/binary, objectType: secretsmanager}";
    assert_says(
        &world.refusal(&Request::new(deleted)).await,
        Code::FailedPrecondition,
        &["InvalidRequestException"],
    );
}

async fn parameters(world: &World, client: &aws_sdk_ssm::Client) {
    for value in ["one", "two", "three"] {
        let put = client.put_parameter().name("/shop/limit").value(value).overwrite(true);
        put.r#type(ParameterType::SecureString).send().await.unwrap();
    }
    for (version, label) in [(1, "stable"), (2, "canary")] {
        let label =
            client.label_parameter_version().name("/shop/limit").parameter_version(version).labels(label);
        label.send().await.unwrap();
    }
    for number in 0..11 {
        let put = client.put_parameter().name(format!("/many/{number}")).value(format!("value {number}"));
        put.r#type(ParameterType::String).send().await.unwrap();
    }
    let mut objects = "
- {objectName: /shop/limit, objectType: ssmparameter}
- {objectName: /shop/limit, objectType: ssmparameter, objectAlias: first, objectVersion: 1}
- {objectName: /shop/limit, objectType: ssmparameter, objectAlias: second, objectVersion: 2}
- {objectName: /shop/limit, objectType: ssmparameter, objectAlias: stable, objectVersionLabel: stable}
- {objectName: /shop/limit, objectType: ssmparameter, objectAlias: canary, objectVersionLabel: canary}
"
    .to_owned();
    for number in 0..11 {
        objects.push_str(&format!("- {{objectName: /many/{number}, objectType: ssmparameter}}\n"));
    }
    let answer = world.mount(&Request::new(&objects)).await;
    // Unlike AWS, moto does not say which selector an answer is for.
    answer.assert_texts([
        ("_shop_limit", "three"),
        ("first", "one"),
        ("second", "two"),
        ("stable", "one"),
        ("canary", "two"),
    ]);
    answer.assert_versions([("_shop_limit", "3"), ("canary", "2")]);
    for number in 0..11 {
        assert_eq!(answer.text(&format!("_many_{number}")), format!("value {number}"));
    }

    let absent = "- {objectName: /shop/none, objectType: ssmparameter}";
    assert_says(&world.refusal(&Request::new(absent)).await, Code::NotFound, &["/shop/none"]);
}
