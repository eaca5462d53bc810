//! `latchkey doctor`: looks at a live cluster and says what is wrong with the driver,
//! Latchkey, the nodes, and the pods that mount secrets.

mod causes;
mod driver;
mod events;
mod look;
mod metrics;
mod nodes;
mod notices;
mod objects;
mod provider;
mod rights;
mod rules;
mod scene;
mod summary;
mod template;
mod workloads;

pub use self::{look::Wanted, rules::RULES, scene::Scene, summary::looked_at};
use crate::findings::{Finding, sorted};

/// The providers of Latchkey's classes, by its usual socket names.
const PROVIDERS: [&str; 2] = ["aws", "latchkey"];

/// What is wrong.
pub fn examine(scene: &Scene) -> Vec<Finding> {
    let parts = scene.parts();
    let mut providers: Vec<&str> = parts.latchkeys.iter().map(scene::Latchkey::provider).collect();
    providers.extend(PROVIDERS);
    let mut findings = Vec::new();
    driver::check(scene, &parts, &providers, &mut findings);
    provider::check(scene, &parts, &mut findings);
    nodes::check(scene, &parts, &mut findings);
    notices::check(scene, &mut findings);
    rights::check(scene, &mut findings);
    workloads::check(scene, &providers, &mut findings);
    events::check(scene, &providers, &mut findings);
    sorted(findings)
}
