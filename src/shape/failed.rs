//! Objects that failed: each of them, with what a person must do.

use std::fmt;

use super::ShapeError;
use crate::{
    aws::{ABSENT_PARAMETER, Advice, AwsFailure, FailureKind, absent_secret},
    backend::ReadFailure,
    model::{
        arn::Region,
        iam,
        message::quoted,
        reason::Reason,
        reference::{Reference, Service},
    },
};

/// Most objects that one message spells out.
const MAX_SHOWN: usize = 20;
/// Objects that failed, and for whom.
#[derive(Debug, thiserror::Error)]
pub struct FailedObjects {
    /// Each of them.
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
    /// Why.
    pub cause: Cause,
}

/// Why an object failed.
#[derive(Debug)]
pub enum Cause {
    /// It could not be read.
    Read(ReadFailure),
    /// Its value has another form than the class says.
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

    fn write_failure(
        &self,
        f: &mut fmt::Formatter<'_>,
        failure: &AwsFailure,
        reference: &Reference,
    ) -> fmt::Result {
        write!(f, "{failure}")?;
        match (failure.advice.as_deref(), failure.kind) {
            (Some(Advice::Known(advice)), _) => write!(f, "; {advice}"),
            (Some(Advice::Denial(denial)), _) => {
                let asked = self.resource(reference, &failure.region);
                write!(f, "; {}", denial.told(failure.operation, &asked))
            }
            (None, FailureKind::Denied) => {
                write!(f, "; missing: {} on {}", failure.operation, self.resource(reference, &failure.region))
            }
            (None, FailureKind::KmsDenied) => {
                f.write_str("; missing: kms:Decrypt on the KMS key that encrypts it")
            }
            (None, FailureKind::NotFound) => {
                f.write_str("; ")?;
                f.write_str(match reference.service {
                    Service::SecretsManager => absent_secret(&reference.id),
                    Service::ParameterStore => ABSENT_PARAMETER,
                })
            }
            (None, _) => Ok(()),
        }
    }

    fn resource(&self, reference: &Reference, region: &Region) -> String {
        iam::resource(reference, region, self.account.as_deref())
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
                    self.write_failure(f, &read.primary, reference)?;
                    if let Some(failover) = &read.failover {
                        f.write_str("; then the failover Region: ")?;
                        self.write_failure(f, failover, reference)?;
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
