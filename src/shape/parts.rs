//! Splits one object's value into its parts: the decoded whole, and its fields.

use std::{ops::ControlFlow, sync::Arc, time::Instant};

use crate::{
    jmespath::{Document, DocumentError, Fuel, SearchError},
    model::{
        encoding::Encoding,
        message::quoted,
        object::{Field, Object, PartsKey},
        secret::SecretValue,
    },
    values::{Found, Parts},
    workers::Stop,
};

/// Why a value does not become files. It never contains the value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// The value does not have the `encoding`.
    #[error("the value{of} is not {encoding}", of = field.as_ref().map(|f| format!(" of jmesPath {}", quoted(f))).unwrap_or_default(), encoding = encoding.as_str())]
    Encoding {
        /// The jmesPath entry; `None` for the whole value.
        field: Option<String>,
        encoding: Encoding,
    },
    /// The class extracts fields, but the value is not JSON.
    #[error("jmesPath: {0}")]
    NotJson(DocumentError),
    /// The expression does not fit the value, or takes too much work.
    #[error("jmesPath {}: {problem}", quoted(expression))]
    Extract {
        /// The entry's expression or key.
        expression: String,
        problem: SearchError,
    },
    /// The expression finds nothing.
    #[error("jmesPath {} finds nothing in the value, or null{} (optional: true would skip it)", quoted(expression), advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default())]
    Missing {
        /// The entry's expression or key.
        expression: String,
        /// Where it may be instead.
        advice: Option<String>,
    },
}

/// An object's parts while they are extracted.
pub(super) struct Taking {
    key: Option<PartsKey>,
    found: Found,
    state: State,
}

enum State {
    /// Kept from before.
    Known(Parts),
    /// The parts so far: the whole value first, then the fields.
    Under { parts: Vec<Option<SecretValue>>, errors: Vec<ShapeError>, bytes: usize },
}

impl Taking {
    /// Starts with the parts kept from before, if there are any.
    pub(super) fn of(key: Option<PartsKey>, found: &Found) -> Self {
        let known = match &key {
            None => Some(Parts::from([None])),
            Some(key) => found.parts(key),
        };
        let under = || State::Under { parts: Vec::new(), errors: Vec::new(), bytes: 0 };
        Self { key, found: found.clone(), state: known.map_or_else(under, State::Known) }
    }

    /// Whether anything had to be computed.
    pub(super) fn computed(&self) -> bool {
        matches!(self.state, State::Under { .. })
    }

    /// Extracts parts until `until`, but at least one. Beyond `room` bytes the rest is not
    /// extracted: the mount is too large already.
    pub(super) fn go_on(
        &mut self,
        object: &Object,
        value: &SecretValue,
        room: usize,
        stop: &Stop,
        until: Instant,
    ) -> ControlFlow<Result<Parts, Vec<ShapeError>>> {
        let (parts, errors, bytes) = match &mut self.state {
            State::Known(parts) => return ControlFlow::Break(Ok(Arc::clone(parts))),
            State::Under { parts, errors, bytes } => (parts, errors, bytes),
        };
        if parts.is_empty() {
            match object.encoding.map(|encoding| encoding.decode(value).ok_or(encoding)) {
                None => parts.push(None),
                Some(Ok(decoded)) => parts.push(Some(decoded)),
                Some(Err(encoding)) => {
                    return ControlFlow::Break(Err(vec![ShapeError::Encoding { field: None, encoding }]));
                }
            }
        }
        let whole = parts[0].clone().unwrap_or_else(|| value.clone());
        let stops = || stop.is_set();
        // Parsed once for all fields of this step.
        let document =
            match object.fields.first().map(|_| Document::parse(whole.expose(), &mut Fuel::new(&stops))) {
                None => None,
                Some(Ok(document)) => Some(document),
                Some(Err(error)) => return ControlFlow::Break(Err(vec![ShapeError::NotJson(error)])),
            };
        while let (Some(field), Some(document)) = (object.fields.get(parts.len() - 1), &document) {
            if stop.is_set() || *bytes > room {
                break;
            }
            let part = extract(field, document, &mut Fuel::new(&stops)).unwrap_or_else(|error| {
                errors.push(error);
                None
            });
            *bytes += part.as_ref().map_or(0, SecretValue::len);
            parts.push(part);
            if Instant::now() >= until && parts.len() <= object.fields.len() {
                return ControlFlow::Continue(());
            }
        }
        if !errors.is_empty() {
            return ControlFlow::Break(Err(std::mem::take(errors)));
        }
        let complete = parts.len() == object.fields.len() + 1;
        let parts: Parts = std::mem::take(parts).into();
        if let Some(key) = self.key.filter(|_| complete) {
            self.found.keep(key, &parts);
        }
        ControlFlow::Break(Ok(parts))
    }
}

/// `None` if the entry is optional and finds nothing.
fn extract(
    field: &Field,
    document: &Document<'_>,
    fuel: &mut Fuel<'_>,
) -> Result<Option<SecretValue>, ShapeError> {
    let expression = || field.expression.as_str().to_owned();
    let found = field
        .expression
        .extract(document, fuel)
        .map_err(|problem| ShapeError::Extract { expression: expression(), problem })?;
    let Some(found) = found else {
        if field.optional {
            return Ok(None);
        }
        let advice = field.expression.advice(document, fuel);
        return Err(ShapeError::Missing { expression: expression(), advice });
    };
    match field.encoding {
        None => Ok(Some(found)),
        Some(encoding) => encoding
            .decode(&found)
            .map(Some)
            .ok_or_else(|| ShapeError::Encoding { field: Some(expression()), encoding }),
    }
}
