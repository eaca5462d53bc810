//! What all scenarios share: one repetition, and how its provider is started.

use std::time::Duration;

use crate::bench::{provider::Provider, settings::Settings, stage::Stage};

pub(super) const STS: &str = "AssumeRoleWithWebIdentity";
pub(super) const AGENT: &str = "PodIdentityCredentials";
pub(super) const READ: &str = "GetSecretValue";
/// Credentials are used for fifteen minutes, 7.5 default intervals.
pub(super) const CREDENTIAL_AGE_INTERVALS: f64 = 7.5;
/// After this long, a process has finished the work of its start.
const SETTLE: Duration = Duration::from_millis(250);

/// One repetition of a scenario.
pub(super) struct Repetition<'a> {
    pub(super) settings: &'a Settings,
    pub(super) stage: &'a Stage,
}

impl Repetition<'_> {
    /// Starts a provider and waits until the work of its start is done.
    pub(super) async fn start_settled(&self) -> anyhow::Result<Provider> {
        let provider = self.settings.subject.start(self.stage, &[]).await?;
        provider.name().await?;
        tokio::time::sleep(SETTLE).await;
        Ok(provider)
    }

    /// Starts a provider whose intervals are those of the settings.
    pub(super) async fn start_with_short_intervals(&self) -> anyhow::Result<Provider> {
        let interval = self.settings.interval;
        let flags = [
            format!("--rotation-poll-interval={}ms", interval.as_millis()),
            format!("--max-credential-age={}ms", interval.mul_f64(CREDENTIAL_AGE_INTERVALS).as_millis()),
        ];
        self.settings.subject.start(self.stage, &flags).await
    }
}
