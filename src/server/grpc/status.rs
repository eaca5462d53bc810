//! From a reason to a gRPC code: the only place that knows codes.
//!
//! kubelet takes Canceled, DeadlineExceeded, Unavailable, ResourceExhausted, and Aborted
//! for "not final": it keeps the folder, and the pod may then start with an empty volume.
//! None of them is ever used.

use tonic::{Code, Status};

use crate::{
    model::{message::told, reason::Reason},
    mount::MountError,
};

/// Longest message of a status. HTTP/2 headers carry it, percent-encoded.
const MAX_MESSAGE_BYTES: usize = 4000;
/// Marks where a message is cut.
const CUT: &str = " … (the provider's log has the rest)";

/// The status that the driver shows in the pod's event.
pub(super) fn status_of(error: &MountError) -> Status {
    Status::new(code_of(error.reason()), told(error, MAX_MESSAGE_BYTES, CUT))
}

/// The code of every failure for that reason.
pub fn code_of(reason: Reason) -> Code {
    match reason {
        Reason::Denied | Reason::KmsDenied | Reason::KubernetesForbidden => Code::PermissionDenied,
        Reason::TokenMissing | Reason::TokenRefused | Reason::NoIdentity | Reason::CredentialsRefused => {
            Code::Unauthenticated
        }
        Reason::NotFound | Reason::KubernetesNotFound => Code::NotFound,
        Reason::Unusable
        | Reason::ValueMismatch
        | Reason::TooLarge
        | Reason::BadAnnotation
        | Reason::NoRegion
        | Reason::WriteFailed
        | Reason::VolumesFull => Code::FailedPrecondition,
        Reason::InvalidRequest | Reason::RejectedByAws => Code::InvalidArgument,
        Reason::Throttled
        | Reason::Outage
        | Reason::KubernetesOutage
        | Reason::Busy
        | Reason::Deadline
        | Reason::Bug => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// kubelet takes these for "not final", and may then start the pod without files.
    const NOT_FINAL: [Code; 5] =
        [Code::Cancelled, Code::DeadlineExceeded, Code::Unavailable, Code::ResourceExhausted, Code::Aborted];

    #[test]
    fn every_failure_is_final_for_kubelet() {
        for reason in Reason::ALL {
            assert!(!NOT_FINAL.contains(&code_of(reason)), "{reason:?}");
        }
    }
}
