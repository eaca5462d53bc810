//! ConfigMaps that can be listed and watched by their name, as a real API server serves them.

use std::convert::Infallible;

use axum::{body::Body, response::Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Kubernetes, failure, respond};

/// Every state of every ConfigMap.
pub(super) struct ConfigMaps {
    /// In order: event type and object. The version is the place.
    history: Vec<(&'static str, Value)>,
    /// Versions before this one are too old to be watched from.
    kept_from: usize,
    /// Watches that began before are over.
    era: usize,
    changed: watch::Sender<()>,
}

impl Default for ConfigMaps {
    fn default() -> Self {
        Self { history: Vec::new(), kept_from: 0, era: 0, changed: watch::Sender::new(()) }
    }
}

impl Kubernetes {
    /// Creates or replaces a ConfigMap.
    pub(crate) fn put_config_map(&self, namespace: &str, name: &str, data: &Value) {
        let mut state = self.state();
        let kind = if state.config_maps.now(namespace, name).is_some() { "MODIFIED" } else { "ADDED" };
        let metadata = json!({ "namespace": namespace, "name": name });
        state.config_maps.add(
            kind,
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data }),
        );
    }

    pub(crate) fn delete_config_map(&self, namespace: &str, name: &str) {
        let mut state = self.state();
        let last = state.config_maps.now(namespace, name).expect("no such ConfigMap").clone();
        state.config_maps.add("DELETED", last);
    }

    /// Ends every watch, as a restart of the API server does.
    pub(crate) fn end_watches(&self) {
        let mut state = self.state();
        state.config_maps.era += 1;
        state.config_maps.changed.send_replace(());
    }

    /// Forgets all changes up to now: they cannot be watched any more.
    pub(crate) fn compact(&self) {
        let mut state = self.state();
        state.config_maps.kept_from = state.config_maps.history.len();
    }

    /// Answers a list or a watch of ConfigMaps by name; `None` for another path.
    pub(super) fn config_maps(&self, path: &str, query: &str) -> Option<Response> {
        let namespace = path.strip_prefix("/api/v1/namespaces/")?.strip_suffix("/configmaps")?.to_owned();
        let parameter = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
        };
        let selector = parameter("fieldSelector").replace("%3D", "=");
        let Some(name) = selector.strip_prefix("metadata.name=").map(str::to_owned) else {
            // Latchkey may read this one by name only.
            return Some(respond(403, failure(403, path)));
        };
        let state = self.state();
        let version = state.config_maps.history.len();
        if parameter("watch") != "true" {
            let items: Vec<&Value> = state.config_maps.now(&namespace, &name).into_iter().collect();
            let list = json!({
                "apiVersion": "v1", "kind": "ConfigMapList", "items": items,
                "metadata": { "resourceVersion": version.to_string() },
            });
            return Some(respond(200, list.to_string()));
        }
        let from: usize = parameter("resourceVersion").parse().unwrap();
        if from < state.config_maps.kept_from {
            let gone = json!({
                "type": "ERROR",
                "object": { "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                            "message": "too old resource version", "reason": "Expired", "code": 410 },
            });
            return Some(respond(200, format!("{gone}\n")));
        }
        let (era, changed) = (state.config_maps.era, state.config_maps.changed.subscribe());
        drop(state);
        let follower = Follower { kubernetes: self.clone(), namespace, name, at: from, era, changed };
        let lines = stream::unfold(follower, |mut follower| async {
            let line = follower.next().await?;
            Some((Ok::<_, Infallible>(line), follower))
        });
        let mut response = Response::new(Body::from_stream(lines));
        response.headers_mut().insert("content-type", "application/json".parse().unwrap());
        Some(response)
    }
}

impl ConfigMaps {
    fn now(&self, namespace: &str, name: &str) -> Option<&Value> {
        let is_it = |object: &Value| {
            object["metadata"]["namespace"] == namespace && object["metadata"]["name"] == name
        };
        let last = self.history.iter().rev().find(|(_, object)| is_it(object))?;
        (last.0 != "DELETED").then_some(&last.1)
    }

    fn add(&mut self, kind: &'static str, mut object: Value) {
        object["metadata"]["resourceVersion"] = json!((self.history.len() + 1).to_string());
        self.history.push((kind, object));
        self.changed.send_replace(());
    }
}

/// One watch.
struct Follower {
    kubernetes: Kubernetes,
    namespace: String,
    name: String,
    at: usize,
    era: usize,
    changed: watch::Receiver<()>,
}

impl Follower {
    async fn next(&mut self) -> Option<String> {
        loop {
            {
                let state = self.kubernetes.state();
                if state.config_maps.era != self.era {
                    return None;
                }
                while let Some((kind, object)) = state.config_maps.history.get(self.at) {
                    self.at += 1;
                    let metadata = &object["metadata"];
                    if metadata["namespace"] == *self.namespace && metadata["name"] == *self.name {
                        return Some(format!("{}\n", json!({ "type": kind, "object": object })));
                    }
                }
            }
            self.changed.changed().await.ok()?;
        }
    }
}
