//! What was looked at, in a few lines: the answer where nothing is wrong.

use std::collections::BTreeSet;

use super::{nodes, scene::Scene};

/// A line for each part.
pub fn looked_at(scene: &Scene) -> Vec<String> {
    let parts = scene.parts();
    let mut lines = Vec::new();
    if let Ok(Some(object)) = &scene.csi_driver {
        let audiences: Vec<&str> =
            object.spec.token_requests.iter().map(|request| request.audience.as_str()).collect();
        let republish = if object.spec.requires_republish { "on" } else { "off" };
        lines
            .push(format!("CSIDriver: tokens for {}; republish {republish}", or_none(&audiences.join(", "))));
    }
    for driver in &parts.drivers {
        let (ready, nodes) = nodes::ready(scene, driver.set);
        let version = driver.version().map_or_else(
            || "of unknown version".to_owned(),
            |(major, minor, patch)| format!("{major}.{minor}.{patch}"),
        );
        let metadata = &driver.set.metadata;
        lines.push(format!(
            "driver {version} ({}/{}): ready on {ready} of {nodes} nodes",
            metadata.namespace, metadata.name
        ));
    }
    for latchkey in &parts.latchkeys {
        let (ready, nodes) = nodes::ready(scene, latchkey.set);
        let metadata = &latchkey.set.metadata;
        let own = scene.voices.iter().filter(|voice| voice.namespace == metadata.namespace);
        let answered =
            own.filter(|voice| voice.metrics.is_ok() && voice.pod.starts_with(&metadata.name)).count();
        lines.push(format!(
            "Latchkey ({}/{}): {} ready on {ready} of {nodes} nodes, {answered} of them asked",
            metadata.namespace,
            metadata.name,
            latchkey.socket()
        ));
    }
    lines.push(format!("clocks of {} of {} nodes", nodes::clocks_seen(scene), scene.usable_nodes().count()));
    let answered = scene.rights.iter().filter(|asked| asked.allowed.is_ok()).count();
    lines.push(format!("{answered} permissions of Latchkey and the driver"));
    let workloads = &scene.workloads;
    let count = |seen: Option<usize>| seen.map_or("?".to_owned(), |count| count.to_string());
    let uses = workloads.uses();
    let classes: BTreeSet<_> = uses.keys().map(|one| (&one.namespace, &one.class)).collect();
    let accounts: BTreeSet<_> = uses.keys().map(|one| (&one.namespace, &one.account)).collect();
    lines.push(format!(
        "{}: {} pods with {} classes and {} service accounts, {} events about their secrets",
        workloads.place,
        count(workloads.pods.as_ref().ok().map(Vec::len)),
        classes.len(),
        accounts.len(),
        count(workloads.events.as_ref().ok().map(Vec::len)),
    ));
    lines
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "nobody" } else { text }
}
