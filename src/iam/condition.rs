//! One condition of a statement: an operator, a key, and the values of the policy.

use super::{
    context::{Context, Lookup},
    document::PolicyError,
    json::Json,
    operator::{Comparison, Operator, SetOperator, Value, parse_bool},
    pattern::{Pattern, any_matches, none_matches},
    truth::Truth,
};
use crate::model::message::quoted;

#[derive(Clone, Debug)]
pub(super) struct Condition {
    /// The operator as it is written.
    pub(super) name: String,
    pub(super) operator: Operator,
    pub(super) key: String,
    pub(super) values: Vec<Value>,
}

impl Condition {
    /// All conditions of a statement. `variables`: whether the policy's version has them.
    ///
    /// # Errors
    /// The place of an operator that IAM does not know, or of values that are none.
    pub(super) fn parse_all(node: &Json, place: &str, variables: bool) -> Result<Vec<Self>, PolicyError> {
        let Json::Map(operators) = node else {
            return Err(PolicyError::new(place, "must be an object: operators, each with keys and values"));
        };
        let mut conditions = Vec::new();
        for (name, keys) in operators {
            let place = format!("{place}.{name}");
            let operator = Operator::parse(name).ok_or_else(|| {
                PolicyError::new(&place, format!("{} is not a condition operator", quoted(name)))
            })?;
            let Json::Map(keys) = keys else {
                return Err(PolicyError::new(place, "must be an object: condition keys with their values"));
            };
            for (key, values) in keys {
                let place = format!("{place}.{key}");
                let values = values.texts(&place)?;
                let values = values.into_iter().map(|text| value(text, operator, &place, variables));
                let values = values.collect::<Result<_, _>>()?;
                conditions.push(Self { name: name.clone(), operator, key: key.clone(), values });
            }
        }
        Ok(conditions)
    }

    pub(super) fn holds(&self, context: &Context) -> Truth {
        let Operator { set, comparison, negated, if_exists } = self.operator;
        if comparison == Comparison::Null {
            return self.holds_for_presence(context);
        }
        let actual = match context.get(&self.key) {
            Lookup::Unknown => return Truth::depends_on(&self.key),
            Lookup::Absent => {
                return Truth::from(match set {
                    Some(SetOperator::ForAllValues) => true,
                    Some(SetOperator::ForAnyValue) => if_exists,
                    None => if_exists || negated,
                });
            }
            Lookup::Values(actual) => actual,
        };
        let each = actual.iter().map(|actual| self.accepts(actual, context));
        match set {
            Some(SetOperator::ForAllValues) => Truth::all(each),
            Some(SetOperator::ForAnyValue) => Truth::any(each),
            None => self.same_for_all(each.collect()),
        }
    }

    /// `Null`: whether the key is absent, or present.
    fn holds_for_presence(&self, context: &Context) -> Truth {
        Truth::any(self.values.iter().map(|value| match parse_bool(&value.text) {
            Some(true) => context.has(&self.key).negated(),
            Some(false) => context.has(&self.key),
            None => Truth::No,
        }))
    }

    /// Whether one value of the request equals one value of the policy; negated: none.
    fn accepts(&self, actual: &str, context: &Context) -> Truth {
        let Operator { comparison, negated, .. } = self.operator;
        let truths = self.values.iter().map(|value| {
            let of_this = |_: &Pattern| comparison.holds(actual, value, context);
            let one = std::slice::from_ref(&value.pattern);
            if negated { none_matches(one, of_this) } else { any_matches(one, of_this) }
        });
        if negated { Truth::all(truths) } else { Truth::any(truths) }
    }

    /// AWS does not define what an operator without `ForAllValues` or `ForAnyValue` says
    /// about several values, unless it says the same about each.
    fn same_for_all(&self, truths: Vec<Truth>) -> Truth {
        match truths.split_first() {
            Some((first, others)) if others.iter().all(|other| other == first) => first.clone(),
            Some(_) => Truth::depends_on(&self.key),
            None => Truth::from(self.operator.negated || self.operator.if_exists),
        }
    }
}

fn value(text: String, operator: Operator, place: &str, variables: bool) -> Result<Value, PolicyError> {
    let syntax = operator.comparison.syntax(variables);
    match Pattern::parse(&text, syntax) {
        Some(pattern) => Ok(Value { pattern, text }),
        None => Err(PolicyError::incomplete_variable(place, &text)),
    }
}
