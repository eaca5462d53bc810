//! The driver's service: `Version` and `Mount`.

pub mod codec;
mod entrance;
mod lane;
mod status;

use std::{sync::Arc, time::Duration};

use tonic::{Request, Response, Status, transport::server::UdsConnectInfo};

pub use self::{entrance::Entrance, status::code_of};
use self::{
    entrance::{Answered, MAX_REQUEST_BYTES, Received},
    status::status_of,
};
use super::{
    PROTOCOL_VERSION, RUNTIME_NAME,
    protocol::{
        File, MountRequest, MountResponse, ObjectVersion, VersionRequest, VersionResponse,
        csi_driver_provider_server::{CsiDriverProvider, CsiDriverProviderServer},
    },
};
use crate::{
    model::request::RawRequest,
    mount::{MountError, Mounted, Mounter},
};

/// Time reserved for the answer while the driver waits.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// Stands for a mount without files, because the driver rejects an empty list.
const NOTHING_MOUNTED: &str = "latchkey-nothing-to-mount";

/// Answers the driver.
#[derive(Clone)]
pub struct Provider {
    mounter: Arc<Mounter>,
    allowed_uids: Arc<[u32]>,
}

impl Provider {
    /// Serves callers whose uid is one of `allowed_uids`.
    pub fn new(mounter: Arc<Mounter>, allowed_uids: &[u32]) -> Self {
        Self { mounter, allowed_uids: allowed_uids.into() }
    }

    /// The service to put behind a socket.
    pub fn into_server(self) -> Entrance<CsiDriverProviderServer<Self>> {
        let server = CsiDriverProviderServer::new(self).max_decoding_message_size(MAX_REQUEST_BYTES);
        // The mount bounds its answer, and so does the driver.
        Entrance::new(server.max_encoding_message_size(usize::MAX))
    }

    /// A caller gets the secrets of any service account whose token it holds. Only the
    /// driver, which runs as root, may call.
    fn check_caller<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let peer = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
        let uid = peer.map(|peer| peer.uid());
        if uid.is_some_and(|uid| self.allowed_uids.contains(&uid)) {
            return Ok(());
        }
        let seen = uid.map_or_else(|| "an unknown uid".to_owned(), |uid| format!("uid {uid}"));
        self.mounter.report.refused_caller(&seen, &self.allowed_uids);
        Err(Status::permission_denied(format!("{seen} may not call this provider (--allowed-uids)")))
    }
}

#[tonic::async_trait]
impl CsiDriverProvider for Provider {
    async fn version(&self, request: Request<VersionRequest>) -> Result<Response<VersionResponse>, Status> {
        self.check_caller(&request)?;
        Ok(Response::new(VersionResponse {
            version: PROTOCOL_VERSION.to_owned(),
            runtime_name: RUNTIME_NAME.to_owned(),
            runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }

    async fn mount(&self, mut request: Request<MountRequest>) -> Result<Response<MountResponse>, Status> {
        self.check_caller(&request)?;
        let patience = caller_patience(&request);
        let received = request.extensions_mut().remove::<Received>();
        let request = request.into_inner();
        let raw = RawRequest {
            attributes: request.attributes,
            secrets: request.secrets,
            target_path: request.target_path,
            permission: request.permission,
        };
        let mounter = Arc::clone(&self.mounter);
        let result = in_a_task_of_its_own(async move { mounter.mount(raw, received, patience).await }).await;
        result.map(answer).map_err(|error| status_of(&error))
    }
}

/// A panic ends the task, not the connection. A mount is finished even if its caller goes
/// away.
async fn in_a_task_of_its_own(
    mount: impl Future<Output = Result<Mounted, MountError>> + Send + 'static,
) -> Result<Mounted, MountError> {
    tokio::spawn(mount).await.unwrap_or(Err(MountError::Bug))
}

/// How long the driver still waits, less the time for the answer. If its time ran out
/// first, the answer would be Canceled, which kubelet takes for "not final": the pod may
/// then start with an empty volume.
fn caller_patience<T>(request: &Request<T>) -> Option<Duration> {
    let text = request.metadata().get("grpc-timeout")?.to_str().ok()?;
    let (value, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let value: u64 = value.parse().ok()?;
    let patience = match unit {
        "H" => Duration::from_secs(value.checked_mul(3600)?),
        "M" => Duration::from_secs(value.checked_mul(60)?),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    };
    Some(patience.saturating_sub(ANSWER_TIME).max(patience / 2))
}

fn answer(mounted: Mounted) -> Response<MountResponse> {
    let mut object_version: Vec<ObjectVersion> = mounted
        .files
        .iter()
        .map(|file| ObjectVersion { id: file.path.to_string(), version: file.version.clone() })
        .collect();
    if object_version.is_empty() {
        object_version.push(ObjectVersion { id: NOTHING_MOUNTED.to_owned(), version: "0".to_owned() });
    }
    let files = if mounted.answer.is_some() { mounted.files } else { Vec::new() };
    let files = files.into_iter().map(|file| File {
        path: file.path.to_string(),
        // At most 0o777.
        mode: i32::try_from(file.mode.bits()).unwrap_or(0o400),
        contents: file.contents.to_shared_bytes(),
    });
    let message = MountResponse { object_version, error: None, files: files.collect() };
    let mut response = Response::new(message);
    if let Some(memory) = mounted.answer {
        response.extensions_mut().insert(Answered(Arc::new(memory)));
    }
    response
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_with_internal_and_quotes_nothing() {
        let result = in_a_task_of_its_own(async { panic!("canary-4711") }).await;
        let status = status_of(&result.unwrap_err());
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("canary"), "{status}");
        let next = in_a_task_of_its_own(async { Err(MountError::Deadline(Duration::from_secs(1))) }).await;
        let error = next.err().unwrap();
        assert!(matches!(error, MountError::Deadline(_)), "{error}");
    }

    #[test]
    fn the_drivers_deadline_leaves_time_for_an_answer() {
        let patience = |text: &str| {
            let mut request = Request::new(());
            request.metadata_mut().insert("grpc-timeout", text.parse().unwrap());
            caller_patience(&request)
        };
        assert_eq!(patience("30S"), Some(Duration::from_secs(25)));
        assert_eq!(patience("119999m"), Some(Duration::from_millis(114_999)));
        assert_eq!(patience("4S"), Some(Duration::from_secs(2)));
        assert_eq!(patience("x"), None);
        assert_eq!(caller_patience(&Request::new(())), None);
    }
}
