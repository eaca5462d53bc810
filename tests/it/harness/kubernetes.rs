//! A Kubernetes API with service accounts, nodes, events and the keys of its tokens, which
//! can be made to fail.

mod config_maps;
mod writes;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use latchkey_emulator::Emulator;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::{
    config_maps::ConfigMaps,
    writes::{Write, Writes},
};

/// How the API server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Correctly.
    Healthy,
    /// With this status and Kubernetes' own body for it.
    Refuse(u16),
    /// Never.
    Hang,
    /// With HTTP 200 and a body that is not JSON.
    Garbage,
}

/// A handle to the API server.
#[derive(Clone)]
pub(crate) struct Kubernetes {
    state: Arc<Mutex<Cluster>>,
    kubeconfig: PathBuf,
}

struct Cluster {
    objects: BTreeMap<String, Value>,
    /// Signs the tokens.
    emulator: Emulator,
    behaviour: Behaviour,
    /// How the keys alone are served.
    keys: Keys,
    reads: Vec<String>,
    key_reads: usize,
    config_maps: ConfigMaps,
    writes: Writes,
}

/// How the keys of tokens are served.
#[derive(Clone, Debug)]
pub(crate) enum Keys {
    /// Like all other objects.
    Healthy,
    /// In another way than other objects.
    Behave(Behaviour),
    /// With this text instead.
    Text(String),
}

/// Where the keys are.
const KEYS: &str = "/openid/v1/jwks";

impl Kubernetes {
    /// Serves until the test ends, and writes a kubeconfig that leads to it.
    pub(crate) async fn start(kubeconfig: &Path, emulator: &Emulator) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "test",
                "cluster": { "server": format!("http://{}", listener.local_addr().unwrap()) },
            }],
            "users": [{ "name": "test", "user": {} }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
            "current-context": "test",
        });
        std::fs::write(kubeconfig, config.to_string()).unwrap();
        let cluster = Cluster {
            objects: BTreeMap::new(),
            emulator: emulator.clone(),
            behaviour: Behaviour::Healthy,
            keys: Keys::Healthy,
            reads: Vec::new(),
            key_reads: 0,
            config_maps: ConfigMaps::default(),
            writes: Writes::default(),
        };
        let this = Self { state: Arc::new(Mutex::new(cluster)), kubeconfig: kubeconfig.to_owned() };
        let router = Router::new().fallback(answer).with_state(this.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        this
    }

    /// The file that leads here.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A service account with a role for IRSA.
    pub(crate) fn annotate(&self, namespace: &str, name: &str, role: &str) {
        self.put_account(namespace, name, &json!({ "eks.amazonaws.com/role-arn": role }));
    }

    /// A service account without a role.
    pub(crate) fn add_account(&self, namespace: &str, name: &str) {
        self.put_account(namespace, name, &json!({}));
    }

    fn put_account(&self, namespace: &str, name: &str, annotations: &Value) {
        let object = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "namespace": namespace, "name": name, "annotations": annotations },
        });
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}");
        self.state().objects.insert(path, object);
    }

    /// A node with labels.
    pub(crate) fn add_node(&self, name: &str, labels: &Value) {
        let object = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": { "name": name, "labels": labels },
        });
        self.state().objects.insert(format!("/api/v1/nodes/{name}"), object);
    }

    /// Changes how every read is answered from now on.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.state().behaviour = behaviour;
    }

    /// Changes how the keys of tokens are served from now on.
    pub(crate) fn serve_keys(&self, keys: Keys) {
        self.state().keys = keys;
    }

    /// How often the keys of tokens were read.
    pub(crate) fn key_reads(&self) -> usize {
        self.state().key_reads
    }

    /// The paths that were read, but for the keys of tokens.
    pub(crate) fn reads(&self) -> Vec<String> {
        self.state().reads.clone()
    }

    fn state(&self) -> MutexGuard<'_, Cluster> {
        self.state.lock().unwrap()
    }
}

async fn answer(State(kubernetes): State<Kubernetes>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if request.method() != Method::GET {
        return answer_write(&kubernetes, &path, request).await;
    }
    let (behaviour, found) = {
        let mut state = kubernetes.state();
        if path == KEYS {
            state.key_reads += 1;
            match (state.behaviour, &state.keys) {
                (Behaviour::Healthy, Keys::Behave(behaviour)) => (*behaviour, None),
                (Behaviour::Healthy, Keys::Text(text)) => return respond(200, text.clone()),
                (Behaviour::Healthy, Keys::Healthy) => return respond(200, state.emulator.token_keys()),
                (behaviour, _) => (behaviour, None),
            }
        } else {
            state.reads.push(path.clone());
            (state.behaviour, state.objects.get(&path).map(Value::to_string))
        }
    };
    if behaviour == Behaviour::Healthy
        && let Some(response) = kubernetes.config_maps(&path, request.uri().query().unwrap_or_default())
    {
        return response;
    }
    match (behaviour, found) {
        (Behaviour::Hang, _) => std::future::pending().await,
        (Behaviour::Garbage, _) => respond(200, "<html>not the API server</html>".to_owned()),
        (Behaviour::Refuse(status), _) => respond(status, failure(status, &path)),
        (Behaviour::Healthy, Some(object)) => respond(200, object),
        (Behaviour::Healthy, None) => respond(404, failure(404, &path)),
    }
}

async fn answer_write(kubernetes: &Kubernetes, path: &str, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let content_type =
        head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let write = Write { method: &head.method, path, content_type, body: &body };
    let (behaviour, status, object) = kubernetes.state().write(&write);
    match behaviour {
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Garbage => respond(200, "<html>not the API server</html>".to_owned()),
        Behaviour::Refuse(status) => respond(status, failure(status, path)),
        Behaviour::Healthy => respond(status, object.to_string()),
    }
}

/// A `Status` object, as the API server answers errors.
fn failure(status: u16, path: &str) -> String {
    let reason = match status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        _ => "InternalError",
    };
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": format!("{path} is {reason}: said by the test's API server"),
        "reason": reason,
        "code": status,
    })
    .to_string()
}

fn respond(status: u16, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}
