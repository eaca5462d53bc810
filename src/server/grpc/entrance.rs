//! Limits the memory of requests and responses in transit.
//!
//! A request waits here before its body is read. The first five bytes of a message
//! contain its length, and so the memory it needs. Small requests have a lane of
//! their own, so that they never wait behind large ones, which take longer to read.
//! The memory of a response is reserved until its last byte is sent.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use tonic::{body::Body, server::NamedService};
use tower::{Service, ServiceExt};

use super::lane::{Lane, Passage};
use crate::{delivery::AnswerMemory, memory::RECEIVED};

/// Maximum size of a request. `objects` has at most 256 KiB, and the API server
/// stores no object larger than 1.5 MiB.
pub(super) const MAX_REQUEST_BYTES: usize = 2 << 20;
/// Maximum size of a small request.
const SMALL_BYTES: usize = 64 << 10;
/// A request is in memory three times while it is read.
const COPIES: usize = 3;
/// The size of a gRPC message's prefix: compression flag and length.
const PREFIX: usize = 5;
/// The memory reserved for a request until it is read. Clones share it.
#[derive(Clone)]
pub(super) struct Received(#[expect(dead_code, reason = "held, not read")] Arc<Passage>);

/// The memory reserved for a response until it is sent. Clones share it.
#[derive(Clone)]
pub(super) struct Answered(#[expect(dead_code, reason = "held, not read")] pub(super) Arc<AnswerMemory>);

/// A gRPC service behind the entrance.
#[derive(Clone, Debug)]
pub struct Entrance<S> {
    inner: S,
    small: Lane,
    large: Lane,
}

impl<S> Entrance<S> {
    pub(super) fn new(inner: S) -> Self {
        let half = || Lane::new((RECEIVED / 2 / COPIES).max(MAX_REQUEST_BYTES));
        Self { inner, small: half(), large: half() }
    }
}

impl<S: NamedService> NamedService for Entrance<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Entrance<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { inner, small, large } = self.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let (body, length) = begin(body).await;
            // A longer request is rejected without reading it, so it needs no memory.
            let length = length.filter(|length| *length <= MAX_REQUEST_BYTES).unwrap_or(0);
            let lane = if length <= SMALL_BYTES { small } else { large };
            parts.extensions.insert(Received(Arc::new(lane.enter(length).await)));
            let mut response = inner.oneshot(Request::from_parts(parts, Body::new(body))).await?;
            Ok(match response.extensions_mut().remove::<Answered>() {
                Some(memory) => response.map(|body| Body::new(Sending { body, memory })),
                None => response,
            })
        })
    }
}

/// Reads until the length of the message is known; `None` if it never is.
async fn begin(mut body: Body) -> (Begun, Option<usize>) {
    let mut first: Vec<Result<Frame<Bytes>, tonic::Status>> = Vec::new();
    let mut prefix: Vec<u8> = Vec::with_capacity(PREFIX);
    while prefix.len() < PREFIX {
        let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await else { break };
        let data = frame.as_ref().ok().and_then(Frame::data_ref);
        let broken = data.is_none();
        prefix.extend(data.into_iter().flatten().take(PREFIX - prefix.len()));
        first.push(frame);
        if broken {
            break;
        }
    }
    let length = prefix.get(1..PREFIX).map(|mut length| length.get_u32());
    first.reverse();
    (Begun { first, rest: body }, length.and_then(|length| usize::try_from(length).ok()))
}

/// A body whose first frames were already read. They are in reverse order.
struct Begun {
    first: Vec<Result<Frame<Bytes>, tonic::Status>>,
    rest: Body,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        match self.first.pop() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }
}

/// A body whose bytes keep their memory reserved until the last one is sent.
struct Sending {
    body: Body,
    memory: Answered,
}

/// Bytes with their reserved memory.
struct Counted {
    bytes: Bytes,
    _memory: Answered,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map_ok(|frame| {
            frame.map_data(|bytes| Bytes::from_owner(Counted { bytes, _memory: self.memory.clone() }))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
