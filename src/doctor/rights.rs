//! Which permissions in Kubernetes are needed, and which of them are missing.

use super::{
    objects::Pod,
    rules::{KEYS_UNREADABLE, LATCHKEY_FORBIDDEN, NOT_LOOKED_AT, SYNC_FORBIDDEN},
    scene::{Asked, Latchkey, Need, Parts, Scene, user},
    workloads::Means,
};
use crate::{
    findings::{Finding, Place},
    live::{Right, Subject},
};

/// What the driver and Latchkey need here.
pub(super) fn wanted(scene: &Scene, parts: &Parts<'_>) -> Vec<(Right, Need)> {
    let core = |resource| Subject::Resource { group: "", resource };
    let classes: Vec<_> = scene.workloads.classes.iter().flatten().flatten().collect();
    let mut wanted = Vec::new();
    for latchkey in &parts.latchkeys {
        let mut want = |verb: &'static str, on: Subject, need: Need| {
            wanted.push((Right { user: user(latchkey.set), verb, on }, need));
        };
        let own = classes.iter().filter(|class| class.spec.provider == latchkey.provider());
        if own.into_iter().any(|class| Means::of(&class.spec.parameters).reads_annotation()) {
            want("get", core("serviceaccounts"), Need::Roles);
        }
        want("get", Subject::Path("/openid/v1/jwks"), Need::TokenKeys);
        if !knows_region(scene, latchkey) {
            want("get", core("nodes"), Need::Region);
        }
        if latchkey.container.is_on("pod-events") {
            want("create", Subject::Resource { group: "events.k8s.io", resource: "events" }, Need::Events);
        }
        if latchkey.container.flag("startup-taint").is_some() {
            want("patch", core("nodes"), Need::Taint);
        }
    }
    if classes.iter().any(|class| !class.spec.secret_objects.is_empty()) {
        wanted.extend(parts.drivers.iter().map(|driver| {
            (Right { user: user(driver.set), verb: "create", on: core("secrets") }, Need::SyncSecrets)
        }));
    }
    wanted
}

/// Whether the operator or, from Kubernetes 1.35 on, the label of each pod names a Region.
fn knows_region(scene: &Scene, latchkey: &Latchkey<'_>) -> bool {
    let pods = scene.pods_of(latchkey.set).unwrap_or_default();
    let labelled = |pod: &Pod| pod.metadata.labels.contains_key("topology.kubernetes.io/region");
    let named = |name: &str| latchkey.container.env.iter().any(|variable| variable.name == name);
    latchkey.container.flag("region").is_some()
        || named("AWS_REGION")
        || named("LATCHKEY_REGION")
        || (!pods.is_empty() && pods.iter().all(labelled))
}

/// The missing ones.
pub(super) fn check(scene: &Scene, findings: &mut Vec<Finding>) {
    let mut unseen = None;
    for asked in &scene.rights {
        match &asked.allowed {
            Ok(true) => {}
            Ok(false) => findings.push(missing(asked)),
            Err(error) => unseen = Some(error),
        }
    }
    if let Some(error) = unseen {
        let message = format!("could not look at the permissions of Latchkey and the driver: {error}");
        findings.push(Finding::new(
            &NOT_LOOKED_AT,
            Place::in_cluster("ClusterRole", "", "latchkey"),
            message,
        ));
    }
}

fn missing(asked: &Asked) -> Finding {
    let Right { user, verb, on } = &asked.right;
    let what = match on {
        Subject::Resource { group: "", resource } => format!("{verb} {resource}"),
        Subject::Resource { group, resource } => format!("{verb} {resource}.{group}"),
        Subject::Path(path) => format!("{verb} {path}"),
    };
    let (namespace, name) =
        user.trim_start_matches("system:serviceaccount:").split_once(':').unwrap_or_default();
    let place = Place::in_cluster("ServiceAccount", namespace, name);
    let (rule, consequence, fix) = match asked.need {
        Need::Roles => (
            &LATCHKEY_FORBIDDEN,
            "so it cannot read the roles of service accounts, and mounts by IRSA fail",
            "Set rbac.serviceAccounts=true (and rbac.install=true) in Latchkey's chart.",
        ),
        Need::TokenKeys => (&KEYS_UNREADABLE, "so it cannot verify the tokens of pods", ""),
        Need::Region => (
            &LATCHKEY_FORBIDDEN,
            "so it cannot read the Region from the node's label, and nothing else names one",
            "Set awsRegion in Latchkey's chart, or rbac.nodes=true.",
        ),
        Need::Events => (
            &LATCHKEY_FORBIDDEN,
            "so it cannot send events on pods (--pod-events)",
            "Set podEvents.enabled=true and rbac.install=true in Latchkey's chart.",
        ),
        Need::Taint => (
            &LATCHKEY_FORBIDDEN,
            "so it cannot remove the startup taint, and nodes stay closed",
            "Set startupTaint and rbac.install=true in Latchkey's chart.",
        ),
        Need::SyncSecrets => (&SYNC_FORBIDDEN, "and classes here have secretObjects", ""),
    };
    Finding::new(rule, place, format!("may not {what}, {consequence}")).with_fix(fix.to_owned())
}
