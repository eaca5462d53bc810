//! With every outlet on, nothing that people read holds a secret value, a token, or a
//! credential: log, metrics, audit log, events, status, and errors.

use latchkey::{
    app::Config,
    audit::{AuditLog, AuditSettings},
};
use latchkey_emulator::FaultKind;
use serde_json::Value;
use tokio::{io::AsyncReadExt, net::UnixStream};

use crate::harness::{
    Behaviour, GRACE, INTERVAL, Log, POD_IDENTITY, Request, SECRET, STS, WEB, World, assert_contains,
    assert_lacks, eventually, pass,
};

/// In a value, in a field of it, in a key of its JSON, and in a parameter.
const VALUE: &str = "canary-of-a-value";
const FIELD: &str = "canary-of-a-field";
const PARAMETER: &str = "canary-of-a-parameter";
const EXTERNAL_ID: &str = "canary-of-an-external-id";

fn all_outlets(config: &mut Config) {
    let folder = config.provider_volume.clone();
    config.audit = Some(AuditSettings {
        log: AuditLog::File(folder.join("audit.log")),
        state_dir: Some(folder.join("state")),
        node: Some("node-1".to_owned()),
    });
    config.status_socket = Some(folder.join("run/status.sock"));
    config.pod_events = true;
    config.namespace_label = true;
}

/// The beginning and the middle of each token.
fn parts_of_tokens(message: &latchkey::server::protocol::MountRequest) -> Vec<String> {
    let attributes: Value = serde_json::from_str(&message.attributes).unwrap();
    let tokens = attributes["csi.storage.k8s.io/serviceAccount.tokens"].as_str().unwrap();
    let tokens: Value = serde_json::from_str(tokens).unwrap();
    let texts = [STS, POD_IDENTITY].map(|audience| tokens[audience]["token"].as_str().unwrap().to_owned());
    texts.iter().flat_map(|token| [token[..40].to_owned(), token[60..100].to_owned()]).collect()
}

/// A world whose outlets are all on, and everything that came out of them.
struct Watched {
    world: World,
    log: Log,
    said: String,
    canaries: Vec<String>,
}

impl Watched {
    async fn start() -> Self {
        let (log, world) = (Log::collect(), World::watched(all_outlets).await);
        let json = format!(r#"{{"user":"{FIELD}","{FIELD}-key":1,"list":["{FIELD}"],"text":"{VALUE}"}}"#);
        world.secret("shop/db", &json);
        world.parameter("/shop/level", PARAMETER);
        let canaries = [VALUE, FIELD, PARAMETER, EXTERNAL_ID].map(str::to_owned).into();
        Self { world, log, said: String::new(), canaries }
    }

    /// Mounts, whatever comes of it, and listens.
    async fn mount(&mut self, request: &Request) {
        let message = request.message(&self.world.emulator);
        self.canaries.extend(parts_of_tokens(&message));
        if let Err(status) = self.world.driver.mount(message).await {
            self.said += &format!("{status} {status:?}\n");
        }
        self.listen().await;
    }

    async fn listen(&mut self) {
        self.said += &self.world.scrape().await.text;
        let path = self.world.config.status_socket.clone().unwrap();
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.read_to_string(&mut self.said).await.unwrap();
        self.said += &self.log.take();
    }

    /// Ends the provider, and gives everything that was said.
    async fn end(mut self) -> String {
        self.said += &Value::Array(self.world.kubernetes.events()).to_string();
        self.world.stop().await.unwrap();
        self.said += &std::fs::read_to_string(self.world.folder().join("audit.log")).unwrap();
        self.said += &self.log.take();
        for canary in &self.canaries {
            assert_lacks(&self.said, canary);
        }
        self.said
    }
}

#[tokio::test(start_paused = true)]
async fn no_outlet_shows_a_value_a_field_a_parameter_or_a_token() {
    let mut watched = Watched::start().await;
    let fields =
        "- {objectName: shop/db, objectType: secretsmanager, jmesPath: [{path: PATH, objectAlias: a}]}";
    let with = |path: &str| Request::new(&fields.replace("PATH", path));
    let parameter =
        "- {objectName: /shop/level, objectType: ssmparameter, jmesPath: [{path: x, objectAlias: p}]}";
    let requests = [
        Request::new(SECRET),
        with("user"),
        // Results that are no file: nothing, a list, a number out of a text, an error.
        with("nobody"),
        with("'list[*]'"),
        with("to_number(user)"),
        with("'join(user, list)'"),
        with("'sort_by(list, &user)'"),
        with("'keys(@)'"),
        with("'merge(@, text)'"),
        Request::new(&SECRET.replace("}", ", objectEncoding: base64}")),
        Request::new(&SECRET.replace("}", ", objectEncoding: hex}")),
        // Not JSON.
        Request::new(parameter),
        Request::new(SECRET)
            .parameter("assumeRoleArn", "arn:aws:iam::111122223333:role/other")
            .parameter("assumeRoleExternalId", EXTERNAL_ID),
        Request::new(SECRET).parameter("assumeRoleExternalId", &format!("{EXTERNAL_ID} !")),
        Request::new(SECRET).parameter("password", PARAMETER),
        Request::new(SECRET).audiences(&[STS, POD_IDENTITY]).without("region"),
    ];
    for request in &requests {
        watched.mount(request).await;
    }
    let said = watched.end().await;
    assert_contains(&said, "\"event\":\"delivered\"");
    assert_contains(&said, "value_mismatch");
}

#[tokio::test(start_paused = true)]
async fn no_outlet_shows_what_aws_and_kubernetes_repeat_of_a_request() {
    let mut watched = Watched::start().await;
    for request in [Request::new(SECRET), Request::pod_identity(SECRET)] {
        watched.mount(&request).await;
        for operation in ["AssumeRoleWithWebIdentity", "PodIdentityCredentials", "GetSecretValue"] {
            let token = parts_of_tokens(&request.message(&watched.world.emulator)).swap_remove(0);
            for code in ["AccessDeniedException", "ValidationException", "ThrottlingException"] {
                let message = format!("not {token}-and-more {{\"SecretString\":\"{token}\"}}");
                let fault = FaultKind::Error { status: 400, code: code.to_owned(), message };
                let fault = watched.world.fault(operation, fault);
                watched.world.emulator.expire_sessions();
                pass(INTERVAL + GRACE).await;
                watched.mount(&request).await;
                watched.world.emulator.remove_fault(fault);
                watched.mount(&request).await;
            }
        }
    }
    // Events have come, and say why.
    eventually("an event is sent", async || (!watched.world.kubernetes.events().is_empty()).then_some(()))
        .await;
    watched.world.kubernetes.behave(Behaviour::Garbage);
    watched.world.emulator.clear_policy(WEB);
    pass(INTERVAL + GRACE).await;
    watched.mount(&Request::new(SECRET)).await;
    let said = watched.end().await;
    for expected in ["SecretAccessLost", "\"event\":\"denied\"", "latchkey_mounts_total{", "mount failed"] {
        assert_contains(&said, expected);
    }
}
