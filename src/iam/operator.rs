//! The operators of conditions.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use std::{cmp::Ordering, net::IpAddr};

use data_encoding::BASE64;

use super::{
    context::Context,
    moment,
    pattern::{Pattern, Syntax, Unresolved},
};

/// An operator as it is written, such as `ForAnyValue:StringNotLikeIfExists`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) set: Option<SetOperator>,
    pub(super) comparison: Comparison,
    /// Whether the values are those that must not occur.
    pub(super) negated: bool,
    pub(super) if_exists: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetOperator {
    ForAllValues,
    ForAnyValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Text { wildcards: bool, ignore_case: bool },
    Arn,
    Number(Order),
    Moment(Order),
    Bool,
    Binary,
    Address,
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// IAM compares the names in upper or lower case.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (set, name) = if let Some(name) = name.strip_prefix("forallvalues:") {
            (Some(SetOperator::ForAllValues), name)
        } else if let Some(name) = name.strip_prefix("foranyvalue:") {
            (Some(SetOperator::ForAnyValue), name)
        } else {
            (None, name.as_str())
        };
        let (name, if_exists) = match name.strip_suffix("ifexists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let text = |wildcards, ignore_case| Comparison::Text { wildcards, ignore_case };
        let (comparison, negated) = match name {
            "stringequals" => (text(false, false), false),
            "stringnotequals" => (text(false, false), true),
            "stringequalsignorecase" => (text(false, true), false),
            "stringnotequalsignorecase" => (text(false, true), true),
            "stringlike" => (text(true, false), false),
            "stringnotlike" => (text(true, false), true),
            "arnequals" | "arnlike" => (Comparison::Arn, false),
            "arnnotequals" | "arnnotlike" => (Comparison::Arn, true),
            "bool" => (Comparison::Bool, false),
            "binaryequals" => (Comparison::Binary, false),
            "ipaddress" => (Comparison::Address, false),
            "notipaddress" => (Comparison::Address, true),
            "null" if !if_exists && set.is_none() => (Comparison::Null, false),
            _ => {
                let (kind, order) = if let Some(order) = name.strip_prefix("numeric") {
                    (Comparison::Number as fn(Order) -> Comparison, order)
                } else {
                    (Comparison::Moment as fn(Order) -> Comparison, name.strip_prefix("date")?)
                };
                let (order, negated) = match order {
                    "equals" => (Order::Equal, false),
                    "notequals" => (Order::Equal, true),
                    "lessthan" => (Order::Less, false),
                    "lessthanequals" => (Order::LessOrEqual, false),
                    "greaterthan" => (Order::Greater, false),
                    "greaterthanequals" => (Order::GreaterOrEqual, false),
                    _ => return None,
                };
                (kind(order), negated)
            }
        };
        Some(Self { set, comparison, negated, if_exists })
    }
}

impl Comparison {
    /// What the values of this comparison may contain.
    pub(super) fn syntax(self, variables: bool) -> Syntax {
        match self {
            Self::Text { wildcards, .. } => Syntax { wildcards, variables },
            Self::Arn => Syntax { wildcards: true, variables },
            _ => Syntax { wildcards: false, variables: false },
        }
    }

    /// Whether the value of the request compares with the one of the policy. A value that
    /// is not of the comparison's type compares with none.
    pub(super) fn holds(self, actual: &str, expected: &Value, context: &Context) -> Result<bool, Unresolved> {
        let Value { pattern, text } = expected;
        Ok(match self {
            Self::Text { ignore_case, .. } => {
                return pattern.matches(actual, context, if ignore_case { lower } else { |c| c });
            }
            Self::Arn => return pattern.matches_arn(actual, context),
            Self::Number(order) => {
                let numbers = (actual.trim().parse::<f64>(), text.trim().parse::<f64>());
                matches!(numbers, (Ok(actual), Ok(expected)) if actual.partial_cmp(&expected).is_some_and(|found| order.accepts(found)))
            }
            Self::Moment(order) => {
                let moments = (moment::parse(actual), moment::parse(text));
                matches!(moments, (Some(actual), Some(expected)) if order.accepts(actual.cmp(&expected)))
            }
            Self::Bool => actual.eq_ignore_ascii_case(text) && parse_bool(text).is_some(),
            Self::Binary => {
                let bytes = (BASE64.decode(actual.as_bytes()), BASE64.decode(text.as_bytes()));
                matches!(bytes, (Ok(actual), Ok(expected)) if actual == expected)
            }
            Self::Address => {
                matches!((actual.parse(), Network::parse(text)), (Ok(address), Some(network)) if network.contains(address))
            }
            // Decided before any value is compared.
            Self::Null => false,
        })
    }
}

/// A value of a policy's condition.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) pattern: Pattern,
    pub(super) text: String,
}

pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Upper and lower case of ASCII are the same.
pub(super) fn lower(c: char) -> char {
    c.to_ascii_lowercase()
}

impl Order {
    fn accepts(self, found: Ordering) -> bool {
        match self {
            Self::Equal => found.is_eq(),
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        }
    }
}

/// An address block in CIDR form; a single address is a block of one.
struct Network {
    base: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base.parse().ok()?, Some(bits.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let most = if matches!(base, IpAddr::V4(_)) { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { base, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - self.bits;
                u64::from(u32::from(base)) >> shift == u64::from(u32::from(address)) >> shift
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let differ = u128::from(base) ^ u128::from(address);
                differ.checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}
