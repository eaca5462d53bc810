//! What the operator allows: limits, roles, Regions and intervals.

use std::time::Duration;

use super::{
    arn::Region,
    mistakes::{Kind, Mistakes},
    region_patterns::RegionPatterns,
    role_patterns::RolePatterns,
};

/// The operator's rules for every SecretProviderClass.
#[derive(Clone, Debug)]
pub struct Rules {
    pub limits: Limits,
    /// Whether a class may name its own IRSA role (`roleArn`).
    pub allow_role_arn: bool,
    /// The roles that a class may name, as `roleArn` or `assumeRoleArn`; `None`
    /// leaves the decision to IAM.
    pub allowed_roles: Option<RolePatterns>,
    /// The Region for classes that do not name one; `None` if it is unknown.
    pub default_region: Option<Region>,
    /// Regions that a class may read from; `None` allows every Region.
    pub allowed_regions: Option<RegionPatterns>,
    /// Minimum `refreshInterval`.
    pub min_refresh_interval: Duration,
    /// Maximum `refreshInterval`.
    pub max_refresh_interval: Duration,
}

/// Limits of one SecretProviderClass.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Maximum number of files: entries of `objects` and of their `jmesPath`.
    pub max_objects: usize,
    /// Maximum length of a JMESPath expression.
    pub max_expression_bytes: usize,
    /// Maximum total size of a mount's files. The driver's default maximum is 4 MiB.
    pub max_response_bytes: usize,
    /// Maximum total size of the mistakes in one message.
    pub max_mistakes_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_objects: 500,
            max_expression_bytes: 1024,
            max_response_bytes: 4 << 20,
            max_mistakes_bytes: 3000,
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            allow_role_arn: false,
            allowed_roles: None,
            default_region: None,
            allowed_regions: None,
            min_refresh_interval: Duration::from_secs(15),
            max_refresh_interval: Duration::from_secs(60 * 60),
        }
    }
}

impl Rules {
    pub(super) fn check_region(&self, place: &str, region: Option<&Region>, mistakes: &mut Mistakes) {
        if let (Some(allowed), Some(region)) = (&self.allowed_regions, region)
            && !allowed.allow(region)
        {
            mistakes.add_as(
                Kind::Forbidden,
                place,
                format!("Region {region} is not allowed here (--allowed-regions={allowed})"),
            );
        }
    }
}
