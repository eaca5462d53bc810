//! A report as one JSON document.

use serde::Serialize;

use super::{Holder, Report, Shown, TargetSource};
use crate::{clock::Time, model::reference::Service};

/// The version of the document's form. It grows when a field changes or goes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    taken_at: Time,
    scope: &'a str,
    /// Whether every pod has the version that was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    reached: Option<bool>,
    objects: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    /// `secretsmanager`, `ssmparameter`, or `unknown`.
    service: &'static str,
    id: &'a str,
    region: Option<&'a str>,
    object_version: Option<&'a str>,
    object_version_label: Option<&'a str>,
    target: Option<TargetEntry<'a>>,
    versions: Vec<VersionEntry<'a>>,
    previous: Option<Previous<'a>>,
    waiting: Vec<WaitingEntry<'a>>,
    /// Pods that have not mounted it yet.
    starting: usize,
    aws_error: Option<&'a str>,
}

#[derive(Serialize)]
struct TargetEntry<'a> {
    version: &'a str,
    /// `given`, `aws`, or `newest`.
    source: &'static str,
}

#[derive(Serialize)]
struct VersionEntry<'a> {
    version: &'a str,
    labels: &'a [String],
    pod_count: usize,
    pods: Vec<PodEntry<'a>>,
}

#[derive(Serialize)]
struct Previous<'a> {
    version: &'a str,
    pod_count: usize,
    free: bool,
}

#[derive(Serialize)]
struct PodEntry<'a> {
    namespace: &'a str,
    name: &'a str,
    node: Option<&'a str>,
    class: &'a str,
    since: Option<Time>,
}

#[derive(Serialize)]
struct WaitingEntry<'a> {
    #[serde(flatten)]
    pod: PodEntry<'a>,
    version: &'a str,
    /// A container that sees an older version than `version`.
    stale_container: Option<&'a str>,
    reasons: Vec<Reason>,
}

#[derive(Serialize)]
struct Reason {
    id: &'static str,
    severity: &'static str,
    message: String,
    fix: &'static str,
    page: String,
}

/// The report as JSON: indented, or on one line.
pub fn json(report: &Report<'_>, shown: &Shown<'_>, indented: bool) -> String {
    let objects = report.objects.iter().map(|object| Entry {
        service: match object.object.service {
            Some(Service::SecretsManager) => "secretsmanager",
            Some(Service::ParameterStore) => "ssmparameter",
            None => "unknown",
        },
        id: &object.object.id,
        region: object.object.region.as_deref(),
        object_version: object.object.selector.version.as_deref(),
        object_version_label: object.object.selector.label.as_deref(),
        target: object.target.as_ref().map(|target| TargetEntry {
            version: &target.version,
            source: match target.source {
                TargetSource::Given => "given",
                TargetSource::Aws => "aws",
                TargetSource::Newest => "newest",
            },
        }),
        versions: object
            .versions
            .iter()
            .map(|version| VersionEntry {
                version: version.version,
                labels: &version.stages,
                pod_count: version.holders.len(),
                pods: version.holders.iter().map(pod).collect(),
            })
            .collect(),
        previous: object.previous.as_ref().map(|(version, pods)| Previous {
            version,
            pod_count: *pods,
            free: *pods == 0,
        }),
        waiting: object
            .waiting
            .iter()
            .map(|waiting| WaitingEntry {
                pod: pod(&waiting.holder),
                version: waiting.version,
                stale_container: waiting.holder.frozen.map(|mount| &*mount.container),
                reasons: shown
                    .circumstances
                    .why(waiting)
                    .into_iter()
                    .map(|why| Reason {
                        id: why.rule.id,
                        severity: why.rule.severity.as_str(),
                        message: why.message,
                        fix: why.rule.fix,
                        page: why.rule.page(),
                    })
                    .collect(),
            })
            .collect(),
        starting: object.starting,
        aws_error: object.aws_problem.as_deref(),
    });
    let document = Document {
        version: VERSION,
        taken_at: shown.now,
        scope: shown.scope,
        reached: shown.reached,
        objects: objects.collect(),
    };
    let written =
        if indented { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
    // Texts, numbers and times can always be written.
    written.unwrap_or_default() + "\n"
}

fn pod<'a>(holder: &Holder<'a>) -> PodEntry<'a> {
    PodEntry {
        namespace: &holder.pod.namespace,
        name: &holder.pod.name,
        node: holder.pod.node.as_deref(),
        class: holder.class,
        since: holder.since,
    }
}
