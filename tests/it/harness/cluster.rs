//! A Kubernetes API with lists in pages and watches, for commands that read a cluster.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

/// A handle to the API server. It serves until the test ends.
#[derive(Clone)]
pub(crate) struct ClusterApi {
    state: Arc<Mutex<Objects>>,
    /// The number of changes so far.
    changes: Arc<watch::Sender<usize>>,
    url: String,
    kubeconfig: PathBuf,
}

#[derive(Default)]
struct Objects {
    /// By their paths.
    objects: BTreeMap<String, Value>,
    /// The collection's path, the kind of change, and the object.
    log: Vec<(String, &'static str, Value)>,
    /// Resources that are refused, with this status.
    refused: BTreeMap<String, u16>,
    /// Places to go on from that are answered with 410.
    expire: usize,
    reads: Vec<String>,
}

impl ClusterApi {
    pub(crate) async fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let kubeconfig = folder.join("kubeconfig");
        std::fs::write(&kubeconfig, kubeconfig_for(&url, &json!({}))).unwrap();
        let (changes, _) = watch::channel(0);
        let this = Self { state: Arc::default(), changes: Arc::new(changes), url, kubeconfig };
        let router = Router::new().fallback(answer).with_state(this.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        this
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Creates or replaces an object. `root` is as in `/api/v1`.
    pub(crate) fn put(&self, root: &str, plural: &str, mut object: Value) {
        let (namespace, name) = place(&object);
        let path = path(root, namespace.as_deref(), plural, Some(&name));
        {
            let mut state = self.state();
            let known = state.objects.contains_key(&path);
            let version = state.log.len() + 1;
            object["metadata"]["resourceVersion"] = json!(version.to_string());
            state.objects.insert(path, object.clone());
            let kind = if known { "MODIFIED" } else { "ADDED" };
            state.log.push((format!("{root}/{plural}"), kind, object));
        }
        self.changed();
    }

    pub(crate) fn remove(&self, root: &str, namespace: &str, plural: &str, name: &str) {
        {
            let mut state = self.state();
            let path = path(root, Some(namespace), plural, Some(name));
            let mut object = state.objects.remove(&path).unwrap();
            object["metadata"]["resourceVersion"] = json!((state.log.len() + 1).to_string());
            state.log.push((format!("{root}/{plural}"), "DELETED", object));
        }
        self.changed();
    }

    /// Answers a resource with this status from now on.
    pub(crate) fn refuse(&self, plural: &str, status: u16) {
        self.state().refused.insert(plural.to_owned(), status);
    }

    /// Forgets the places of the next lists that go on.
    pub(crate) fn expire(&self, times: usize) {
        self.state().expire = times;
    }

    /// The paths with parameters that were read.
    pub(crate) fn reads(&self) -> Vec<String> {
        self.state().reads.clone()
    }

    fn changed(&self) {
        let count = self.state().log.len();
        self.changes.send_replace(count);
    }

    fn state(&self) -> MutexGuard<'_, Objects> {
        self.state.lock().unwrap()
    }
}

/// A kubeconfig with the context `test` for this server and user.
pub(crate) fn kubeconfig_for(url: &str, user: &Value) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "test", "cluster": { "server": url } }],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": "shop" } }],
        "current-context": "test",
    })
    .to_string()
}

fn place(object: &Value) -> (Option<String>, String) {
    let text = |key: &str| object["metadata"][key].as_str().map(str::to_owned);
    (text("namespace"), text("name").unwrap())
}

fn path(root: &str, namespace: Option<&str>, plural: &str, name: Option<&str>) -> String {
    let namespace = namespace.map_or_else(String::new, |namespace| format!("/namespaces/{namespace}"));
    let name = name.map_or_else(String::new, |name| format!("/{name}"));
    format!("{root}{namespace}/{plural}{name}")
}

/// What a request asks for.
struct Asked {
    /// The path of the collection in all namespaces.
    collection: String,
    namespace: Option<String>,
    plural: String,
    name: Option<String>,
    parameters: BTreeMap<String, String>,
}

impl Asked {
    fn of(uri: &http::Uri) -> Option<Self> {
        let parts: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
        let (root, rest) = parts.split_at_checked(if parts[0] == "api" { 2 } else { 3 })?;
        let root = format!("/{}", root.join("/"));
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let parameters = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        Some(Self {
            collection: format!("{root}/{}", rest.first()?),
            namespace,
            plural: (*rest.first()?).to_owned(),
            name: rest.get(1).map(|name| (*name).to_owned()),
            parameters: parameters.map(|(key, value)| (key.to_owned(), decoded(value))).collect(),
        })
    }

    fn covers(&self, object: &Value) -> bool {
        let fields = self.parameters.get("fieldSelector").map_or("", String::as_str);
        let selected = fields.split(',').filter(|field| !field.is_empty()).all(|field| {
            let (key, value, equal) = match field.split_once("!=") {
                Some((key, value)) => (key, value, false),
                None => field.split_once('=').map(|(key, value)| (key, value, true)).unwrap(),
            };
            let pointer = format!("/{}", key.replace('.', "/"));
            let found = object.pointer(&pointer).and_then(Value::as_str).unwrap_or_default();
            (found == value) == equal
        });
        let here = self.namespace.is_none() || place(object).0 == self.namespace;
        selected && here
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

async fn answer(State(api): State<ClusterApi>, request: Request) -> Response {
    let Some(asked) = Asked::of(request.uri()) else { return failure(404, "no such path") };
    let mut state = api.state();
    state.reads.push(request.uri().to_string());
    if let Some(status) = state.refused.get(&asked.plural) {
        let message = format!("{} is forbidden: User \"jane\" cannot list resource", asked.plural);
        return failure(*status, &message);
    }
    if let Some(name) = &asked.name {
        let (root, _) = asked.collection.rsplit_once('/').unwrap();
        let path = path(root, asked.namespace.as_deref(), &asked.plural, Some(name));
        return match state.objects.get(&path) {
            Some(object) => respond(200, Body::from(object.to_string())),
            None => failure(404, "not found"),
        };
    }
    if asked.parameters.contains_key("watch") {
        drop(state);
        return follow(api, asked);
    }
    let at = asked.parameters.get("continue").map_or(0, |place| place.parse::<usize>().unwrap());
    if at > 0 && state.expire > 0 {
        state.expire -= 1;
        return failure(410, "The provided continue parameter is too old");
    }
    let limit = asked.parameters.get("limit").map_or(usize::MAX, |limit| limit.parse().unwrap());
    let of_collection = state.objects.iter().filter(|(path, object)| {
        let (namespace, name) = place(object);
        let (root, _) = asked.collection.rsplit_once('/').unwrap();
        **path == self::path(root, namespace.as_deref(), &asked.plural, Some(&name)) && asked.covers(object)
    });
    let all: Vec<Value> = of_collection.map(|(_, object)| object.clone()).collect();
    let page: Vec<&Value> = all.iter().skip(at).take(limit).collect();
    let next = at.saturating_add(limit);
    let next = if next < all.len() { next.to_string() } else { String::new() };
    let list = json!({
        "kind": "List",
        "metadata": { "resourceVersion": state.log.len().to_string(), "continue": next },
        "items": page,
    });
    respond(200, Body::from(list.to_string()))
}

/// The changes after a version, and those to come.
fn follow(api: ClusterApi, asked: Asked) -> Response {
    let from: usize = asked.parameters["resourceVersion"].parse().unwrap();
    let receiver = api.changes.subscribe();
    let lines = stream::unfold((api, asked, receiver, from), async |(api, asked, mut receiver, mut at)| {
        loop {
            let mut text = String::new();
            {
                let state = api.state();
                for (collection, kind, object) in &state.log[at..] {
                    if *collection == asked.collection && asked.covers(object) {
                        text += &json!({ "type": kind, "object": object }).to_string();
                        text.push('\n');
                    }
                }
                at = state.log.len();
            }
            if !text.is_empty() {
                let line = Ok::<_, std::convert::Infallible>(Bytes::from(text));
                return Some((line, (api, asked, receiver, at)));
            }
            receiver.changed().await.ok()?;
        }
    });
    respond(200, Body::from_stream(lines))
}

fn failure(status: u16, message: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": "Refused", "code": status,
    });
    respond(status, Body::from(body.to_string()))
}

fn respond(status: u16, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}
