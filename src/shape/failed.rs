//! The message of a mount whose objects failed: each of them, with what to do.

use std::fmt;

use super::ShapeError;
use crate::{
    aws::{AwsFailure, about_object},
    backend::ReadFailure,
    model::{message::quoted, reason::Reason, reference::Reference},
};

/// Maximum number of objects that one message names.
const MAX_SHOWN: usize = 20;

/// Objects that failed, and for whom.
#[derive(Debug, thiserror::Error)]
pub struct FailedObjects {
    pub failures: Vec<ObjectFailure>,
    pub(super) objects: usize,
    pub(super) class: String,
    pub(super) who: String,
    pub(super) account: Option<String>,
}

/// One object that failed.
#[derive(Debug)]
pub struct ObjectFailure {
    pub(super) reference: Reference,
    pub cause: Cause,
}

/// Why an object failed.
#[derive(Debug)]
pub enum Cause {
    /// It could not be read.
    Read(ReadFailure),
    /// Its value does not have the form that the class asks for.
    Shape(Vec<ShapeError>),
}

impl Cause {
    fn reason(&self) -> Reason {
        match self {
            Self::Read(read) => read.last().kind.reason(),
            Self::Shape(_) => Reason::ValueMismatch,
        }
    }
}

impl FailedObjects {
    /// The most urgent of the failures' reasons.
    pub fn reason(&self) -> Reason {
        self.failures.iter().map(|failure| failure.cause.reason()).min().unwrap_or(Reason::Bug)
    }

    /// The failure with what to do about it.
    fn told(&self, failure: &AwsFailure, reference: &Reference) -> String {
        format!("{failure}{}", about_object(failure, reference, self.account.as_deref()))
    }
}

impl fmt::Display for FailedObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, objects) = (self.failures.len(), self.objects);
        let (class, who) = (&self.class, &self.who);
        write!(f, "{failed} of {objects} objects of SecretProviderClass {class} failed for {who}:")?;
        for (number, failure) in self.failures.iter().take(MAX_SHOWN).enumerate() {
            let reference = &failure.reference;
            let separator = if number == 0 { "" } else { ";" };
            write!(
                f,
                "{separator} ({}) {} {}: ",
                number + 1,
                reference.service,
                quoted(&reference.to_string())
            )?;
            match &failure.cause {
                Cause::Read(read) => {
                    f.write_str(&self.told(&read.primary, reference))?;
                    if let Some(failover) = &read.failover {
                        write!(f, "; then the failover Region: {}", self.told(failover, reference))?;
                    }
                }
                Cause::Shape(errors) => {
                    for (number, error) in errors.iter().enumerate() {
                        write!(f, "{}{error}", if number == 0 { "" } else { "; " })?;
                    }
                }
            }
        }
        match self.failures.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}
