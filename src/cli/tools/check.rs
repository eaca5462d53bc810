//! The options of `latchkey check`.

use clap::{Args, ValueEnum, builder::PossibleValuesParser};

use super::inputs::Inputs;
use crate::cli::{
    flag_values::{AllowedRegions, AllowedRoles, allowed_regions, role_patterns},
    region,
};
use crate::{
    check::{RULES, admission::Admission},
    findings::{Form, Severity},
    model::{arn::Region, rules::Rules},
};

const EXAMPLES: &str = "\
Examples:
  latchkey check manifests/ --region eu-central-1
  helm template . | latchkey check - --output github";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Form of the output
    #[arg(short, long, value_name = "FORM", value_enum, default_value = "table")]
    pub(crate) output: CheckForm,
    /// Least severity that makes the command fail
    #[arg(long, value_enum, default_value = "warning")]
    pub(crate) severity: CheckSeverity,
    /// Findings to leave out
    #[arg(long, value_name = "RULE", value_delimiter = ',', hide_possible_values = true, value_parser = rule_ids())]
    pub(crate) ignore: Vec<String>,
    /// Region for classes that do not name one
    #[arg(long, value_parser = region, help_heading = "The provider's own flags")]
    region: Option<Region>,
    /// Classes may name a role (roleArn)
    #[arg(long, help_heading = "The provider's own flags")]
    allow_role_arn: bool,
    /// Roles that classes may name, as patterns
    #[arg(long, value_name = "PATTERNS", value_parser = role_patterns, help_heading = "The provider's own flags")]
    allowed_roles: Option<AllowedRoles>,
    /// Regions that may be read, as patterns
    #[arg(long, value_name = "PATTERNS", value_parser = allowed_regions, help_heading = "The provider's own flags")]
    allowed_regions: Option<AllowedRegions>,
    /// Print a ValidatingAdmissionPolicy for these rules, and exit
    #[arg(long, help_heading = "Admission")]
    pub(crate) print_admission_policy: bool,
    /// What the policy refuses besides
    #[arg(
        long,
        value_name = "WHAT",
        value_enum,
        value_delimiter = ',',
        help_heading = "Admission",
        requires = "print_admission_policy"
    )]
    deny: Vec<Denied>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckForm {
    Table,
    Json,
    Sarif,
    Github,
    Markdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckSeverity {
    Error,
    Warning,
    Note,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Denied {
    AssumeRoleArn,
    DefaultServiceAccount,
}

fn rule_ids() -> PossibleValuesParser {
    PossibleValuesParser::new(RULES.iter().map(|rule| rule.id))
}

impl CheckArgs {
    /// What the operator allows.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            default_region: self.region.clone(),
            allow_role_arn: self.allow_role_arn,
            allowed_roles: self.allowed_roles.as_ref().and_then(|roles| roles.0.clone()),
            allowed_regions: self.allowed_regions.as_ref().and_then(|regions| regions.0.clone()),
            ..Rules::default()
        }
    }

    pub(crate) fn admission(&self) -> Admission {
        Admission {
            rules: self.rules(),
            deny_assume_role: self.deny.contains(&Denied::AssumeRoleArn),
            deny_default_account: self.deny.contains(&Denied::DefaultServiceAccount),
        }
    }
}

impl From<CheckForm> for Form {
    fn from(form: CheckForm) -> Self {
        match form {
            CheckForm::Table => Self::Table,
            CheckForm::Json => Self::Json,
            CheckForm::Sarif => Self::Sarif,
            CheckForm::Github => Self::Github,
            CheckForm::Markdown => Self::Markdown,
        }
    }
}

impl From<CheckSeverity> for Severity {
    fn from(severity: CheckSeverity) -> Self {
        match severity {
            CheckSeverity::Error => Self::Error,
            CheckSeverity::Warning => Self::Warning,
            CheckSeverity::Note => Self::Note,
        }
    }
}
