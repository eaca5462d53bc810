//! From calls to dollars.

use super::{Calls, Operation, Settings};

/// Dollars a day for the calls of an operation.
pub(super) fn of(operation: Operation, calls: &Calls, settings: &Settings) -> f64 {
    let prices = &settings.prices;
    let kms = if settings.customer_keys { calls.values * prices.kms_requests } else { 0.0 };
    let ten_thousands = match operation {
        Operation::GetSecretValue => calls.calls * prices.secrets_manager_calls + kms,
        // Standard parameters are free with the default throughput.
        Operation::GetParameters if settings.higher_throughput => {
            calls.values * prices.parameter_interactions + kms
        }
        Operation::GetParameters => kms,
        Operation::AssumeRoleWithWebIdentity | Operation::AssumeRole | Operation::PodIdentityCredentials => {
            0.0
        }
    };
    ten_thousands / 10_000.0
}
