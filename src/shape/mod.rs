//! From the values that AWS gave to the files that the pod sees: decode,
//! extract, or say of every object why not.

mod failed;

pub use self::failed::{Cause, FailedObjects, ObjectFailure};
use crate::{
    aws::FailureKind,
    fetch::ObjectResult,
    model::{
        encoding::Encoding,
        expression::ExtractError,
        file::MountFile,
        object::{Field, Object},
        request::MountRequest,
        secret::SecretValue,
    },
};

/// Why a value does not become the files that were asked for. Never shows it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// `encoding` does not fit.
    #[error("the value{of} is not {encoding}", of = field.as_ref().map(|f| format!(" of jmesPath {f:?}")).unwrap_or_default(), encoding = encoding.as_str())]
    Encoding {
        /// The jmesPath entry; `None` for the whole value.
        field: Option<String>,
        /// What was expected.
        encoding: Encoding,
    },
    /// The value is no JSON, or the expression does not fit it.
    #[error("jmesPath {expression:?}: {problem}")]
    Extract {
        /// The entry's expression or key.
        expression: String,
        /// What is wrong.
        problem: ExtractError,
    },
    /// The expression finds nothing.
    #[error("jmesPath {0:?} finds nothing in the value, or null (optional: true would skip it)")]
    Missing(String),
}

/// The files of all objects.
///
/// # Errors
/// Every object that failed, and for whom; `account` is theirs, where it is known.
pub fn shape_all(
    request: &MountRequest,
    results: Vec<ObjectResult>,
    who: &dyn std::fmt::Display,
    account: impl FnOnce() -> Option<String>,
) -> Result<Vec<MountFile>, Box<FailedObjects>> {
    let (mut files, mut failures) = (Vec::new(), Vec::new());
    for (object, result) in request.objects.iter().zip(results) {
        let cause = match result {
            Ok(reading) => match shape(object, &reading.value, &reading.version) {
                Ok(shaped) => {
                    files.extend(shaped);
                    continue;
                }
                Err(errors) => Cause::Shape(errors),
            },
            // Only "not found" makes an optional object absent; a denial never does.
            Err(failure) if object.optional && failure.kind() == FailureKind::NotFound => continue,
            Err(failure) => Cause::Read(failure),
        };
        failures.push(ObjectFailure { reference: object.reference.clone(), cause });
    }
    if failures.is_empty() {
        return Ok(files);
    }
    Err(Box::new(FailedObjects {
        failures,
        objects: request.objects.len(),
        class: format!("{}/{}", request.pod.namespace, request.class),
        who: who.to_string(),
        account: account(),
    }))
}

/// The files of one object, the whole value first.
///
/// # Errors
/// Every part of the value that does not fit the object.
fn shape(object: &Object, value: &SecretValue, version: &str) -> Result<Vec<MountFile>, Vec<ShapeError>> {
    let value = match object.encoding {
        None => value.clone(),
        Some(encoding) => {
            encoding.decode(value).ok_or_else(|| vec![ShapeError::Encoding { field: None, encoding }])?
        }
    };
    let mut errors = Vec::new();
    let whole = MountFile {
        path: object.path.clone(),
        mode: object.mode,
        contents: value.clone(),
        version: version.to_owned(),
    };
    let mut files = vec![whole];
    for field in &object.fields {
        match extract(field, &value) {
            Ok(Some(contents)) => files.push(MountFile {
                path: field.path.clone(),
                mode: field.mode,
                contents,
                version: version.to_owned(),
            }),
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(files) } else { Err(errors) }
}

/// `None` when the entry is optional and finds nothing.
fn extract(field: &Field, value: &SecretValue) -> Result<Option<SecretValue>, ShapeError> {
    let expression = || field.expression.as_str().to_owned();
    let found = field
        .expression
        .extract(value.expose())
        .map_err(|problem| ShapeError::Extract { expression: expression(), problem })?;
    let Some(found) = found else {
        return if field.optional { Ok(None) } else { Err(ShapeError::Missing(expression())) };
    };
    match field.encoding {
        None => Ok(Some(found)),
        Some(encoding) => encoding
            .decode(&found)
            .map(Some)
            .ok_or_else(|| ShapeError::Encoding { field: Some(expression()), encoding }),
    }
}
