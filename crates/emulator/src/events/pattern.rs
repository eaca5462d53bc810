//! Event patterns: lists of values, and prefixes.

use serde_json::{Map, Value};

/// A pattern whose form has been checked.
pub(super) struct Pattern(Map<String, Value>);

impl Pattern {
    /// Reads a pattern such as `{"source": ["aws.ssm"], "detail": {"name": [{"prefix": "/shop/"}]}}`
    /// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern.html>).
    ///
    /// # Errors
    /// When the pattern is not valid, or has a comparison that the emulator does not have.
    pub(super) fn parse(pattern: &Value) -> Result<Self, String> {
        let fields = pattern.as_object().ok_or("is not a JSON object")?;
        check(fields)?;
        Ok(Self(fields.clone()))
    }

    pub(super) fn matches(&self, event: &Value) -> bool {
        matches(&self.0, event)
    }
}

fn check(fields: &Map<String, Value>) -> Result<(), String> {
    if fields.is_empty() {
        return Err("has an empty object".to_owned());
    }
    for (name, wanted) in fields {
        match wanted {
            Value::Object(fields) => check(fields)?,
            Value::Array(values) if !values.is_empty() => {
                let known = |value: &Value| match value {
                    Value::Object(comparison) => {
                        comparison.len() == 1 && comparison.get("prefix").is_some_and(Value::is_string)
                    }
                    Value::Array(_) => false,
                    _ => true,
                };
                if !values.iter().all(known) {
                    return Err(format!(
                        "has a comparison in {name} that the emulator does not have; it has exact values and prefix"
                    ));
                }
            }
            _ => return Err(format!("has no list of values in {name}")),
        }
    }
    Ok(())
}

fn matches(fields: &Map<String, Value>, event: &Value) -> bool {
    fields.iter().all(|(name, wanted)| match (wanted, &event[name]) {
        (Value::Object(fields), inner) => matches(fields, inner),
        (Value::Array(values), Value::Array(actual)) => actual.iter().any(|actual| is_one_of(values, actual)),
        (Value::Array(values), actual) => is_one_of(values, actual),
        _ => false,
    })
}

fn is_one_of(values: &[Value], actual: &Value) -> bool {
    values.iter().any(|value| match value["prefix"].as_str() {
        Some(prefix) => actual.as_str().is_some_and(|actual| actual.starts_with(prefix)),
        None => value == actual,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_must_match_one_of_its_values() {
        let event = json!({
            "source": "aws.ssm",
            "resources": ["arn:a", "arn:b"],
            "detail": {"name": "/shop/db", "operation": "Update"},
        });
        for (pattern, expected) in [
            (json!({"source": ["aws.ssm"]}), true),
            (json!({"source": ["aws.secretsmanager", "aws.ssm"]}), true),
            (json!({"source": ["aws.secretsmanager"]}), false),
            (json!({"source": [{"prefix": "aws."}]}), true),
            (json!({"resources": ["arn:b"]}), true),
            (json!({"resources": ["arn:c"]}), false),
            (json!({"detail": {"operation": ["Update", "Delete"]}, "source": ["aws.ssm"]}), true),
            (json!({"detail": {"operation": ["Delete"]}, "source": ["aws.ssm"]}), false),
            (json!({"detail": {"nothing": ["x"]}}), false),
        ] {
            assert_eq!(Pattern::parse(&pattern).unwrap().matches(&event), expected, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_evaluated_is_refused() {
        for pattern in [
            json!([]),
            json!({}),
            json!({"source": "aws.ssm"}),
            json!({"source": []}),
            json!({"detail": {}}),
            json!({"detail": {"name": [{"anything-but": "x"}]}}),
        ] {
            assert!(Pattern::parse(&pattern).is_err(), "{pattern}");
        }
    }
}
