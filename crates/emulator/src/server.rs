//! The path of a call from its bytes to its answer.

use std::{convert::Infallible, future::Future, io, pin::pin, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use futures_util::stream;
use http::{HeaderValue, StatusCode, header, request::Parts};
use tokio::{sync::watch, time::Instant};

use super::{
    Emulator,
    connection::{Acceptor, Breaker},
    control,
    faults::FaultKind,
    request::{Answer, Incoming, answer},
    wire::{AwsError, Service},
};

/// The maximum size of a request, in bytes: enough for a batch of messages of 1 MiB.
const MAX_REQUEST_BYTES: usize = 1 << 22;

/// The state for every request.
#[derive(Clone)]
struct Shared {
    emulator: Emulator,
    /// Becomes true at shutdown, which ends calls that hang or wait.
    closing: watch::Receiver<bool>,
}

pub(super) async fn serve(
    emulator: Emulator,
    acceptor: Acceptor,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (close, closing) = watch::channel(false);
    let router: Router = Router::new().fallback(handle).with_state(Shared { emulator, closing });
    axum::serve(acceptor, router.into_make_service_with_connect_info::<Breaker>())
        .with_graceful_shutdown(async move {
            shutdown.await;
            // There is no receiver if no call was ever made.
            let _ = close.send(true);
        })
        .await
}

async fn handle(
    State(shared): State<Shared>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    request: Request,
) -> Result<Response, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_REQUEST_BYTES).await else {
        return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large\n"));
    };
    if let Some(response) = control::handle(&shared.emulator, &parts, &body) {
        return Ok(response);
    }
    let request_id = shared.emulator.new_request_id();
    let Some(incoming) = Incoming::read(&parts, &body) else {
        return Ok(no_service(&parts, &request_id));
    };
    Ok(call(shared, &breaker, &incoming, &request_id).await)
}

/// Handles a call: records it, delays it, and applies a fault or answers it.
async fn call(mut shared: Shared, breaker: &Breaker, incoming: &Incoming, request_id: &str) -> Response {
    let emulator = shared.emulator.clone();
    let service = incoming.service;
    let noted = emulator.note(incoming, request_id);
    let delay = emulator.inner.faults().delay(&incoming.operation);
    if !delay.is_zero() {
        shared.wait(delay).await;
    }
    let fault = emulator.inner.faults().take(&noted.call);
    let fail = |error: AwsError| {
        noted.answered(error.status, Some(&error.code));
        error.into_response(service, request_id)
    };
    let truncated = fault == Some(FaultKind::TruncatedBody);
    match fault {
        None | Some(FaultKind::TruncatedBody) => {}
        Some(FaultKind::Delay(delay)) => shared.wait(delay).await,
        Some(FaultKind::Error { status, code, message }) => {
            return fail(AwsError::front_end(&code, message).with_status(status));
        }
        Some(FaultKind::Throttle) => return fail(AwsError::throttled(service)),
        Some(FaultKind::InternalError) => return fail(AwsError::internal(service)),
        Some(FaultKind::KmsDenied) => return fail(AwsError::kms_denied()),
        Some(FaultKind::Reset) => {
            breaker.reset();
            return plain(StatusCode::OK, "");
        }
        Some(FaultKind::Hang) => {
            shared.closed().await;
            breaker.reset();
            return plain(StatusCode::OK, "");
        }
        Some(FaultKind::GarbageBody) => {
            noted.answered(200, None);
            return plain(StatusCode::OK, "\u{0}<<< neither JSON nor XML {{{");
        }
        Some(FaultKind::Redirect(to)) => {
            noted.answered(302, None);
            let mut response = plain(StatusCode::FOUND, "");
            if let Ok(location) = HeaderValue::from_str(&to) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            return response;
        }
    }
    let (response, error) = shared.answer(incoming, request_id).await;
    noted.answered(response.status().as_u16(), error.as_deref());
    if truncated { truncate(response).await } else { response }
}

impl Shared {
    /// The answer, and AWS's error code if it is an error. Waits for the end of a long
    /// poll, but not beyond the emulator's shutdown.
    async fn answer(&mut self, incoming: &Incoming, request_id: &str) -> (Response, Option<String>) {
        let emulator = self.emulator.clone();
        let started = Instant::now();
        loop {
            // Listen before looking, so that no arrival is missed between the two.
            let arrivals = emulator.inner.world().arrivals.clone();
            let mut arrival = pin!(arrivals.notified());
            arrival.as_mut().enable();
            match answer(&emulator, incoming, request_id, started.elapsed()) {
                Answer::Now(response, error) => return (response, error),
                Answer::Later(_) if *self.closing.borrow() => {
                    let error = AwsError::internal(incoming.service);
                    let code = error.code.clone();
                    return (error.into_response(incoming.service, request_id), Some(code));
                }
                Answer::Later(pause) => tokio::select! {
                    () = arrival => {}
                    () = self.wait(pause) => {}
                },
            }
        }
    }

    /// Waits on tokio's clock, or until the emulator shuts down.
    async fn wait(&mut self, delay: Duration) {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.closed() => {}
        }
    }

    async fn closed(&mut self) {
        // An error means that the server has ended.
        let _ = self.closing.wait_for(|closing| *closing).await;
    }
}

/// The answer to a request for none of the services.
fn no_service(parts: &Parts, request_id: &str) -> Response {
    match parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
        // All JSON services of AWS have errors of this form.
        Some(target) => AwsError::front_end(
            "UnknownOperationException",
            format!(
                "the emulator does not have the service of {target}; it has Secrets Manager, Parameter Store, SQS, \
                 STS and the Pod Identity agent"
            ),
        )
        .into_response(Service::Ssm, request_id),
        None => plain(
            StatusCode::NOT_FOUND,
            "neither a call to Secrets Manager, Parameter Store, SQS or STS nor to the Pod Identity agent \
             (GET /v1/credentials)\n",
        ),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

/// The same headers, with the length of the whole body, and half of the body.
async fn truncate(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    let half = bytes.slice(..bytes.len() / 2);
    // The pause lets the first half leave before the error closes the connection.
    let body = stream::unfold(Some(half), |half| async move {
        match half {
            Some(half) if !half.is_empty() => Some((Ok(half), Some(Bytes::new()))),
            Some(_) => {
                tokio::task::yield_now().await;
                Some((Err(io::Error::other("truncated on purpose")), None))
            }
            None => None,
        }
    });
    Response::from_parts(parts, Body::from_stream(body))
}
