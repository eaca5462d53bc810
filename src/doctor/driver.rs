//! The Secrets Store CSI Driver: its CSIDriver object and its DaemonSet.

use super::{
    objects::CsiDriver,
    rules::{
        AUDIENCE_MISSING, AUDIENCE_UNUSED, DRIVER_MISSING, DRIVER_OLD, NOT_LOOKED_AT, POD_INFO_OFF,
        ROTATION_INTERVAL_LONG, ROTATION_OFF,
    },
    scene::{Driver, Parts, Scene},
    workloads::{POD_IDENTITY, STS},
};
use crate::{
    estate::DRIVER,
    findings::{Finding, Place},
};

/// The oldest version that Latchkey's tests run with; docs/src/versions.md has them.
const OLDEST: (u32, u32, u32) = (1, 6, 0);
/// Kubelet gives up a first mount after this time; see [`ROTATION_INTERVAL_LONG`].
const LONGEST_INTERVAL: f64 = 120.0;

pub(super) fn check(scene: &Scene, parts: &Parts<'_>, providers: &[&str], findings: &mut Vec<Finding>) {
    let place = || Place::in_cluster("CSIDriver", "", DRIVER);
    match &scene.csi_driver {
        Ok(Some(object)) => check_object(object, scene, providers, &place(), findings),
        Ok(None) => {
            let message = format!("there is no CSIDriver {DRIVER}");
            findings.push(Finding::new(&DRIVER_MISSING, place(), message));
        }
        Err(error) => {
            findings.push(Finding::new(&NOT_LOOKED_AT, place(), format!("could not look at it: {error}")));
        }
    }
    match &scene.daemon_sets {
        Err(error) => {
            let place = Place::in_cluster("DaemonSets", "", "all namespaces");
            findings.push(Finding::new(&NOT_LOOKED_AT, place, format!("could not look at them: {error}")));
        }
        Ok(_) if parts.drivers.is_empty() && !matches!(scene.csi_driver, Ok(None)) => {
            let message = "no DaemonSet in any namespace runs the driver".to_owned();
            findings.push(Finding::new(&DRIVER_MISSING, place(), message));
        }
        Ok(_) => parts.drivers.iter().for_each(|driver| check_set(driver, findings)),
    }
}

fn check_object(
    object: &CsiDriver,
    scene: &Scene,
    providers: &[&str],
    place: &Place,
    findings: &mut Vec<Finding>,
) {
    let spec = &object.spec;
    if !spec.pod_info_on_mount {
        let message = "podInfoOnMount is not true".to_owned();
        findings.push(Finding::new(&POD_INFO_OFF, place.clone(), message));
    }
    if !spec.requires_republish {
        let message = "requiresRepublish is not true".to_owned();
        findings.push(Finding::new(&ROTATION_OFF, place.clone(), message));
    }
    let asked: Vec<&str> = spec.token_requests.iter().map(|request| request.audience.as_str()).collect();
    let needed = scene.workloads.audiences(providers);
    let neither = !asked.contains(&STS) && !asked.contains(&POD_IDENTITY);
    for (audience, kind) in [(STS, "IRSA"), (POD_IDENTITY, "EKS Pod Identity")] {
        if asked.contains(&audience) {
            continue;
        }
        let rule = if neither || needed.contains(audience) { &AUDIENCE_MISSING } else { &AUDIENCE_UNUSED };
        let sent = if asked.is_empty() { "nothing".to_owned() } else { asked.join(", ") };
        let message = format!("tokenRequests lacks {audience}, which {kind} needs (it has: {sent})");
        let fix = format!(
            "Set tokenRequests in the driver's chart, and upgrade its release: --set 'tokenRequests[0].audience={STS}' --set 'tokenRequests[1].audience={POD_IDENTITY}'."
        );
        findings.push(Finding::new(rule, place.clone(), message).with_fix(fix));
    }
}

fn check_set(driver: &Driver<'_>, findings: &mut Vec<Finding>) {
    let metadata = &driver.set.metadata;
    let place = || Place::in_cluster("DaemonSet", &metadata.namespace, &metadata.name);
    if let Some(version) = driver.version().filter(|version| *version < OLDEST) {
        let (major, minor, patch) = version;
        let message = format!("runs version {major}.{minor}.{patch} of the driver");
        findings.push(Finding::new(&DRIVER_OLD, place(), message));
    }
    // The driver answers a republish with success, and without a call, unless this is set.
    if !driver.container.is_on("enable-secret-rotation") {
        let message = "runs the driver without --enable-secret-rotation=true".to_owned();
        findings.push(Finding::new(&ROTATION_OFF, place(), message));
    }
    let interval = driver.container.flag("rotation-poll-interval");
    if let Some(interval) =
        interval.filter(|text| seconds(text).is_some_and(|seconds| seconds > LONGEST_INTERVAL))
    {
        let message = format!("has --rotation-poll-interval={interval}");
        findings.push(Finding::new(&ROTATION_INTERVAL_LONG, place(), message));
    }
}

/// A Go duration in seconds, as in `1h2m3.5s`.
fn seconds(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end =
            rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        sum += number
            * match &rest[digits..unit_end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 0.001,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read() {
        for (text, expected) in
            [("2m", Some(120.0)), ("1h1m1.5s", Some(3661.5)), ("500ms", Some(0.5)), ("x", None)]
        {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
