//! One event as JSON lines of bounded length. Every text is bounded and visible
//! (`model/message.rs`), and an event with many objects becomes several lines.

use std::{fmt, time::SystemTime};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::objects::Delivered;
use crate::{
    clock::rfc3339,
    model::{
        message::told,
        principal::{Means, Principal, role_session_name},
        request::Pod,
    },
};

/// Maximum length of a line with its newline.
pub(super) const MAX_LINE_BYTES: usize = 16 << 10;

/// Maximum printed sizes. Together with two objects' texts they stay below a line.
const MAX_NAME_BYTES: usize = 260;
const MAX_ROLE_BYTES: usize = 700;
const MAX_MESSAGE_BYTES: usize = 2 << 10;
const MAX_OBJECT_BYTES: usize = 2 << 10;
const MAX_PATH_BYTES: usize = 6 << 10;

/// Everything but the objects.
#[derive(Clone, Serialize)]
pub(super) struct Head {
    time: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pod: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    service_account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assumed_role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_name: Option<String>,
    class: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    /// Denials of this namespace that were not written before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_written: Option<u64>,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    head: &'a Head,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<usize>,
    objects: &'a [Box<RawValue>],
}

#[derive(Serialize)]
struct ObjectEntry<'a> {
    arn: &'a str,
    version: &'a str,
    labels: &'a [String],
    object: &'a str,
    files: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    first_seen: bool,
}

/// Lines that were lost.
#[derive(Serialize)]
struct LostLine<'a> {
    time: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    lines: u64,
}

/// An error for a line.
pub(super) fn message(error: &dyn fmt::Display) -> String {
    told(error, MAX_MESSAGE_BYTES, " …")
}

/// The line about `lines` lost ones.
pub(super) fn lost(node: Option<&str>, lines: u64) -> serde_json::Result<Vec<u8>> {
    ended(&LostLine { time: rfc3339(SystemTime::now()), event: "lost", node, lines })
}

impl Head {
    pub(super) fn new(
        event: &'static str,
        node: Option<&str>,
        pod: &Pod,
        class: &str,
        principal: Option<&Principal>,
    ) -> Self {
        let role = principal.and_then(|principal| match &principal.means {
            Means::Irsa { role } => Some(role),
            Means::PodIdentity { .. } => None,
        });
        let assumed = principal.and_then(|principal| principal.assumed.as_ref());
        // The Pod Identity agent chooses the name of its own sessions.
        let named = principal.filter(|_| role.is_some() || assumed.is_some());
        Self {
            time: rfc3339(SystemTime::now()),
            event,
            node: node.map(name),
            namespace: name(&pod.namespace),
            pod: name(&pod.name),
            uid: name(&pod.uid),
            service_account: name(&pod.service_account),
            principal: principal.map(|principal| bounded(&principal, MAX_ROLE_BYTES)),
            role: role.map(|role| bounded(role, MAX_ROLE_BYTES)),
            assumed_role: assumed.map(|assumed| bounded(&assumed.arn, MAX_ROLE_BYTES)),
            session_name: named.map(|named| role_session_name(&named.namespace, &named.service_account)),
            class: name(class),
            from: None,
            reason: None,
            message: None,
            not_written: None,
        }
    }

    /// The event without objects, with a newline.
    pub(super) fn line(&self) -> serde_json::Result<Vec<u8>> {
        ended(self)
    }

    /// The event with its objects, in as many lines as they need. `first_seen` has one
    /// flag for each object.
    pub(super) fn lines(
        &self,
        objects: &[Delivered<'_>],
        first_seen: &[bool],
    ) -> serde_json::Result<Vec<Vec<u8>>> {
        let most = usize::MAX;
        let empty = ended(&Line { head: self, part: Some(most), parts: Some(most), objects: &[] })?.len();
        let room = MAX_LINE_BYTES.saturating_sub(empty);
        let mut parts: Vec<Vec<Box<RawValue>>> = vec![Vec::new()];
        let mut left = room;
        for (object, first_seen) in objects.iter().zip(first_seen) {
            for entry in entries(object, *first_seen, room)? {
                let bytes = entry.get().len() + 1;
                if bytes > left && parts.last().is_some_and(|part| !part.is_empty()) {
                    parts.push(Vec::new());
                    left = room;
                }
                left = left.saturating_sub(bytes);
                parts.last_mut().into_iter().for_each(|part| part.push(entry.clone()));
            }
        }
        let count = parts.len();
        let line = |(at, objects): (usize, &Vec<Box<RawValue>>)| {
            let (part, parts) = if count > 1 { (Some(at + 1), Some(count)) } else { (None, None) };
            ended(&Line { head: self, part, parts, objects })
        };
        parts.iter().enumerate().map(line).collect()
    }
}

/// An object in at most `room` bytes; if it has too many files for that, once for
/// every group of them.
fn entries(object: &Delivered<'_>, first_seen: bool, room: usize) -> serde_json::Result<Vec<Box<RawValue>>> {
    let text = |text: &str| bounded(&text, MAX_OBJECT_BYTES);
    let (arn, id) = (text(object.arn), text(&object.reference.id));
    let labels: Vec<String> = object.reference.selector.label.iter().map(|label| name(label)).collect();
    let (version, request_id) = (name(object.version), object.request_id.map(name));
    let entry = |files: &[String]| {
        to_raw_value(&ObjectEntry {
            arn: &arn,
            version: &version,
            labels: &labels,
            object: &id,
            files,
            request_id: request_id.as_deref(),
            first_seen,
        })
    };
    let empty = entry(&[])?.get().len() + 1;
    let mut groups: Vec<Vec<String>> = vec![Vec::new()];
    let mut left = room.saturating_sub(empty);
    for path in &object.files {
        let path = bounded(&path.as_str(), MAX_PATH_BYTES);
        let bytes = serde_json::to_string(&path)?.len() + 1;
        if bytes > left && groups.last().is_some_and(|group| !group.is_empty()) {
            groups.push(Vec::new());
            left = room.saturating_sub(empty);
        }
        left = left.saturating_sub(bytes);
        groups.last_mut().into_iter().for_each(|group| group.push(path.clone()));
    }
    groups.iter().map(|group| entry(group)).collect()
}

fn name(text: &str) -> String {
    bounded(&text, MAX_NAME_BYTES)
}

fn bounded(text: &dyn fmt::Display, max_bytes: usize) -> String {
    told(text, max_bytes, "…")
}

fn ended(line: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(line)?;
    line.push(b'\n');
    Ok(line)
}
