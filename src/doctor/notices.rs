//! Change notices, where Latchkey listens to them: who sends them, whether they reach the
//! nodes, and whether AWS's own way to the queue is whole.

use super::{
    rules::{CHANGES_UNTOLD, NOT_LOOKED_AT, NOTICES_FAILING, NOTICES_MISSING, NOTICES_UNHEARD},
    scene::{Notices, Scene, Sender},
};
use crate::{
    findings::{Finding, Place},
    notices::{Document, KEY},
};

pub(super) fn check(scene: &Scene, findings: &mut Vec<Finding>) {
    for notices in &scene.notices {
        let sent = senders(notices, findings) && object(notices, findings);
        nodes(scene, notices, sent, findings);
    }
}

/// Whether somebody sends notices.
fn senders(notices: &Notices, findings: &mut Vec<Finding>) -> bool {
    let Notices { namespace, name, senders, .. } = notices;
    let place = || Place::in_cluster("ConfigMap", namespace, name);
    let senders = match senders {
        Ok(senders) => senders,
        Err(error) => {
            let message = format!("could not look for the pods that write it: {error}");
            findings.push(Finding::new(&NOT_LOOKED_AT, place(), message));
            return true;
        }
    };
    if senders.is_empty() {
        let message =
            format!("no pod in namespace {namespace} runs latchkey notices --object={namespace}/{name}");
        findings.push(Finding::new(&NOTICES_MISSING, place(), message));
        return false;
    }
    for Sender { pod, is_ready, warnings } in senders {
        let place = || Place::in_cluster("Pod", namespace, pod);
        if !is_ready {
            let fix = format!("Look for the reason: kubectl --namespace {namespace} logs {pod}.");
            let message = "sends change notices, and is not ready".to_owned();
            findings.push(Finding::new(&NOTICES_FAILING, place(), message).with_fix(fix));
        }
        for warning in warnings {
            findings.push(Finding::new(&NOTICES_FAILING, place(), warning.clone()));
        }
    }
    senders.iter().any(|sender| sender.is_ready)
}

/// Whether the object has notices for somebody.
fn object(notices: &Notices, findings: &mut Vec<Finding>) -> bool {
    let Notices { namespace, name, object, .. } = notices;
    let place = Place::in_cluster("ConfigMap", namespace, name);
    let text = match object {
        Ok(object) => object.as_ref().and_then(|object| object.data.get(KEY)),
        Err(error) => {
            findings.push(Finding::new(&NOT_LOOKED_AT, place, format!("could not look at it: {error}")));
            return true;
        }
    };
    match text.map(|text| Document::parse(text)) {
        None => {
            let message = "has no change notices, although a pod sends them".to_owned();
            findings.push(Finding::new(&NOTICES_MISSING, place, message));
            false
        }
        Some(Err(error)) => {
            let message = format!("holds something else than change notices: {error}");
            findings.push(Finding::new(&NOTICES_MISSING, place, message));
            false
        }
        Some(Ok(document)) => !document.covered.is_empty(),
    }
}

/// What the nodes hear. `sent` says whether there is something to hear.
fn nodes(scene: &Scene, notices: &Notices, sent: bool, findings: &mut Vec<Finding>) {
    let (namespace, name) = &notices.of;
    let own = scene
        .voices
        .iter()
        .filter(|voice| voice.namespace == *namespace && voice.pod.starts_with(name.as_str()));
    for voice in own {
        let Ok(sample) = &voice.metrics else { continue };
        let place = || Place::in_cluster("Pod", namespace, &voice.pod);
        if sent && sample.notice_areas == 0 {
            let message = format!(
                "on node {}, Latchkey hears no change notices from ConfigMap {}/{}",
                voice.node, notices.namespace, notices.name
            );
            findings.push(Finding::new(&NOTICES_UNHEARD, place(), message));
        }
        if sample.changes_untold > 0 {
            let count = sample.changes_untold;
            let message = format!(
                "on node {}, {count} {} found by polling, and no notice had told of {}",
                voice.node,
                if count == 1 { "change was" } else { "changes were" },
                if count == 1 { "it" } else { "them" }
            );
            let fix = format!(
                "{} The log names the secret: kubectl --namespace {namespace} logs {}.",
                CHANGES_UNTOLD.fix, voice.pod
            );
            findings.push(Finding::new(&CHANGES_UNTOLD, place(), message).with_fix(fix));
        }
    }
}
