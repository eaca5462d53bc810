//! What the API server writes: events, and JSON patches of nodes. It refuses what a real
//! one refuses.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::{Behaviour, Cluster, Kubernetes};

/// Where events are created.
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/";

/// What writes are answered.
pub(super) struct Writes {
    /// How writes alone are answered.
    behaviour: Behaviour,
    /// The next write takes place, and its answer is lost.
    lose_answer: bool,
    /// What happens to a node between a read and the next patch.
    interfere: Option<Value>,
    attempts: Vec<String>,
    events: Vec<Value>,
}

impl Default for Writes {
    fn default() -> Self {
        Self {
            behaviour: Behaviour::Healthy,
            lose_answer: false,
            interfere: None,
            attempts: Vec::new(),
            events: Vec::new(),
        }
    }
}

/// A write as it arrives.
pub(super) struct Write<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
}

impl Kubernetes {
    /// Changes how every write is answered from now on, but no read.
    pub(crate) fn behave_on_writes(&self, behaviour: Behaviour) {
        self.state().writes.behaviour = behaviour;
    }

    /// The next write takes place, but its answer never arrives.
    pub(crate) fn lose_next_answer(&self) {
        self.state().writes.lose_answer = true;
    }

    /// A node with taints.
    pub(crate) fn add_tainted_node(&self, name: &str, taints: &Value) {
        self.add_node(name, &json!({}));
        self.node(name, |node| node["spec"] = json!({ "podCIDR": "10.0.0.0/24", "taints": taints }));
    }

    /// The node's taints.
    pub(crate) fn taints(&self, name: &str) -> Value {
        self.node(name, |node| node["spec"]["taints"].clone())
    }

    /// The node has these taints by the time that the next patch arrives.
    pub(crate) fn retaint_before_next_patch(&self, taints: &Value) {
        self.state().writes.interfere = Some(taints.clone());
    }

    fn node<T>(&self, name: &str, with: impl FnOnce(&mut Value) -> T) -> T {
        with(self.state().objects.get_mut(&format!("/api/v1/nodes/{name}")).unwrap())
    }

    /// Events in the order of their creation.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.state().writes.events.clone()
    }

    /// Forgets all events, as the API server does after an hour.
    pub(crate) fn delete_events(&self) {
        self.state().writes.events.clear();
    }

    /// Writes that were attempted, as "METHOD path".
    pub(crate) fn attempts(&self) -> Vec<String> {
        self.state().writes.attempts.clone()
    }
}

impl Cluster {
    /// How the write is to be answered: with this status and object if the server is healthy.
    pub(super) fn write(&mut self, write: &Write<'_>) -> (Behaviour, u16, Value) {
        self.writes.attempts.push(format!("{} {}", write.method, write.path));
        let behaviour = match self.behaviour {
            Behaviour::Healthy => self.writes.behaviour,
            other => other,
        };
        if behaviour != Behaviour::Healthy {
            return (behaviour, 0, Value::Null);
        }
        let (status, object) = match self.written(write) {
            Ok(object) => (200, object),
            Err((status, message)) => (status, refusal(status, &message)),
        };
        let lost = std::mem::take(&mut self.writes.lose_answer);
        (if lost { Behaviour::Hang } else { Behaviour::Healthy }, status, object)
    }

    fn written(&mut self, write: &Write<'_>) -> Result<Value, (u16, String)> {
        let body: Value = serde_json::from_slice(write.body).map_err(|error| (400, error.to_string()))?;
        if write.path.starts_with("/api/v1/nodes/") {
            return match (write.method, write.content_type) {
                (&Method::PATCH, "application/json-patch+json") => self.patch_node(write.path, &body),
                _ => Err((415, "a node takes JSON patches here".to_owned())),
            };
        }
        let (namespace, rest) = write
            .path
            .strip_prefix(EVENTS)
            .and_then(|rest| rest.split_once("/events"))
            .ok_or((404, "no such path".to_owned()))?;
        match (write.method, write.content_type, rest.strip_prefix('/')) {
            (&Method::POST, "application/json", None) => self.writes.create_event(namespace, body),
            (&Method::PATCH, "application/merge-patch+json", Some(name)) => {
                self.writes.patch_event(namespace, name, &body)
            }
            _ => Err((415, "not this way".to_owned())),
        }
    }

    /// All operations, or none.
    fn patch_node(&mut self, path: &str, patch: &Value) -> Result<Value, (u16, String)> {
        let interfere = self.writes.interfere.take();
        let node = self.objects.get_mut(path).ok_or((404, "no such node".to_owned()))?;
        if let Some(taints) = interfere {
            node["spec"]["taints"] = taints;
        }
        let mut patched = node.clone();
        for operation in patch.as_array().unwrap() {
            let at = operation["path"].as_str().unwrap();
            let found = patched.pointer(at).ok_or((422, format!("{at} does not exist")))?;
            match operation["op"].as_str().unwrap() {
                "test" if *found == operation["value"] => {}
                "test" => return Err((422, format!("testing {at} failed"))),
                "remove" => {
                    let (list, place) = at.rsplit_once('/').unwrap();
                    let list = patched.pointer_mut(list).unwrap().as_array_mut().unwrap();
                    list.remove(place.parse().unwrap());
                }
                other => return Err((400, format!("no operation {other}"))),
            }
        }
        *node = patched.clone();
        Ok(patched)
    }
}

impl Writes {
    /// The rules of Kubernetes' pkg/apis/core/validation/events.go.
    fn create_event(&mut self, namespace: &str, event: Value) -> Result<Value, (u16, String)> {
        let text = |at: &str| event.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = text("/metadata/name");
        let is_label = |label: &str| {
            let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            label.starts_with(ends) && label.ends_with(ends) && label.chars().all(|c| ends(c) || c == '-')
        };
        let time = text("/eventTime");
        let rules = [
            ("metadata.name", name.len() <= 253 && name.split('.').all(is_label)),
            ("metadata.namespace", text("/metadata/namespace") == namespace),
            ("regarding.namespace", text("/regarding/namespace") == namespace),
            ("eventTime", time.len() == "2026-01-01T00:00:00.000000Z".len() && time.ends_with('Z')),
            ("reportingController", !text("/reportingController").is_empty()),
            ("reportingInstance", (1..=128).contains(&text("/reportingInstance").len())),
            ("action", (1..=128).contains(&text("/action").len())),
            ("reason", (1..=128).contains(&text("/reason").len())),
            ("note", text("/note").len() <= 1024),
            ("type", ["Normal", "Warning"].contains(&text("/type").as_str())),
            ("series", event.get("series").is_none()),
        ];
        for (field, holds) in rules {
            if !holds {
                return Err((422, format!("{field} is invalid")));
            }
        }
        if self.find(namespace, &name).is_some() {
            return Err((409, format!("{name} already exists")));
        }
        self.events.push(event.clone());
        Ok(event)
    }

    /// Everything but the series is immutable.
    fn patch_event(&mut self, namespace: &str, name: &str, patch: &Value) -> Result<Value, (u16, String)> {
        let event = self.find(namespace, name).ok_or((404, "no such event".to_owned()))?;
        let only_series = patch.as_object().map(Map::len) == Some(1);
        let series = &patch["series"];
        if !only_series || series["count"].as_u64().is_none_or(|count| count < 2) {
            return Err((422, "only a series of at least 2".to_owned()));
        }
        if series["lastObservedTime"].as_str().is_none_or(|time| !time.ends_with('Z')) {
            return Err((422, "series.lastObservedTime is required".to_owned()));
        }
        event["series"] = series.clone();
        Ok(event.clone())
    }

    fn find(&mut self, namespace: &str, name: &str) -> Option<&mut Value> {
        let here = |event: &&mut Value| {
            event["metadata"]["namespace"] == namespace && event["metadata"]["name"] == name
        };
        self.events.iter_mut().find(here)
    }
}

fn refusal(status: u16, message: &str) -> Value {
    let reason = match status {
        404 => "NotFound",
        409 => "AlreadyExists",
        422 => "Invalid",
        _ => "BadRequest",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": status,
    })
}
