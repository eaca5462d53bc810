//! AWS's prices and quotas, in one table, with the pages that have today's.

use serde::Deserialize;

use super::Operation;

/// Prices in US dollars and quotas in calls a second. A file may change each of them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// 10,000 calls of Secrets Manager.
    pub secrets_manager_calls: f64,
    /// A secret for a month.
    pub secret_month: f64,
    /// 10,000 values that Parameter Store returns, with higher throughput.
    pub parameter_interactions: f64,
    /// 10,000 requests to KMS.
    pub kms_requests: f64,
    pub get_secret_value_quota: f64,
    pub get_parameters_quota: f64,
    /// With higher throughput.
    pub get_parameters_higher_quota: f64,
    pub assume_role_quota: f64,
}

/// Where a number comes from.
#[derive(Debug)]
pub struct Source {
    /// Its key in a file of prices.
    pub key: &'static str,
    pub page: &'static str,
    /// When it was written down.
    pub read: &'static str,
}

/// Where to find the current numbers. Most Regions have these prices.
pub const SOURCES: [Source; 8] = [
    Source {
        key: "secrets_manager_calls",
        page: "https://aws.amazon.com/secrets-manager/pricing/",
        read: "2026-11",
    },
    Source { key: "secret_month", page: "https://aws.amazon.com/secrets-manager/pricing/", read: "2026-11" },
    Source {
        key: "parameter_interactions",
        page: "https://aws.amazon.com/systems-manager/pricing/",
        read: "2026-11",
    },
    Source { key: "kms_requests", page: "https://aws.amazon.com/kms/pricing/", read: "2026-11" },
    Source {
        key: "get_secret_value_quota",
        page: "https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html",
        read: "2026-11",
    },
    Source {
        key: "get_parameters_quota",
        page: "https://docs.aws.amazon.com/general/latest/gr/ssm.html",
        read: "2026-11",
    },
    Source {
        key: "get_parameters_higher_quota",
        page: "https://docs.aws.amazon.com/general/latest/gr/ssm.html",
        read: "2026-11",
    },
    Source {
        key: "assume_role_quota",
        page: "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html",
        read: "2026-11",
    },
];

impl Default for Prices {
    fn default() -> Self {
        Self {
            secrets_manager_calls: 0.05,
            secret_month: 0.40,
            parameter_interactions: 0.05,
            kms_requests: 0.03,
            get_secret_value_quota: 10_000.0,
            get_parameters_quota: 40.0,
            get_parameters_higher_quota: 1_000.0,
            assume_role_quota: 600.0,
        }
    }
}

impl Prices {
    /// Reads a file of prices, in YAML or JSON.
    ///
    /// # Errors
    /// Which key is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let prices: Self = serde_yaml::from_str(text).map_err(|_| {
            let keys: Vec<&str> = SOURCES.iter().map(|source| source.key).collect();
            format!("expected a mapping with numbers for some of these keys: {}", keys.join(", "))
        })?;
        let numbers = [
            prices.secrets_manager_calls,
            prices.secret_month,
            prices.parameter_interactions,
            prices.kms_requests,
            prices.get_secret_value_quota,
            prices.get_parameters_quota,
            prices.get_parameters_higher_quota,
            prices.assume_role_quota,
        ];
        if numbers.iter().any(|number| !number.is_finite() || *number < 0.0) {
            return Err("a price or a quota is negative, or no number".to_owned());
        }
        Ok(prices)
    }

    /// Calls a second; `None` where AWS publishes no quota.
    pub fn quota(&self, operation: Operation, higher_throughput: bool) -> Option<f64> {
        match operation {
            Operation::GetSecretValue => Some(self.get_secret_value_quota),
            Operation::GetParameters if higher_throughput => Some(self.get_parameters_higher_quota),
            Operation::GetParameters => Some(self.get_parameters_quota),
            Operation::AssumeRole => Some(self.assume_role_quota),
            Operation::AssumeRoleWithWebIdentity | Operation::PodIdentityCredentials => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_changes_some_prices_and_names_its_keys_if_it_is_wrong() {
        let changed = Prices::parse("secrets_manager_calls: 0.06\n").unwrap();
        assert_eq!(changed, Prices { secrets_manager_calls: 0.06, ..Prices::default() });
        for wrong in ["secrets: 1", "- 1", "kms_requests: much", "kms_requests: -1"] {
            assert!(Prices::parse(wrong).is_err(), "{wrong}");
        }
        let all: String = SOURCES.iter().map(|source| format!("{}: 1\n", source.key)).collect();
        assert!(Prices::parse(&all).is_ok(), "each source belongs to a key");
    }
}
