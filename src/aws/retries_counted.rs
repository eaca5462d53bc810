//! Counts the attempts of a call beyond its first one.

use std::sync::Arc;

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeTransmitInterceptorContextRef, dyn_dispatch_hint},
        retries::RequestAttempts,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;

use crate::metrics::Metrics;

/// Counts the retries of one operation, or of one client with a single operation.
#[derive(Clone, Debug)]
pub struct RetriesCounted {
    operation: &'static str,
    metrics: Arc<Metrics>,
}

impl RetriesCounted {
    pub fn new(operation: &'static str, metrics: &Arc<Metrics>) -> Self {
        Self { operation, metrics: Arc::clone(metrics) }
    }
}

#[dyn_dispatch_hint]
impl Intercept for RetriesCounted {
    fn name(&self) -> &'static str {
        "retries counted"
    }

    fn read_before_attempt(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if config.load::<RequestAttempts>().is_some_and(|attempts| attempts.attempts() > 1) {
            self.metrics.aws.retried(self.operation);
        }
        Ok(())
    }
}
