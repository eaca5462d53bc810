//! Plays a scenario once.

mod aging;
mod mounts;
mod repetition;
mod scrape;

use self::repetition::Repetition;
use super::{figures::Measure, scenario::Scenario, settings::Settings, stage::Stage};

/// Plays a scenario once.
///
/// # Errors
/// When the provider does not answer or refuses a mount.
pub(super) async fn play(
    scenario: Scenario,
    settings: &Settings,
    stage: &Stage,
) -> anyhow::Result<Vec<Measure>> {
    let play = Repetition { settings, stage };
    match scenario {
        Scenario::Start => play.start().await,
        Scenario::Cold => play.cold().await,
        Scenario::Warm => play.warm().await,
        Scenario::StormOne => play.storm_one().await,
        Scenario::StormMany => play.storm_many().await,
        Scenario::StormPodIdentity => play.storm_pod_identity().await,
        Scenario::Loop => play.republish_loop().await,
        Scenario::Rotation => play.rotation().await,
        Scenario::Change => play.change().await,
        Scenario::Outage => play.outage().await,
        Scenario::Idle => play.idle().await,
        Scenario::Scrape => play.scrape().await,
    }
}
