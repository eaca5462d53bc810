//! What exceeds a quota.

use std::time::Duration;

use super::{Operation, Scenario, Settings};
use crate::findings::{Finding, Place, Rule, Severity};

const DAY_SECONDS: f64 = 86_400.0;
/// `--mount-timeout`: a mount that waits longer fails, and kubelet repeats it.
const MOUNT_TIMEOUT: Duration = Duration::from_secs(60);

/// What `latchkey cost` finds.
pub const RULES: &[Rule] = &[OVER_QUOTA, SLOW_RESTART];

const OVER_QUOTA: Rule = Rule {
    id: "calls-over-quota",
    severity: Severity::Error,
    title: "The cluster alone makes more calls a second than AWS allows for the account in that Region, so AWS throttles.",
    fix: "Set a longer --rotation-poll-interval or refreshInterval, switch on Parameter Store's higher throughput, or have AWS raise the quota.",
};
const SLOW_RESTART: Rule = Rule {
    id: "restart-over-quota",
    severity: Severity::Warning,
    title: "If all pods start at once, their first reads take longer than a mount may take at the rate that AWS allows, so some mounts fail and are repeated.",
    fix: "Restart the nodes one after the other, or raise the quota.",
};

/// What exceeds a quota in this scenario.
pub fn findings(scenario: &Scenario, settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ((operation, region), calls) in &scenario.totals {
        let Some(quota) = settings.prices.quota(*operation, settings.higher_throughput) else { continue };
        let place = match region {
            Some(region) => format!("{} in {region}", operation.as_str()),
            None => operation.as_str().to_owned(),
        };
        let rate = calls.calls / DAY_SECONDS;
        if rate > quota {
            let message = format!("{place}: {rate:.0} calls a second on average; the quota is {quota}");
            findings.push(advised(
                Finding::new(&OVER_QUOTA, Place::default(), message),
                *operation,
                settings,
            ));
        }
        let restart = calls.restart / quota;
        if restart > MOUNT_TIMEOUT.as_secs_f64() {
            let message = format!(
                "{place}: a restart of all pods makes {:.0} calls, which takes {restart:.0} s at the quota of {quota} a second; a mount may take {} s",
                calls.restart,
                MOUNT_TIMEOUT.as_secs()
            );
            findings.push(advised(
                Finding::new(&SLOW_RESTART, Place::default(), message),
                *operation,
                settings,
            ));
        }
    }
    findings
}

fn advised(finding: Finding, operation: Operation, settings: &Settings) -> Finding {
    if operation == Operation::GetParameters && !settings.higher_throughput {
        let fix = format!(
            "switch on Parameter Store's higher throughput for the Region: {} calls a second, {} dollars for 10,000 values",
            settings.prices.get_parameters_higher_quota, settings.prices.parameter_interactions
        );
        return finding.with_fix(fix);
    }
    finding
}
