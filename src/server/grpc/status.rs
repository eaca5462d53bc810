//! From an error to a gRPC status: the only place that knows codes.
//!
//! kubelet takes Canceled, DeadlineExceeded, Unavailable, ResourceExhausted and
//! Aborted for "not final": it keeps the folder, and the pod may then start with
//! an empty volume. None of them is ever used.

use tonic::{Code, Status};

use crate::{
    aws::FailureKind,
    cluster::ClusterError,
    identity::IdentityError,
    model::message::told,
    mount::MountError,
    shape::{Cause, FailedObjects, NotShaped},
};

/// Longest message of a status. HTTP/2 headers carry it, and percent-encoded.
const MAX_MESSAGE_BYTES: usize = 4000;
/// Stands where it is cut.
const CUT: &str = " … (the provider's log has the rest)";

/// The status that the driver shows in the pod's event.
pub(super) fn status_of(error: &MountError) -> Status {
    Status::new(code_of(error), told(error, MAX_MESSAGE_BYTES, CUT))
}

fn code_of(error: &MountError) -> Code {
    match error {
        MountError::Request(_) => Code::InvalidArgument,
        MountError::Region(error) => code_of_cluster(error),
        MountError::Identity(error) => code_of_identity(error),
        MountError::Objects(NotShaped::Objects(objects)) => code_of_objects(objects),
        MountError::Objects(NotShaped::Size(_)) | MountError::Write(_) | MountError::Memory(_) => {
            Code::FailedPrecondition
        }
        MountError::Busy { .. } | MountError::Deadline(_) | MountError::Bug => Code::Internal,
    }
}

fn code_of_cluster(error: &ClusterError) -> Code {
    match error {
        ClusterError::Forbidden { .. } => Code::PermissionDenied,
        ClusterError::NotFound { .. } => Code::NotFound,
        ClusterError::BadAnnotation { .. } | ClusterError::NoRegion(_) => Code::FailedPrecondition,
        ClusterError::Setup { .. } | ClusterError::Unreachable { .. } => Code::Internal,
    }
}

fn code_of_identity(error: &IdentityError) -> Code {
    match error {
        IdentityError::TokenMissing { .. }
        | IdentityError::TokenUnfit { .. }
        | IdentityError::NoToken
        | IdentityError::NoIdentity(_)
        | IdentityError::NoRole(_) => Code::Unauthenticated,
        IdentityError::Cluster(error) => code_of_cluster(error),
        IdentityError::Refused { failure, .. } => match failure.kind {
            FailureKind::TokenRefused | FailureKind::TokenUnverified | FailureKind::StaleCredentials => {
                Code::Unauthenticated
            }
            FailureKind::Denied | FailureKind::KmsDenied => Code::PermissionDenied,
            FailureKind::NotFound => Code::NotFound,
            FailureKind::Unusable => Code::FailedPrecondition,
            FailureKind::Invalid => Code::InvalidArgument,
            FailureKind::Outage | FailureKind::Throttled => Code::Internal,
        },
    }
}

/// The code of the failure that asks most of a person.
fn code_of_objects(objects: &FailedObjects) -> Code {
    const URGENCY: [Code; 6] = [
        Code::PermissionDenied,
        Code::Unauthenticated,
        Code::NotFound,
        Code::FailedPrecondition,
        Code::InvalidArgument,
        Code::Internal,
    ];
    let codes: Vec<Code> = objects.failures.iter().map(|failure| code_of_cause(&failure.cause)).collect();
    URGENCY.into_iter().find(|code| codes.contains(code)).unwrap_or(Code::Internal)
}

fn code_of_cause(cause: &Cause) -> Code {
    match cause {
        Cause::Shape(_) => Code::FailedPrecondition,
        Cause::Read(read) => match read.failover.as_ref().unwrap_or(&read.primary).kind {
            FailureKind::Outage | FailureKind::Throttled => Code::Internal,
            FailureKind::StaleCredentials | FailureKind::TokenRefused | FailureKind::TokenUnverified => {
                Code::Unauthenticated
            }
            FailureKind::Denied | FailureKind::KmsDenied => Code::PermissionDenied,
            FailureKind::NotFound => Code::NotFound,
            FailureKind::Unusable => Code::FailedPrecondition,
            FailureKind::Invalid => Code::InvalidArgument,
        },
    }
}
