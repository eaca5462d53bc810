//! From the values that AWS gave to the files that the pod sees: decode,
//! extract, or say of every object why not.

mod failed;
mod too_large;

pub use self::{
    failed::{Cause, FailedObjects, ObjectFailure},
    too_large::TooLarge,
};
use crate::{
    aws::FailureKind,
    fetch::ObjectResult,
    model::{
        encoding::Encoding,
        expression::ExtractError,
        file::MountFile,
        file_path::FilePath,
        message::quoted,
        object::{Field, Object},
        request::MountRequest,
        secret::SecretValue,
    },
};

/// Why a value does not become the files that were asked for. Never shows it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// `encoding` does not fit.
    #[error("the value{of} is not {encoding}", of = field.as_ref().map(|f| format!(" of jmesPath {}", quoted(f))).unwrap_or_default(), encoding = encoding.as_str())]
    Encoding {
        /// The jmesPath entry; `None` for the whole value.
        field: Option<String>,
        /// What was expected.
        encoding: Encoding,
    },
    /// The value is no JSON, or the expression does not fit it.
    #[error("jmesPath {}: {problem}", quoted(expression))]
    Extract {
        /// The entry's expression or key.
        expression: String,
        /// What is wrong.
        problem: ExtractError,
    },
    /// The expression finds nothing.
    #[error("jmesPath {} finds nothing in the value, or null (optional: true would skip it)", quoted(.0))]
    Missing(String),
}

/// Why a mount's objects do not become its files.
#[derive(Debug, thiserror::Error)]
pub enum NotShaped {
    /// Some could not be read or do not have the form that was asked for.
    #[error(transparent)]
    Objects(#[from] Box<FailedObjects>),
    /// They are more than one mount may have.
    #[error(transparent)]
    Size(#[from] TooLarge),
}

/// The files of all objects, at most `limit` bytes of them.
///
/// # Errors
/// Every object that failed, and for whom; `account` is theirs, where it is known.
pub fn shape_all(
    request: &MountRequest,
    results: Vec<ObjectResult>,
    who: &dyn std::fmt::Display,
    account: Option<String>,
    limit: usize,
) -> Result<Vec<MountFile>, NotShaped> {
    let (mut files, mut failures) = (Vec::new(), Vec::new());
    let mut left = limit;
    for (object, result) in request.objects.iter().zip(results) {
        let cause = match result {
            Ok(reading) => match shape(object, &reading.value, &reading.version, &mut left) {
                Ok(shaped) => {
                    files.extend(shaped);
                    continue;
                }
                // What is left is not even made: it could fill any memory.
                Err(NotMade::Size(shaped)) => {
                    files.extend(shaped);
                    return Err(TooLarge::new(&files, limit).into());
                }
                Err(NotMade::Errors(errors)) => Cause::Shape(errors),
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
    let class = format!("{}/{}", request.pod.namespace, request.class);
    let objects = request.objects.len();
    Err(Box::new(FailedObjects { failures, objects, class, who: who.to_string(), account }).into())
}

/// Why one object does not become its files.
enum NotMade {
    Errors(Vec<ShapeError>),
    /// There is no room left for the last of these.
    Size(Vec<MountFile>),
}

/// The files of one object, the whole value first.
fn shape(
    object: &Object,
    value: &SecretValue,
    version: &str,
    left: &mut usize,
) -> Result<Vec<MountFile>, NotMade> {
    let value = match object.encoding {
        None => value.clone(),
        Some(encoding) => encoding
            .decode(value)
            .ok_or_else(|| NotMade::Errors(vec![ShapeError::Encoding { field: None, encoding }]))?,
    };
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    let mut add = |path: &FilePath, mode, contents: SecretValue| {
        let file = MountFile { path: path.clone(), mode, contents, version: version.to_owned() };
        let room = left.checked_sub(too_large::size_of(&file));
        files.push(file);
        match room {
            Some(room) => *left = room,
            None => return Err(NotMade::Size(std::mem::take(&mut files))),
        }
        Ok(())
    };
    add(&object.path, object.mode, value.clone())?;
    for field in &object.fields {
        match extract(field, &value) {
            Ok(Some(contents)) => add(&field.path, field.mode, contents)?,
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(files) } else { Err(NotMade::Errors(errors)) }
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
