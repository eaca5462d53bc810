//! An API server with ConfigMaps, Leases and nodes. A write that names another version than
//! the stored one is refused, as by a real one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode},
    response::Response,
};
use latchkey::notices::{Document, KEY};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::Instant};

use crate::harness::kubeconfig_for;

pub(crate) const OBJECT: &str = "/api/v1/namespaces/kube-system/configmaps/latchkey-notices";
pub(crate) const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/latchkey-notices";

/// A handle to the API server. It serves until the test ends.
#[derive(Clone)]
pub(crate) struct Api {
    state: Arc<Mutex<Objects>>,
    kubeconfig: PathBuf,
}

#[derive(Default)]
struct Objects {
    objects: BTreeMap<String, Value>,
    version: u64,
    nodes: u64,
    /// Methods and the ends of paths that are refused, with this status.
    refused: BTreeMap<(&'static str, &'static str), u16>,
    /// Every document that was written, and when.
    documents: Vec<(Instant, Document)>,
}

impl Api {
    pub(crate) async fn start(folder: &Path, nodes: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let kubeconfig = folder.join("kubeconfig");
        std::fs::write(&kubeconfig, kubeconfig_for(&url, &json!({}))).unwrap();
        let state = Arc::new(Mutex::new(Objects { nodes, ..Objects::default() }));
        let this = Self { state, kubeconfig };
        let router = Router::new().fallback(answer).with_state(this.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        this
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Every document that was written, and when.
    pub(crate) fn documents(&self) -> Vec<(Instant, Document)> {
        self.state().documents.clone()
    }

    /// The last document that was written.
    pub(crate) fn document(&self) -> Option<Document> {
        self.state().documents.last().map(|(_, document)| document.clone())
    }

    /// The object as it is stored.
    pub(crate) fn stored(&self, path: &str) -> Option<Value> {
        self.state().objects.get(path).cloned()
    }

    /// Who holds the lease.
    pub(crate) fn holder(&self) -> String {
        let lease = self.stored(LEASE).unwrap_or_default();
        lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn delete(&self, path: &str) {
        self.state().objects.remove(path).unwrap();
    }

    /// Changes an object as somebody with kubectl does.
    pub(crate) fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        state.version += 1;
        let version = state.version.to_string();
        let object = state.objects.get_mut(path).unwrap();
        change(object);
        object["metadata"]["resourceVersion"] = json!(version);
    }

    /// Answers a method of paths with this end with this status from now on.
    pub(crate) fn refuse(&self, method: &'static str, path_end: &'static str, status: u16) {
        self.state().refused.insert((method, path_end), status);
    }

    /// Refuses nothing any more.
    pub(crate) fn heal(&self) {
        self.state().refused.clear();
    }

    fn state(&self) -> MutexGuard<'_, Objects> {
        self.state.lock().unwrap()
    }
}

async fn answer(State(api): State<Api>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 2 << 20).await.unwrap();
    let path = head.uri.path().to_owned();
    let mut state = api.state();
    let refused =
        state.refused.iter().find(|((method, end), _)| head.method == *method && path.ends_with(end));
    if let Some((_, status)) = refused {
        return failure(*status, "the test's API server refuses it");
    }
    match (&head.method, path.as_str()) {
        (&Method::GET, "/api/v1/nodes") => {
            assert_eq!(head.uri.query(), Some("limit=1"));
            let more = state.nodes - 1;
            let list = json!({ "metadata": { "remainingItemCount": more }, "items": [{ "metadata": { "name": "n" } }] });
            respond(200, &list)
        }
        (&Method::GET, _) => match state.objects.get(&path) {
            Some(object) => respond(200, object),
            None => failure(404, "not found"),
        },
        (&Method::POST, _) => {
            let object: Value = serde_json::from_slice(&body).unwrap();
            let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
            if state.objects.contains_key(&path) {
                return failure(409, "it already exists");
            }
            assert_eq!(object["metadata"].get("resourceVersion"), None, "a new object has no version");
            respond(201, &state.store(path, object))
        }
        (&Method::PUT, _) => {
            let object: Value = serde_json::from_slice(&body).unwrap();
            let Some(stored) = state.objects.get(&path) else { return failure(404, "not found") };
            let (named, version) =
                (&object["metadata"]["resourceVersion"], &stored["metadata"]["resourceVersion"]);
            assert!(named.is_string(), "a write names the version that it replaces");
            if named != version {
                return failure(409, "the object has been modified");
            }
            respond(200, &state.store(path, object))
        }
        _ => failure(405, "no such method"),
    }
}

impl Objects {
    fn store(&mut self, path: String, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if let Some(text) = object["data"][KEY].as_str() {
            self.documents.push((Instant::now(), Document::parse(text).unwrap()));
        }
        self.objects.insert(path, object.clone());
        object
    }
}

fn failure(status: u16, message: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": "Refused", "code": status,
    });
    respond(status, &body)
}

fn respond(status: u16, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}
